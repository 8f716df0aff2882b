"""Every runner gives the same tables, also after a kill at any moment."""

import functools
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks.trust.kills import workers_of
from pipelines.runs.analyze_archive import analyze
from schemas import storage
from schemas.config import Config
from tests.clips import portrait_clip
from tests.hooks import Hook
from tests.runs import BARE, ROOT, command
from tests.tables import assert_same_tables, assert_whole, fragments, rows

TOML = "segment_seconds = 1.0\n[tracking]\nlost_after = 0.5\n"  # as the fixture `bare`


def test_the_clip_has_what_stitching_and_cuts_need(reference: Path) -> None:
    (video,) = rows(reference, "videos")
    assert video["status"] == "ok"
    # Two faces before the cut and two behind it, each in one piece though segments end at 1, 2 and 3 s.
    tracks = [(row["end_reason"], row["start_time"] < 2.3, row["duration"] > 1) for row in rows(reference, "tracks")]
    assert tracks == [("cut", True, True)] * 2 + [("eof", False, True)] * 2
    assert [row["n_faces"] for row in rows(reference, "timeline")] == [2, 2, 4, 2]
    assert_whole(reference)


@pytest.mark.multiprocess
def test_worker_processes(four_segments: Path, bare: Config, reference: Path, tmp_path: Path) -> None:
    """Two; a single one does the work of the next test."""
    assert analyze(str(four_segments), str(tmp_path), config=bare, workers=2).exit_status == 0
    assert_same_tables(tmp_path, reference)
    assert_whole(tmp_path)


@pytest.mark.multiprocess
@pytest.mark.slow
def test_worker_processes_with_models(
    four_segments: Path, with_models: Config, reference_with_models: Path, tmp_path: Path
) -> None:
    analyze(str(four_segments), str(tmp_path), config=with_models, workers=1)
    assert all(row["emotion"] and row["age"] for row in rows(tmp_path, "tracks"))
    assert_same_tables(tmp_path, reference_with_models)


def snapshots(run: Callable[[], object], out: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The output folder as it is before each change that a run makes to it: what a kill at that moment leaves."""
    kept: list[Path] = []

    def keep_and_change(real: Callable[..., Any], *arguments: Any) -> Any:
        kept.append(folder / f"{len(kept):02d} {real.__name__} {Path(arguments[0]).parent.name}")
        shutil.copytree(out, kept[-1])
        return real(*arguments)

    with monkeypatch.context() as patch:
        for name in ("write_bytes", "move_file", "delete_file", "delete_tree"):
            patch.setattr(storage, name, functools.partial(keep_and_change, getattr(storage, name)))
        run()
    return kept


def test_killed_before_each_change_of_the_disk(
    four_segments: Path, bare: Config, reference: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trail = Hook(tmp_path / "trail")
    call = functools.partial(analyze, str(four_segments), config=bare, runner="direct")
    killed = snapshots(lambda: call(str(tmp_path / "out")), tmp_path / "out", tmp_path, monkeypatch)
    half = next(out for out in killed if len(fragments(out)) == 2)
    some_tables = next(out for out in killed if (out / "tracks").exists() and not (out / "timeline").exists())
    row = next(out for out in killed if rows(out, "videos"))
    assert len(fragments(some_tables)) == len(fragments(row)) == 4  # kept until all that is made of them stands
    assert not rows(some_tables, "videos")
    trail.use(monkeypatch)
    for out in (killed[0], half, some_tables, row):
        trail.trail.unlink(missing_ok=True)
        done = len(fragments(out))
        assert call(str(out)).exit_status == 0
        assert sum(trail.read().values()) == 4 - done  # nothing is done twice
        assert_same_tables(out, reference)
        assert_whole(out)


def test_killed_while_a_changed_file_is_done_again(
    bare: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip, out = tmp_path / "clip.mp4", tmp_path / "out"
    call = functools.partial(analyze, str(clip), config=bare, runner="direct")
    portrait_clip(clip, seconds=1)
    call(str(out))
    portrait_clip(clip, seconds=1, away=(0, 1))
    killed = snapshots(lambda: call(str(out)), out, tmp_path, monkeypatch)
    assert_whole(out)
    for state in killed:
        call(str(state))
        assert_same_tables(state, out)
        assert_whole(state)


@pytest.fixture
def program(tmp_path: Path, four_segments: Path) -> list[str]:
    """The command that analyzes the clip into `tmp_path / "out"`."""
    (tmp_path / "config.toml").write_text(TOML)
    return command(
        "analyze",
        four_segments,
        "-o",
        tmp_path / "out",
        "--config",
        tmp_path / "config.toml",
        *BARE,
    )


def wait_for(holds: Callable[[], object], process: "subprocess.Popen[str]") -> None:
    while not holds():
        assert process.poll() is None, "the run was over before the moment had come"
        time.sleep(0.01)


@pytest.mark.multiprocess
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_kill_9_and_again(program: list[str], reference: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"

    def run_until(moment: Callable[["subprocess.Popen[str]"], object], workers: int = 1) -> "subprocess.Popen[str]":
        this = [*program, f"--workers={workers}"]
        process = subprocess.Popen(this, cwd=ROOT, text=True, stderr=subprocess.PIPE, start_new_session=True)
        wait_for(lambda: moment(process), process)
        return process

    process = run_until(lambda _: fragments(out))
    os.killpg(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert fragments(out) and not rows(out, "videos")
    # Now Ctrl-C, and at last one worker of two, which costs a segment one attempt and nothing else.
    done = len(fragments(out))
    process = run_until(lambda _: len(fragments(out)) > done)
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 130
    assert errors.strip() == "facelog: stopped; the same command goes on where it was."
    process = run_until(lambda process: len(workers_of(process.pid)) == 2, workers=2)
    os.kill(workers_of(process.pid)[0], signal.SIGKILL)
    _, errors = process.communicate(timeout=100)
    assert process.returncode == 0, errors
    assert_same_tables(out, reference)
    assert_whole(out)
