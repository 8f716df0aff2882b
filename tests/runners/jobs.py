"""Functions that the workers of these tests run, at top level because a spawned process imports them by name."""

from __future__ import annotations

import dataclasses
import logging
import os
import re
import signal
import struct
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from schemas.errors import StorageError, StorageFullError

if TYPE_CHECKING:
    import apache_beam as beam

_kept: list[bytes] = []


@dataclasses.dataclass(frozen=True)
class Job:
    """A payload.

    Attributes:
      do: what to do.
      trail: a file that gets a line with the process's number at each attempt.
    """

    do: str
    trail: str = os.devnull


def make_transform() -> beam.PTransform:
    import apache_beam as beam

    return beam.FlatMap(work)


def make_batching_transform() -> beam.PTransform:
    import apache_beam as beam

    return beam.BatchElements(min_batch_size=1, max_batch_size=1)


def work(job: Job) -> list[Any]:
    with open(job.trail, "a") as file:
        print(os.getpid(), file=file)
    match job.do:
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "kill in a message":
            from runners.local import worker

            os.write(worker._link._connection.fileno(), struct.pack("!i", 1000) + b"only a part of it")
            os.kill(os.getpid(), signal.SIGKILL)
        case "kill the server once":
            if len(Path(job.trail).read_text().split()) == 1:
                os.kill(os.getppid(), signal.SIGKILL)
                time.sleep(60)
        case "imported":
            return ["pipelines.analyze" in sys.modules]  # which no transform here imports
        case "hang":
            re.match(r"(a+)+$", "a" * 60 + "b")  # for ages, and does not let go of the GIL
        case "sleep":
            time.sleep(60)
        case "raise":
            try:
                raise FileNotFoundError("the cause")
            except FileNotFoundError as error:
                raise StorageError("clip.mp4 is not there") from error
        case "full":
            try:
                raise StorageFullError("no space is left in out/")
            except StorageFullError as error:
                raise RuntimeError("something else") from error
        case "nothing":
            return []
        case "cannot be pickled":
            return [lambda: None]
        case "grow":
            _kept.append(b"x" * 400_000_000)
        case "log":
            logging.getLogger("jobs").warning("from the %s", "worker")
        case "descriptors":
            return [os.readlink(entry.path) for entry in os.scandir("/proc/self/fd") if os.path.lexists(entry.path)]
        case "environment":
            return [dict(os.environ), signal.pthread_sigmask(signal.SIG_BLOCK, ())]
        case "two results":
            return [1, 2]
    return [os.getpid()]


def cannot_import() -> beam.PTransform:
    raise ImportError("no such module as dlip")


def dies_at_start() -> None:
    print("a library says why", file=sys.stderr, flush=True)
    os._exit(7)


def no_init() -> None:
    logging.getLogger("jobs").warning("init")
