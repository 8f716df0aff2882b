"""The sample archive through the command line, with the shipped models: thirty real files, half of them odd."""

import csv
import math
import os
import re
import resource
import shutil
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from schemas.tables import EMOTION_COLUMNS
from tests.runs import made_once, run_facelog
from tests.tables import KEYS, assert_same_tables, assert_whole, read_table, rows, statuses, videos

pytestmark = [pytest.mark.slow, pytest.mark.multiprocess]

NOT_OK = {
    "corrupt_midstream.mp4": "partial",
    "empty.webm": "corrupt",
    "truncated.flv": "corrupt",
    "zero_frames.avi": "corrupt",
    "no_streams.mp4": "no_video",
    "audio_only.mp4": "no_video",
}
"""What the notes of MANIFEST.tsv come to; every other file is ok."""


@pytest.fixture(scope="module")
def run(shared_videos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`in/`, a copy of the archive; `out/`, its tables; and what the command wrote to the terminal."""

    def make(folder: Path) -> None:
        shutil.copytree(shared_videos, folder / "in")
        done = run_facelog("analyze", folder / "in", "-o", folder / "out", "--workers=1")  # TensorFlow starts once
        (folder / "output.txt").write_text(done.stdout)
        assert done.returncode == 3, done.stderr

    return made_once(tmp_path_factory, "shared", make)


@pytest.fixture(scope="module")
def out(run: Path) -> Path:
    """The tables."""
    return run / "out"


@pytest.fixture(scope="module")
def manifest(shared_videos: Path) -> dict[str, dict[str, str]]:
    """Rows of MANIFEST.tsv by the name of the file."""
    with (shared_videos / "MANIFEST.tsv").open(newline="") as file:
        return {Path(row["file"]).name: row for row in csv.DictReader(file, delimiter="\t")}


def of(out: Path, name: str, file: str) -> list[dict[str, Any]]:
    """Rows of one table for one file."""
    return rows(out, name, video_id=videos(out)[file]["video_id"])


def test_every_file_has_one_row_with_its_status(out: Path, manifest: dict[str, dict[str, str]]) -> None:
    assert statuses(out) == dict.fromkeys(manifest, "ok") | NOT_OK
    assert len(rows(out, "videos")) == len(manifest)
    assert_whole(out)


def test_the_rows_agree_with_the_manifest(out: Path, manifest: dict[str, dict[str, str]]) -> None:
    for name, row in videos(out).items():
        known = manifest[name]
        if row["status"] not in ("ok", "partial"):
            assert row["error_message"] and name in row["error_message"]
            continue
        if (
            known["duration_s"] != "None" and row["status"] == "ok"
        ):  # of the container, which may begin before the video
            assert row["duration"] + row["start_offset"] == pytest.approx(float(known["duration_s"]), abs=0.15), name
        assert 0 < row["frames_decoded"] <= max(int(known["frames_decoded"]), 50), name
        width, height = (int(side) for side in known["size"].split("x"))
        if name != "one_pixel.webm":
            assert {row["width"], row["height"]} == {width, height}, name
        seconds = [second["second"] for second in of(out, "timeline", name)]
        assert seconds == list(range(len(seconds))) and seconds, name
        # The walkers' faces are about 20 pixels wide, less than --min-face asks for.
        if name != "walkers.gif" and known["faces_in_8_sampled_frames"] not in ("None", ""):
            expected = max(int(n) for n in known["faces_in_8_sampled_frames"].strip("[]").split(","))
            assert bool(row["face_seconds"]) == bool(expected), name


def test_keys_are_unique_and_ages_in_order(out: Path) -> None:
    for name, key in KEYS.items():
        keys = [tuple(row[column] for column in key) for row in rows(out, name)]
        assert len(set(keys)) == len(keys)
    for row in rows(out, "faces") + rows(out, "tracks"):
        if row["age"] is not None:
            assert row["age_low"] <= row["age"] <= row["age_high"]
        if row["emotion"] is not None:
            assert sum(row[column] for column in EMOTION_COLUMNS) == pytest.approx(1, abs=1e-4)
    assert any(row["age"] is not None for row in rows(out, "faces"))
    assert all(row["emotion"] is not None and row["gender"] is not None for row in rows(out, "tracks"))


def test_talk_show_begins_at_0_and_has_cuts(out: Path) -> None:
    row = videos(out)["talk_show_cuts.mp4"]
    assert row["start_pts"] * Fraction(row["time_base"]) == pytest.approx(0.852, abs=5e-4)
    timeline = of(out, "timeline", "talk_show_cuts.mp4")
    assert timeline[0]["timestamp"] == 0.0
    assert len(timeline) == 10
    assert timeline[-1]["shot_id"] >= 2
    assert {track["end_reason"] for track in of(out, "tracks", "talk_show_cuts.mp4")} >= {"cut"}


def test_faces_only_before_the_face_leaves_or_after_it_comes(out: Path) -> None:
    row = videos(out)["face_then_none.mov"]
    assert row["is_vfr"]
    # MANIFEST.tsv: of eight frames evenly spread over 6.4 s, the first three have a face.
    assert {face["second"] for face in of(out, "faces", "face_then_none.mov")} <= {0, 1, 2}
    assert [second["n_faces"] for second in of(out, "timeline", "face_then_none.mov")][3:] == [0, 0, 0, 0]
    assert min(face["second"] for face in of(out, "faces", "none_then_face.mov")) >= 3


def test_no_face_is_a_timeline_of_zeros(out: Path) -> None:
    assert [second["n_faces"] for second in of(out, "timeline", "no_face.mp4")] == [0, 0, 0, 0]
    assert of(out, "faces", "no_face.mp4") == of(out, "tracks", "no_face.mp4") == []


def test_mother_and_daughter_are_two_long_tracks(out: Path) -> None:
    row = videos(out)["mother_daughter.mp4"]
    assert row["sample_aspect_ratio"] != 1
    assert row["max_faces"] == 2
    tracks = of(out, "tracks", "mother_daughter.mp4")
    assert len([track for track in tracks if track["duration"] >= 9]) == len(tracks) == 2


def test_rotated_clips_have_their_size_as_displayed(out: Path) -> None:
    found = videos(out)
    sizes = {name: (row["width"], row["height"]) for name, row in found.items()}
    assert sizes["rotated_180.mov"] == (568, 320)
    assert sizes["rotated_90.mov"] == sizes["rotated_270.mov"] == (320, 568)
    assert {found[f"rotated_{angle}.mov"]["rotation"] for angle in (90, 180, 270)} == {90, 180, 270}


def test_a_damaged_file_keeps_its_seconds(out: Path) -> None:
    row = videos(out)["corrupt_midstream.mp4"]
    timeline = of(out, "timeline", "corrupt_midstream.mp4")
    assert row["frames_corrupt"] > 0
    assert len(timeline) == math.ceil(row["duration"])
    assert timeline[0]["decode_ok"] and not all(second["decode_ok"] for second in timeline)


def test_the_summary_names_what_was_wrong(run: Path) -> None:
    output = (run / "output.txt").read_text()
    for name, status in NOT_OK.items():
        assert status == "no_video" or any(line.startswith(status) and name in line for line in output.splitlines()), (
            name
        )
    assert "Traceback" not in output


def test_the_second_run_opens_no_video(run: Path, tmp_path: Path) -> None:
    shutil.copytree(run / "out", tmp_path / "before")
    kept = {path: path.stat() for path in (run / "in").rglob("*") if path.is_file()}
    contents = {path: path.read_bytes() for path in kept}
    for path, status in kept.items():  # who opens one of them now does not find a video
        path.write_bytes(b"\0" * status.st_size)
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    try:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = run_facelog("analyze", run / "in", "-o", run / "out", "--workers=1")
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    finally:
        for path, status in kept.items():
            path.write_bytes(contents[path])
            os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert done.returncode == 3
    assert re.search(r"30\s+of them done before, unchanged", done.stdout)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    assert cpu < 10  # Python's imports; workers with TensorFlow would need more
    assert_same_tables(run / "out", tmp_path / "before")
    assert read_table(run / "out", "videos") == read_table(tmp_path / "before", "videos")
