"""Rules that hold for rows of any samples."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.config import Config
from schemas.tables import EMOTION_COLUMNS, EMOTIONS, SMOOTH_COLUMNS, TRACKER_ONLY
from tests.examples import VIDEO_ID, example_plan, example_samples, example_track, join_tracks
from tests.fragments import cut_into_fragments
from transforms.aggregate_seconds import aggregate_faces, aggregate_timeline, aggregate_tracks
from transforms.stitch_tracks import Observations, stitch_tracks

MODELS = (*EMOTION_COLUMNS, "age", "age_std", "gender_female")


def observe(*tracks: dict[str, np.ndarray], seconds: float = 10.0, **log) -> Observations:
    plan = example_plan()
    fragments = cut_into_fragments(plan, join_tracks(*tracks), example_samples(seconds), **log)
    return stitch_tracks(fragments, min_iou=0.3)


def faces_of(observations: Observations, config: Config | None = None, unknown_below: float = 0.6) -> pa.Table:
    return aggregate_faces(observations, VIDEO_ID, config or Config(), unknown_below)


def timeline_of(observations: Observations, last: float = 9.96, damaged=(), missing_until=None) -> pa.Table:
    faces = faces_of(observations)
    return aggregate_timeline(
        observations, faces, VIDEO_ID, last_timestamp=last, damaged_seconds=set(damaged), missing_until=missing_until
    )


@st.composite
def videos(draw) -> Observations:
    """Up to four faces, each in some of the samples, with all that a model may say or not say."""
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    tracks = []
    for track in range(draw(st.integers(0, 4))):
        times = example_samples()[np.sort(random.choice(40, draw(st.integers(1, 40)), replace=False))]
        n = len(times)
        features: dict[str, Any] = {name: random.uniform(0, 1, n) for name in ("x", "y", "quality", "sharpness")}
        features["confidence"] = np.where(
            (random.random(n) < 0.5) | (np.arange(n) == 0), random.normal(1, 1, n), np.nan
        )
        features["age"] = np.where(random.random(n) < 0.5, random.uniform(0, 100, n), np.nan)
        features["age_std"] = np.where(np.isnan(features["age"]), np.nan, random.uniform(0, 40, n))
        features["gender_female"] = np.where(np.isnan(features["age"]), np.nan, random.random(n))
        emotions = random.dirichlet(np.full(7, 0.3), n)
        features |= dict(zip(EMOTION_COLUMNS, emotions.T, strict=True))
        features["quality"] = np.maximum(features["quality"], 1e-3)
        tracks.append(example_track(track, times, **features))
    return observe(*tracks)


@settings(deadline=None, max_examples=60)
@given(observations=videos(), sigma=st.sampled_from([0.0, 0.3, 1.5, 20.0]))
def test_rules_of_faces(observations: Observations, sigma: float):
    table = faces_of(observations, Config().override(smooth_seconds=sigma))
    rows = table.to_pandas()

    keys = list(zip(rows["track_id"], rows["second"], strict=True))
    assert keys == sorted(set(keys))
    assert (rows["n_detected"] + rows["n_tracked"] == rows["n_samples"]).all()
    assert rows["n_samples"].sum() == len(observations)
    assert (np.floor(rows["timestamp"]) == rows["second"]).all()
    for columns in (EMOTION_COLUMNS, SMOOTH_COLUMNS):
        values = rows[list(columns)].to_numpy(np.float64)
        np.testing.assert_allclose(values.sum(axis=1), 1, atol=1e-4)
        assert ((values >= 0) & (values <= 1 + 1e-6)).all()
        label = rows[columns[0].removesuffix("_angry")]
        assert label.tolist() == [EMOTIONS[i] for i in values.argmax(axis=1)]
    assert rows["emotion_entropy"].between(0, np.log(7) + 1e-5).all()
    known = rows[rows["age"].notna()]
    assert ((known["age_low"] <= known["age"]) & (known["age"] <= known["age_high"]) & (known["age_low"] >= 0)).all()
    assert rows["age_smooth"].notna().equals(rows["age"].notna())
    assert_no_nan(table)


@settings(deadline=None, max_examples=40)
@given(observations=videos())
def test_rules_of_tracks_and_timeline(observations: Observations):
    tracks, faces, timeline = (
        aggregate_tracks(observations, VIDEO_ID, 0.6),
        faces_of(observations).to_pandas(),
        timeline_of(observations).to_pandas(),
    )
    assert_no_nan(tracks)
    rows = tracks.to_pandas()

    assert rows["track_id"].tolist() == list(range(len(observations.end_reason)))
    assert (rows["duration"] == rows["end_time"] - rows["start_time"]).all()
    assert (rows["start_time"].diff().dropna() >= 0).all()
    sums = faces.groupby("track_id")[["n_samples", "n_detected"]].sum().reset_index(drop=True)
    assert sums.astype(int).equals(rows[["n_samples", "n_detected"]].astype(int))
    known = rows[rows["age"].notna()]
    assert ((known["age_low"] <= known["age"]) & (known["age"] <= known["age_high"])).all()
    assert timeline["second"].tolist() == list(range(10))
    counts = faces["second"].value_counts()
    assert timeline["n_faces"].tolist() == [counts.get(second, 0) for second in range(10)]


def assert_no_nan(table: pa.Table) -> None:
    for field in table.schema:
        if pa.types.is_floating(field.type):
            values = table[field.name].drop_null().to_numpy()
            assert np.isfinite(values).all(), field.name
        if not field.nullable:
            assert table[field.name].null_count == 0, field.name


def test_without_models_their_columns_are_null_and_not_nan():
    observations = observe(example_track(0, example_samples(), **dict.fromkeys(MODELS, np.nan)))
    faces, tracks = faces_of(observations), aggregate_tracks(observations, VIDEO_ID, 0.6)

    of_models = [*MODELS, "emotion", "age_low", "age_high", "gender"]
    smooth = [*SMOOTH_COLUMNS, "emotion_smooth", "age_smooth", "gender_female_smooth", "emotion_entropy"]
    for table, names in ((faces, of_models + smooth), (tracks, [*of_models, "person_id", "embedding"])):
        assert {name: table[name].null_count for name in names} == dict.fromkeys(names, len(table))
        assert_no_nan(table)


def test_a_second_is_told_by_its_best_sample():
    quality = np.array([0.2, 0.9, 0.1, 0.1], np.float32)
    track = example_track(
        0, example_samples(1.0), quality=quality, x=[1, 2, 3, 4], confidence=[0.5, np.nan, np.nan, np.nan]
    )
    track["quality_flags"][1] = TRACKER_ONLY

    (row,) = faces_of(observe(track)).to_pylist()

    assert (row["timestamp"], row["x"], row["frame"], row["pts"]) == (0.25, 2.0, 6, 1250)
    assert row["confidence"] is None
    assert row["quality_flags"] == TRACKER_ONLY
    assert (row["n_samples"], row["n_detected"], row["n_tracked"]) == (4, 1, 3)


def test_means_are_weighted_by_quality():
    happy, sad = ([1.0, 0, 0, 0], [0, 1.0, 1.0, 1.0])
    others = dict.fromkeys(EMOTION_COLUMNS, 0.0)
    track = example_track(
        0,
        example_samples(1.0),
        **others | {"emotion_happy": happy, "emotion_sad": sad, "quality": [0.6, 0.1, 0.1, 0.2]},
    )

    (row,) = faces_of(observe(track)).to_pylist()

    assert row["emotion"] == "happy"
    assert row["emotion_happy"] == pytest.approx(0.6)
    assert row["emotion_sad"] == pytest.approx(0.4)
    assert row["emotion_entropy"] == pytest.approx(-0.6 * np.log(0.6) - 0.4 * np.log(0.4))


@pytest.mark.parametrize(("female", "gender"), [(0.9, "female"), (0.1, "male"), (0.55, "unknown"), (0.45, "unknown")])
def test_an_unsure_gender_is_unknown(female: float, gender: str):
    observations = observe(example_track(0, example_samples(), gender_female=female))

    assert set(faces_of(observations)["gender"].to_pylist()) == {gender}
    assert aggregate_tracks(observations, VIDEO_ID, 0.6)["gender"].to_pylist() == [gender]


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 1000), sigma=st.floats(0.1, 10))
def test_smoothing_leaves_constants_and_does_not_cross_tracks(seed: int, sigma: float):
    random = np.random.default_rng(seed)
    times = example_samples()[random.random(40) < 0.5]
    times = np.append(times, 9.75)
    young = example_track(0, np.unique(times), x=0.0, age=20.0, gender_female=0.2, quality=random.uniform(0.001, 1))
    old = example_track(1, example_samples(), x=300.0, age=80.0, gender_female=0.7)

    rows = faces_of(observe(young, old), Config().override(smooth_seconds=sigma)).to_pandas()

    for _, track in rows.groupby("track_id"):
        for name in ("age", "gender_female", "emotion_happy"):
            smooth = track[name.replace("emotion_", "emotion_smooth_") if "emotion" in name else f"{name}_smooth"]
            np.testing.assert_allclose(smooth, track[name].iloc[0], rtol=1e-5)


def test_smoothing_quietens_and_keeps_the_raw_values():
    happy = np.where(np.floor(example_samples()) == 5, 1.0, 0.0)
    others = dict.fromkeys(EMOTION_COLUMNS, 0.0)
    track = example_track(0, example_samples(), **others | {"emotion_happy": happy, "emotion_neutral": 1 - happy})

    rows = faces_of(observe(track)).to_pandas()

    assert rows["emotion"].tolist() == ["neutral"] * 5 + ["happy"] + ["neutral"] * 4
    assert set(rows["emotion_smooth"]) == {"neutral"}
    assert rows["emotion_smooth_happy"].idxmax() == 5
    np.testing.assert_allclose(rows["emotion_smooth_happy"][4], rows["emotion_smooth_happy"][6], rtol=0.02)


def test_a_tracks_age_ignores_outliers():
    age = np.full(40, 30.0)
    age[:12] = 95.0

    (row,) = aggregate_tracks(observe(example_track(0, example_samples(), age=age)), VIDEO_ID, 0.6).to_pylist()

    assert row["age"] == 30.0
    assert row["age_low"] == pytest.approx(30 - 1.2816 * 5, abs=1e-3)


def test_a_good_sample_outweighs_bad_ones_in_a_tracks_age():
    age, quality = np.full(40, 30.0), np.full(40, 0.01)
    age[7], quality[7] = 50.0, 1.0

    observations = observe(example_track(0, example_samples(), age=age, quality=quality))

    assert aggregate_tracks(observations, VIDEO_ID, 0.6)["age"].to_pylist() == [50.0]


def test_a_track_row():
    confidence = np.full(40, np.nan)
    confidence[[0, 20]] = 1.0, 2.0
    quality = np.full(40, 0.5)
    quality[9] = 0.9
    track = example_track(0, example_samples()[4:], x=7.0, confidence=confidence[:36], quality=quality[:36])

    (row,) = aggregate_tracks(observe(track, cuts=(1.0,), ended={}), VIDEO_ID, 0.6).to_pylist()

    assert (row["start_time"], row["end_time"], row["duration"]) == (1.0, 9.75, 8.75)
    assert (row["start_frame"], row["end_frame"]) == (25, 244)
    assert (row["n_samples"], row["n_detected"], row["confidence_mean"]) == (36, 2, 1.5)
    assert (row["best_timestamp"], row["best_x"], row["best_width"]) == (3.25, 7.0, 40.0)
    assert (row["shot_id"], row["end_reason"], row["person_id"], row["embedding"]) == (1, "eof", None, None)


def test_frames_without_a_number_are_null():
    track = example_track(0, example_samples(1.0))
    nothing = np.full(4, -(2**63))
    observations = observe(track | {"frame": nothing, "pts": nothing})

    assert faces_of(observations).select(["frame", "pts"]).to_pylist() == [{"frame": None, "pts": None}]
    assert aggregate_tracks(observations, VIDEO_ID, 0.6)["start_frame"].to_pylist() == [None]


def test_no_faces_at_all_is_a_timeline_of_zeros():
    observations = observe()

    assert len(faces_of(observations)) == len(aggregate_tracks(observations, VIDEO_ID, 0.6)) == 0
    rows = timeline_of(observations).to_pandas()
    assert rows["n_faces"].tolist() == [0] * 10
    assert rows["n_samples"].tolist() == [4] * 10
    assert rows["decode_ok"].all()


def test_a_gap_in_the_time_stamps_is_null_and_no_damage():
    observations = observe(example_track(0, example_samples(2.0)), seconds=2.0)
    late = np.append(observations.timestamps, 4.5)
    observations = Observations(observations.columns, observations.end_reason, late, np.append(observations.shots, 1))

    rows = timeline_of(observations, last=4.5).to_pylist()

    assert [row["timestamp"] for row in rows] == [0.0, 1.0, None, None, 4.5]
    assert [row["n_faces"] for row in rows] == [1, 1, None, None, 0]
    assert [row["shot_id"] for row in rows] == [0, 0, None, None, 1]
    assert [row["n_samples"] for row in rows] == [4, 4, 0, 0, 1]
    assert all(row["decode_ok"] for row in rows)


def test_damaged_and_missing_seconds_are_not_ok():
    rows = timeline_of(observe(seconds=4.0), last=3.96, damaged={1}, missing_until=6.2).to_pylist()

    assert [row["second"] for row in rows] == list(range(7))
    assert [row["decode_ok"] for row in rows] == [True, False, True, True, False, False, False]
    assert [row["n_faces"] for row in rows] == [0] * 4 + [None] * 3


def test_a_still_has_one_row():
    observations = observe(example_track(0, [0.0]), seconds=0.25)

    assert timeline_of(observations, last=0.0).to_pylist() == [
        {
            **{"video_id": VIDEO_ID, "second": 0, "timestamp": 0.0, "n_samples": 1, "n_faces": 1},
            **{"shot_id": 0, "decode_ok": True},
        }
    ]
