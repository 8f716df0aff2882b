"""A worker process as its supervisor sees it: started, given tasks, timed, listened to, killed."""

from __future__ import annotations

import contextlib
import logging
import math
import os
import signal
import tempfile
import time
from multiprocessing import connection

from runners.fork_server import CONTEXT, ONE_THREAD, start
from runners.local import worker

_START_SECONDS = 300.0  # Beam's import takes 2–3 s here, TensorFlow and models come on top; more than this is a hang
_DYING_SECONDS = 5.0  # between the end of the pipe and the end of the process
_PRINTED_BYTES = 2000


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
        self.connection, theirs = CONTEXT.Pipe()
        # A Connection is handed over together with its descriptor, whatever that is; a plain file is not.
        output = connection.Connection(os.dup(self._output.fileno()), readable=False)
        level = logging.getLogger().getEffectiveLevel()
        # A daemon is ended with this process should `kill` not be reached.
        given = theirs, output, program, level, os.environ | ONE_THREAD
        self.process = CONTEXT.Process(target=worker.main, args=given, daemon=True)
        start(self.process)
        theirs.close()  # else the worker's death would not be the end of the pipe
        output.close()

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
