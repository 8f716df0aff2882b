"""The local runner: a supervisor with worker processes, each with one long-lived in-process Beam pipeline.

Why this way (measured with apache-beam 2.77 on two cores):

- A `FnApiRunner` run costs 0.24 s of CPU, so a pipeline for each task would cost as much as the task. Here a worker's
  pipeline pulls its tasks through a pipe of its own, for as long as the worker lives: 0.4–0.5 ms a task, and no more
  memory after 20,000 tasks in one bundle than after the first.
- Beam's own `multi_processing` mode hangs for ever when a worker dies. Here a worker that dies or passes a time limit
  costs the task that it was at one attempt, and nothing else.
- pebble's pool has time limits and notices dead workers, but it calls a function per task: the pipeline would have to
  live in a thread beside it. All its workers share one pipe and its locks, its queue knows no priorities, and what a
  dying worker printed is lost.

A task's time limit counts from when it is handed to a worker whose pipeline stands, until its result is here.
"""

from __future__ import annotations

import dataclasses
import heapq
import itertools
import logging
import math
import pickle
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from multiprocessing import connection
from typing import TYPE_CHECKING, Any

from runners.local.worker_process import WorkerProcess
from schemas.errors import FacelogError, StorageFullError

if TYPE_CHECKING:
    import apache_beam as beam

_LOG = logging.getLogger(__name__)
_START_FAILURES = 3


@dataclasses.dataclass(frozen=True)
class Task:
    """One thing to do; the unit of attempts and time limits.

    Attributes:
      key: unique name for messages, such as "clip.mp4 segment 3".
      payload: the element that the transform sees; picklable and small (paths and times, never pixels).
      limit_seconds: after which the worker is killed.
      priority: higher goes first; first come, first served among equals.
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
      attempts: made, all of them in vain; the reason is that of the last.
    """

    error_type: str
    message: str
    attempts: int


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How a task ended, once and for all.

    Attributes:
      task: as it was given.
      results: what the transform emitted for it; empty if it failed.
      failure: None when it was done.
      seconds: wall time of the last attempt.
      peak_rss_mb: of the worker during that attempt, in MB (10⁶ bytes); 0 where it is not known (a worker that died).
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
) -> None:
    """Run every task, and the tasks that follow from it, through a transform in worker processes.

    Ctrl-C (`KeyboardInterrupt`) or any other exception ends the workers at once and drops the tasks under way. Workers
    also end when this process does, whatever ends it.

    Args:
      transform_factory: makes the transform, payload → results, in one PCollection or a tuple of them; picklable, so a
        top-level function or a partial of one.
        It emits at least once for each task, and at once: no shuffle in it and no `BatchElements`, which keeps each
        batch until the next element comes even at a batch size of one (`RunInference` has it, unless its handler is
        `with_no_batching()` or says `should_skip_batching`). A task without a result is a failed attempt.
      tasks: read in this thread as workers get free, a few ahead, so it may be endless; should be quick to advance.
      workers: processes at most; no more are started than there is work for.
      max_attempts: for each task; dying workers, time limits and exceptions count alike.
      on_outcome: called here, exactly once for each task; returns the tasks that follow from it. Should be quick, since
        nobody is given a task, or noticed to be late, in the meantime.
      should_stop: once set, no task is begun any more; those under way are finished, then this returns.
      worker_init: called once in each worker before the first pipeline; picklable.
      recycle_mb: a worker that holds more resident memory than this between two tasks is replaced (and more than 1.5
        times what it held before its first, lest big models recycle for ever). What libraries do not give back, a new
        process does; the default leaves a little of the 1.5 GB that a worker may use.

    Raises:
      StorageFullError: a task raised it; there is no point in going on.
      FacelogError: three workers in a row did not come as far as their first task.
      ValueError: `workers` or `max_attempts` is below 1.
    """
    if workers < 1 or max_attempts < 1:
        raise ValueError(f"{workers=} and {max_attempts=} have to be at least 1")
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
    """A task in the heap of those that can begin, first come first."""

    rank: tuple[int, int]  # (-priority, number in order of arrival)
    task: Task = dataclasses.field(compare=False)
    attempts: int = dataclasses.field(default=0, compare=False)


class _Supervisor:
    """What `run_local` keeps between two messages: tasks that can begin, workers, how often they failed to start."""

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
        self._at: dict[WorkerProcess, _Entry] = {}  # what each busy worker is at
        self._workers: list[WorkerProcess] = []
        self._start_failures = 0

    def run(self) -> None:
        """Until every task has its outcome, or no more may begin and none is under way."""
        while self._hand_out() or self._at:
            self._wait()

    def end(self) -> None:
        """Kill the workers; between two tasks they hold nothing that could be lost."""
        for worker in self._workers:
            worker.kill()

    def _hand_out(self) -> bool:
        """Give tasks to workers that are ready, start workers if there are too few; False if there is none to begin."""
        if self._should_stop.is_set():
            return False
        for worker in self._workers:
            self._look_ahead()
            if worker.ready and self._heap:
                entry = heapq.heappop(self._heap)
                self._at[worker] = entry
                worker.give(entry.task.payload, entry.task.limit_seconds)
        self._look_ahead()
        # One more than there is work for now: what follows from the tasks under way will not wait for imports.
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
        """Sleep until a worker says something, dies or passes its time limit, and see to it."""
        timeout = min(worker.deadline for worker in self._workers) - time.monotonic()
        handles: dict[object, WorkerProcess] = {}
        for worker in self._workers:
            handles |= {worker.connection: worker, worker.process.sentinel: worker}
        ready = connection.wait(handles, None if timeout == math.inf else max(0.0, timeout))  # type: ignore[arg-type]
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
        """See to what a worker leaves that has died of itself."""
        how, printed = worker.how_it_died(), worker.printed()
        _LOG.info("a worker %s; it printed: %s", how, printed or "nothing")
        text = f"the worker process {how}"
        if worker not in self._at and printed:
            text += f" and printed:\n{printed}"
        self._lose(worker, "worker_died", text)

    def _time_out(self, worker: WorkerProcess) -> None:
        self._lose(worker, "time_limit", f"not done after {worker.limit_seconds:g} s")

    def _lose(self, worker: WorkerProcess, error_type: str, text: str) -> None:
        """Part with a worker: its task loses one attempt; without a task, it counts as one that could not start.

        Raises:
          FacelogError: none could, several times in a row.
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
        """Count an attempt; the task begins anew in its old place, or is given up."""
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
