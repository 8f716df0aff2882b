"""Angles and their signs, on a head model that the test turns and projects."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.head_pose import NAMES, pairs
from models.head import DETECTED, LANDMARKS, head_angles
from models.landmarks import Landmarks
from transforms.pose import head_pose, pose_columns


def project(
    yaw: float,
    pitch: float,
    roll: float,
    head: np.ndarray = LANDMARKS,
    *,
    distance: float = 700.0,
    focal: float = 900.0,
) -> np.ndarray:
    """Points [5, 2] of a head at a distance (millimetres), turned by degrees.

    The camera sees x to the right, y down, z away. Yaw turns the nose (at z below 0) to the right, pitch lifts it, roll
    leans the head clockwise; from the inside out: roll, pitch, yaw.
    """
    a, b, c = np.radians([yaw, pitch, roll])
    turn_yaw = np.array([[np.cos(a), 0, -np.sin(a)], [0, 1, 0], [np.sin(a), 0, np.cos(a)]])
    turn_pitch = np.array([[1, 0, 0], [0, np.cos(b), np.sin(b)], [0, -np.sin(b), np.cos(b)]])
    turn_roll = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
    seen = head @ (turn_yaw @ turn_pitch @ turn_roll).T + (0, 0, distance)
    return seen[:, :2] / seen[:, 2:] * focal + (320, 240)


FRONTAL = project(0, 0, 0)


def test_frontal():
    np.testing.assert_allclose(head_pose(FRONTAL[None])[0], 0, atol=1.5)


def test_the_projection_has_the_signs_it_says():
    nose, eyes = 4, slice(0, 4)
    assert FRONTAL[0, 0] > FRONTAL[2, 0] and FRONTAL[nose, 1] > FRONTAL[0, 1]
    to_the_right = project(30, 0, 0)
    assert to_the_right[nose, 0] - to_the_right[eyes, 0].mean() > FRONTAL[nose, 0] - FRONTAL[eyes, 0].mean() + 5
    up = project(0, 25, 0)
    assert up[nose, 1] - up[eyes, 1].mean() < FRONTAL[nose, 1] - FRONTAL[eyes, 1].mean() - 5
    clockwise = project(0, 0, 20)
    assert clockwise[0, 1] > clockwise[2, 1]  # the eye on the right is lower


@pytest.mark.parametrize(
    ("angles", "which"),
    [((30, 0, 0), 0), ((-30, 0, 0), 0), ((0, 20, 0), 1), ((0, -20, 0), 1), ((0, 0, 25), 2), ((0, 0, -25), 2)],
)
def test_one_angle_at_a_time(angles, which):
    found = head_pose(project(*angles)[None])[0]
    np.testing.assert_allclose(found, angles, atol=4)
    assert np.abs(found).argmax() == which


@settings(deadline=None)
@given(yaw=st.floats(-45, 45), roll=st.floats(-40, 40), size=st.floats(0.2, 5))
def test_size_and_place_do_not_matter(yaw, roll, size):
    points = project(yaw, 0, roll)
    found = head_pose(np.stack([points, points * size + (100, -50)]))
    np.testing.assert_allclose(found[0], found[1], atol=0.5)
    assert found[0][0] == pytest.approx(yaw, abs=8)


@settings(deadline=None)
@given(yaw=st.floats(-40, 40), pitch=st.floats(-15, 15))
def test_a_mirrored_face_looks_the_other_way(yaw, pitch):
    points = project(yaw, pitch, 0)
    mirrored = (points * (-1, 1))[[2, 3, 0, 1, 4]]
    a, b = head_pose(np.stack([points, mirrored]))
    assert a[0] == pytest.approx(-b[0], abs=0.5) and a[1] == pytest.approx(b[1], abs=0.5)


def test_landmarks_that_are_no_head_raise_nothing():
    found = head_pose(np.stack([np.zeros((5, 2)), np.full((5, 2), 7.0), np.full((5, 2), np.nan)]))
    assert found.shape == (3, 3) and found.dtype == np.float32
    assert head_pose(np.zeros((0, 5, 2))).shape == (0, 3)


def columns(yaw_of_landmarks: float, detected_yaw: float) -> dict[str, float]:
    """The columns of one face whose landmarks and whose detector say different yaws."""
    points = project(yaw_of_landmarks, 5, 10)[None].astype(np.float32)
    found = pose_columns(Landmarks(points, points, np.array([detected_yaw], np.float32)))
    assert all(values.dtype == np.float32 and values.shape == (1,) for values in found.values())
    return {name: float(values[0]) for name, values in found.items()}


def test_a_turned_head_has_the_yaw_of_the_detectors_points_and_no_pitch():
    found = columns(-15, -70)
    assert found["yaw"] == -70 and np.isnan(found["pitch"]) and found["roll"] == pytest.approx(10, abs=4)
    assert found["pose_std"] > columns(-15, -15)["pose_std"]


def test_pose_is_less_sure_the_more_two_sources_differ():
    stds = [columns(10, 10 + apart)["pose_std"] for apart in (0, 5, 15, 30)]
    assert stds == sorted(stds) and stds[0] == pytest.approx(8, abs=0.5) and stds[-1] > 25
    assert columns(10, 30)["yaw"] == pytest.approx(10, abs=3)


def test_nothing_says_how_sure_pose_is_without_points():
    found = columns(10, np.nan)
    assert np.isnan(found["pose_std"]) and found["yaw"] == pytest.approx(10, abs=3) and np.isfinite(found["pitch"])


@pytest.mark.parametrize("yaw", [20, 50, 75])
def test_a_detectors_points_show_yaw_and_mirrored_the_other_way(yaw):
    points = project(yaw, 0, 0, DETECTED)
    mirrored = (points * (-1, 1))[[1, 0, 2, 4, 3]]
    a, b = head_angles(np.stack([points, mirrored]), DETECTED)[:, 0]
    assert a == pytest.approx(yaw, abs=4) and b == pytest.approx(-a, abs=0.5)


def test_real_heads_look_the_other_way_in_a_mirrored_clip(shared_videos):
    both = pairs(shared_videos / "faces/mother_daughter.mp4", fps=1)
    yaw, pitch, std = (both[:, :, NAMES.index(name)] for name in ("yaw", "pitch", "pose_std"))
    clear, turned = np.abs(yaw[:, 0]) > 15, np.isnan(pitch[:, 0])
    assert len(both) > 15 and clear.sum() >= turned.sum() > 2
    assert (yaw[clear, 0] * yaw[clear, 1] < 0).all()
    assert np.sqrt(np.nanmean(np.diff(pitch[~turned]) ** 2)) < 6
    assert (np.abs(yaw.sum(axis=1)) < 2 * np.hypot(std[:, 0], std[:, 1])).mean() > 0.9
    assert std[turned].min() > np.median(std[~turned])
