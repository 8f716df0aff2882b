"""The local runner with real worker processes."""

import logging
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from runners import lock
from runners.local.supervisor import Outcome, Task, run_local
from schemas.errors import FacelogError, StorageFullError
from tests.runners import jobs
from tests.runners.jobs import Job

pytestmark = pytest.mark.multiprocess


def run(
    tasks: Iterable[Task],
    *,
    workers: int = 1,
    follow: Callable[[Outcome], Iterable[Task]] = lambda _: [],
    **options: Any,
) -> list[Outcome]:
    """Run tasks; their outcomes in order."""
    outcomes: list[Outcome] = []

    def on_outcome(outcome: Outcome) -> Iterable[Task]:
        outcomes.append(outcome)
        return follow(outcome)

    run_local(jobs.make_transform, tasks, workers=workers, on_outcome=on_outcome, **options)
    return outcomes


def task(do: str, trail: Path | None = None, *, key: str = "", priority: int = 0, limit_seconds: float = 60.0) -> Task:
    return Task(key or do, Job(do, str(trail or os.devnull)), limit_seconds, priority)


def test_without_tasks_no_process_is_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr("runners.local.supervisor.WorkerProcess")
    assert run([]) == []


def test_order_follow_ups_and_look_ahead() -> None:
    pulled = []
    ahead = []

    def source() -> Iterator[Task]:
        for key in ("a", "b", "c", "d"):
            pulled.append(key)
            yield task("two results" if key == "d" else "", key=key)

    def follow(outcome: Outcome) -> list[Task]:
        ahead.append(len(pulled))
        follow_ups = [task("", key="a1"), task("", key="a2", priority=1), task("", key="a3", priority=2)]
        return follow_ups if outcome.task.key == "a" else []

    outcomes = run(source(), follow=follow)
    # b was pulled before a was done, so it came before a1; c was not.
    assert [outcome.task.key for outcome in outcomes] == ["a", "a3", "a2", "b", "a1", "c", "d"]
    assert ahead == [2, 2, 2, 2, 3, 4, 4]
    assert all(outcome.failure is None for outcome in outcomes)
    assert outcomes[-1].results == [1, 2]
    # One process did it all, in one pipeline after the other or the same.
    assert len({outcome.results[0] for outcome in outcomes[:-1]}) == 1
    assert all(50 < outcome.peak_rss_mb < 1000 and outcome.seconds > 0 for outcome in outcomes)


def test_what_ends_a_worker_costs_only_its_own_task(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    bad = ["kill", "kill in a message", "hang", "raise", "nothing", "cannot be pickled"]
    tasks = []
    for do in bad:
        tasks.append(task(do, tmp_path / do, limit_seconds=1.5 if do == "hang" else 60))
        tasks.append(task("log", tmp_path / f"good {do}", key=f"good {do}"))
    outcomes = run(tasks, workers=2, max_attempts=2, worker_init=jobs.no_init)

    assert sorted(outcome.task.key for outcome in outcomes) == sorted(task.key for task in tasks)
    failures = {outcome.task.key: outcome.failure for outcome in outcomes if outcome.failure}
    assert set(failures) == set(bad)
    assert {failure.attempts for failure in failures.values()} == {2}
    for key in bad:
        assert len((tmp_path / key).read_text().split()) == 2
        assert len((tmp_path / f"good {key}").read_text().split()) == 1
    assert failures["kill"].error_type == failures["kill in a message"].error_type == "worker_died"
    assert "SIGKILL" in failures["kill"].message
    assert failures["hang"].error_type == "time_limit"
    assert "1.5 s" in failures["hang"].message
    assert (failures["raise"].error_type, failures["raise"].message) == ("StorageError", "clip.mp4 is not there")
    assert "no result came out" in failures["nothing"].message
    assert "local object" in failures["cannot be pickled"].message  # how it is said depends on Python
    messages = [record.getMessage() for record in caplog.records if record.name == "jobs"]
    assert messages.count("from the worker") == len(bad)
    assert "init" in messages


def test_no_time_limit_is_too_long_for_the_system() -> None:
    (outcome,) = run([task("", limit_seconds=43e6 * 24)])
    assert outcome.failure is None


def test_workers_share_what_is_imported_and_outlive_its_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("apache_beam", "numpy", "pipelines"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('imported from the current folder')")
    monkeypatch.chdir(tmp_path)  # where the second server begins
    killed, outcome = run([task("kill the server once", tmp_path / "trail"), task("imported")])
    first, second = (int(line) for line in (tmp_path / "trail").read_text().split())
    assert killed.failure is None and killed.results == [second] != [first]
    assert outcome.results == [True]


def test_three_attempts_by_default(tmp_path: Path) -> None:
    (outcome,) = run([task("raise", tmp_path / "trail")])
    assert outcome.failure is not None
    assert outcome.failure.attempts == 3
    assert len((tmp_path / "trail").read_text().split()) == 3


def test_results_that_are_held_back_are_noticed() -> None:
    outcomes: list[Outcome] = []
    run_local(
        jobs.make_batching_transform,
        [task("", key="1"), task("", key="2")],
        workers=1,
        max_attempts=1,
        on_outcome=lambda outcome: outcomes.append(outcome) or (),  # type: ignore[func-returns-value]
    )
    assert [outcome.failure is not None and outcome.results == [] for outcome in outcomes] == [True, True]


def test_a_full_disk_ends_the_run() -> None:
    with pytest.raises(StorageFullError, match=r"^no space is left in out/$"):
        run([task("full"), task("", key="never")], follow=lambda outcome: pytest.fail(outcome.task.key))


def test_should_stop_finishes_what_is_under_way() -> None:
    stop = threading.Event()

    def follow(_: Outcome) -> list[Task]:
        stop.set()
        return [task("", key="follow-up")]

    outcomes = run([task("", key="first"), task("", key="second")], follow=follow, should_stop=stop)
    assert [outcome.task.key for outcome in outcomes] == ["first"]


def test_a_worker_that_has_grown_is_replaced() -> None:
    outcomes = run([task("grow", key="1"), task("", key="2"), task("", key="3")], recycle_mb=400)
    first, second, third = (outcome.results[0] for outcome in outcomes)
    assert first != second == third
    assert outcomes[0].peak_rss_mb > 500 > outcomes[1].peak_rss_mb


def test_what_a_worker_inherits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "4")
    monkeypatch.delenv("TF_NUM_INTRAOP_THREADS", raising=False)
    monkeypatch.setenv("FACELOG_TEST", "set after the server of workers began")
    with lock.hold(str(tmp_path)):
        here = {
            os.readlink(f"/proc/self/fd/{name}")
            for name in os.listdir("/proc/self/fd")
            if int(name) > 2 and os.path.lexists(f"/proc/self/fd/{name}")
        }
        descriptors, environment = run([task("descriptors"), task("environment")])
    assert str(tmp_path / "_work" / "lock") in here
    assert str(tmp_path / "_work" / "lock") not in descriptors.results
    assert descriptors.failure is None
    variables, blocked = environment.results
    assert variables["OMP_NUM_THREADS"] == variables["TF_NUM_INTRAOP_THREADS"] == "1"
    assert variables["FACELOG_TEST"] == "set after the server of workers began"
    assert os.environ["OMP_NUM_THREADS"] == "4"
    assert "TF_NUM_INTRAOP_THREADS" not in os.environ
    assert blocked  # SIGINT: Ctrl-C is for the supervisor


def test_workers_that_cannot_start_end_the_run(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(FacelogError, match="ImportError: no such module as dlip"):
        run_local(jobs.cannot_import, [task("")], workers=2, on_outcome=lambda _: [])
    caplog.set_level(logging.INFO)
    with pytest.raises(FacelogError, match=r"exit status 7(.|\n)*a library says why"):
        run([task("")], workers=2, worker_init=jobs.dies_at_start)


@pytest.mark.parametrize(("workers", "max_attempts"), [(0, 1), (1, 0)])
def test_less_than_one_makes_no_sense(workers: int, max_attempts: int) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        run([task("")], workers=workers, max_attempts=max_attempts)
