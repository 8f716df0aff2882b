"""One run over an archive of good and odd files: the contents and the rules of the four tables."""

import json
import math
import shutil
from collections import Counter
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from pipelines.runs.analyze_archive import analyze
from pipelines.settings import AGE_GENDER_MODEL, EMOTION_MODEL
from schemas.config import Config
from schemas.tables import EMOTION_COLUMNS, SMOOTH_COLUMNS, TABLES
from tests.clips import portrait_clip
from tests.odd_clips import animated_gif, audio_only, cover_art, damaged, disguised, sideways_pair, still, truncated
from tests.runs import made_once
from tests.tables import KEYS, assert_whole, read_table, rows, statuses, videos


def make_archive(folder: Path) -> None:
    """One of each, small."""
    portrait_clip(folder / "with space & ünïcode 顔.mp4", seconds=1)
    shutil.copy2(folder / "with space & ünïcode 顔.mp4", folder / "-copy.mp4")
    sideways_pair(folder, seconds=1, moving=True)
    portrait_clip(folder / "variable.mp4", times=[0.0, 0.04, 0.1, 0.25, 0.5, 2.0, 2.02, 2.3, 2.35], start=0.852)
    portrait_clip(folder / "anamorphic.mp4", seconds=1, size=(400, 240), sar=Fraction(4, 3))
    portrait_clip(folder / "nobody.mp4", seconds=2, away=(0, 2))
    portrait_clip(folder / "leaves.mkv", seconds=3, away=(1, 3))
    whole = portrait_clip(folder / "whole.mp4", seconds=8, faststart=True, moving=True)
    truncated(whole.path, folder / "truncated.mp4", share=0.5)
    damaged(whole.path, folder / "damaged.mp4", at=0.5, n_bytes=8000)
    still(folder / "x_%d.jpg")
    still(folder / "x_1.jpg", moving=True)  # what the pattern would stand for
    still(folder / "turned.jpg", orientation=6, size=(320, 240))
    animated_gif(folder / "walk.gif", moving=True)
    audio_only(folder / "sound.mp4")
    cover_art(folder / "song.m4a")
    disguised(folder / "whole.mp4")
    (folder / "empty.mp4").touch()
    (folder / "notes.txt").write_text("not a video, and not called one\n")
    (folder / ".hidden.mp4").write_bytes(whole.path.read_bytes()[:100])


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory, bare: Config) -> Path:
    """`in/` with the files, `out/` with their tables, and what the run said."""

    def make(folder: Path) -> None:
        (folder / "in").mkdir()
        make_archive(folder / "in")
        summary = analyze(str(folder / "in"), str(folder / "out"), config=bare, runner="direct", keep_observations=True)
        passed_over = {"no media file": 1, "hidden (the name begins with a dot)": 1}
        assert (summary.exit_status, summary.passed_over) == (3, passed_over)

    return made_once(tmp_path_factory, "archive", make)


@pytest.fixture(scope="module")
def out(archive: Path) -> Path:
    """The tables."""
    return archive / "out"


def of(out: Path, name: str, file: str) -> list[dict[str, Any]]:
    """Rows of one table for one file."""
    return rows(out, name, video_id=videos(out)[file]["video_id"])


def test_every_file_has_one_row_with_its_status(archive: Path, out: Path) -> None:
    listed = {path.name for path in (archive / "in").iterdir()} - {"notes.txt", ".hidden.mp4"}
    odd = {
        "truncated.mp4": "partial",
        "damaged.mp4": "partial",
        "sound.mp4": "no_video",
        "song.m4a": "no_video",
        "empty.mp4": "corrupt",
        "concat.mp4": "corrupt",
        "playlist.mp4": "corrupt",
        "prose.mp4": "corrupt",
    }
    assert statuses(out) == dict.fromkeys(listed, "ok") | odd
    assert len(rows(out, "videos")) == len(listed)
    assert_whole(out)


@pytest.mark.parametrize("name", KEYS)
def test_columns_and_keys(out: Path, name: str) -> None:
    table = read_table(out, name)
    assert table.column_names == TABLES[name].names
    keys = list(zip(*(table[key].to_pylist() for key in KEYS[name]), strict=True))
    assert len(set(keys)) == len(keys) > 0
    for field in TABLES[name]:
        assert field.nullable or not table[field.name].null_count, field.name


def test_files_of_a_table(out: Path, bare: Config) -> None:
    for name in TABLES:
        for path in (out / name).rglob("*.parquet"):
            assert path.parent.name == f"bucket={path.name[:2]}"
            file = pq.ParquetFile(path)
            assert file.schema_arrow.equals(TABLES[name])
            footer = {key.decode(): value.decode() for key, value in file.schema_arrow.metadata.items()}
            assert footer["config_json"] == bare.canonical_json
            assert footer["emotion_classes"] == "angry,disgust,fear,happy,sad,surprise,neutral"
            assert json.loads(footer["models"]) == {}
            keys = [tuple(row[key] for key in KEYS[name]) for row in file.read().to_pylist()]
            assert keys == sorted(keys)


def test_disguised_files_are_not_followed(out: Path) -> None:
    for name in ("concat.mp4", "playlist.mp4", "prose.mp4"):
        row = videos(out)[name]
        assert (row["error_type"], row["container"], row["frames_decoded"]) == ("unreadable", None, None)
        assert name in row["error_message"]


def test_a_name_with_a_pattern_is_one_picture(out: Path) -> None:
    patterned, other = videos(out)["x_%d.jpg"], videos(out)["x_1.jpg"]
    assert patterned["frames_decoded"] == 1
    assert patterned["video_id"] != other["video_id"]
    (face,), (other_face,) = of(out, "faces", "x_%d.jpg"), of(out, "faces", "x_1.jpg")
    assert face["x"] > other_face["x"] + 20  # in the middle; with `moving` it begins at the left


def test_a_still_is_second_0_and_upright(out: Path) -> None:
    turned, straight = videos(out)["turned.jpg"], videos(out)["x_%d.jpg"]
    assert (turned["width"], turned["height"]) == (320, 240)
    (second,) = of(out, "timeline", "turned.jpg")
    assert (second["second"], second["timestamp"], second["n_samples"], second["n_faces"]) == (0, 0.0, 1, 1)
    (face,), (same,) = of(out, "faces", "turned.jpg"), of(out, "faces", "x_%d.jpg")
    assert [face[key] for key in ("x", "y", "width", "height")] == pytest.approx(
        [same[key] for key in ("x", "y", "width", "height")], abs=2
    )
    assert straight["rotation"] == 0


def test_copies_have_the_same_figures(out: Path) -> None:
    one, other = videos(out)["with space & ünïcode 顔.mp4"], videos(out)["-copy.mp4"]
    for key in ("video_id", "status", "duration", "width", "frames_decoded", "frames_sampled", "n_tracks", "max_faces"):
        assert one[key] == other[key] is not None, key


def test_sideways_has_the_boxes_of_upright(out: Path) -> None:
    upright, sideways = of(out, "faces", "upright.mp4"), of(out, "faces", "sideways.mp4")
    assert len(upright) == len(sideways) == 1
    for one, other in zip(upright, sideways, strict=True):
        for key in ("x", "y", "width", "height"):
            assert one[key] == pytest.approx(other[key], abs=2)
    row = videos(out)["sideways.mp4"]
    assert (row["width"], row["height"], row["rotation"]) == (320, 240, 270)


def test_times_of_a_variable_rate_are_pts_minus_the_first(out: Path) -> None:
    row = videos(out)["variable.mp4"]
    assert row["is_vfr"]
    assert row["start_pts"] * Fraction(row["time_base"]) == pytest.approx(0.852, abs=1e-3)
    for face in of(out, "faces", "variable.mp4"):
        seconds = float((face["pts"] - row["start_pts"]) * Fraction(row["time_base"]))
        # The picture of 0.5 s is on the screen until 2.0 s.
        assert face["timestamp"] == pytest.approx(1.0 if face["second"] == 1 else seconds, abs=1e-9)
    timeline = of(out, "timeline", "variable.mp4")
    assert [(row["timestamp"], row["n_faces"], row["decode_ok"]) for row in timeline] == [
        (0.0, 1, True),
        (1.0, 1, True),
        (2.0, 1, True),
    ]


def test_pixels_that_are_not_square(out: Path) -> None:
    row = videos(out)["anamorphic.mp4"]
    assert row["sample_aspect_ratio"] == pytest.approx(4 / 3)
    assert row["width"] == 300  # as decoded: 400 on square pixels
    (face,) = of(out, "faces", "anamorphic.mp4")
    assert face["width"] == pytest.approx(face["height"] * 3 / 4, rel=0.05)


def test_seconds_without_a_face_are_there(out: Path) -> None:
    assert [row["n_faces"] for row in of(out, "timeline", "nobody.mp4")] == [0, 0]
    assert of(out, "faces", "nobody.mp4") == of(out, "tracks", "nobody.mp4") == []
    assert [row["n_faces"] for row in of(out, "timeline", "leaves.mkv")] == [1, 0, 0]
    (track,) = of(out, "tracks", "leaves.mkv")
    assert track["end_time"] < 1.0


def test_a_truncated_file_keeps_what_can_be_read(out: Path) -> None:
    row = videos(out)["truncated.mp4"]
    assert (row["error_type"], row["duration"]) == ("truncated", 8.0)
    assert "was cut off" in row["error_message"]
    timeline = of(out, "timeline", "truncated.mp4")
    assert [row["second"] for row in timeline] == list(range(math.ceil(row["duration"])))
    readable = [second["second"] for second in timeline if second["decode_ok"]]
    assert readable == list(range(len(readable))) and 2 <= len(readable) <= 6
    for second in timeline:
        assert second["decode_ok"] == (second["n_faces"] == 1)
        if not second["decode_ok"] and second["n_samples"] == 0:
            assert second["timestamp"] is second["n_faces"] is None


def test_a_damaged_file_keeps_what_is_before_and_behind(out: Path) -> None:
    row = videos(out)["damaged.mp4"]
    assert row["error_type"] == "damaged" and row["frames_corrupt"] > 0
    timeline = of(out, "timeline", "damaged.mp4")
    assert len(timeline) == 8
    assert timeline[0]["decode_ok"] and timeline[-1]["decode_ok"]
    assert 1 <= sum(not second["decode_ok"] for second in timeline) <= 2


def test_tables_agree_with_each_other(out: Path) -> None:
    faces, tracks, timeline = (read_table(out, name).to_pylist() for name in ("faces", "tracks", "timeline"))
    for face in faces:
        assert face["second"] == math.floor(face["timestamp"])
        assert face["n_samples"] == face["n_detected"] + face["n_tracked"]
    in_second = Counter((face["video_id"], face["second"]) for face in faces)
    for second in timeline:
        assert (second["n_faces"] or 0) == in_second[second["video_id"], second["second"]]
    n_faces, n_tracks = (Counter(row["video_id"] for row in table) for table in (faces, tracks))
    for row in rows(out, "videos"):
        if row["status"] in ("ok", "partial"):
            assert (row["face_seconds"], row["n_tracks"]) == (n_faces[row["video_id"]], n_tracks[row["video_id"]])
            samples = [second["n_samples"] for second in timeline if second["video_id"] == row["video_id"]]
            assert row["frames_sampled"] == sum(samples)
        else:
            assert row["video_id"] not in n_faces and row["face_seconds"] is row["n_tracks"] is None


def test_observations_are_kept_when_asked_for(out: Path) -> None:
    kept = {path.parent.name for path in (out / "observations").glob("bucket=*/*/*.parquet")}
    assert kept == {row["video_id"] for row in rows(out, "videos") if row["status"] in ("ok", "partial")}
    assert not list(out.glob("_work/*/*"))


def test_every_frame(tmp_path: Path, bare: Config) -> None:
    clip = portrait_clip(tmp_path / "clip.mp4", seconds=1, fps=10)
    analyze(
        str(clip.path),
        str(tmp_path / "out"),
        config=bare.override(sample_fps=math.inf, detect_every=0.1),
        runner="direct",
    )
    (row,) = rows(tmp_path / "out", "videos")
    assert (row["frames_sampled"], row["sample_fps"]) == (10, None)
    (face,) = rows(tmp_path / "out", "faces")
    assert face["n_samples"] == 10


def test_an_empty_folder_is_done(tmp_path: Path, bare: Config) -> None:
    (tmp_path / "in").mkdir()
    summary = analyze(str(tmp_path / "in"), str(tmp_path / "out"), config=bare)
    assert (summary.exit_status, summary.new) == (0, 0)
    assert not list((tmp_path / "out").rglob("*.parquet"))


def test_analyze_stays_a_function_once_everything_is_imported(
    four_segments: Path, reference: Path, bare: Config
) -> None:
    for _ in range(2):
        from pipelines import analyze

        summary = analyze(str(four_segments), str(reference), config=bare, runner="direct")
        assert (summary.exit_status, summary.unchanged) == (0, 1)


def test_attributes_of_the_shipped_models(reference_with_models: Path, with_models: Config) -> None:
    out = reference_with_models
    faces = rows(out, "faces")
    assert len(faces) == 10
    for face in (*faces, *rows(out, "tracks")):
        assert sum(face[name] for name in EMOTION_COLUMNS) == pytest.approx(1, abs=1e-4)
        assert f"emotion_{face['emotion']}" == max(EMOTION_COLUMNS, key=lambda name: face[name])
        assert 0 < face["age_low"] <= face["age"] <= face["age_high"] < 120
        assert 0 <= face["gender_female"] <= 1
        assert face["gender"] in ("female", "male", "unknown")
    for face in faces:
        assert sum(face[name] for name in SMOOTH_COLUMNS) == pytest.approx(1, abs=1e-4)
        probabilities = np.array([face[name] for name in EMOTION_COLUMNS])
        assert face["emotion_entropy"] == pytest.approx(-(probabilities * np.log(probabilities)).sum(), abs=1e-3)
    (path,) = (out / "faces").rglob("*.parquet")
    models = json.loads(pq.read_schema(path).metadata[b"models"])
    assert {task: model["name"] for task, model in models.items()} == {
        "emotion": EMOTION_MODEL,
        "age_gender": AGE_GENDER_MODEL,
    }
    shipped = {model.task: model.sha256 for model in with_models.models}
    assert {task: model["sha256"] for task, model in models.items()} == shipped
