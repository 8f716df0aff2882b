"""This process: callbacks for an orderly exit, which run even where `os._exit` skips `atexit`, and its memory.

A worker on a cluster ends as soon as its runner lets go of it, whatever its threads are at. What they have begun is
then told apart from what ends a process in bad order: that leaves no time for this.
"""

import atexit
import contextlib
import logging
import threading
from collections.abc import Callable, Iterator
from typing import Literal

_LOG = logging.getLogger(__name__)

_lock = threading.Lock()
_endings: dict[object, Callable[[], object]] = {}


@contextlib.contextmanager
def at_end(do: Callable[[], object]) -> Iterator[None]:
    """Calls `do` if the process ends in good order while this is open."""
    key = object()
    with _lock:
        _endings[key] = do
    try:
        yield
    finally:
        with _lock:
            _endings.pop(key, None)


def run_endings() -> None:
    """Calls what is open, each once; what fails is logged."""
    with _lock:
        endings = list(_endings.values())
        _endings.clear()
    for do in endings:
        try:
            do()
        except Exception:
            _LOG.warning("an ending failed", exc_info=True)


atexit.register(run_endings)


def memory_mb(field: Literal["VmHWM", "VmRSS"]) -> float:
    """Peak (VmHWM) or present (VmRSS) resident memory in MB (10⁶ bytes); 0 where the system has no /proc.

    `ru_maxrss` would not do: it begins with the peak of the process that started this one.
    """
    try:
        with open("/proc/self/status") as file:
            fields = dict(line.split(":", 1) for line in file)
    except OSError:
        return 0.0
    return int(fields[field].split()[0]) * 1024 / 1e6
