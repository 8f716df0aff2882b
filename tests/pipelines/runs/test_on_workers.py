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
from schemas.video import Plan
from tests.examples import VIDEO_ID, example_plan


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
