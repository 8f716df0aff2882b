"""Processes that begin with the libraries imported: they are forked off a server, which does nothing else.

A process starts in a tenth of a second that way, where one with imports of its own takes four, and they share the
memory of the libraries. What is forked off a process with threads, such as that of a run, may hang; the server has
none. Libraries of macOS do not bear forks at all: there each process imports its own.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from multiprocessing import forkserver, resource_tracker
from multiprocessing.process import BaseProcess

if sys.platform == "linux":
    CONTEXT = multiprocessing.get_context("forkserver")
else:
    CONTEXT = multiprocessing.get_context("spawn")

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

_lock = threading.Lock()


def import_ahead(modules: Sequence[str]) -> None:
    """Names what the server imports when it starts, with the first process that this one starts."""
    CONTEXT.set_forkserver_preload(["runners.quiet_imports", *modules])


def start(process: BaseProcess, environment: Mapping[str, str] = ONE_THREAD) -> None:
    """Starts a process of `CONTEXT` with SIGINT blocked: Ctrl-C is for this one.

    Args:
      process: that has not been started.
      environment: variables of the server, should it begin now; its processes inherit them.
    """
    with _lock, _inherited(environment):
        for wait in (0.1, 0.5, 2.0):
            with contextlib.suppress(ConnectionError, EOFError):  # the server was killed, and has not quite ended yet
                process.start()
                return
            time.sleep(wait)
        process.start()


def let_server_end() -> None:
    """Lets the server end with the process that started it, though this process, forked off the server, goes on.

    It ends when nobody holds the other end of a pipe any more, and each forked process has been given that end, for
    processes of its own.
    """
    if forkserver.get_inherited_fds() is not None:
        os.close(forkserver._forkserver._forkserver_alive_fd)  # type: ignore[attr-defined]


@contextlib.contextmanager
def _inherited(environment: Mapping[str, str]) -> Iterator[None]:
    resource_tracker.ensure_running()  # it unblocks SIGINT here when it starts, which would be between these lines
    # The server imports from where this process does, and not first from the folder that happens to be the current one.
    path = os.pathsep.join(folder or os.getcwd() for folder in sys.path)
    given = {**environment, "PYTHONPATH": path, "PYTHONSAFEPATH": "1"}
    before = {name: os.environ.get(name) for name in given}
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    os.environ.update(given)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
