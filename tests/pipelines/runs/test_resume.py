"""A repeated run skips what is done, does what has changed, and leaves nothing over."""

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipelines.inputs import Inputs
from pipelines.runs.analyze_archive import analyze
from pipelines.runs.bookkeeping import Summary
from runners.lock import hold
from schemas.config import Config
from schemas.errors import FacelogError, UsageError
from tests.clips import portrait_clip
from tests.hooks import Hook
from tests.odd_clips import audio_only
from tests.tables import assert_same_tables, assert_whole, read_table, rows, statuses, videos

Call = Callable[..., tuple[Summary, list[str]]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A video, a copy of it, a second video, a text file called one, and sound."""
    folder = tmp_path / "in"
    folder.mkdir()
    portrait_clip(folder / "a.mp4", seconds=1)
    shutil.copy2(folder / "a.mp4", folder / "copy of a.mp4")
    portrait_clip(folder / "b.mp4", seconds=1, moving=True)
    (folder / "text.mp4").write_text("no video\n")
    audio_only(folder / "sound.m4a")
    return folder


@pytest.fixture(params=["direct", pytest.param("local", marks=pytest.mark.multiprocess)])
def call(request: pytest.FixtureRequest, folder: Path, tmp_path: Path, bare: Config) -> Call:
    """Analyzes the folder into `tmp_path / "out"`; returns the summary and which files were read."""

    def analyze_folder(**options: Any) -> tuple[Summary, list[str]]:
        trail = Hook(tmp_path / "trail")
        trail.trail.unlink(missing_ok=True)
        options = {"config": bare, "runner": request.param, "workers": 1, "worker_init": trail} | options
        with pytest.MonkeyPatch.context() as patch:
            if request.param == "direct":
                trail.use(patch)
            summary = analyze(Inputs([str(folder)]), str(tmp_path / "out"), **options)
        return summary, sorted(name for name, _ in trail.read().elements())

    return analyze_folder


def spoil(path: Path) -> None:
    """Other content of the same size and time: who opens the file now gets a row that is not ok."""
    status = path.stat()
    path.write_bytes(b"\0" * status.st_size)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def test_what_becomes_of_files_that_come_and_go(call: Call, folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    summary, read = call()
    first = {"a.mp4": "ok", "copy of a.mp4": "ok", "b.mp4": "ok", "text.mp4": "corrupt", "sound.m4a": "no_video"}
    assert statuses(out) == first
    assert read == ["a.mp4", "b.mp4"]  # the copy was not computed
    assert (summary.new, summary.copies, summary.unchanged, summary.exit_status) == (5, 1, 0, 3)
    a, copy = videos(out)["a.mp4"], videos(out)["copy of a.mp4"]
    assert {key for key in a if a[key] != copy[key]} <= {
        *("uri", "modified_at", "wall_seconds", "peak_rss_mb", "started_at", "finished_at")
    }
    assert_whole(out)

    # Renamed: known by its content. Touched: looked at again, and known likewise.
    (folder / "b.mp4").rename(folder / "renamed.mp4")
    os.utime(folder / "a.mp4", (0, 1_000_000_000))
    summary, read = call()
    assert read == []
    assert (summary.new, summary.copies, summary.exit_status) == (2, 2, 3)
    assert statuses(out) == first | {"renamed.mp4": "ok"}  # rows of files that are gone stay
    assert videos(out)["renamed.mp4"]["video_id"] == videos(out)["b.mp4"]["video_id"]
    assert videos(out)["a.mp4"]["modified_at"].timestamp() == 1_000_000_000
    assert not list(out.glob("_work/*/*"))
    assert_whole(out)

    # Other content: the row is replaced. Tables go when no row names them: those of a.mp4 are its copy's, too.
    old = videos(out)
    portrait_clip(folder / "a.mp4", seconds=1, away=(0, 1))
    _, read = call()
    assert read == ["a.mp4"]
    assert videos(out)["a.mp4"]["video_id"] != old["a.mp4"]["video_id"]
    assert old["a.mp4"]["video_id"] in {row["video_id"] for row in rows(out, "timeline")}
    portrait_clip(folder / "copy of a.mp4", seconds=1, away=(0, 0.5))
    (folder / "text.mp4").unlink()
    audio_only(folder / "text.mp4")
    summary, read = call()
    assert read == ["copy of a.mp4"]
    assert old["a.mp4"]["video_id"] not in {row["video_id"] for row in rows(out, "timeline")}
    assert statuses(out)["text.mp4"] == "no_video"
    assert summary.exit_status == 0
    assert_whole(out)


def test_the_second_run_opens_no_video(call: Call, folder: Path, tmp_path: Path) -> None:
    first, _ = call()
    shutil.copytree(tmp_path / "out", tmp_path / "before")
    for path in folder.iterdir():
        spoil(path)
    begun = time.process_time()
    second, read = call()
    assert time.process_time() - begun < 2
    assert read == []
    assert (second.new, second.unchanged, second.video_seconds) == (0, 5, 0)
    assert second.exit_status == first.exit_status == 3
    assert second.statuses == first.statuses
    assert_same_tables(tmp_path / "out", tmp_path / "before")
    for name in ("faces", "timeline", "videos"):
        assert read_table(tmp_path / "out", name) == read_table(tmp_path / "before", name)  # own columns included


def test_another_configuration_is_done_anew(bare: Config, tmp_path: Path) -> None:
    clip, out = portrait_clip(tmp_path / "a.mp4", seconds=1), tmp_path / "out"
    for config in (bare, bare.override(sample_fps=2.0), bare.override(sample_fps=2.0)):
        summary = analyze(str(clip.path), str(out), config=config, runner="direct")
    assert summary.new == 0
    (video,) = rows(out, "videos")
    assert (video["sample_fps"], video["frames_sampled"]) == (2.0, 2)
    assert_whole(out)


def test_a_folder_that_another_run_writes_is_refused(bare: Config, tmp_path: Path) -> None:
    clip, out = portrait_clip(tmp_path / "a.mp4", seconds=1), tmp_path / "out"
    with hold(str(out)), pytest.raises(FacelogError, match=f"{out} is being written by PID {os.getpid()} .* since"):
        analyze(str(clip.path), str(out), config=bare, runner="direct")
    assert not rows(out, "videos")


def test_tables_of_another_schema_version_are_refused(
    bare: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip, out = portrait_clip(tmp_path / "a.mp4", seconds=1), tmp_path / "out"
    analyze(str(clip.path), str(out), config=bare, runner="direct")
    monkeypatch.setattr("transforms.ledger.SCHEMA_VERSION", 2)
    with pytest.raises(UsageError, match="schema version 1.*facelog upgrade"):
        analyze(str(clip.path), str(out), config=bare, runner="direct")
