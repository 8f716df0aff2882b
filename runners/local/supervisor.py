"""The local runner: a supervisor with worker processes, each with one long-lived in-process Beam pipeline.

Why this way (measured with apache-beam 2.77 on two cores):

- A `FnApiRunner` run costs 0.24 s of CPU, so a pipeline for each task would cost as much as the task. Here a worker's
  pipeline pulls its tasks through a pipe of its own, for as long as the worker lives: 0.4–0.5 ms a task, and no more
  memory after 20,000 tasks in one bundle than after the first.
- Beam's own `multi_processing` mode hangs for ever when a worker dies. Here a worker that dies or exceeds a time limit
  costs its task one attempt, and nothing else.
- pebble's pool has time limits and notices dead workers, but it calls a function per task: the pipeline would have to
  live in a thread beside it. All its workers share one pipe and its locks, its queue knows no priorities, and what a
  dying worker printed is lost.

A task's time limit counts from when it is handed to a worker with a running pipeline until its result has arrived.
"""

from __future__ import annotations

import dataclasses
import heapq
import itertools
import logging
import pickle
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from multiprocessing import connection
from typing import TYPE_CHECKING, Any

from runners.fork_server import import_ahead
from runners.local.worker_process import WorkerProcess
from schemas.errors import FacelogError, StorageFullError

if TYPE_CHECKING:
    import apache_beam as beam

_LOG = logging.getLogger(__name__)
_START_FAILURES = 3
_LONGEST_WAIT = 3600.0


@dataclasses.dataclass(frozen=True)
class Task:
    """A unit of work, with attempts and a time limit of its own.

    Attributes:
      key: unique name for messages, such as "clip.mp4 segment 3".
      payload: the element that the transform sees; picklable and small (paths and times, never pixels).
      limit_seconds: time after which the worker is killed.
      priority: tasks with a higher one go first; tasks with the same go in the order in which they came.
    """

    key: str
    payload: Any
    limit_seconds: float
    priority: int = 0


@dataclasses.dataclass(frozen=True)
class Failure:
    """Why a task was given up.

    Attributes:
      error_type: "worker_died", "time_limit", or the class name of the exception.
      message: one sentence.
      attempts: number of attempts; type and message are those of the last.
    """

    error_type: str
    message: str
    attempts: int


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How a task ended.

    Attributes:
      task: as it was given.
      results: what the transform emitted for it; empty if it failed.
      failure: None when it was done.
      seconds: wall time of the last attempt.
      peak_rss_mb: most memory of the worker during that attempt, in MB (10⁶ bytes); 0 if the worker died.
    """

    task: Task
    results: list[Any]
    failure: Failure | None
    seconds: float
    peak_rss_mb: float


def run_local(
    transform_factory: Callable[[], beam.PTransform],
    tasks: Iterable[Task],
    *,
    workers: int,
    max_attempts: int = 3,
    on_outcome: Callable[[Outcome], Iterable[Task]],
    should_stop: threading.Event | None = None,
    worker_init: Callable[[], object] | None = None,
    recycle_mb: float = 1400.0,
    imports: Sequence[str] = ("apache_beam",),
) -> None:
    """Runs all tasks, and the tasks that follow from them, through a transform in worker processes.

    Ctrl-C (`KeyboardInterrupt`) or any other exception ends the workers at once and drops their tasks. Workers also end
    when this process ends, for whatever reason.

    Args:
      transform_factory: makes the transform, payload → results, in one PCollection or a tuple of them; picklable, so a
        top-level function or a partial of one.
        It emits at least once for each task, and at once: no shuffle in it and no `BatchElements`, which keeps each
        batch until the next element comes even at a batch size of one (`RunInference` has it, unless its handler is
        `with_no_batching()` or says `should_skip_batching`). A task without a result is a failed attempt.
      tasks: read in this thread when workers become free, a few ahead, so it may be endless; each should come quickly.
      workers: most processes; fewer are started if there is less work.
      max_attempts: of each task; a worker's death, a time limit and an exception each count as an attempt.
      on_outcome: called in this thread, exactly once for each task; returns the tasks that follow from it. It should be
        quick, since no worker gets a task, and no time limit is checked, in the meantime.
      should_stop: once it is set, no task is begun; tasks under way are finished, then this returns.
      worker_init: called once in each worker before the first pipeline; picklable.
      recycle_mb: a worker is replaced if it holds more resident memory than this between two tasks, and more than 1.5
        times what it held before its first task (so that big models are not replaced for ever). Libraries do not give
        back all memory, a new process does. The default is a little below the 1.5 GB that a worker may use.
      imports: modules that workers find imported already: what the transform needs, without TensorFlow. The first call
        in a process decides.

    Raises:
      StorageFullError: a task raised it, so no other task could succeed.
      FacelogError: three workers in a row failed before their first task.
      ValueError: `workers` or `max_attempts` is below 1.
    """
    if workers < 1 or max_attempts < 1:
        raise ValueError(f"{workers=} and {max_attempts=} have to be at least 1")
    import_ahead(imports)
    program = pickle.dumps((transform_factory, worker_init))
    supervisor = _Supervisor(
        program=program,
        source=iter(tasks),
        max_workers=workers,
        max_attempts=max_attempts,
        on_outcome=on_outcome,
        should_stop=should_stop or threading.Event(),
        recycle_mb=recycle_mb,
    )
    try:
        supervisor.run()
    finally:
        supervisor.end()


@dataclasses.dataclass(order=True)
class _Entry:
    """A task in the heap of tasks that can begin."""

    rank: tuple[int, int]  # (-priority, number in order of arrival)
    task: Task = dataclasses.field(compare=False)
    attempts: int = dataclasses.field(default=0, compare=False)


class _Supervisor:
    """State of `run_local`: tasks that can begin, workers, and how often workers failed to start."""

    def __init__(
        self,
        *,
        program: bytes,
        source: Iterator[Task],
        max_workers: int,
        max_attempts: int,
        on_outcome: Callable[[Outcome], Iterable[Task]],
        should_stop: threading.Event,
        recycle_mb: float,
    ) -> None:
        self._program = program
        self._source: Iterator[Task] | None = source
        self._max_workers = max_workers
        self._max_attempts = max_attempts
        self._on_outcome = on_outcome
        self._should_stop = should_stop
        self._recycle_mb = recycle_mb
        self._numbers = itertools.count()
        self._heap: list[_Entry] = []
        self._at: dict[WorkerProcess, _Entry] = {}  # the task of each busy worker
        self._workers: list[WorkerProcess] = []
        self._start_failures = 0

    def run(self) -> None:
        """Runs until every task has its outcome, or until no task may begin and none is under way."""
        while self._hand_out() or self._at:
            self._wait()

    def end(self) -> None:
        """Kills the workers; between two tasks they hold nothing that could be lost."""
        for worker in self._workers:
            worker.kill()

    def _hand_out(self) -> bool:
        """Gives tasks to ready workers and starts workers if there are too few; returns False if no task can begin."""
        if self._should_stop.is_set():
            return False
        for worker in self._workers:
            self._look_ahead()
            if worker.ready and self._heap:
                entry = heapq.heappop(self._heap)
                self._at[worker] = entry
                worker.give(entry.task.payload, entry.task.limit_seconds)
        self._look_ahead()
        # One more than there is work for now, so that tasks that follow need not wait for a worker's imports.
        work = len(self._at) + len(self._heap)
        for _ in range(len(self._workers), min(self._max_workers, work + 1) if work else 0):
            self._workers.append(WorkerProcess(self._program))
        return bool(self._heap)

    def _look_ahead(self) -> None:
        while self._source is not None and len(self._heap) < self._max_workers:
            task = next(self._source, None)
            if task is None:
                self._source = None
            else:
                self._push(task)

    def _push(self, task: Task) -> None:
        heapq.heappush(self._heap, _Entry((-task.priority, next(self._numbers)), task))

    def _wait(self) -> None:
        """Waits until a worker sends a message, dies or exceeds its time limit, and reacts."""
        timeout = min(worker.deadline for worker in self._workers) - time.monotonic()
        handles: dict[object, WorkerProcess] = {}
        for worker in self._workers:
            handles |= {worker.connection: worker, worker.process.sentinel: worker}
        # The system takes no number of any size; whoever waits longer looks again.
        ready = connection.wait(handles, max(0.0, min(timeout, _LONGEST_WAIT)))  # type: ignore[arg-type]
        now = time.monotonic()  # before `on_outcome` may take long: what came in meanwhile is read first
        for worker in {handles[handle] for handle in ready}:
            self._read(worker)
        for worker in [worker for worker in self._workers if worker.deadline <= now]:
            self._time_out(worker)

    def _read(self, worker: WorkerProcess) -> None:
        try:
            # Without a message, the process is dead and another one holds its end of the pipe open.
            message = worker.connection.recv() if worker.connection.poll() else None
        except (EOFError, OSError):  # also in the middle of a message
            message = None
        match message:
            case None:
                self._bury(worker)
            case ("log", record):
                logging.getLogger(record.name).handle(record)
            case ("ready", rss_mb):
                self._start_failures = 0
                worker.set_ready(rss_mb)
                if rss_mb > max(self._recycle_mb, 1.5 * worker.base_rss_mb):
                    _LOG.info("a worker holds %.0f MB: replaced", rss_mb)
                    self._remove(worker)
            case ("done", results, peak_rss_mb):
                self._finish(self._at.pop(worker), results, None, worker.finish(), peak_rss_mb)
            case ("failed", _, text, True, _):
                raise StorageFullError(text)
            case ("failed", error_type, text, False, peak_rss_mb):
                self._fail(self._at.pop(worker), error_type, text, worker.finish(), peak_rss_mb)
            case ("broken", error_type, text):
                self._lose(worker, error_type, text)

    def _bury(self, worker: WorkerProcess) -> None:
        """Handles a worker that has died by itself."""
        how, printed = worker.how_it_died(), worker.printed()
        _LOG.info("a worker %s; it printed: %s", how, printed or "nothing")
        text = f"the worker process {how}"
        if worker not in self._at and printed:
            text += f" and printed:\n{printed}"
        self._lose(worker, "worker_died", text)

    def _time_out(self, worker: WorkerProcess) -> None:
        self._lose(worker, "time_limit", f"not done after {worker.limit_seconds:g} s")

    def _lose(self, worker: WorkerProcess, error_type: str, text: str) -> None:
        """Removes a worker: its task loses one attempt; if it had no task, it counts as a failed start.

        Raises:
          FacelogError: several workers in a row failed to start.
        """
        self._remove(worker)
        if entry := self._at.pop(worker, None):
            self._fail(entry, error_type, text, worker.finish())
            return
        self._start_failures += 1
        if self._start_failures >= _START_FAILURES:
            raise FacelogError(f"no worker process can start: {_START_FAILURES} in a row failed: {error_type}: {text}")

    def _remove(self, worker: WorkerProcess) -> None:
        self._workers.remove(worker)
        worker.kill()

    def _fail(self, entry: _Entry, error_type: str, message: str, seconds: float, peak_rss_mb: float = 0.0) -> None:
        """Counts an attempt; the task gets its old place in the queue again, or is given up."""
        entry.attempts += 1
        _LOG.info("%s: attempt %d failed: %s: %s", entry.task.key, entry.attempts, error_type, message)
        if entry.attempts < self._max_attempts:
            heapq.heappush(self._heap, entry)
        else:
            self._finish(entry, [], Failure(error_type, message, entry.attempts), seconds, peak_rss_mb)

    def _finish(
        self, entry: _Entry, results: list[Any], failure: Failure | None, seconds: float, peak_rss_mb: float
    ) -> None:
        for task in self._on_outcome(Outcome(entry.task, results, failure, seconds, peak_rss_mb)):
            self._push(task)
