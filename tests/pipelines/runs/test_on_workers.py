"""Which task follows from which on the local runner."""

from pathlib import Path
from typing import cast

from pipelines.runs.bookkeeping import Archive
from pipelines.runs.display import Progress
from pipelines.runs.on_workers import _Flow
from runners.local.supervisor import Failure, Outcome, Task
from schemas import storage
from schemas.config import Config
from schemas.layout import Layout
from schemas.run import Run
from schemas.video import Plan, WholeVideo
from tests.examples import VIDEO_ID, WHEN, example_plan
from transforms.failures import first_failure
from transforms.ledger import new_row
from transforms.write_tables import VideoDone


class Silent:
    """A display that shows nothing."""

    def __getattr__(self, name: str) -> object:
        return lambda *_, **__: None


def test_fragments_that_are_gone_are_made_again_once(tmp_path: Path) -> None:
    """Somebody removed DIR during the run; the video itself is not to blame."""
    plan = example_plan(5.0)
    run = Run("run-1", Config(), Layout(str(tmp_path)))
    archive = Archive(run, [plan.file], {})
    flow = _Flow(archive, cast(Progress, Silent()))

    def done(task: Task) -> list[Task]:
        return list(flow.follow(Outcome(task, [plan], None, 1.0, 1.0)))

    def lost(task: Task) -> list[Task]:
        assert isinstance(task.payload, Plan)
        failure = Failure("FileNotFoundError", f"{tmp_path}/00000.parquet does not exist", 3)
        return list(flow.follow(Outcome(task, [], failure, 1.0, 0.0)))

    segments = done(next(flow.probes()))
    assert len(segments) == 2
    storage.write_bytes(run.work.fragment(VIDEO_ID, 1), b"")
    again = lost(next(follows for task in segments for follows in done(task)))
    assert [task.payload for task in again] == [plan.segments[0]]
    assert lost(done(again[0])[0]) == []
    (bad,) = archive.summarize().bad
    assert (bad["status"], bad["error_type"]) == ("failed", "storage_error")  # so the next run tries it again


def test_a_video_of_one_segment_is_done_in_one_task(tmp_path: Path) -> None:
    plan = example_plan()
    run = Run("run-1", Config(), Layout(str(tmp_path)))
    archive = Archive(run, [plan.file], {})
    flow = _Flow(archive, cast(Progress, Silent()))
    (task,) = flow.follow(Outcome(next(flow.probes()), [plan], None, 1.0, 1.0))

    assert task.payload == WholeVideo.of(plan)
    row = new_row(plan, run, started_at=WHEN)
    assert list(flow.follow(Outcome(task, [VideoDone(row)], None, 1.0, 1.0))) == []
    assert archive.summarize().statuses == {"ok": 1}


def test_a_video_of_one_segment_that_ends_its_worker_is_failed(tmp_path: Path) -> None:
    plan = example_plan()
    run = Run("run-1", Config(), Layout(str(tmp_path)))
    flow = _Flow(Archive(run, [plan.file], {}), cast(Progress, Silent()))
    (task,) = flow.follow(Outcome(next(flow.probes()), [plan], None, 1.0, 1.0))
    (assembly,) = flow.follow(Outcome(task, [], Failure("worker_died", "it died", 3), 1.0, 1.0))

    assert assembly.payload == plan
    failure = first_failure(plan, run.work, "run-1")
    assert failure and failure["error_type"] == "worker_died"
