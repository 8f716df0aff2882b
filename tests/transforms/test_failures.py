"""One segment's failure is recorded and ends nothing but its video; a full disk ends the run."""

import dataclasses

import apache_beam as beam
import pytest
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.testing.util import assert_that, equal_to

from schemas.errors import MediaError, StorageError, StorageFullError
from schemas.layout import Layout, Work
from schemas.video import Segment
from tests.examples import example_plan
from transforms.decode_frames import FileChangedError
from transforms.failures import FAILED, Guard, SegmentFailed, WriteFailure, first_failure, write_failure

PLAN = example_plan(3.0, 6.0)
URI = PLAN.file.uri


@dataclasses.dataclass
class Stream:
    segment: Segment


@pytest.fixture
def work(tmp_path) -> Work:
    return Layout(str(tmp_path)).work_of("abc")


@pytest.mark.parametrize(
    ("error", "error_type", "message"),
    [
        (FileChangedError(f"{URI} was changed"), "changed_while_read", f"{URI} was changed"),
        (FileNotFoundError(f"{URI} does not exist"), "not_found", f"{URI} does not exist"),
        (StorageError(f"{URI}: access is denied"), "storage_error", f"{URI}: access is denied"),
        (TimeoutError("timed out"), "storage_error", f"{URI} (segment 1): timed out"),
        (MediaError(f"{URI} does not open"), "unreadable", f"{URI} does not open"),
        (RuntimeError("bad alloc"), "RuntimeError", f"{URI} (segment 1): bad alloc"),
        (MemoryError(), "MemoryError", f"{URI} (segment 1): MemoryError"),
    ],
)
def test_a_reason_names_the_file(error: Exception, error_type: str, message: str):
    failed = SegmentFailed.because(PLAN.segments[1], error)

    assert (failed.error_type, failed.error_message) == (error_type, message)


def test_a_failure_counts_for_its_own_run_alone(work: Work):
    write_failure(SegmentFailed(PLAN.segments[2], "crash", "it died"), work, "run-1")

    assert first_failure(PLAN, work, "run-1") == {"error_type": "crash", "error_message": "it died"}
    assert first_failure(PLAN, work, "run-2") is None


def test_of_several_failures_the_first_segments_is_told(work: Work):
    for index in (2, 1):
        write_failure(SegmentFailed(PLAN.segments[index], "crash", f"segment {index}"), work, "run-1")

    assert first_failure(PLAN, work, "run-1") == {"error_type": "crash", "error_message": "segment 1"}


def some(stream: Stream, bad: int):
    yield stream.segment.index
    if stream.segment.index == bad:
        raise RuntimeError("bad frame")


def test_the_guard_lets_the_other_segments_go_on(work: Work):
    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        streams = pipeline | beam.Create([Stream(segment) for segment in PLAN.segments])
        good, failed = streams | beam.ParDo(Guard(some, 1)).with_outputs(FAILED, main="good")
        assert_that(good, equal_to([0, 1, 2]), label="Good")
        written = failed | WriteFailure(work, "run-1")
        expected = SegmentFailed(PLAN.segments[1], "RuntimeError", f"{URI} (segment 1): bad frame")
        assert_that(written, equal_to([expected]), label="Failed")

    assert first_failure(PLAN, work, "run-1") is not None


def full(stream: Stream):
    yield from ()
    raise StorageFullError("no space left in /out")


def test_a_full_disk_is_no_segments_fault():
    with pytest.raises(StorageFullError):
        list(Guard(full).process(Stream(PLAN.segments[0])))
