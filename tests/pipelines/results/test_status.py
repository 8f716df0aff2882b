"""`facelog status`: the state of the runs in DIR, for people and for programs."""

import json
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from pipelines.results.run_progress import begin_record
from pipelines.results.status import status
from runners.lease import JobLease, Lease, write_lease
from runners.lock import hold
from schemas import storage
from schemas.config import Config
from schemas.errors import UsageError
from schemas.layout import Layout
from schemas.run import Run, end_run, read_run
from schemas.storage import FileInfo
from tests.examples import example_file, example_plan, example_row
from tests.runners.fake_flink import fake_flink
from transforms.ledger import write_row
from transforms.write_plan import write_plan

Facelog = Callable[..., Result]


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


@pytest.fixture
def run(out: Path) -> Run:
    return Run("run-1", Config(), Layout(str(out)))


def begin(run: Run, seconds_ago: float = 100) -> None:
    """A run of one file that has done one of its two segments."""
    record = begin_record(run, "flink", [example_file()])
    begun = datetime.now(UTC) - timedelta(seconds=seconds_ago)
    storage.write_bytes(run.layout.run, record.model_copy(update={"started_at": begun}).model_dump_json().encode())
    plan = write_plan(example_plan(5.0), run.work)
    storage.write_bytes(run.work.fragment(plan.video_id or "", 0), b"")


def add_row(run: Run, uri: str, **changes: Any) -> None:
    write_row(example_row(uri, **changes), run)


def test_a_run_that_goes_on(run: Run, out: Path) -> None:
    begin(run)
    with hold(str(out)):
        now = status(str(out))
    assert now.state == "running"
    assert now.holder is not None and now.holder.startswith(f"PID {os.getpid()} ")
    assert now.progress is not None and (now.progress.segments_done, now.progress.segments) == (1, 2)
    assert now.progress.share == 0.5
    assert now.elapsed == pytest.approx(100, abs=30)
    assert now.seconds_left == pytest.approx(100, abs=30)


def test_a_run_whose_job_goes_on_without_its_client(run: Run, out: Path) -> None:
    begin(run)
    with fake_flink() as flink:
        now = datetime.now(UTC)
        job = JobLease(master=flink.master, job_id="17", asked="")
        write_lease(str(out), Lease(run_id="run-1", who="PID 1", since=now, renewed_at=now, job=job))
        flink.jobs["17"] = ("facelog-run-1", "RUNNING")
        found = status(str(out))
        assert (found.state, found.holder) == ("running", f"job 17 of the cluster at {flink.master}")
        flink.jobs["17"] = ("facelog-run-1", "FAILED")
        assert status(str(out)).state == "stopped"


def test_a_run_that_was_stopped(run: Run, out: Path) -> None:
    begin(run)
    now = status(str(out))
    assert (now.state, now.holder, now.elapsed, now.seconds_left) == ("stopped", None, None, None)
    assert now.progress is not None and now.progress.share == 0.5


def test_a_run_that_is_through(run: Run, out: Path) -> None:
    begin(run)
    record = read_run(str(out))
    assert record is not None
    end_run(record.run_id, run.layout.out)
    now = status(str(out))
    assert (now.state, now.progress, now.seconds_left) == ("finished", None, None)
    assert now.elapsed == pytest.approx(100, abs=30)


def test_videos_are_counted_over_all_runs_and_bad_ones_named(run: Run, out: Path) -> None:
    add_row(run, "/v/b.mp4")
    for name in ("d", "c"):
        add_row(run, f"/v/{name}.mp4", status="failed", error_type="worker_died", error_message=f"{name} ended it")
    add_row(run, "/v/e.mp4", status="corrupt", error_type="unreadable", error_message=None)
    now = status(str(out))
    assert (now.state, now.record, now.progress) == ("none", None, None)
    assert (now.statuses, now.by_keyframes) == ({"ok": 1, "failed": 2, "corrupt": 1}, 0)
    assert now.failed == [("/v/c.mp4", "c ended it"), ("/v/d.mp4", "d ended it"), ("/v/e.mp4", "unreadable")]


def test_videos_of_a_scan_are_counted(run: Run, out: Path, facelog: Facelog) -> None:
    add_row(run, "/v/a.mp4", keyframe_seconds=2.0)
    add_row(run, "/v/b.mp4")
    assert status(str(out)).as_json()["by_keyframes"] == 1
    assert "videos in the tables: 2 ok, 1 of them by keyframes alone" in facelog("status", out).stdout


@pytest.mark.parametrize("made", [True, False])
def test_a_folder_without_results_is_no_output_folder(facelog: Facelog, out: Path, made: bool) -> None:
    if made:
        out.mkdir()
    with pytest.raises(UsageError, match=f"{out} holds no results of facelog"):
        status(str(out))
    for options in ([], ["--json"]):
        said = facelog("status", out, *options)
        assert said.exit_code == 2
        assert said.stderr == f"facelog: {out} holds no results of facelog, and no run has begun there.\n"
        assert said.stdout == ""
    assert out.exists() is made


def test_people_read_lines(facelog: Facelog, run: Run, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["facelog", "analyze", "/v", "--out", str(out)])
    begin(run)
    said = facelog("status", out)
    assert said.exit_code == 0
    first, second, third, fourth = said.stdout.splitlines()
    assert first.startswith(f"{out}: stopped (flink, begun 20") and first.endswith(" UTC: 1 files)")
    assert second == "stopped: 50 %, 1/2 segments of 1 files, 0 videos in the tables"
    assert third == f"nobody is at work; the same command goes on where it was: facelog analyze /v --out {out}"
    assert fourth == "videos in the tables: none yet"
    with hold(str(out)):
        lines = facelog("status", out).stdout.splitlines()
    assert lines[1].startswith(f"held by PID {os.getpid()} ")
    assert lines[2].startswith("running: 50 %") and " left" in lines[2]


def test_people_read_ten_reasons_at_most(facelog: Facelog, run: Run, out: Path) -> None:
    for number in range(12):
        add_row(run, f"/v/[{number:02}].mp4", status="failed", error_message=f"/v/[{number:02}].mp4 is bad")
    lines = facelog("status", out).stdout.splitlines()
    assert lines[:3] == [
        f"{out}: no run has begun here",
        "videos in the tables: 12 failed",
        "  /v/[00].mp4 is bad",
    ]
    assert lines[-1] == "  … and 2 more: see the videos table" and len(lines) == 13


def test_programs_read_json(facelog: Facelog, run: Run, out: Path) -> None:
    begin(run)
    add_row(run, "/v/b.mp4", status="failed", error_message="/v/b.mp4 is bad")
    with hold(str(out)):
        said = facelog("status", out, "--json")
    assert said.exit_code == 0
    found = json.loads(said.stdout)
    assert (found["out"], found["state"]) == (str(out), "running")
    assert found["holder"].startswith("PID ")
    assert (found["run"]["run_id"], found["run"]["files"], found["run"]["finished_at"]) == ("run-1", 1, None)
    assert (found["progress"]["segments"], found["progress"]["share"]) == (2, 0.5)
    assert found["seconds_left"] == pytest.approx(found["seconds_elapsed"], rel=0.5)
    assert found["videos"] == {"failed": 1}
    assert found["failed"] == [{"uri": "/v/b.mp4", "reason": "/v/b.mp4 is bad"}]


def test_a_file_that_is_no_results_at_all(facelog: Facelog, out: Path) -> None:
    out.write_text("a file")
    said = facelog("status", out)
    assert said.exit_code in (1, 2) and said.stderr.startswith("facelog: ") and "Traceback" not in said.output


def test_storage_options_are_checked(facelog: Facelog, out: Path) -> None:
    said = facelog("status", out, "--storage-options", "region")
    assert said.exit_code == 2 and said.stderr == "facelog: --storage-options region: give it as KEY=VALUE.\n"


def test_files_of_unknown_size_are_no_work(run: Run, out: Path) -> None:
    begin_record(run, "local", [FileInfo("/v/a.mp4", None, None)])
    now = status(str(out))
    assert now.progress is not None and now.progress.share == 0.0
