"""analyze on the local runner: which task follows from which, and how long each may take."""

import functools
import heapq
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from rich.console import Console

from pipelines.analyze import WorkerSteps
from pipelines.results.run_progress import begin_record
from pipelines.runs.bookkeeping import Archive
from pipelines.runs.display import Progress, show_progress
from pipelines.runs.request import LOCAL_ATTEMPTS, Request
from runners.devices import worker_count
from runners.local.one_thread import init_worker
from runners.local.supervisor import Outcome, Task, run_local
from schemas import storage
from schemas.storage import FileInfo
from schemas.video import Plan, Segment, WholeVideo
from transforms.failures import SegmentFailed, write_failure
from transforms.time_limits import probe_limit, segment_limit
from transforms.write_fragment import pending_segments
from transforms.write_tables import VideoDone

PROBE, SEGMENT, ASSEMBLE = 0, 1, 2
"""Priorities: a task that finishes a video goes first; a new file is opened when there is nothing else to do."""

_OF_STORAGE = dict.fromkeys(("FileNotFoundError", "StorageError"), "storage_error")
"""Types of a failed assembly that are no fault of the video, so that the next run tries it again."""

_ASSEMBLE_SECONDS = 600.0
_ASSEMBLE_SECONDS_A_SEGMENT = 10.0


def run_on_workers(console: Console | None, request: Request, archive: Archive) -> None:
    """Analyzes an archive in worker processes; a video gets its tables as soon as its segments are done.

    Args:
      console: where a live display goes; None: nowhere.
      request: what the run is asked for.
      archive: with files to analyze.
    """
    options = request.options
    begin_record(request.run, "local", archive.todo)
    init = functools.partial(_init_worker, options.storage_options, options.worker_init)
    with show_progress(archive, console) as progress:
        flow = _Flow(archive, progress)
        run_local(
            functools.partial(WorkerSteps, request.run, options.device, options.keep_observations),
            flow.probes(),
            workers=worker_count(options.workers, options.device),
            max_attempts=options.max_attempts or LOCAL_ATTEMPTS,
            on_outcome=flow.follow,
            worker_init=functools.partial(init_worker, init),
            imports=[WorkerSteps.__module__],
        )


def _init_worker(storage_options: Mapping[str, str], more: Callable[[], object] | None) -> None:
    storage.configure(storage_options, patient=True)
    if more is not None:
        more()


class _Flow:
    """Decides which tasks follow from the end of a task."""

    def __init__(self, archive: Archive, progress: Progress):
        self._archive = archive
        self._progress = progress
        self._work = archive.run.work
        self._run_id = archive.run.run_id
        self._open: dict[str, tuple[Plan, set[int]]] = {}
        self._redone: set[str] = set()
        self._early: list[tuple[int, Plan]] = []
        self._next_plan = 0

    def probes(self) -> Iterator[Task]:
        """A task for each file, in order of uri."""
        for number, file in enumerate(self._archive.todo):
            yield Task(f"{number:09d} {file.uri}", file, probe_limit(file), PROBE)

    def follow(self, outcome: Outcome) -> Iterable[Task]:
        """Tasks that follow from a task that has ended."""
        payload = outcome.task.payload
        if isinstance(payload, FileInfo):
            return self._probed(outcome, payload)
        if isinstance(payload, Segment):
            return self._segment_ended(outcome, payload)
        return self._assembled(outcome, payload)

    def _probed(self, outcome: Outcome, file: FileInfo) -> Iterator[Task]:
        if outcome.failure:
            plan = Plan(file, None, "failed", outcome.failure.error_type, _say(outcome, file.uri))
        else:
            plan = outcome.results[0]
        # Probes end in any order, and which of two copies is computed must not depend on it.
        heapq.heappush(self._early, (int(outcome.task.key.split()[0]), plan))
        while self._early and self._early[0][0] == self._next_plan:
            _, plan = heapq.heappop(self._early)
            self._next_plan += 1
            yield from self._begin(plan)

    def _begin(self, plan: Plan) -> Iterator[Task]:
        needs_work = self._archive.take(plan)
        self._progress.probed(plan, needs_work)
        if not needs_work:
            return
        pending = pending_segments(plan, self._work)
        for segment in plan.segments:
            if segment not in pending:
                self._progress.segment_done(segment, resumed=True)
        if not pending:
            self._open[plan.video_id or ""] = plan, set()
            yield self._assembly(plan)
        yield from self._segments(plan, pending)

    def _segments(self, plan: Plan, pending: Sequence[Segment]) -> Iterator[Task]:
        if pending:
            self._open[plan.video_id or ""] = plan, {segment.index for segment in pending}
        for segment in pending:
            key = f"{segment.file.uri} segment {segment.index}"
            task = WholeVideo.of(plan) if len(plan.segments) == 1 else segment
            yield Task(key, task, segment_limit(segment), SEGMENT)

    def _segment_ended(self, outcome: Outcome, segment: Segment) -> Iterable[Task]:
        if outcome.failure:
            message = _say(outcome, segment.file.uri)
            write_failure(SegmentFailed(segment, outcome.failure.error_type, message), self._work, self._run_id)
        self._progress.segment_done(segment)
        plan, left = self._open[segment.video_id]
        if outcome.results and isinstance(outcome.results[0], VideoDone):
            return self._assembled(outcome, plan)
        left.discard(segment.index)
        return [] if left else [self._assembly(plan)]

    def _assembly(self, plan: Plan) -> Task:
        limit = _ASSEMBLE_SECONDS + _ASSEMBLE_SECONDS_A_SEGMENT * len(plan.segments)
        return Task(f"{plan.file.uri} tables", plan, limit, ASSEMBLE)

    def _assembled(self, outcome: Outcome, plan: Plan) -> Iterable[Task]:
        video_id = plan.video_id or ""
        del self._open[video_id]
        if outcome.failure:
            # Fragments may be gone: somebody removed them, or the worker was killed while it moved them.
            if video_id not in self._redone and (lost := pending_segments(plan, self._work)):
                self._redone.add(video_id)
                return self._segments(plan, lost)
            error_type = _OF_STORAGE.get(outcome.failure.error_type, outcome.failure.error_type)
            row = self._archive.fail(plan, error_type, _say(outcome, plan.file.uri))
        else:
            row = self._archive.finish(outcome.results[0].row)
        self._progress.video_done(row)
        return ()


def _say(outcome: Outcome, uri: str) -> str:
    failure = outcome.failure
    assert failure is not None
    what = f" ({outcome.task.key.rsplit(' ', 2)[-2]} {outcome.task.key.rsplit(' ', 1)[-1]})"
    where: Any = what if isinstance(outcome.task.payload, Segment) else ""
    return f"{uri}{where}: {failure.message}; {failure.attempts} attempts. See what `ffprobe` says of the file."
