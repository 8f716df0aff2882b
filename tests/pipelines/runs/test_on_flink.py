"""The client of a job on Flink: it starts, watches, leaves and comes back. The cluster is a fake."""

import dataclasses
import json
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from pipelines.cli.analyze import parse_time
from pipelines.inputs import Inputs
from pipelines.results.run_progress import Measurement, begin_record
from pipelines.runs import on_flink as client
from pipelines.runs.analyze_archive import analyze
from pipelines.runs.bookkeeping import Summary
from pipelines.runs.on_flink import JobDisplay, OnFlink, digest, follow
from runners.direct import run_direct
from runners.flink.rest import FlinkJob
from runners.flink.submit import FlinkOptions, Preflight, Submitted
from runners.lease import HeldError, JobLease, Lease, read_lease, write_lease
from schemas import storage
from schemas.config import Config
from schemas.errors import FacelogError, HostError, LeftRunningError
from schemas.layout import Layout
from schemas.run import Run, RunRecord, read_run
from tests.clips import Clip
from tests.examples import example_file
from tests.tables import assert_same_tables, statuses

MASTER = "job-manager:8081"


class FakeJob:
    """A job that goes through some states; an exception in their place is raised.

    Attributes:
      cancelled: whether somebody wanted it to end.
      wrong: what went wrong, in a sentence.
    """

    job_id = "17"

    def __init__(self, *states: str | BaseException, has_slots: bool = True, wrong: str | None = None):
        self._states, self._has_slots = states, has_slots
        self.rest = type("Rest", (), {"master": MASTER})
        self.cancelled, self.wrong = False, wrong

    def states(self, every: float) -> Iterator[FlinkJob]:
        for state in self._states:
            if isinstance(state, BaseException):
                raise state
            yield FlinkJob(self.job_id, "facelog-run-1", state, self._has_slots)
        raise AssertionError("nobody should follow it any longer")

    def what_went_wrong(self) -> str | None:
        return self.wrong

    def cancel(self) -> None:
        self.cancelled = True


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run("run-1", Config(), Layout(str(tmp_path)))


@pytest.fixture
def record(run: Run) -> RunRecord:
    return begin_record(run, "flink", [example_file()])


def on_flink(detach: bool = False, **display: Any) -> OnFlink:
    return OnFlink(FlinkOptions(MASTER), detach, JobDisplay(**display))


def watch(job: FakeJob, run: Run, record: RunRecord | None = None, on: OnFlink | None = None) -> None:
    follow(job, run, record, on or on_flink())  # type: ignore[arg-type]


def host_begins(run: Run) -> None:
    storage.write_bytes(run.layout.job(run.run_id).host("a", 1), b"{}")


def test_a_job_is_watched_to_its_end(run: Run, record: RunRecord, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "_MEASURING_SHARE", 1e9)
    shown: list[tuple[str, Measurement]] = []
    job = FakeJob("CREATED", "RUNNING", "FINISHED")
    watch(job, run, record, on_flink(show=lambda state, survey: shown.append((state, survey))))
    assert [state for state, _ in shown] == ["CREATED", "RUNNING"]
    assert shown[0][1] == Measurement(0, 0, 0, 0, 0, 0.0, 0.0, 0.0)
    assert not job.cancelled


def test_measuring_takes_a_small_share_of_the_time(run: Run, record: RunRecord) -> None:
    shown: list[str] = []
    watch(FakeJob(*["RUNNING"] * 50, "FINISHED"), run, record, on_flink(show=lambda state, _: shown.append(state)))
    assert 1 <= len(shown) < 25


@pytest.mark.parametrize(
    ("job", "said"),
    [
        (FakeJob("RUNNING", "FAILED", wrong="the disk is full"), "^the job failed: the disk is full; what is done"),
        (FakeJob("FAILED"), "^the job failed: the cluster does not say why; .* the same command goes on from there"),
        (FakeJob("CANCELED", wrong="x"), "^the job was cancelled; what is done stays"),
        (FakeJob(FacelogError("the cluster knows no job")), "^the cluster knows no job$"),
    ],
    ids=["failed", "failed without a word", "cancelled", "forgotten"],
)
def test_a_job_that_did_not_finish_is_an_error(run: Run, job: FakeJob, said: str) -> None:
    with pytest.raises(FacelogError, match=said):
        watch(job, run)
    assert not job.cancelled


def test_a_job_is_cancelled_when_a_host_is_not_fit(run: Run) -> None:
    refused = {"message": "host b has facelog 0.1"}
    storage.write_bytes(run.layout.job(run.run_id).refused, json.dumps(refused).encode())
    host_begins(run)
    job = FakeJob("RUNNING")
    with pytest.raises(HostError, match=r"^host b has facelog 0\.1$"):
        watch(job, run)
    assert job.cancelled


def test_a_job_is_cancelled_when_a_host_cannot_even_write_what_is_wrong(run: Run) -> None:
    job = FakeJob("RESTARTING", wrong="host b cannot write to the output folder: denied")
    with pytest.raises(HostError, match="^host b cannot write"):
        watch(job, run)
    assert job.cancelled


def test_a_job_is_cancelled_when_no_worker_pool_answers(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "_POOL_ANSWERS_WITHIN", -1.0)
    job = FakeJob("RUNNING", "RUNNING", wrong="UNAVAILABLE")
    with pytest.raises(FacelogError, match=r"^no worker pool answers: start `facelog worker`.*\(the cluster says: UNA"):
        watch(job, run)
    assert job.cancelled
    host_begins(run)
    watch(FakeJob("RUNNING", "FINISHED"), run)


def test_what_a_job_says_while_it_is_restarted_is_waited_for(run: Run) -> None:
    job = FakeJob("RUNNING", "RESTARTING", "RUNNING", "FINISHED", wrong="a task manager was lost")
    watch(job, run)
    assert not job.cancelled


def test_a_job_that_waits_for_slots_is_waited_for(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "_POOL_ANSWERS_WITHIN", 0.0)
    watch(FakeJob(*["CREATED"] * 3, "FINISHED", has_slots=False), run)


def test_a_detached_client_goes_as_soon_as_a_host_is_at_work(run: Run) -> None:
    watch(FakeJob("RUNNING", "FINISHED"), run, on=on_flink(detach=True))
    host_begins(run)
    job = FakeJob("RUNNING")
    with pytest.raises(
        LeftRunningError, match=f"^job 17 goes on at {MASTER} without.*`facelog status {run.layout.out}`"
    ):
        watch(job, run, on=on_flink(detach=True))
    assert not job.cancelled


def test_ctrl_c_leaves_the_job_or_cancels_it(run: Run) -> None:
    job = FakeJob("RUNNING", KeyboardInterrupt())
    with pytest.raises(LeftRunningError, match="^job 17 goes on") as caught:
        watch(job, run)
    assert not caught.value.wanted and not job.cancelled
    job = FakeJob("RUNNING", KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        watch(job, run, on=on_flink(cancels=lambda: True))
    assert job.cancelled


def asked(inputs: Inputs, *uris: str, config_hash: str = "abc", **options: bool) -> str:
    """The digest of a question, of files of these names."""
    options = {"retry_failed": False, "keep_observations": False} | options
    return digest(inputs, [example_file(uri) for uri in uris or ("/v/a.mp4",)], config_hash, **options)


def test_the_same_question_has_the_same_digest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert asked(Inputs(["/v/"]), "/v/a.mp4", "/v/new.mp4") == asked(Inputs(["/v"]))
    monkeypatch.chdir(tmp_path)
    assert asked(Inputs(["v"])) == asked(Inputs([str(tmp_path / "v")]))
    day = timedelta(days=1)
    assert asked(Inputs(["/v"], newer_than=day)) == asked(Inputs(["/v"], newer_than=parse_time("24h")))


def test_another_choice_of_files_or_tables_has_another_digest() -> None:
    others = [
        asked(Inputs(["/v"])),
        asked(Inputs(["/w"])),
        asked(Inputs(["/v", "/w"])),
        asked(Inputs(["/v"], exclude=["*.gif"])),
        asked(Inputs(["/v"], limit=1)),
        asked(Inputs(["/v"], newer_than=datetime(2026, 11, 1, tzinfo=UTC))),
        asked(Inputs(["/v"], newer_than=datetime(2026, 11, 2, tzinfo=UTC))),
        asked(Inputs(["/v"], newer_than=timedelta(days=1))),
        asked(Inputs(["/v"], settle=60.0)),
        asked(Inputs(["/v"]), config_hash="abd"),
        asked(Inputs(["/v"]), retry_failed=True),
        asked(Inputs(["/v"]), keep_observations=True),
    ]
    assert len(set(others)) == len(others)


def test_a_list_on_standard_input_is_known_by_its_files() -> None:
    assert asked(Inputs(["-"], stdin=StringIO()), "/v/a.mp4") == asked(Inputs(["-"]), "/v/a.mp4")
    assert asked(Inputs(["-"]), "/v/a.mp4") != asked(Inputs(["-"]), "/v/b.mp4")


@dataclasses.dataclass
class Cluster:
    """Takes jobs, does them in this process, and calls them what it is told to.

    Attributes:
      states: of the next job.
      names: of jobs that it was given.
      does: whether it does them at all.
      alive: whether it calls jobs of leases alive.
    """

    states: tuple[str | BaseException, ...] = ("RUNNING", "FINISHED")
    names: list[str] = dataclasses.field(default_factory=list)
    does: bool = True
    alive: bool = True

    def submit(self, build: Any, name: str, options: FlinkOptions, found: Preflight) -> FakeJob:
        self.names.append(name)
        if self.does:
            run_direct(build)
        return FakeJob(*self.states)


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Cluster:
    cluster = Cluster()
    monkeypatch.setattr(client, "preflight", lambda options: Preflight("1.19", 2, 1, 30))
    monkeypatch.setattr(client, "submit", cluster.submit)
    monkeypatch.setattr(Submitted, "attach", lambda master, job_id: FakeJob(*cluster.states))
    monkeypatch.setattr("pipelines.results.holding.is_alive", lambda job: cluster.alive)
    monkeypatch.setattr("transforms.job.check_host.storage.configure", lambda options, *, patient=False: None)
    return cluster


@pytest.fixture
def folder(portrait: Clip, tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    shutil.copy2(portrait.path, tmp_path / "in" / "a.mp4")
    (tmp_path / "in" / "text.mp4").write_text("no video\n")
    return tmp_path / "in"


def ask(folder: Path, config: Config, **options: Any) -> Summary:
    options = {"flink": on_flink(), "runner": "flink", **options}
    return analyze(str(folder), str(folder.parent / "out"), config=config, **options)


def test_a_job_ends_with_its_summary_and_leaves_nothing(
    cluster: Cluster, folder: Path, bare: Config, tmp_path: Path
) -> None:
    said: list[str] = []
    summary = ask(folder, bare, flink=on_flink(say=said.append))
    out = tmp_path / "out"
    assert (summary.new, summary.statuses, summary.exit_status) == (2, {"ok": 1, "corrupt": 1}, 3)
    assert statuses(out) == {"a.mp4": "ok", "text.mp4": "corrupt"}
    assert len(said) == 1 and "it survives 5 files that end their worker (6 attempts each)" in said[0]
    record = read_run(str(out))
    assert record is not None and record.finished_at is not None
    assert cluster.names == [f"facelog-{record.run_id}"]
    assert read_lease(str(out)) is None and not (out / "_work" / "jobs" / record.run_id).exists()
    again = ask(folder, bare)
    assert (again.new, again.unchanged, again.exit_status) == (0, 2, 3)
    assert len(cluster.names) == 1
    analyze(str(folder), str(tmp_path / "direct"), config=bare, runner="direct")
    assert_same_tables(out, tmp_path / "direct")


def test_the_same_command_comes_back_to_a_job_that_was_left(
    cluster: Cluster, folder: Path, bare: Config, tmp_path: Path
) -> None:
    cluster.states = ("RUNNING",)
    with pytest.raises(LeftRunningError, match="job 17 goes on"):
        ask(folder, bare, flink=on_flink(detach=True))
    lease = read_lease(str(tmp_path / "out"))
    assert lease is not None and lease.job is not None
    assert (lease.job.master, lease.job.job_id, lease.config_hash) == (MASTER, "17", bare.hash)
    said: list[str] = []
    cluster.states = ("RUNNING", "FINISHED")
    ended = ask(folder, bare, flink=on_flink(say=said.append))
    assert ended.statuses == {"ok": 1, "corrupt": 1} and len(cluster.names) == 1
    assert said == [f"job 17 does this already, begun by {lease.who}: looking on"]
    assert read_lease(str(tmp_path / "out")) is None


@pytest.mark.parametrize(
    "other", [{"retry_failed": True}, {"keep_observations": True}, {"settle": 0.001}, {"newer_than": timedelta(days=7)}]
)
def test_the_same_command_with_another_option_is_refused_while_its_job_lives(
    cluster: Cluster, folder: Path, bare: Config, tmp_path: Path, other: dict[str, Any]
) -> None:
    cluster.states = ("RUNNING",)

    def call(**options: Any) -> Summary:
        inputs = Inputs([str(folder)], newer_than=options.pop("newer_than", timedelta(days=1)))
        inputs = dataclasses.replace(inputs, settle=options.pop("settle", 0.0))
        return analyze(inputs, str(tmp_path / "out"), config=bare, runner="flink", flink=on_flink(True), **options)

    with pytest.raises(LeftRunningError):
        call()
    with pytest.raises(HeldError, match="is being written by job 17"):
        call(**other)
    with pytest.raises(LeftRunningError):  # an age is the same whenever it is asked for
        call()
    assert len(cluster.names) == 1


def test_another_command_is_refused_while_a_job_holds_the_folder(
    cluster: Cluster, folder: Path, bare: Config, tmp_path: Path
) -> None:
    then = datetime.now(UTC) - timedelta(days=1)
    held = JobLease(master=MASTER, job_id="16", asked="something else")
    write_lease(str(tmp_path / "out"), Lease(run_id="run-0", who="PID 1", since=then, renewed_at=then, job=held))
    for runner in ("flink", "direct"):
        with pytest.raises(HeldError, match=f"is being written by job 16 of the cluster at {MASTER}, begun by PID 1"):
            ask(folder, bare, runner=runner)
    assert cluster.names == []
    cluster.alive = False
    assert ask(folder, bare).exit_status == 3
    assert len(cluster.names) == 1


def test_after_a_job_that_failed_the_same_command_goes_on(
    cluster: Cluster, folder: Path, bare: Config, tmp_path: Path
) -> None:
    cluster.states, cluster.does = ("RUNNING", "FAILED"), False
    with pytest.raises(FacelogError, match="the job failed"):
        ask(folder, bare)
    left = [path.name for path in (tmp_path / "out" / "_work" / "jobs").iterdir()]
    assert [f"facelog-{name}" for name in left] == cluster.names
    cluster.states, cluster.does, cluster.alive = ("FINISHED",), True, False
    assert ask(folder, bare).statuses == {"ok": 1, "corrupt": 1}
    assert len(cluster.names) == 2
    assert not list((tmp_path / "out" / "_work" / "jobs").iterdir())


def test_what_is_wrong_beforehand_leaves_no_lease(
    cluster: Cluster, folder: Path, bare: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(options: FlinkOptions) -> Preflight:
        raise FacelogError("the cluster has no task manager")

    monkeypatch.setattr(client, "preflight", refuse)
    with pytest.raises(FacelogError, match="no task manager"):
        ask(folder, bare)
    assert read_lease(str(tmp_path / "out")) is None and read_run(str(tmp_path / "out")) is None
