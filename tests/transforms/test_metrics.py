"""A job counts what it has done, and what its steps cost, where Flink and other runners show it."""

import dataclasses
from pathlib import Path

import apache_beam as beam
import pytest
from apache_beam.metrics import MetricsFilter
from apache_beam.runners.portability.fn_api_runner import FnApiRunner

from pipelines.analyze import SegmentsToFragments
from schemas.config import Config
from schemas.layout import Layout
from schemas.run import Run
from schemas.storage import FileInfo
from schemas.video import Plan
from tests.clips import portrait_clip
from transforms.metrics import NAMESPACE, count
from transforms.probe_video import probe_video
from transforms.write_fragment import read_fragment
from transforms.write_tables import AssembleVideo


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> Path:
    """4 s in segments of about 2 s, whose tails overlap."""
    return portrait_clip(tmp_path_factory.mktemp("clip") / "x.mp4", seconds=4, fps=10, gop=5, size=(160, 120)).path


def planned(clip: Path, out: Path) -> tuple[Plan, Run]:
    config = Config().override(segment_seconds=2, lost_after=1)
    return probe_video(FileInfo(str(clip), None, None), config), Run("run-1", config, Layout(str(out)))


def counted(pipeline: beam.Pipeline) -> tuple[dict[str, int], dict[str, object]]:
    """Counters and distributions of a job, once it is through."""
    result = pipeline.run()
    result.wait_until_finish()
    found = result.metrics().query(MetricsFilter().with_namespace(NAMESPACE))
    counters = {one.key.metric.name: one.committed for one in found["counters"]}
    return counters, {one.key.metric.name: one.committed for one in found["distributions"]}


def test_a_job_counts_samples_detections_seconds_and_time(clip, tmp_path):
    plan, run = planned(clip, tmp_path)
    assert len(plan.segments) == 2
    pipeline = beam.Pipeline(runner=FnApiRunner())
    _ = pipeline | beam.Create(plan.segments) | SegmentsToFragments(run)
    counters, times = counted(pipeline)
    # 4 samples a second, each with a detection; what a segment has read past its end is the next one's.
    assert counters == {"samples": 16, "detections": 16, "segments_done": 2, "video_ms": 4000}
    assert set(times) == {f"{step}_ms" for step in ("decode", "cuts", "detect", "track", "crop", "write")}
    assert all(spent.count == 2 and spent.sum >= 0 for spent in times.values())  # type: ignore[attr-defined]
    assert times["detect_ms"].sum > 0  # type: ignore[attr-defined]
    kept = [read_fragment(run.work.video(plan.video_id or ""), index).step_seconds for index in range(2)]
    assert all(set(seconds) == {"decode", "cuts", "detect", "track", "crop"} for seconds in kept)

    pipeline = beam.Pipeline(runner=FnApiRunner())
    _ = pipeline | beam.Create([plan]) | AssembleVideo(run)
    counters, times = counted(pipeline)
    assert counters == {"videos_done": 1, "face_rows": 4}
    assert set(times) == {"write_ms"}


def test_a_segment_that_is_given_up_is_counted(clip, tmp_path):
    plan, run = planned(clip, tmp_path)
    gone = [dataclasses.replace(s, file=dataclasses.replace(s.file, size_bytes=1)) for s in plan.segments]
    pipeline = beam.Pipeline(runner=FnApiRunner())
    _ = pipeline | beam.Create(gone) | SegmentsToFragments(run)
    assert counted(pipeline)[0] == {"segments_failed": 2}


def test_outside_a_job_nothing_is_counted():
    count(samples=1)
