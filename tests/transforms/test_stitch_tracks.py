"""Tracks, shots and end reasons of a video are the same for any segment bounds."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.examples import example_plan, example_samples, example_track, join_tracks
from tests.fragments import cut_into_fragments
from transforms.stitch_tracks import Observations, stitch_tracks

SAMPLES = example_samples(10.0)
LEFT = example_track(0, SAMPLES, x=10.0, y=50.0)  # from first to last
BRIEF = example_track(1, SAMPLES[4:13], x=200.0)  # 1.0 … 3.0, lost
LATE = example_track(2, SAMPLES[17:30], x=100.0)  # 4.25 … 7.25, ends at a cut
THREE = join_tracks(LEFT, BRIEF, LATE)
ENDED = {1: "lost", 2: "cut"}
CUTS = (7.5,)


def stitch(*bounds: float, columns=THREE, ended=ENDED, cuts=CUTS, samples=SAMPLES, **stats) -> Observations:
    plan = example_plan(*bounds)
    fragments = cut_into_fragments(plan, columns, samples, cuts=cuts, ended=ended, stats=stats)
    return stitch_tracks(fragments, min_iou=0.3)


def assert_same(a: Observations, b: Observations) -> None:
    assert a.columns.keys() == b.columns.keys()
    for name in a.columns:
        np.testing.assert_array_equal(a.columns[name], b.columns[name], err_msg=name)
    assert a.end_reason == b.end_reason
    np.testing.assert_array_equal(a.timestamps, b.timestamps)
    np.testing.assert_array_equal(a.shots, b.shots)


def test_without_a_bound_tracks_are_as_they_were_seen():
    whole = stitch()

    assert whole.end_reason == ["eof", "lost", "cut"]
    assert len(whole) == len(THREE["track"])
    assert np.bincount(whole.columns["track"]).tolist() == [40, 9, 13]
    assert whole.shots.tolist() == [0] * 30 + [1] * 10
    assert all(np.all(np.diff(whole.columns["timestamp"][whole.columns["track"] == t]) > 0) for t in range(3))


@settings(deadline=None, max_examples=60)
@given(bounds=st.sets(st.floats(0.01, 9.99), max_size=6).map(sorted))
def test_bounds_do_not_change_tracks(bounds: list[float]):
    assert_same(stitch(*bounds), stitch())


@pytest.mark.parametrize("bounds", [(7.25,), (7.5,), (7.75,), (7.3, 7.5), (7.3, 7.4, 7.5, 7.6)])
def test_a_cut_at_or_beside_a_bound_is_counted_once(bounds: tuple[float, ...]):
    joined = stitch(*bounds)

    assert joined.shots.tolist() == [0] * 30 + [1] * 10
    assert joined.end_reason == ["eof", "lost", "cut"]


def test_a_bound_is_no_cut():
    assert stitch(2.0, 5.0, cuts=()).shots.tolist() == [0] * 40


def test_tracks_are_numbered_by_time_then_x_then_y():
    columns = join_tracks(
        example_track(0, SAMPLES[1:9], x=5.0),
        example_track(1, SAMPLES[:9], x=300.0, y=10.0),
        example_track(2, SAMPLES[:9], x=100.0, y=90.0),
        example_track(3, SAMPLES[:9], x=100.0, y=30.0),
    )

    joined = stitch(columns=columns, ended={})

    first = [np.flatnonzero(joined.columns["track"] == t)[0] for t in range(4)]
    assert [(joined.columns["x"][i], joined.columns["y"][i]) for i in first] == [
        (100, 30),
        (100, 90),
        (300, 10),
        (5, 20),
    ]


def test_another_face_behind_the_bound_is_another_track():
    columns = join_tracks(example_track(0, SAMPLES[:16], x=10.0), example_track(1, SAMPLES[16:], x=400.0))

    assert stitch(4.0, columns=columns, ended={0: "lost"}).end_reason == ["lost", "eof"]


def test_of_two_faces_in_the_tail_each_continues_the_one_that_it_lies_on():
    # They pass each other: at the bound the nearer box is the other's start.
    columns = join_tracks(
        example_track(0, SAMPLES, x=np.linspace(0, 200, 40)),
        example_track(1, SAMPLES, x=np.linspace(200, 0, 40), y=100),
    )

    assert_same(stitch(5.0, columns=columns, ended={}), stitch(columns=columns, ended={}))


def test_a_track_that_nobody_saw_behind_the_bound_was_lost():
    # It was still carried when the first segment's tail ended, and no detection came any more: its end is in no log.
    columns = join_tracks(example_track(0, SAMPLES[:15]))

    assert stitch(4.0, columns=columns, ended={}).end_reason == ["lost"]


def test_where_nothing_decodes_behind_a_bound_the_file_has_ended():
    columns = join_tracks(example_track(0, SAMPLES[:16]))

    assert stitch(4.0, 8.0, columns=columns, ended={}, samples=SAMPLES[:16]).end_reason == ["eof"]


def test_unknown_stays_unknown():
    unknown: dict[str, Any] = {"confidence": np.where(SAMPLES % 1 == 0, 1, np.nan), "age": np.nan, "yaw": np.nan}
    columns = join_tracks(example_track(0, SAMPLES, **unknown))

    joined = stitch(5.0, columns=columns, ended={})

    assert np.isnan(joined.columns["age"]).all()
    assert np.isnan(joined.columns["confidence"]).sum() == 30
    assert joined.columns["frame"].dtype == joined.columns["pts"].dtype == np.int64


def test_large_time_stamps_stay_exact():
    columns = join_tracks(LEFT) | {"pts": np.arange(40) + 2**60 + 1}

    np.testing.assert_array_equal(stitch(5.0, columns=columns, ended={}).columns["pts"], np.arange(40) + 2**60 + 1)


def test_a_video_without_faces():
    joined = stitch(4.0, columns=join_tracks(), ended={}, cuts=())

    assert len(joined) == 0
    assert joined.end_reason == []
    assert len(joined.timestamps) == 40


def test_a_video_without_samples():
    joined = stitch(4.0, columns=join_tracks(), ended={}, cuts=(), samples=SAMPLES[:0])

    assert len(joined) == len(joined.timestamps) == len(joined.shots) == 0
