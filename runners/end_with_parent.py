"""Let a process end when the process that started it does."""

import ctypes
import os
import signal
import sys
import threading
from collections.abc import Callable

_PR_SET_PDEATHSIG = 1  # <sys/prctl.h>
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None  # opened here: between fork and exec it could wait


def kill_with_parent() -> None:
    """Has the kernel kill this process when the thread that started it ends; also what it becomes by `exec`."""
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def end_with_parent(wait: Callable[[], object]) -> None:
    """Ends this process at once when its parent has ended, even where that was killed by `kill -9`.

    A thread does it on every system, but it needs the GIL, which C code that hangs may hold; Linux's own signal does
    not. The signal misses a parent that ended before it was asked for; the thread does not.

    Args:
      wait: returns when the parent has ended.
    """
    kill_with_parent()

    def watch() -> None:
        wait()
        os._exit(1)

    threading.Thread(target=watch, name="parent-watch", daemon=True).start()
