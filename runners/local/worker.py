"""The worker process of the local runner: one in-process Beam pipeline that lives as long as its worker.

    Create([None]) | pull tasks from the supervisor | the caller's transform | collect results

All of it is one fused stage: a task passes the whole chain, to its last result, before the next task is pulled.
Messages to the supervisor are tuples; the first item is the kind of message:

    ("ready", rss_mb)                                   the pipeline waits for a task
    ("done", results, peak_rss_mb)                      of the task given last
    ("failed", type name, text, fatal, peak_rss_mb)     the same; a new pipeline follows in this process
    ("broken", type name, text)                         the pipeline cannot be built; the process ends
    ("log", LogRecord)
"""

from __future__ import annotations

import faulthandler
import logging
import logging.handlers
import multiprocessing
import os
import pickle
import re
import sys
import threading
import traceback
from collections.abc import Iterator, Mapping
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any

from runners.direct import run_direct
from runners.end_with_parent import end_with_parent
from runners.fork_server import let_server_end
from runners.options import quiet_beam
from schemas.errors import FacelogError, StorageFullError
from schemas.process import memory_mb

if TYPE_CHECKING:  # 2–3 s to import: done in `main`, when what goes wrong there can be told
    import apache_beam as beam

_MESSAGE_CHARS = 500


def main(
    connection: Connection, output: Connection, program: bytes, log_level: int, environment: Mapping[str, str]
) -> None:
    """Runs tasks until the supervisor closes the pipe.

    Args:
      connection: to the supervisor.
      output: a file (whatever the type says) that replaces standard output and standard error.
      program: pickled (transform_factory, worker_init); it is unpickled here, so that an import that fails is reported.
      log_level: log records below this level are not sent.
      environment: variables of the supervisor, which may be others than when the server of workers began.
    """
    global _link
    os.environ.clear()
    os.environ.update(environment)
    os.dup2(output.fileno(), 1)
    os.dup2(output.fileno(), 2)
    faulthandler.enable()  # where a segmentation fault was, for the supervisor's log
    if (supervisor := multiprocessing.parent_process()) is not None:
        let_server_end()  # and the kernel ends this process when the server ends
        end_with_parent(supervisor.join)
    _link = _Link(connection)
    # In place of what the server's imports may have set up; basicConfig would format the records before they are sent.
    logging.getLogger().handlers = [_SendRecords()]
    logging.getLogger().setLevel(log_level)
    quiet_beam()
    try:
        transform_factory, worker_init = pickle.loads(program)
        if worker_init is not None:
            worker_init()
        while not _link.hung_up:
            _run_pipeline(transform_factory())
    # The supervisor has to know about any exception; the process ends.
    except Exception as error:
        traceback.print_exc()
        _link.send("broken", *_name_and_text(error))
        sys.exit(1)


def _run_pipeline(transform: beam.PTransform) -> None:
    """One pipeline, to the supervisor's last task or to the first exception in a task."""
    import apache_beam as beam

    def build(pipeline: beam.Pipeline) -> None:
        outputs = pipeline | "Start" >> beam.Create([None]) | "PullTasks" >> beam.FlatMap(_pull_tasks) | transform
        # Each on its own: to flatten them would end the fused stage.
        for i, output in enumerate(outputs if isinstance(outputs, tuple) else (outputs,)):
            output | f"Collect{i}" >> beam.Map(_collect)

    try:
        run_direct(build)
    except Exception as error:
        if not _link.in_task:
            raise
        _link.fail(error)


class _Link:
    """This process's end of the pipe, and the task under way."""

    def __init__(self, connection: Connection) -> None:
        self.hung_up = False
        self.in_task = False
        self.results: list[Any] = []
        self._connection = connection
        self._lock = threading.Lock()  # log records come from any thread

    def send(self, *message: object) -> None:
        with self._lock:
            self._connection.send(message)

    def tasks(self) -> Iterator[Any]:
        """The supervisor's tasks; after each `yield`, the task has passed the whole chain."""
        while True:
            self.send("ready", memory_mb("VmRSS"))
            try:
                payload = self._connection.recv()
            except EOFError:
                self.hung_up = True
                return
            self.in_task, self.results = True, []
            _reset_peak()
            yield payload
            if not self.results:
                # Held back by a shuffle or a batch, results would be lost or be taken for the next task's.
                raise FacelogError("no result came out before the next task: the transform emits none or holds it back")
            self.send("done", self.results, memory_mb("VmHWM"))
            self.in_task = False

    def fail(self, error: Exception) -> None:
        fatal = next((cause for cause in _causes(error) if isinstance(cause, StorageFullError)), None)
        self.send("failed", *_name_and_text(fatal or error), fatal is not None, memory_mb("VmHWM"))
        self.in_task, self.results = False, []


# Beam pickles a pipeline's functions even within one process. A pipe cannot be pickled, so they find it here.
_link: _Link


def _pull_tasks(_: None) -> Iterator[Any]:
    return _link.tasks()


def _collect(result: object) -> None:
    _link.results.append(result)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _name_and_text(error: Exception) -> tuple[str, str]:
    """Type and text of the original exception, which is the `__cause__` of the one that Beam raises."""
    while isinstance(error.__cause__, Exception) and "[while running" in str(error):
        error = error.__cause__
    text = re.sub(r"\s*\[while running '.*?'\]", "", str(error)).strip()
    return type(error).__name__, text if len(text) <= _MESSAGE_CHARS else text[: _MESSAGE_CHARS - 1] + "…"


class _SendRecords(logging.handlers.QueueHandler):
    """Log records go to the supervisor, which has the terminal and the log file."""

    def __init__(self) -> None:
        super().__init__(queue=None)  # type: ignore[arg-type]

    def enqueue(self, record: logging.LogRecord) -> None:
        _link.send("log", record)


def _reset_peak() -> None:
    """Starts the peak of memory anew; `ru_maxrss` would begin with the peak of the process that started this one."""
    try:
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")
    except OSError:
        return  # not Linux, or not allowed: the peak is then that of the process so far
