"""Decode one segment and take its samples, by time stamp.

Samples lie on the grid k / sample_fps from second 0 of the video: sample k is the first frame at or after its point,
none taken twice; so is the first frame of each segment. A segment is read from its keyframe to `lost_after` seconds
past its end; that tail has the same samples as the next segment's beginning, and serves to stitch the two.
"""

import bisect
import collections
import dataclasses
import math
from collections.abc import Iterator

import apache_beam as beam
import av
from av.container import InputContainer

from schemas import storage
from schemas.config import Config
from schemas.errors import FacelogError
from schemas.faces import Boxes, TrackedFaces
from schemas.in_process import stays_in_process
from schemas.video import Segment
from transforms.open_video import open_video, read_packets
from transforms.picture import Orientation, Picture

_REORDER = 24
"""Packets read ahead: more than the 16 frames that H.264 and HEVC may reorder, so display order is known."""

_KEPT = 1024
"""Time stamps kept at least, of the packets read last."""

_SEEK_BACK_SECONDS = 10.0
"""How much earlier to seek where the container lands behind a keyframe: transport streams guess from byte positions."""


class FileChangedError(FacelogError):
    """The file was changed while it was read."""


@dataclasses.dataclass(slots=True)
class Sample:
    """One sampled frame on its way through the fused steps; each adds its part.

    Attributes:
      timestamp: seconds since the first displayed frame.
      pts: presentation time stamp; None where the container has none.
      frame: rank by PTS among the video's packets; None when unknown.
      picture: its pixels.
      is_first: whether it is the first frame of a segment (detected always, as the neighbour segment does).
      is_cut: whether a new shot begins with it.
      detections: what the detector found; None where it did not run.
      faces: faces with their tracks; None until they are tracked.
    """

    timestamp: float
    pts: int | None
    frame: int | None
    picture: Picture
    is_first: bool = False
    is_cut: bool = False
    detections: Boxes | None = None
    faces: TrackedFaces | None = None


@dataclasses.dataclass
class DecodeStats:
    """What decoding a segment met; the tail is not counted.

    Attributes:
      frames_decoded: frames that the decoder gave.
      frames_corrupt: damaged packets, frames that the decoder marks as damaged, and frames out of order.
      errors: damaged packets alone: what makes a file `partial`.
      damaged_seconds: seconds of the video in which a packet or frame was damaged.
      last_timestamp: of the last displayed frame that was decoded or skipped; None without one.
      packet_end: second at which the last packet that could be read ends.
    """

    frames_decoded: int = 0
    frames_corrupt: int = 0
    errors: int = 0
    damaged_seconds: set[int] = dataclasses.field(default_factory=set)
    last_timestamp: float | None = None
    packet_end: float | None = None

    def shown(self, timestamp: float) -> None:
        """A frame of the segment was decoded, or skipped because nobody looks at it."""
        self.last_timestamp = max(self.last_timestamp or 0.0, timestamp)

    def damage(self, timestamp: float | None) -> None:
        """A packet did not decode or could not be read; without a time, it lies behind the last frame."""
        self.errors += 1
        self.frames_corrupt += 1
        timestamp = self.last_timestamp if timestamp is None else timestamp
        if timestamp is not None and timestamp >= 0:
            self.damaged_seconds.add(int(timestamp))


@stays_in_process
@dataclasses.dataclass
class SegmentStream:
    """A segment whose samples are decoded as they are asked for, once, in one process: pixels never cross a shuffle.

    Attributes:
      segment: what is read.
      samples: in order of time.
      stats: filled as `samples` is read.
    """

    segment: Segment
    samples: Iterator
    stats: DecodeStats


class SampleGrid:
    """Which frames are samples.

    Args:
      sample_fps: points a second; None: every frame is a sample.
    """

    def __init__(self, sample_fps: float | None):
        self._fps = sample_fps
        self._next = 0

    def point(self, timestamp: float) -> int:
        """Number of the last point at or before a time."""
        # Times are exact fractions turned to float; the slack keeps k / fps itself on its own side.
        return math.floor(timestamp * (self._fps or 0) + 1e-6)

    def between(self, before: float, timestamp: float) -> bool:
        """Whether a point lies in (before, timestamp]."""
        return self._fps is None or self.point(timestamp) > self.point(before)

    def takes(self, timestamp: float) -> bool:
        """Whether the frame at this time is a sample; frames are asked for in order of time, once each."""
        if self._fps is None:
            return True
        point = self.point(timestamp)
        if point < self._next:
            return False
        self._next = point + 1
        return True

    def pass_over(self, timestamp: float) -> None:
        """The frame at this time was taken for another reason; its points are done."""
        self._next = max(self._next, self.point(timestamp) + 1)


def decode_segment(segment: Segment, config: Config) -> SegmentStream:
    """A segment as a stream of samples; the file is opened when the first is asked for.

    Raises:
      FileChangedError: (while reading) the file is not the one that was listed.
      MediaError, StorageError: (while reading) it does not open any more.
    """
    stats = DecodeStats()
    return SegmentStream(segment, _samples(segment, config, stats), stats)


def _samples(segment: Segment, config: Config, stats: DecodeStats) -> Iterator[Sample]:
    check_unchanged(segment)
    with open_video(segment.file.uri, config) as (container, stream):
        yield from _Reader(container, stream, segment, config, stats).samples()
    check_unchanged(segment)


def check_unchanged(segment: Segment) -> None:
    """Compares size and time with what was listed.

    Raises:
      FileChangedError: they differ, or the file is gone.
    """
    listed = segment.file
    try:
        now = storage.stat(listed.uri)
    except FileNotFoundError:
        raise FileChangedError(f"{listed.uri} went away while it was read.") from None
    if (now.size_bytes, now.modified_at) != (listed.size_bytes, listed.modified_at):
        raise FileChangedError(f"{listed.uri} was changed while it was read; run again when it is complete.")


class _Times:
    """Time stamps of the packets read last, in order: what a frame's rank and the frame before it follow from."""

    def __init__(self, packets_before: int):
        self._forgotten = packets_before
        self._pts: list[int] = []

    def add(self, pts: int) -> None:
        bisect.insort(self._pts, pts)
        if len(self._pts) > 2 * _KEPT:
            del self._pts[:_KEPT]
            self._forgotten += _KEPT

    def rank(self, pts: int) -> int:
        """Packets of the video with a smaller PTS."""
        return self._forgotten + bisect.bisect_left(self._pts, pts)

    def before(self, pts: int) -> int | None:
        """The next smaller PTS."""
        place = bisect.bisect_left(self._pts, pts)
        return self._pts[place - 1] if place else None


class _Reader:
    """Reads one segment once: packets, then frames, then samples, each drawn from the one before as it is needed."""

    def __init__(
        self, container: InputContainer, stream: av.VideoStream, segment: Segment, config: Config, stats: DecodeStats
    ):
        self._container, self._stream, self._segment, self._stats = container, stream, segment, stats
        self._clock = segment.clock
        # Leading pictures of an open group, shown before its keyframe, belong to the segment before if there is one.
        self._begin = segment.start if segment.index else -math.inf
        self._end = math.inf if segment.end is None else segment.end
        self._stop = self._end + config.tracking.lost_after
        self._grid = SampleGrid(config.sampling.sample_fps)
        self._times = _Times(segment.packets_before)
        # AVI has no presentation times. libav makes them up, wrongly where frames are reordered: nothing can be told
        # of a frame before it is decoded.
        self._may_skip = self._clock.has_pts and container.format.name != "avi"

    def samples(self) -> Iterator[Sample]:
        sar = float(self._stream.sample_aspect_ratio or 1)
        last, crossed = -math.inf, False
        for number, frame in enumerate(self._frames()):
            ticks = frame.pts if self._clock.has_pts else number
            if ticks is None:
                continue
            timestamp = self._clock.seconds(ticks)
            if timestamp >= self._stop:
                return
            in_tail = timestamp >= self._end
            if timestamp < self._begin:
                continue
            if not in_tail:
                self._stats.frames_decoded += 1
                self._stats.frames_corrupt += frame.is_corrupt or timestamp <= last
            if timestamp <= last or timestamp < 0:
                continue
            if not in_tail:
                self._stats.shown(timestamp)
                if frame.is_corrupt:
                    self._stats.damaged_seconds.add(int(timestamp))
            is_first = last == -math.inf or (in_tail and not crossed)
            last, crossed = timestamp, crossed or in_tail
            if is_first:
                self._grid.pass_over(timestamp)
            if is_first or self._grid.takes(timestamp):
                upright_sar = 1 / sar if Orientation.of(frame).transposed else sar
                rank = self._times.rank(ticks) if self._clock.has_pts else ticks
                pts = ticks if self._clock.has_pts else None
                yield Sample(timestamp, pts, rank, Picture(frame, upright_sar), is_first)

    def _frames(self) -> Iterator[av.VideoFrame]:
        """Frames of the segment and its tail; those that no sample needs are skipped where the codec can."""
        context, stats = self._stream.codec_context, self._stats
        for packet in self._ahead():
            start = self._start(packet)
            is_ours = start is None or (self._begin <= start < self._end)
            if is_ours and start is not None:
                length = float((packet.duration or 0) * packet.time_base) if packet.time_base else 0.0
                stats.packet_end = max(stats.packet_end or 0.0, start + length)
            wanted = not self._may_skip or self._is_needed(packet)
            if not wanted:
                if is_ours and start is not None and start >= 0 and not packet.is_discard:
                    stats.shown(start)
                if packet.is_disposable or context.codec.intra_only:
                    continue  # no other frame is made from it
            context.skip_frame = "DEFAULT" if wanted else "NONREF"
            try:
                yield from context.decode(packet)
            except av.error.FFmpegError:
                if is_ours:
                    stats.damage(start)
                    self._may_skip = False  # from here on, what replaces a lost frame must be there
        try:
            yield from context.decode(None)
        except av.error.EOFError:
            return
        except av.error.FFmpegError:
            stats.damage(None)

    def _ahead(self) -> Iterator[av.Packet]:
        """The packets, each when the times of those that may be shown before it are known."""
        queue: collections.deque[av.Packet] = collections.deque()
        for packet in self._packets():
            if isinstance(packet, av.error.FFmpegError):
                self._stats.damage(None)
                self._may_skip = False
                continue
            if packet.pts is not None:
                self._times.add(packet.pts)
            queue.append(packet)
            if len(queue) > _REORDER:
                yield queue.popleft()
        yield from queue

    def _is_needed(self, packet: av.Packet) -> bool:
        """Whether a sample may need its frame: a point of the grid lies behind the frame that is shown before it.

        Errs only towards needing: a time stamp that is missing makes the gap before a frame look larger.
        """
        start = self._start(packet)
        if start is None or packet.pts is None or packet.pts in (self._segment.first_pts, self._clock.start_pts):
            return True
        if start < self._segment.start:
            return False
        before = self._times.before(packet.pts)
        if before is None:
            return True
        shown_before = self._clock.seconds(before)
        return shown_before < self._end <= start or self._grid.between(shown_before, start)

    def _start(self, packet: av.Packet) -> float | None:
        return self._clock.seconds(packet.pts) if self._clock.has_pts and packet.pts is not None else None

    def _packets(self) -> Iterator[av.Packet | av.error.FFmpegError]:
        """Packets from the segment's keyframe on, whatever the container makes of a seek."""
        first_pts, seek_to = self._segment.first_pts, self._segment.seek_to
        if first_pts is None or seek_to is None:
            yield from read_packets(self._container, self._stream)
            return
        back = round(_SEEK_BACK_SECONDS / (self._stream.time_base or 1))
        for target in (seek_to, seek_to - back, None):
            packets = self._from_keyframe(target, first_pts)
            found = next(packets, None)
            if found is not None:
                yield found
                yield from packets
                return
        yield av.error.InvalidDataError(0, "the keyframe is not there any more")

    def _from_keyframe(self, target: int | None, pts: int) -> Iterator[av.Packet | av.error.FFmpegError]:
        """Packets from a keyframe on, after a seek to some time before it (None: to the start); none if it is past."""
        try:
            if target is None:
                self._container.seek(0)
            else:
                self._container.seek(target, stream=self._stream)
        except av.error.FFmpegError:
            return
        packets = read_packets(self._container, self._stream)
        for packet in packets:
            if isinstance(packet, av.Packet) and packet.is_keyframe and packet.pts is not None:
                if packet.pts == pts:
                    yield packet
                    yield from packets
                if packet.pts >= pts:
                    return


@dataclasses.dataclass(eq=False)
class DecodeFrames(beam.PTransform):
    """Segment → SegmentStream.

    Attributes:
      config: the run's configuration.
    """

    config: Config

    def expand(self, segments):
        return segments | beam.Map(decode_segment, self.config).with_output_types(SegmentStream)
