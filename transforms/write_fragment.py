"""Make a segment's work durable: its observations as a Parquet file, written whole or not at all.

The footer of a fragment says under `segment` what else later steps need: the bounds of the segment, its samples (also
those without a face), the ends of tracks, and what the decoder met.
"""

import bisect
import dataclasses
import json
import math
import time
from collections.abc import Iterator, Sequence
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from schemas import storage
from schemas.config import Config
from schemas.faces import NO_STAMP, FaceBatch
from schemas.layout import Work, fragment_file
from schemas.process import memory_mb
from schemas.tables import OBSERVATIONS, footer, make_table, parquet_bytes
from schemas.video import Plan, Segment
from transforms import metrics
from transforms.embeddings import write_embeddings

_KEY = b"segment"
_LAST_PART = ("start", "end", "ended", "stats", "wall_seconds", "peak_rss_mb", "step_seconds")
"""Fields of `Fragment` that the last part's footer holds."""


@dataclasses.dataclass(frozen=True)
class Fragment:
    """A segment's observations, all parts together.

    Attributes:
      segment: its number.
      start: second of its first frame.
      end: second at which the next segment starts; None: the end of the file.
      table: `schemas.tables.OBSERVATIONS`.
      timestamps: [k] float64, of all samples, the tail's included.
      is_cut: [k] bool, whether a shot begins with the sample.
      ended: tracks that ended in it, with the reason.
      stats: `schemas.video.DecodeStats` as a dict.
      wall_seconds: time that the segment took.
      step_seconds: by step, as far as it was measured when the fragment was written.
      peak_rss_mb: most memory that its worker had held by then.
    """

    segment: int
    start: float
    end: float | None
    table: pa.Table
    timestamps: np.ndarray
    is_cut: np.ndarray
    ended: dict[int, str]
    stats: dict[str, Any]
    wall_seconds: float
    peak_rss_mb: float
    step_seconds: dict[str, float] = dataclasses.field(default_factory=dict)


def fragment_of(batch: FaceBatch) -> Fragment:
    """The fragment of a segment that has one part, or one part of it, without writing it."""
    log = batch.log
    return Fragment(
        segment=batch.segment.index,
        start=batch.segment.start,
        end=batch.segment.end,
        table=fragment_table(batch),
        timestamps=np.array(log.timestamps, np.float64),
        is_cut=np.array(log.is_cut, bool),
        ended=log.ended,
        stats=dataclasses.asdict(log.stats) | {"damaged_seconds": sorted(log.stats.damaged_seconds)},
        wall_seconds=time.monotonic() - log.started,
        peak_rss_mb=memory_mb("VmHWM"),
        step_seconds={step: round(seconds, 6) for step, seconds in log.times.seconds.items()},
    )


def joined(parts: Sequence[Fragment]) -> Fragment:
    """The parts of one segment so far, in their order, as one fragment."""
    return dataclasses.replace(
        parts[-1],
        table=pa.concat_tables([part.table for part in parts]).combine_chunks(),
        timestamps=np.concatenate([part.timestamps for part in parts]),
        is_cut=np.concatenate([part.is_cut for part in parts]),
    )


def fragment_table(batch: FaceBatch) -> pa.Table:
    """A batch of faces as a table of observations."""
    n = len(batch)
    columns: dict[str, Any] = {name: np.full(n, np.nan, np.float32) for name in OBSERVATIONS.names}
    columns |= batch.columns
    columns["video_id"] = [batch.segment.video_id] * n
    columns["segment"] = np.full(n, batch.segment.index, np.int32)
    for name in ("frame", "pts"):
        values = np.asarray(columns[name], np.int64)
        columns[name] = pa.array(values, mask=values == NO_STAMP)
    return make_table(OBSERVATIONS, columns)


def fragment_bytes(batch: FaceBatch, config: Config, run_id: str) -> bytes:
    """A batch of faces as the bytes of a fragment, or of its part."""
    fragment = fragment_of(batch)
    log: dict[str, Any] = {"timestamp": fragment.timestamps.tolist(), "is_cut": [int(c) for c in fragment.is_cut]}
    if batch.is_last:
        log |= {name: getattr(fragment, name) for name in _LAST_PART} | {"parts": batch.part + 1}
    return parquet_bytes(fragment.table, footer(config, run_id) | {_KEY.decode(): json.dumps(log)})


@dataclasses.dataclass(frozen=True)
class SegmentDone:
    """A segment whose fragment is durable.

    Attributes:
      segment: which.
      faces: observations in its last part.
    """

    segment: Segment
    faces: int


def write_fragment(batch: FaceBatch, config: Config, work: Work, run_id: str) -> Iterator[SegmentDone]:
    """Writes a part of a segment; the last part is written last, and says that the segment is done."""
    video_id, index = batch.segment.video_id, batch.segment.index
    name = work.fragment(video_id, index)
    if not batch.is_last:
        name = work.fragment_part(video_id, index, batch.part)
    with batch.log.times.step("write"):
        write_embeddings(batch, config, work)
        storage.write_bytes(name, fragment_bytes(batch, config, run_id))
    _count(batch)
    if batch.is_last:
        yield SegmentDone(batch.segment, len(batch))


def _count(batch: FaceBatch) -> None:
    """Adds a batch to the job's metrics. The tail of a segment is left out: it counts in the next segment."""
    end = math.inf if batch.segment.end is None else batch.segment.end
    detected = ~np.isnan(batch.columns["confidence"]) & (batch.columns["timestamp"] < end)
    metrics.count(samples=bisect.bisect_left(batch.log.timestamps, end), detections=int(np.count_nonzero(detected)))
    if batch.is_last:
        metrics.count(segments_done=1, video_ms=round(1000 * batch.segment.duration))
        metrics.count_times(batch.log.times.seconds)


def pending_segments(plan: Plan, work: Work) -> list[Segment]:
    """The segments of a file that have no fragment yet; lists their folder once."""
    if not plan.segments:
        return []
    there = {info.uri for info in storage.list_files(work.video(plan.segments[0].video_id))}
    return [s for s in plan.segments if work.fragment(s.video_id, s.index) not in there]


def read_fragment(folder: str, segment: int) -> Fragment:
    """A segment's observations, all parts together.

    Args:
      folder: of its video: `Work.video`, or `Layout.observations` once they are kept.
      segment: its number.

    Raises:
      FileNotFoundError: the segment is not done.
    """
    last = _read(fragment_file(folder, segment))
    log = json.loads(last.schema.metadata[_KEY])
    tables, logs = [], []
    for part in range(log["parts"] - 1):
        table = _read(fragment_file(folder, segment, part))
        tables.append(table)
        logs.append(json.loads(table.schema.metadata[_KEY]))
    tables.append(last)
    logs.append(log)
    return Fragment(
        segment=segment,
        start=log["start"],
        end=log["end"],
        table=pa.concat_tables([t.replace_schema_metadata(None) for t in tables]),
        timestamps=np.concatenate([np.array(part["timestamp"], np.float64) for part in logs]),
        is_cut=np.concatenate([np.array(part["is_cut"], bool) for part in logs]),
        ended={int(track): reason for track, reason in log["ended"].items()},
        stats=log["stats"],
        wall_seconds=log["wall_seconds"],
        peak_rss_mb=log["peak_rss_mb"],
        step_seconds=log.get("step_seconds", {}),  # kept observations of earlier versions have none
    )


def _read(uri: str) -> pa.Table:
    return pq.ParquetFile(pa.BufferReader(storage.read_bytes(uri))).read(use_threads=False)


@dataclasses.dataclass(eq=False)
class WriteFragment(beam.PTransform):
    """FaceBatch with all its columns → SegmentDone, once all of a segment is durable.

    Attributes:
      config: the run's configuration.
      work: names of the unfinished work of the run's configuration.
      run_id: of the run.
    """

    config: Config
    work: Work
    run_id: str

    def expand(self, batches: beam.PCollection[FaceBatch]) -> beam.PCollection[SegmentDone]:
        write = beam.FlatMap(write_fragment, self.config, self.work, self.run_id)
        return batches | write.with_output_types(SegmentDone)
