"""Aggregation before drawing: bins, spans, lanes, and their limits."""

import dataclasses
import itertools
import math
from pathlib import Path

import numpy as np
import pytest

from pipelines.reports.content import Lane, Timeline, Track
from pipelines.reports.timeline import (
    MAX_COUNTS,
    MAX_SHARES,
    MAX_SPANS,
    OWN_LANES,
    SHARED_LANES,
    bin_width,
    emotions_over_time,
    faces_over_time,
    make_lanes,
    most_frequent,
    pack,
)
from pipelines.reports.video import read_tables, video_report
from schemas.config import Config
from schemas.tables import EMOTIONS, SMOOTH_COLUMNS
from tests.examples import example_row
from tests.made_tables import Columns, feeling, write_video

SHARP = dataclasses.replace(Config(), aggregation=dataclasses.replace(Config().aggregation, smooth_seconds=0.0))


def track(number: int, start: float, end: float, person: int | None = None) -> Track:
    return Track(
        track_id=number,
        person_id=person,
        shot_id=0,
        start=start,
        end=end,
        end_reason="lost",
        n_samples=4,
        n_detected=4,
        confidence=1.0,
        face_seconds=math.ceil(end - start),
        best_timestamp=start,
        box=(0, 0, 40, 40),
        emotion=None,
        emotions={},
        age=None,
        gender=None,
        flags={},
    )


def drawn(out: Path, *tracks: Columns, **video: object) -> Timeline:
    video_id = write_video(out, tracks=tracks, config=SHARP, **video)  # type: ignore[arg-type]
    tables = read_tables(str(out), video_id)
    return video_report("page", [example_row(video_id=video_id)], tables).timeline


@pytest.mark.parametrize(
    ("seconds", "most", "width"), [(0, 5, 1), (5, 5, 1), (6, 5, 2), (10800, 1000, 15), (1e7, 100, 100800)]
)
def test_bins_are_round_and_few(seconds: float, most: int, width: int) -> None:
    assert bin_width(seconds, most) == width
    assert math.ceil(seconds / width) <= most


def test_runs_of_one_emotion_are_one_span(tmp_path: Path) -> None:
    timeline = drawn(tmp_path, feeling(0, 1.0, ["happy"] * 3 + ["sad"] * 2 + ["happy"]))
    found = [(span.start, span.end, span.emotion) for span in timeline.spans]
    assert found == [(1.0, 4.0, "happy"), (4.0, 6.0, "sad"), (6.0, 7.0, "happy")]
    assert [span.probability for span in timeline.spans] == [0.7] * 3
    span = timeline.spans[0]
    assert span.age is not None and span.age.years == 30.0
    assert span.age.low == pytest.approx(30 - 1.2816 * 5, abs=0.1)
    assert span.gender is not None and (span.gender.label, span.gender.female) == ("female", 0.9)


def test_a_span_ends_with_its_track(tmp_path: Path) -> None:
    columns = feeling(0, 1.5, ["happy"])  # samples at 1.5, 1.75, 2.0, 2.25
    assert [(s.start, s.end) for s in drawn(tmp_path, columns).spans] == [(1.5, 2.5)]


def test_emotions_that_nobody_was_asked_for_are_unknown(tmp_path: Path) -> None:
    columns = feeling(0, 0.0, ["happy"] * 2, age=np.nan, age_std=np.nan, gender_female=np.nan)
    columns |= {name: np.full_like(columns["x"], np.nan) for name in columns if name.startswith("emotion_")}
    (span,) = drawn(tmp_path, columns).spans
    assert (span.emotion, span.probability, span.age, span.gender) == (None, None, None, None)


def test_spans_are_limited_by_wider_bins(tmp_path: Path) -> None:
    restless = [EMOTIONS[i % 7] for i in range(1500)]
    timeline = drawn(tmp_path, feeling(0, 0.0, restless), feeling(1, 0.0, restless[::-1]), seconds=1500.0)
    assert timeline.bin_seconds == 2
    assert MAX_SPANS / 2 < len(timeline.spans) <= MAX_SPANS
    lengths = {lane: sum(s.end - s.start for s in timeline.spans if s.lane == lane) for lane in (0, 1)}
    assert lengths == {0: 1500, 1: 1500}


def test_each_track_has_a_lane_in_order_of_appearance() -> None:
    lanes, left_out = make_lanes([track(1, 5, 9), track(0, 0, 3), track(2, 1, 2)])
    assert lanes == [Lane("Track 0", (0,)), Lane("Track 2", (2,)), Lane("Track 1", (1,))]
    assert left_out == 0


def test_a_person_has_one_lane_for_all_tracks() -> None:
    tracks = [track(0, 0, 1, person=7), track(1, 2, 3), track(2, 4, 5, person=7), track(3, 5, 6, person=0)]
    lanes, _ = make_lanes(tracks)
    assert lanes == [Lane("Person 7", (0, 2)), Lane("Track 1", (1,)), Lane("Person 0", (3,))]


def test_of_very_many_tracks_the_shortest_share_lanes() -> None:
    long = [track(i, 10.0 * i, 10.0 * i + 9) for i in range(OWN_LANES)]
    short = [track(OWN_LANES + i, 5.0 * i, 5.0 * i + 2) for i in range(50)]
    lanes, left_out = make_lanes([*short, *long])
    assert [lane.tracks for lane in lanes if not lane.shared] == [(i,) for i in range(OWN_LANES)]
    (others,) = [lane for lane in lanes if lane.shared]
    assert others.label == "others 1" and others.tracks == tuple(t.track_id for t in short)
    assert left_out == 0


def test_of_a_crowd_some_are_left_out() -> None:
    lanes, left_out = make_lanes([track(i, 0, 1) for i in range(100)])
    assert len(lanes) == OWN_LANES + SHARED_LANES
    assert left_out == 100 - OWN_LANES - SHARED_LANES


def test_packed_tracks_do_not_overlap() -> None:
    random = np.random.default_rng(0)
    starts = random.uniform(0, 100, 60)
    tracks = [track(i, float(start), float(start + random.uniform(0, 8))) for i, start in enumerate(starts)]
    rows = pack(tracks)
    assert sorted(t.track_id for row in rows for t in row) == list(range(60))
    assert all(a.end < b.start for row in rows for a, b in itertools.pairwise(row))


def test_faces_are_counted_by_mean_and_maximum_with_gaps() -> None:
    counts = faces_over_time({"n_faces": np.array([0, 2, np.nan, 1.0])})
    assert (counts.bin_seconds, counts.mean, counts.most) == (1, (0.0, 2.0, None, 1.0), (0, 2, None, 1))
    long = faces_over_time({"n_faces": np.r_[np.full(3 * MAX_COUNTS, 1.0), 5.0]})
    assert long.bin_seconds == 5 and len(long.mean) <= MAX_COUNTS
    assert long.most[-1] == 5 and long.mean[:2] == (1.0, 1.0)


def test_shares_are_means_over_faces_and_add_up() -> None:
    faces = {name: np.zeros(3) for name in SMOOTH_COLUMNS}
    faces["emotion_smooth_sad"] = np.array([1.0, 0.0, np.nan])
    faces["emotion_smooth_happy"] = np.array([0.0, 1.0, np.nan])
    for name in SMOOTH_COLUMNS:
        faces[name][2] = np.nan  # a face whose emotion is unknown counts for nothing
    shares = emotions_over_time({**faces, "second": np.array([0, 0, 2])}, 4.0)
    assert shares.face_seconds == (2, 0, 0, 0)
    assert shares.shares["sad"] == (0.5, None, None, None) == shares.shares["happy"]
    wide = emotions_over_time({**faces, "second": np.array([0, 9999, 3])}, 10_000.0)
    assert len(wide.face_seconds) <= MAX_SHARES and sum(wide.face_seconds) == 2


def test_the_most_frequent_label_passes_over_nulls() -> None:
    assert most_frequent(["male", None, None, "female", "female"]) == "female"
    assert most_frequent(["male", "female", "female"], [5, 1, 1]) == "male"
    assert most_frequent([None]) is None
