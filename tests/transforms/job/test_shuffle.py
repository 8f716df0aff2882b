"""Packed elements come out of a shuffle as they went in, and are small."""

import pickle
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.testing.util import assert_that, equal_to

from tests.examples import example_file, example_plan, example_segment
from transforms.copies import Content
from transforms.failures import SegmentFailed
from transforms.job.shuffle import PackedFlatten, PackedReshuffle, pack, unpack
from transforms.write_fragment import SegmentDone

SEGMENT = example_segment(
    7, 420.0, 480.0, file=example_file("s3://archive/2024/a long name of a video.mp4", etag="ab" * 16)
)


@pytest.mark.parametrize(
    "value",
    [
        example_file("/v/ü \udcff.mp4", size_bytes=None, modified_at=None),
        SEGMENT,
        SegmentDone(SEGMENT, 3),
        SegmentFailed(SEGMENT, "worker_died", "why"),
        Content((example_plan(4.0, 8.0), example_plan(uri="/v/copy.mp4"))),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_is_packed_comes_out_again(value: Any) -> None:
    packed = pack(value)
    assert unpack(packed) == value
    assert len(packed) < len(pickle.dumps(value, protocol=5)) / 2


def test_a_segment_is_small_and_one_of_many_in_a_plan_smaller() -> None:
    """docs/scaling.md reckons the memory of task managers with these."""
    assert len(pack(SEGMENT)) < 180
    plan = example_plan(*(61.37 * i for i in range(1, 60)))
    assert len(pack(plan)) / 60 < 50


def test_elements_are_dealt_out_and_gathered_unchanged() -> None:
    segments = [example_segment(i, 60.0 * i, 60.0 * i + 60) for i in range(3)]
    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        some = pipeline | "Some" >> beam.Create(segments[:2]) | PackedReshuffle()
        more = pipeline | "More" >> beam.Create([SegmentDone(segments[2], 1)])
        assert_that((some, more) | PackedFlatten(), equal_to([*segments[:2], SegmentDone(segments[2], 1)]))
