"""A worker process as its supervisor sees it: started, given tasks, timed, listened to, killed."""

from __future__ import annotations

import contextlib
import logging
import math
import multiprocessing
import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from multiprocessing import connection, resource_tracker

from runners.local import worker

# Workers are forked off a server, a process that has imported what they need and does nothing else: one starts in a
# tenth of a second, where a new process takes four for its imports. What is forked off a process with threads, such as
# this one, may hang. Libraries of macOS do not bear forks at all.
if sys.platform == "linux":
    _CONTEXT = multiprocessing.get_context("forkserver")
else:
    _CONTEXT = multiprocessing.get_context("spawn")

_START_SECONDS = 300.0  # Beam's import takes 2–3 s here, TensorFlow and models come on top; more than this is a hang
_DYING_SECONDS = 5.0  # between the end of the pipe and the end of the process
_PRINTED_BYTES = 2000

# The processes are the parallelism: N workers with a thread per core each would be N × cores threads.
ONE_THREAD = {
    name: "1"
    for name in (
        "OMP_NUM_THREADS",  # Arrow's thread pool goes by it, too
        "OPENBLAS_NUM_THREADS",
        "MKL_NUM_THREADS",
        "TF_NUM_INTRAOP_THREADS",
        "TF_NUM_INTEROP_THREADS",
    )
}


def import_ahead(modules: Sequence[str]) -> None:
    """Names what the server imports when it starts, with the first worker of this process."""
    _CONTEXT.set_forkserver_preload(list(modules))


class WorkerProcess:
    """One worker, from its start to its end.

    Attributes:
      process: with its exit code and a sentinel to wait for.
      connection: its messages come from here (`runners.local.worker` lists them).
      ready: whether it waits for a task.
      base_rss_mb: resident memory in MB when it was ready for the first time; 0 before that.
      limit_seconds: time limit of its start or its task.
      deadline: when that time is over, by `time.monotonic`; infinite while it waits for a task.
    """

    def __init__(self, program: bytes) -> None:
        """Starts the process and returns while it still imports.

        Args:
          program: pickled (transform_factory, worker_init).
        """
        self.ready = False
        self.base_rss_mb = 0.0
        self._start_clock(_START_SECONDS)
        self._output = tempfile.TemporaryFile("a+b", buffering=0)  # noqa: SIM115 (closed in `kill`)
        self.connection, theirs = _CONTEXT.Pipe()
        # A Connection is handed over together with its descriptor, whatever that is; a plain file is not.
        output = connection.Connection(os.dup(self._output.fileno()), readable=False)
        level = logging.getLogger().getEffectiveLevel()
        # A daemon is ended with this process should `kill` not be reached.
        given = theirs, output, program, level, os.environ | ONE_THREAD
        self.process = _CONTEXT.Process(target=worker.main, args=given, daemon=True)
        with _spawning():
            self._start()
        theirs.close()  # else the worker's death would not be the end of the pipe
        output.close()

    def _start(self) -> None:
        for wait in (0.1, 0.5, 2.0):
            with contextlib.suppress(ConnectionError, EOFError):  # the server was killed, and has not quite ended yet
                self.process.start()
                return
            time.sleep(wait)
        self.process.start()

    def set_ready(self, rss_mb: float) -> None:
        """Notes that the worker waits for a task."""
        self.ready, self.deadline = True, math.inf
        self.base_rss_mb = self.base_rss_mb or rss_mb

    def give(self, payload: object, limit_seconds: float) -> None:
        """Sends a task to a ready worker."""
        self._output.truncate(0)  # what it prints belongs to the task that it is at
        self.ready = False
        self._start_clock(limit_seconds)
        with contextlib.suppress(OSError):  # it has just died: seen, and counted, at the end of its pipe
            self.connection.send(payload)

    def finish(self) -> float:
        """Notes that the task has ended; returns its seconds. The worker gets ready again."""
        seconds = time.monotonic() - self._since
        self._start_clock(_START_SECONDS)
        return seconds

    def _start_clock(self, limit_seconds: float) -> None:
        self._since, self.limit_seconds = time.monotonic(), limit_seconds
        self.deadline = self._since + limit_seconds

    def how_it_died(self) -> str:
        """How the process died, such as "was killed by SIGSEGV", after its pipe has ended."""
        self.process.join(_DYING_SECONDS)
        code = self.process.exitcode
        if code is None:
            return "closed its pipe"
        if code >= 0:
            return f"ended with exit status {code}"
        name = signal.Signals(-code).name
        return f"was killed by {name}" + (" (out of memory, or kill -9)" if -code == signal.SIGKILL else "")

    def printed(self) -> str:
        """The last text that it wrote to standard output and standard error since it got its task."""
        size = self._output.seek(0, os.SEEK_END)
        self._output.seek(max(0, size - _PRINTED_BYTES))
        return self._output.read().decode(errors="replace").strip()

    def kill(self) -> None:
        """Kills the process."""
        self.process.kill()  # where the server was killed, it is not known how this one ended: the kernel ended it, too
        self.process.join(_DYING_SECONDS)  # one that hangs in the kernel, on a dead network disk, does not die yet
        self.connection.close()
        self._output.close()


@contextlib.contextmanager
def _spawning() -> Iterator[None]:
    """A new process, the server or a worker, inherits from here one thread for each library and a blocked SIGINT.

    Ctrl-C is for the supervisor alone.
    """
    resource_tracker.ensure_running()  # it unblocks SIGINT here when it starts, which would be between these lines
    environment = {name: os.environ.get(name) for name in ONE_THREAD}
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    os.environ.update(ONE_THREAD)
    try:
        yield
    finally:
        for name, value in environment.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
