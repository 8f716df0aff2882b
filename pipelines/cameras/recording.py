"""One row of `videos` that grows: what a live source shows for an hour at most, through the steps of the pipeline.

Each connection to the source is a segment, and each time without one is a segment of which nothing decodes, as in a
file with a missing stretch. Tables are made of the segments so far and written in place of those before, so that
readers see a whole video at any time.
"""

import dataclasses
import hashlib
import itertools
import time
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np

from models.handlers import FaceModelHandler
from pipelines.cameras.inbox import Connection, Shown
from pipelines.cameras.wall_clock import TICK
from schemas import storage
from schemas.layout import LIVE
from schemas.run import Run
from schemas.storage import FileInfo
from schemas.tables import OBSERVATIONS
from schemas.video import Clock, DecodeStats, Note, Plan, Segment, VideoInfo
from transforms.crop_faces import crop_faces
from transforms.follow_faces import follow_faces
from transforms.ledger import Row, forget_row, remove_tables, write_row
from transforms.samples import Sample, SegmentStream
from transforms.write_fragment import Fragment, fragment_of, joined
from transforms.write_tables import make_tables, write_tables

_TICKS = round(1 / TICK)
_CLOCK = Clock(0, 1, _TICKS)

_SHORTEST_GAP = 1.0
"""Seconds without a connection from which on the timeline shows them."""


class Recording:
    """The tables of one stretch of a live source.

    Attributes:
      row: as it was written last; None before that.
    """

    def __init__(self, run: Run, name: str, first: Shown, connection: Connection, *, zero: float | None = None):
        """Begins with a sample, which is second 0 by default.

        Args:
          run: configuration, layout and name of the run.
          name: short name of the source.
          first: the first sample; it is not taken yet.
          connection: that it came by.
          zero: second 0, in seconds since 1970; default: that of the sample.
        """
        self.row: Row | None = None
        self._run, self._zero = run, first.time if zero is None else zero
        self._began = datetime.fromtimestamp(self._zero, UTC)
        self._file = FileInfo(_uri(name, self._began, run), None, None)
        identity = f"{self._file.uri} {first.time:.6f} {run.run_id}"
        self._video_id = hashlib.blake2b(identity.encode(), digest_size=16).hexdigest()
        self._info = _info(first, connection, self._began)
        self._sizes = [first.picture.size]
        self._before = self._counts = dataclasses.replace(first.counts, frames=first.counts.frames - 1)
        self._segments: list[Segment] = []
        self._done: list[Fragment] = []
        self._open: list[Fragment] = []
        self._silent_from: float | None = None
        self._written = time.monotonic()

    @property
    def seconds_since_written(self) -> float:
        """Seconds since the tables were last written, or since the recording began."""
        return time.monotonic() - self._written

    def follow(self, samples: Iterable[Shown], bundles: Sequence[Any]) -> Iterator[int]:
        """Takes the samples of one connection through the pipeline's steps, until they end.

        Args:
          samples: at least one.
          bundles: the loaded models, in the order of the configuration's.

        Yields:
          The number of faces in each part, which is about a sample. Then `write` may be called.
        """
        config, iterator = self._run.config, iter(samples)
        first = next(iterator, None)
        if first is None:
            return
        start = _CLOCK.seconds(self._ticks(first.time))
        if (gap := self._gap(start)) is not None:
            self._done.append(gap)
            self._segments.append(self._segment(len(self._segments), gap.start, gap.end))
        self._silent_from = None
        stats = DecodeStats()
        segment = self._segment(len(self._segments), start, None)
        self._segments.append(segment)
        stream = SegmentStream(segment, self._samples(first, iterator, stats), stats)
        tracked = dataclasses.replace(stream, samples=follow_faces(stream.samples, config, stream.times))
        for batch in crop_faces(tracked, config, part_rows=0):
            for model, bundle in zip(config.models, bundles, strict=True):
                (batch,) = FaceModelHandler(model).run_inference([batch], bundle)
            self._open.append(fragment_of(batch))
            yield len(batch)
        self._done.append(joined(self._open))
        self._open = []

    def lost(self, last: float) -> None:
        """Notes that the connection has ended.

        Args:
          last: time of its last frame, in seconds since 1970.
        """
        self._silent_from = _CLOCK.seconds(self._ticks(last) + 1)

    def write(self, now: float, *, video: Plan | None = None) -> Row | None:
        """Writes the tables as they are now, and the row in `videos` last; None if there is nothing yet.

        Args:
          now: seconds since 1970; if the connection is lost, the timeline goes on until then.
          video: what the probe says of the file that holds these pictures, once it is whole; the row becomes its row.
        """
        if self._open:
            self._open = [joined(self._open)]
        fragments, segments = [*self._done, *self._open], list(self._segments)
        self._written = time.monotonic()
        if not any(len(fragment.timestamps) for fragment in fragments):
            return None
        if (gap := self._gap(now - self._zero)) is not None:
            fragments.append(gap)
            segments.append(self._segment(len(segments), gap.start, gap.end))
        duration = max(f.stats["last_timestamp"] for f in fragments if f.stats["last_timestamp"] is not None)
        plan = Plan(self._file, self._video_id, info=dataclasses.replace(self._info, duration=round(duration, 3)))
        if video is not None and video.info is not None:
            info = dataclasses.replace(video.info, recorded_at=self._began)
            plan = Plan(video.file, video.video_id, info=info, notes=video.notes)
        plan = dataclasses.replace(plan, segments=tuple(segments), notes=(*plan.notes, *self._notes()))
        row, tables = make_tables(plan, fragments, self._run, started_at=self._began)
        row["frames_decoded"] = self._counts.since(self._before).frames
        row["frames_corrupt"] = self._counts.since(self._before).corrupt
        write_tables(row["video_id"], tables, self._run)
        write_row(row, self._run)
        if self.row is not None and self.row["uri"] != row["uri"]:
            forget_row(self.row["uri"], self._run)
            remove_tables(self.row["video_id"], self._run)
        self.row = row
        return row

    def _samples(self, first: Shown, following: Iterator[Shown], stats: DecodeStats) -> Iterator[Sample]:
        is_first = True
        for shown in itertools.chain([first], following):
            ticks, new = self._ticks(shown.time), shown.counts.since(self._counts)
            timestamp = _CLOCK.seconds(ticks)
            for _ in range(new.errors):
                stats.damage(timestamp)
            self._counts = shown.counts
            stats.shown(timestamp)
            if shown.picture.size != self._sizes[-1]:
                self._sizes.append(shown.picture.size)
            number = shown.counts.frames - self._before.frames - 1
            yield Sample(timestamp, ticks, number, shown.picture, is_first)
            is_first = False

    def _ticks(self, at: float) -> int:
        return round((at - self._zero) * _TICKS)

    def _segment(self, index: int, start: float, end: float | None) -> Segment:
        return Segment(
            file=self._file,
            video_id=self._video_id,
            index=index,
            clock=_CLOCK,
            start=start,
            end=end,
            first_pts=None,
            seek_to=None,
            packets_before=0,
            duration=0.0 if end is None else end - start,
        )

    def _gap(self, end: float) -> Fragment | None:
        """The time without a connection up to a second, as a segment of which nothing decodes; None: there is none."""
        start = self._silent_from
        if start is None or end - start < _SHORTEST_GAP:
            return None
        stats = dataclasses.asdict(DecodeStats(last_timestamp=end)) | {"damaged_seconds": []}
        table, none = OBSERVATIONS.empty_table(), np.zeros(0)
        return Fragment(len(self._segments), start, end, table, none, none.astype(bool), {}, stats, 0.0, 0.0)

    def _notes(self) -> Iterator[Note]:
        uri, counts = self._file.uri, self._counts.since(self._before)
        if counts.dropped:
            text = f"{uri}: samples that were not analyzed, because newer ones came before there was time:"
            yield Note("dropped_samples", f"{text} {counts.dropped}.")
        if counts.skipped:
            text = f"{uri}: frames that were not decoded, because the decoder was late: {counts.skipped}."
            yield Note("skipped_frames", text)
        if len(self._sizes) > 1:
            sizes = ", ".join(f"{width}x{height}" for width, height in self._sizes[:5])
            text = f"{uri}: its pictures change their size ({sizes}); boxes count in the pixels of their own moment."
            yield Note("size_changes", text)


def _info(first: Shown, connection: Connection, began: datetime) -> VideoInfo:
    picture = first.picture
    width, height = picture.size
    return VideoInfo(
        container=connection.container,
        codec=connection.codec,
        pix_fmt=picture.frame.format.name,
        duration=None,
        start_offset=0.0,
        width=width,
        height=height,
        rotation=picture.orientation.degrees,
        sample_aspect_ratio=round(picture.box_scale[1] / picture.box_scale[0], 6),
        avg_fps=connection.fps,
        is_vfr=None,
        start_pts=0,
        time_base=f"1/{_TICKS}",
        recorded_at=began,
    )


def _uri(name: str, began: datetime, run: Run) -> str:
    """A uri of its own for what a source shows from a moment on."""
    uri = f"{LIVE}{name}/{name}-{began:%Y%m%dT%H%M%SZ}"
    number = 1
    while storage.exists(run.layout.ledger(uri if number == 1 else f"{uri}-{number}")):
        number += 1
    return uri if number == 1 else f"{uri}-{number}"
