"""Attempts at files and segments, counted in files that outlive the process that makes them.

Some runners, such as Flink's, do not watch their workers. If a file ends its worker (by a segmentation fault, by its
memory or time), the runner begins the same file again until it gives up the whole job. So a job notes each attempt
before it begins, and marks it as done at the end; what was begun too often is given up alone. A worker that the cluster
stops in good order takes back its attempt as it ends. A worker that is lost together with its host cannot do that, so
its attempt counts. The local runner needs none of this, since its supervisor sees workers die.
"""

import contextlib
import dataclasses
import json
import os
import socket
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import apache_beam as beam

from schemas import storage
from schemas.process import at_end
from schemas.run import Run
from schemas.storage import FileInfo
from schemas.video import Plan, Segment
from transforms.failures import FAILED, SegmentFailed, WriteFailure
from transforms.job.shuffle import PackedFlatten
from transforms.job.watchdog import watchdog
from transforms.time_limits import probe_limit, segment_limit
from transforms.write_fragment import SegmentDone
from transforms.write_plan import WritePlan

DONE = "done"
"""Tag of the output with segments that an earlier attempt has done."""


class Attempts:
    """The attempts of one job at one file or segment, kept in a small file.

    Attributes:
      begun: time and place of each attempt, in the order of time.
      done: whether an attempt was finished; then nothing is left to do, even if the cluster repeats the step.
    """

    def __init__(self, name: str):
        """Reads the attempts that were begun.

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
        """Notes one more attempt."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        self.begun.append({"at": now, "host": socket.gethostname(), "pid": os.getpid()})
        self._write()

    def ended(self, why: str) -> None:
        """Notes what ended the last attempt."""
        self.begun[-1]["ended"] = why
        self._write()

    def withdraw(self) -> None:
        """Takes back the last attempt: this process ends, but not because of the file."""
        self.begun.pop()
        self._write()

    def finish(self) -> None:
        """Notes that an attempt was finished, and forgets the others."""
        self.begun, self.done = [], True
        self._write()

    def verdict(self) -> tuple[str, str]:
        """Error type and sentence that say why all attempts failed."""
        why = [str(attempt["ended"]) for attempt in self.begun if "ended" in attempt]
        hosts = ", ".join(sorted({str(attempt["host"]) for attempt in self.begun}))
        how_often = f"{len(self.begun)} attempts (on {hosts})"
        if why:
            return "time_limit", f"{why[-1]}; {how_often}"
        return "worker_died", f"the worker process ended in the midst of it each time; {how_often}"

    def _write(self) -> None:
        storage.write_bytes(self._name, json.dumps({"done": self.done, "begun": self.begun}).encode())


@dataclasses.dataclass(eq=False)
class Counted(beam.PTransform):
    """A step that counts its attempts at each element; elements that were begun too often bypass it.

    Attributes:
      begin: counts attempts; elements → (elements to process, and outputs that bypass the step).
      step: processes an element; its outputs have to be durable.
    """

    begin: "BeginProbes | BeginSegments"
    step: beam.PTransform

    def default_label(self) -> str:
        """The step's label in the name, since a pipeline has several of these."""
        return f"Counted{self.step.default_label()}"

    def expand(self, elements: beam.PCollection[Any]) -> beam.PCollection[Any]:
        bypass: tuple[beam.PCollection[Any], ...] = ()
        if self.begin.max_attempts is not None:
            elements, *bypass = elements | self.begin
        outputs = elements | self.step
        outputs = outputs if isinstance(outputs, tuple) else (outputs,)
        # A fused stage ends where PCollections are flattened, so all of these outputs have to be durable.
        return (*outputs, *bypass) | PackedFlatten()


@dataclasses.dataclass(eq=False)
class BeginProbes(beam.PTransform):
    """FileInfo → (FileInfo to probe, Plan of a file that is given up).

    Attributes:
      run: name of the run, and names of its files.
      max_attempts: attempts at a file; None: attempts are not counted and no process is ended, as in the user's own.
    """

    run: Run
    max_attempts: int | None

    def expand(self, files: beam.PCollection[FileInfo]) -> tuple[beam.PCollection[FileInfo], beam.PCollection[Plan]]:
        assert self.max_attempts is not None
        out = files | beam.ParDo(_BeginProbe(self.run, self.max_attempts)).with_outputs(FAILED, main="begun")
        return out["begun"], out[FAILED] | WritePlan(self.run.work)


@dataclasses.dataclass(eq=False)
class BeginSegments(beam.PTransform):
    """Segment → (Segment to process, SegmentDone by an earlier attempt, SegmentFailed that is given up).

    Attributes:
      run: name of the run, and names of its files.
      max_attempts: attempts at a segment; None: attempts are not counted and no process is ended, as in the user's own.
    """

    run: Run
    max_attempts: int | None

    def expand(
        self, segments: beam.PCollection[Segment]
    ) -> tuple[beam.PCollection[Segment], beam.PCollection[SegmentDone], beam.PCollection[SegmentFailed]]:
        assert self.max_attempts is not None
        out = segments | beam.ParDo(_BeginSegment(self.run, self.max_attempts)).with_outputs(DONE, FAILED, main="begun")
        return out["begun"], out[DONE], out[FAILED] | WriteFailure(self.run.work, self.run.run_id)


class _BeginProbe(beam.DoFn):
    def __init__(self, run: Run, max_attempts: int):
        self._folder, self._max_attempts = run.layout.job(run.run_id), max_attempts

    def process(self, file: FileInfo) -> Iterator[Any]:
        attempts = Attempts(self._folder.probe_attempts(file.uri))
        if len(attempts.begun) >= self._max_attempts:
            error_type, why = attempts.verdict()
            yield beam.pvalue.TaggedOutput(FAILED, Plan(file, None, "failed", error_type, f"{file.uri}: {why}."))
            return
        yield from _attempt(file, attempts, probe_limit(file))


class _BeginSegment(beam.DoFn):
    def __init__(self, run: Run, max_attempts: int):
        self._folder, self._max_attempts = run.layout.job(run.run_id), max_attempts

    def process(self, segment: Segment) -> Iterator[Any]:
        attempts = Attempts(self._folder.attempts(segment.video_id, segment.index))
        if attempts.done:  # the cluster repeats this step
            yield beam.pvalue.TaggedOutput(DONE, SegmentDone(segment, 0))
            return
        if len(attempts.begun) >= self._max_attempts:
            error_type, why = attempts.verdict()
            text = f"{segment.file.uri} (segment {segment.index}): {why}. See what `ffprobe` says of the file."
            yield beam.pvalue.TaggedOutput(FAILED, SegmentFailed(segment, error_type, text))
            return
        yield from _attempt(segment, attempts, segment_limit(segment))


def _attempt(element: Any, attempts: Attempts, limit_seconds: float) -> Iterator[Any]:
    """Yields the element; after the `yield`, its fused stage has processed it, and the results are durable."""
    attempts.begin()
    with watchdog(limit_seconds, attempts.ended), at_end(attempts.withdraw):
        yield element
    attempts.finish()
