"""A harmful file fails alone; all other files are analyzed."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines.runs import on_workers as local
from pipelines.runs.analyze_archive import analyze
from pipelines.runs.bookkeeping import Summary
from schemas.config import Config
from schemas.errors import StorageFullError
from schemas.video import Segment
from tests.clips import portrait_clip
from tests.hooks import Hook
from tests.runs import BARE, ROOT, command
from tests.tables import assert_same_tables, assert_whole, fragments, rows, statuses, videos


@pytest.mark.multiprocess
@pytest.mark.slow
def test_a_file_that_kills_its_worker_and_one_that_hangs(
    four_segments: Path, bare: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    shutil.copy(four_segments, folder / "kills.mp4")
    portrait_clip(folder / "hangs.mp4", seconds=2)
    portrait_clip(folder / "good.mp4", seconds=2, moving=True)
    trail = Hook(tmp_path / "trail")
    hook = Hook(trail.trail, {("kills.mp4", 2): "kill", ("hangs.mp4", 0): "hang"})

    def limit(segment: Segment) -> float:
        return 2.0 if (Path(segment.file.uri).name, segment.index) == ("hangs.mp4", 0) else 100.0

    monkeypatch.setattr(local, "segment_limit", limit)
    summary = analyze(str(folder), str(out), config=bare, workers=2, max_attempts=2, worker_init=hook)
    assert summary.exit_status == 3
    assert statuses(out) == {"good.mp4": "ok", "hangs.mp4": "failed", "kills.mp4": "failed"}
    kills, hangs = videos(out)["kills.mp4"], videos(out)["hangs.mp4"]
    assert kills["error_type"] == "worker_died"
    assert "kills.mp4 (segment 2): the worker process was killed by SIGKILL" in kills["error_message"]
    assert hangs["error_type"] == "time_limit"
    assert "hangs.mp4 (segment 0): not done after 2 s; 2 attempts" in hangs["error_message"]
    # Two attempts for what does harm, one for everything else.
    once = dict.fromkeys([("kills.mp4", 0), ("kills.mp4", 1), ("kills.mp4", 3), ("hangs.mp4", 1)], 1)
    assert trail.read() == once | {("kills.mp4", 2): 2, ("hangs.mp4", 0): 2, ("good.mp4", 0): 1, ("good.mp4", 1): 1}
    assert_whole(out)

    again = analyze(str(folder), str(out), config=bare, runner="direct")
    assert (again.new, again.exit_status) == (0, 3)
    # When it is asked for, they are tried again: only what failed, since fragments of the other segments are there.
    trail.trail.unlink()
    trail.use(monkeypatch)
    assert analyze(str(folder), str(out), config=bare, runner="direct", retry_failed=True).exit_status == 0
    assert trail.read() == {("kills.mp4", 2): 1, ("hangs.mp4", 0): 1}
    assert set(statuses(out).values()) == {"ok"}
    fresh = tmp_path / "fresh"
    analyze(str(folder), str(fresh), config=bare, runner="direct")
    assert_same_tables(out, fresh)


@pytest.mark.parametrize(("asked", "attempts"), [(None, 3), (2, 2)])
def test_three_attempts_where_nothing_else_is_asked(
    asked: int | None, attempts: int, four_segments: Path, bare: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[int] = []
    monkeypatch.setattr(local, "run_local", lambda *_, max_attempts, **__: given.append(max_attempts))
    analyze(str(four_segments), str(tmp_path), config=bare, workers=1, max_attempts=asked)
    assert given == [attempts]


def test_a_file_that_changes_while_it_is_read(bare: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    portrait_clip(folder / "grows.mp4", seconds=1)
    portrait_clip(folder / "rests.mp4", seconds=1, moving=True)
    with monkeypatch.context() as patch:
        Hook(tmp_path / "trail", {("grows.mp4", 0): "change"}).use(patch)
        assert analyze(str(folder), str(out), config=bare, runner="direct").exit_status == 3
    assert statuses(out) == {"grows.mp4": "failed", "rests.mp4": "ok"}
    grown = videos(out)["grows.mp4"]
    assert grown["error_type"] == "changed_while_read"
    assert "was changed while it was read" in grown["error_message"]
    assert_whole(out)
    # Since it has another size now, the next run takes it for new.
    summary = analyze(str(folder), str(out), config=bare, runner="direct")
    assert (summary.new, summary.unchanged, summary.exit_status) == (1, 1, 0)
    assert videos(out)["grows.mp4"]["size_bytes"] == (folder / "grows.mp4").stat().st_size
    assert_whole(out)


def test_a_file_that_may_not_be_read(tmp_path: Path) -> None:
    clip, out = portrait_clip(tmp_path / "private.mp4", seconds=1), tmp_path / "out"
    clip.path.chmod(0)
    program = command("analyze", clip.path, "-o", out, "--runner=direct", *BARE)
    if os.geteuid() == 0:  # who may read everything
        if not shutil.which("setpriv"):
            pytest.skip("root may read everything, and there is no setpriv to forbid it")
        program = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", *program]
    done = subprocess.run(program, cwd=ROOT, capture_output=True, text=True, timeout=100)
    assert done.returncode == 3, done.stderr
    assert f"failed  {clip.path} may not be read by this user; grant read access." in done.stdout
    (row,) = rows(out, "videos")
    assert (row["status"], row["error_type"], row["video_id"]) == ("failed", "permission_denied", None)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 60 kB; `resize` gives it more."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=60k", "tmpfs", folder], capture_output=True)
    if mounted.returncode:
        pytest.skip("a small file system can only be mounted by root")
    yield folder
    subprocess.run(["umount", folder], check=True)


@pytest.mark.parametrize("runner", ["direct", pytest.param("local", marks=pytest.mark.multiprocess)])
def test_a_full_disk(runner: str, four_segments: Path, bare: Config, reference: Path, small_disk: Path) -> None:
    def run() -> Summary:
        return analyze(str(four_segments), str(small_disk), config=bare, runner=runner, workers=1)

    with pytest.raises(StorageFullError) as raised:
        run()
    assert "\n" not in str(raised.value) and "while running" not in str(raised.value)
    assert "no space left" in str(raised.value) and str(small_disk) in str(raised.value)
    assert fragments(small_disk) and not rows(small_disk, "videos")
    assert_whole(small_disk)
    # What was written stays and is good: the same command goes on where there is room again.
    subprocess.run(["mount", "-o", "remount,size=10m", small_disk], check=True)
    assert run().exit_status == 0
    assert_whole(small_disk)
    assert_same_tables(small_disk, reference)
