"""A segment that cannot be done leaves a durable record; from it, the row of its video says `failed`."""

import dataclasses
import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import apache_beam as beam

from schemas import storage
from schemas.errors import MediaError, StorageError, StorageFullError
from schemas.layout import Work
from schemas.video import Plan, Segment
from transforms.metrics import count

FAILED = "failed"
"""Tag of the output that carries `SegmentFailed`."""


@dataclasses.dataclass(frozen=True)
class SegmentFailed:
    """A segment that was given up.

    Attributes:
      segment: which.
      error_type: short name of the problem.
      error_message: the problem as a sentence.
    """

    segment: Segment
    error_type: str
    error_message: str

    @classmethod
    def because(cls, segment: Segment, error: Exception) -> "SegmentFailed":
        """Makes one of an exception that was raised while the segment was read."""
        name = type(error).__name__
        types = {"FileChangedError": "changed_while_read", "FileNotFoundError": "not_found"}
        error_type = types.get(name, name)
        if isinstance(error, StorageError | OSError):
            error_type = types.get(name, "storage_error")
        elif isinstance(error, MediaError):
            error_type = "unreadable"
        text = str(error) or name
        if segment.file.uri not in text:  # as of most libraries, which know no file
            text = f"{segment.file.uri} (segment {segment.index}): {text}"
        return cls(segment, error_type, text)


def write_failure(failed: SegmentFailed, work: Work, run_id: str) -> SegmentFailed:
    """Makes a failure durable. It holds for this run alone: a new run tries the segment again."""
    count(segments_failed=1)
    record = {"run_id": run_id, "error_type": failed.error_type, "error_message": failed.error_message}
    name = work.failure(failed.segment.video_id, failed.segment.index)
    storage.write_bytes(name, json.dumps(record).encode())
    return failed


def first_failure(plan: Plan, work: Work, run_id: str) -> dict[str, str] | None:
    """Why a segment of a video was given up in this run, as columns of `videos`; None if no segment was."""
    if not plan.segments:
        return None
    there = {info.uri for info in storage.list_files(work.video(plan.segments[0].video_id))}
    for segment in plan.segments:
        name = work.failure(segment.video_id, segment.index)
        if name in there:
            record = json.loads(storage.read_bytes(name))
            if record.pop("run_id") == run_id:
                return record
    return None


class Guard(beam.DoFn):
    """Runs a step that reads a segment; where that fails, the segment goes to the output `FAILED`, and others go on.

    A full disk is not the fault of a segment, so it ends the run.
    """

    def __init__(self, step: Callable[..., Iterable[Any]], *args: Any):
        """`step(stream, *args)` yields elements; `stream.segment` is what it reads."""
        self._step, self._args = step, args

    def process(self, element: Any) -> Iterator[Any]:
        """Elements of the step, or one failure."""
        try:
            yield from self._step(element, *self._args)
        except StorageFullError:
            raise
        except Exception as error:  # whatever a file does to a library, other files go on
            yield beam.pvalue.TaggedOutput(FAILED, SegmentFailed.because(element.segment, error))


@dataclasses.dataclass(eq=False)
class WriteFailure(beam.PTransform):
    """SegmentFailed → the same, once it is durable.

    Attributes:
      work: names of the unfinished work of the run's configuration.
      run_id: of the run.
    """

    work: Work
    run_id: str

    def expand(self, failures: beam.PCollection[SegmentFailed]) -> beam.PCollection[SegmentFailed]:
        return failures | beam.Map(write_failure, self.work, self.run_id).with_output_types(SegmentFailed)
