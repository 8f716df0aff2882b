"""A watchdog that ends its own process when some work takes too long."""

import contextlib
import faulthandler
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator

_LOG = logging.getLogger(__name__)

_GRACE_SECONDS = 20.0
"""More time for a process in which Python code cannot run, because C code holds the interpreter."""


@contextlib.contextmanager
def watchdog(limit_seconds: float, before_end: Callable[[str], None]) -> Iterator[None]:
    """Ends this process if the work inside takes too long; several threads may have one each.

    Args:
      limit_seconds: after which the process ends, with status 1. If C code holds the interpreter all the time, the
        process ends 20 seconds later without `before_end`; `faulthandler` ends it and prints the stack of each thread.
      before_end: called with a sentence just before the end.
    """
    end = time.monotonic() + limit_seconds
    key = object()

    def end_process() -> None:
        text = f"not done after {limit_seconds:g} s"
        _LOG.error("%s: this worker process ends", text)
        with contextlib.suppress(Exception):
            before_end(text)
        os._exit(1)

    timer = threading.Timer(limit_seconds, end_process)
    timer.daemon = True
    timer.start()
    with _lock:
        _ends[key] = end + _GRACE_SECONDS
        _set_faulthandler()
    try:
        yield
    finally:
        timer.cancel()
        with _lock:
            del _ends[key]
            _set_faulthandler()


_lock = threading.Lock()
_ends: dict[object, float] = {}


def _set_faulthandler() -> None:
    """Sets `faulthandler`'s clock, of which a process has one, to the watchdog that ends first."""
    faulthandler.cancel_dump_traceback_later()
    if _ends:
        # File 2 is the real standard error; `sys.stderr` may be something without a file descriptor.
        faulthandler.dump_traceback_later(max(0.1, min(_ends.values()) - time.monotonic()), exit=True, file=2)
