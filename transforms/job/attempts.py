"""Attempts that outlive the process that makes them, and a watchdog that ends one which takes too long.

For runners whose workers nobody watches, as Flink's: what ends its worker (a segmentation fault, memory, time) is begun
anew there until the whole job is given up. So each attempt is written down before it begins, and taken back when it is
done; what was begun too often is left alone. A worker that the cluster merely lets go of, since another one was lost,
takes its attempts back as it ends. One that was lost with its host counts, since a count taken beforehand cannot tell
it from a file that kills. The local runner needs none of this: its supervisor sees workers die.
"""

import contextlib
import dataclasses
import faulthandler
import json
import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import apache_beam as beam

from schemas import storage
from schemas.process import at_end
from schemas.run import Run
from schemas.storage import FileInfo
from schemas.video import Plan, Segment
from transforms.failures import FAILED, SegmentFailed, WriteFailure
from transforms.job.shuffle import Gather
from transforms.write_fragment import SegmentDone
from transforms.write_plan import WritePlan

_LOG = logging.getLogger(__name__)

_GRACE_SECONDS = 20.0
"""After which a process ends that Python code cannot end, since C code holds the interpreter."""

DONE = "done"
"""Tag of the output that carries what was done by an earlier attempt."""


def segment_limit(segment: Segment) -> float:
    """Seconds that a segment may take: 120 and 20 times its length."""
    return 120.0 + 20.0 * segment.duration


def probe_limit(file: FileInfo) -> float:
    """Seconds that a probe may take: 120, and one for each 5 MB."""
    return 120.0 + (file.size_bytes or 0) / 5e6


class Attempts:
    """The attempts of one job at one thing, as a small file of its own.

    Attributes:
      begun: when and where, in the order of time.
      done: whether one of them came to its end; then there is nothing left to do, though the job may begin anew.
    """

    def __init__(self, name: str):
        """Reads those that were begun.

        Args:
          name: uri of the file, in the job's folder.
        """
        self._name = name
        self.begun: list[dict[str, Any]] = []
        self.done = False
        with contextlib.suppress(FileNotFoundError):
            record = json.loads(storage.read_bytes(name))
            self.begun, self.done = record["begun"], record["done"]

    def begin(self) -> None:
        """Notes one more, durably."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        self.begun.append({"at": now, "host": socket.gethostname(), "pid": os.getpid()})
        self._write()

    def ended(self, why: str) -> None:
        """Notes what ended the one that was begun last."""
        self.begun[-1]["ended"] = why
        self._write()

    def withdraw(self) -> None:
        """The one that was begun last does not count: this process ends, and not by what it was at."""
        self.begun.pop()
        self._write()

    def finish(self) -> None:
        """It is done: the attempts are taken back."""
        self.begun, self.done = [], True
        self._write()

    def verdict(self) -> tuple[str, str]:
        """Type and sentence of why all of them were in vain."""
        why = [str(attempt["ended"]) for attempt in self.begun if "ended" in attempt]
        hosts = ", ".join(sorted({str(attempt["host"]) for attempt in self.begun}))
        how_often = f"{len(self.begun)} attempts (on {hosts})"
        if why:
            return "time_limit", f"{why[-1]}; {how_often}"
        return "worker_died", f"the worker process ended in the midst of it each time; {how_often}"

    def _write(self) -> None:
        storage.write_bytes(self._name, json.dumps({"done": self.done, "begun": self.begun}).encode())


@contextlib.contextmanager
def watchdog(limit_seconds: float, before_end: Callable[[str], None]) -> Iterator[None]:
    """Ends this process if what is done inside takes too long; several may be open in several threads.

    Args:
      limit_seconds: after which the process ends, with status 1. C code that holds the interpreter all the time gets 20
        seconds more, and is ended without `before_end` (by `faulthandler`, which also prints where all threads were).
      before_end: called with a sentence just before.
    """
    end = time.monotonic() + limit_seconds
    key = object()

    def bark() -> None:
        text = f"not done after {limit_seconds:g} s"
        _LOG.error("%s: this worker process ends", text)
        with contextlib.suppress(Exception):
            before_end(text)
        os._exit(1)

    timer = threading.Timer(limit_seconds, bark)
    timer.daemon = True
    timer.start()
    with _lock:
        _ends[key] = end + _GRACE_SECONDS
        _arm()
    try:
        yield
    finally:
        timer.cancel()
        with _lock:
            del _ends[key]
            _arm()


_lock = threading.Lock()
_ends: dict[object, float] = {}


def _arm() -> None:
    """`faulthandler` has one clock for the process: it is set for whoever ends first."""
    faulthandler.cancel_dump_traceback_later()
    if _ends:
        # The real standard error: the one of the moment may have no file descriptor.
        faulthandler.dump_traceback_later(max(0.1, min(_ends.values()) - time.monotonic()), exit=True, file=2)


@dataclasses.dataclass(eq=False)
class Counted(beam.PTransform):
    """A step whose elements are counted as attempts; what was begun too often goes around it.

    Attributes:
      begin: counts; elements → (those to be done, and outputs that go past the step).
      step: what is done; its outputs have to be durable.
    """

    begin: "BeginProbes | BeginSegments"
    step: beam.PTransform

    def default_label(self) -> str:
        """Of the step: a pipeline has several."""
        return f"Counted{self.step.default_label()}"

    def expand(self, elements):
        past = ()
        if self.begin.max_attempts is not None:
            elements, *past = elements | self.begin
        outputs = elements | self.step
        outputs = outputs if isinstance(outputs, tuple) else (outputs,)
        # Only what is durable is brought together: a step ends where PCollections are flattened.
        return (*outputs, *past) | Gather()


@dataclasses.dataclass(eq=False)
class BeginProbes(beam.PTransform):
    """FileInfo → (FileInfo to be probed, Plan of one that was given up).

    Attributes:
      run: name of the run, and where things lie.
      max_attempts: that may be begun; None: nothing is counted, and no process ended, for runners in the user's own.
    """

    run: Run
    max_attempts: int | None

    def expand(self, files):
        assert self.max_attempts is not None
        out = files | beam.ParDo(_BeginProbe(self.run, self.max_attempts)).with_outputs(FAILED, main="begun")
        return out["begun"], out[FAILED] | WritePlan(self.run.work)


@dataclasses.dataclass(eq=False)
class BeginSegments(beam.PTransform):
    """Segment → (Segment to be done, SegmentDone by an earlier attempt, SegmentFailed that was given up).

    Attributes:
      run: name of the run, and where things lie.
      max_attempts: that may be begun; None: nothing is counted, and no process ended, for runners in the user's own.
    """

    run: Run
    max_attempts: int | None

    def expand(self, segments):
        assert self.max_attempts is not None
        out = segments | beam.ParDo(_BeginSegment(self.run, self.max_attempts)).with_outputs(DONE, FAILED, main="begun")
        return out["begun"], out[DONE], out[FAILED] | WriteFailure(self.run.work, self.run.run_id)


class _BeginProbe(beam.DoFn):
    def __init__(self, run: Run, max_attempts: int):
        self._folder, self._max_attempts = run.layout.job(run.run_id), max_attempts

    def process(self, file):
        attempts = Attempts(self._folder.probe_attempts(file.uri))
        if len(attempts.begun) >= self._max_attempts:
            error_type, why = attempts.verdict()
            yield beam.pvalue.TaggedOutput(FAILED, Plan(file, None, "failed", error_type, f"{file.uri}: {why}."))
            return
        yield from _attempt(file, attempts, probe_limit(file))


class _BeginSegment(beam.DoFn):
    def __init__(self, run: Run, max_attempts: int):
        self._folder, self._max_attempts = run.layout.job(run.run_id), max_attempts

    def process(self, segment):
        attempts = Attempts(self._folder.attempts(segment.video_id, segment.index))
        if attempts.done:  # and the job began anew
            yield beam.pvalue.TaggedOutput(DONE, SegmentDone(segment, 0))
            return
        if len(attempts.begun) >= self._max_attempts:
            error_type, why = attempts.verdict()
            text = f"{segment.file.uri} (segment {segment.index}): {why}. See what `ffprobe` says of the file."
            yield beam.pvalue.TaggedOutput(FAILED, SegmentFailed(segment, error_type, text))
            return
        yield from _attempt(segment, attempts, segment_limit(segment))


def _attempt(element: Any, attempts: Attempts, limit_seconds: float) -> Iterator[Any]:
    """The element; behind the `yield` all that follows from it in this fused stage is done, and durable."""
    attempts.begin()
    with watchdog(limit_seconds, attempts.ended), at_end(attempts.withdraw):
        yield element
    attempts.finish()
