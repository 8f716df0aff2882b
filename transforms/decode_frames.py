"""Decode one segment and take its samples, by time stamp.

Samples lie on the grid k / sample_fps from second 0 of the video: sample k is the first frame at or after its point. No
frame is taken twice. The first frame of each segment is a sample, too. A picture that stays on the screen while no
frame comes is a sample of each whole second until the next one. A segment is read from its keyframe to `lost_after`
seconds past its end; that tail has the same samples as the beginning of the next segment, so that tracks can be
followed from one segment into the next.

Of a scan, samples are the keyframes that the grid takes. Each is decoded alone. Two that are `lost_after` seconds or
more apart are shots of their own, because nothing is known of the time between them.
"""

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
from schemas.step_times import StepTimes
from schemas.video import DecodeStats, Segment
from transforms.continuous_clock import ClockLine
from transforms.frame_times import FrameTimes
from transforms.heif import decode_grid, grid_of
from transforms.list_packets import hides
from transforms.lone_keyframes import closed_groups, decode_alone
from transforms.open_video import open_video, read_packets, undiscarded
from transforms.picture import Aspects, Orientation, Picture
from transforms.samples import Sample, SampleGrid, SegmentStream

_REORDER = 24
"""Packets read ahead: more than the 16 frames that H.264 and HEVC may reorder, so display order is known."""

_LAZY_BYTES = 16_000_000
"""Bytes of packets that wait at most for a frame that is needed."""

_LAZY_FPS = 1.0
"""Samples a second up to which packets wait. With more of them, hardly a group of frames has none that is needed."""

_SEEK_BACK_SECONDS = 10.0
"""How much earlier to seek when a seek lands behind the keyframe: in transport streams, seeking guesses positions."""


class FileChangedError(FacelogError):
    """The file was changed while it was read."""


def decode_segment(segment: Segment, config: Config) -> SegmentStream:
    """A segment as a stream of samples; the file is opened when the first sample is asked for.

    Raises:
      FileChangedError: (while reading) the file is not the one that was listed.
      MediaError, StorageError: (while reading) it does not open any more.
    """
    stats, times = DecodeStats(), StepTimes()
    return SegmentStream(segment, times.each("decode", _samples(segment, config, stats)), stats, times)


def _samples(segment: Segment, config: Config, stats: DecodeStats) -> Iterator[Sample]:
    check_unchanged(segment)
    with open_video(segment.file.uri, config) as (container, stream):
        yield from _Reader(container, stream, segment, config, stats).samples()
    check_unchanged(segment)


def check_unchanged(segment: Segment) -> None:
    """Compares the file's size and time of change with those that were listed.

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


@dataclasses.dataclass
class _OnScreen:
    """The frame that is shown until the next one comes."""

    frame: av.VideoFrame
    timestamp: float
    ticks: int
    rank: int
    errors: int
    picture: Picture | None = None  # once a sample was taken of it


class _Reader:
    """Reads one segment once: samples are drawn from frames, and frames from packets, as they are needed."""

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
        self._times = FrameTimes(segment.clock, segment.packets_before)
        self._line = ClockLine(segment.clock)
        self._hides = hides(stream.codec_context.name)
        self._aspects = Aspects(stream)
        self._on_screen: _OnScreen | None = None
        self._sampled = math.inf
        self._apart = config.tracking.lost_after - 1e-6 if segment.keyframes else math.inf
        # AVI has no presentation times. libav makes them up, and wrongly where frames are reordered, so what a sample
        # needs is not known before it is decoded.
        self._may_skip = self._clock.has_pts and container.format.name != "avi"
        is_lazy = self._may_skip and (config.sampling.sample_fps or math.inf) <= _LAZY_FPS
        self._begins_group = closed_groups(stream.codec_context) if is_lazy else None

    def samples(self) -> Iterator[Sample]:
        last, crossed, is_cut = -math.inf, False, False
        for number, frame in self._keyframes() if self._segment.keyframes else enumerate(self._frames()):
            ticks = frame.pts if self._clock.has_pts else number
            if ticks is None or self._line.is_stray(frame.pts):
                continue
            timestamp = self._clock.seconds(ticks)
            yield from self._held(timestamp, ticks)
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
            is_cut |= self._line.begins_part(ticks)
            self._show(frame, ticks, timestamp)
            if is_first:
                self._grid.pass_over(timestamp)
            if is_first or self._grid.takes(timestamp):
                yield self._sample(timestamp, is_first=is_first, is_cut=is_cut)
                is_cut = False
        yield from self._held(self._segment.start + self._segment.duration, None)

    def _show(self, frame: av.VideoFrame, ticks: int, timestamp: float) -> None:
        rank = self._times.rank(ticks) if self._clock.has_pts else ticks
        self._on_screen = _OnScreen(frame, timestamp, ticks, rank, self._stats.errors)

    def _sample(self, timestamp: float, *, is_first: bool = False, is_cut: bool = False) -> Sample:
        """What is on the screen, as a sample."""
        is_cut |= timestamp - self._sampled >= self._apart
        self._sampled = timestamp
        shown = self._on_screen
        assert shown is not None
        if shown.picture is None:
            sar = float(self._aspects.of(shown.frame))
            shown.picture = Picture(shown.frame, 1 / sar if Orientation.of(shown.frame).transposed else sar)
        pts = shown.ticks if self._clock.has_pts else None
        return Sample(timestamp, pts, shown.rank, shown.picture, is_first, is_cut)

    def _held(self, until: float, ticks: int | None) -> Iterator[Sample]:
        """Samples of the whole seconds for which the last frame stays on the screen.

        Args:
          until: second of the next frame, or at which the video ends.
          ticks: stamp of the next frame; None: there is none.
        """
        shown = self._on_screen
        if shown is not None and self._segment.keyframes and (after := self._times.after(shown.ticks)) is not None:
            until, ticks = self._clock.seconds(after), after  # the next frame, which need not be a keyframe
        if shown is None or until - shown.timestamp <= 1 or not self._clock.has_pts:
            return
        # A frame that is lost leaves the picture before it on the screen, and that is no picture of this time.
        is_whole = shown.errors == self._stats.errors
        is_last = ticks is None and self._times.after(shown.ticks) is None
        is_next = is_last or (ticks is not None and self._times.rank(ticks) == shown.rank + 1)
        if not (is_whole and is_next and until - shown.timestamp <= self._segment.hold):
            return
        seconds = math.ceil(until - 1e-6) if ticks is None else math.floor(until)
        for second in range(math.floor(shown.timestamp) + 1, seconds):
            if second >= self._stop:
                return
            if second < self._end:
                self._stats.shown(float(second))
            if self._grid.takes(float(second)):
                yield self._sample(float(second))

    def _frames(self) -> Iterator[av.VideoFrame]:
        """Frames of the segment and its tail; frames that no sample needs are skipped where the codec allows it."""
        if grid := grid_of(self._segment.file.uri, self._container):
            errors: list[av.error.FFmpegError] = []
            yield decode_grid(self._container, grid, errors)
            for _ in errors:
                self._stats.damage(0.0)
            return
        context, stats = self._stream.codec_context, self._stats
        waiting: list[tuple[av.Packet, bool]] = []
        for packet in self._ahead():
            start = self._start(packet)
            wanted = not self._may_skip or self._is_needed(packet, start)
            self._pass(packet, start, is_skipped=not wanted)
            if not wanted and (packet.is_disposable or context.codec.intra_only):
                continue  # no other frame is made from it
            if self._begins_group is not None:
                if waiting and self._begins_group(packet):  # no frame that is needed is made from those that wait
                    yield from context.decode(None)
                    context.flush_buffers()
                    waiting.clear()
                waiting.append((packet, wanted))
                if not wanted and sum(each.size for each, _ in waiting) < _LAZY_BYTES:
                    continue
            for each, is_needed in waiting or [(packet, wanted)]:
                yield from self._decode(each, wanted=is_needed)
            waiting.clear()
        try:
            yield from context.decode(None)
        except av.error.EOFError:
            return
        except av.error.FFmpegError:
            stats.damage(None)

    def _decode(self, packet: av.Packet, *, wanted: bool) -> Iterator[av.VideoFrame]:
        """The frames that come with a packet; of one that is not wanted, only what other frames are made from."""
        context = self._stream.codec_context
        context.skip_frame = "DEFAULT" if wanted else "NONREF"
        try:
            frames = context.decode(packet)
            self._aspects.decoded(packet)
            yield from frames
        except av.error.FFmpegError:
            start = self._start(packet)
            if self._is_ours(start):
                self._stats.damage(start)
                self._may_skip = False  # from here on a lost frame has to be replaced, so all others are decoded

    def _keyframes(self) -> Iterator[tuple[int, av.VideoFrame]]:
        """Keyframes that a sample needs, each with the number of packets before it."""
        for number, packet in enumerate(self._ahead()):
            start = self._start(packet)
            if packet.is_keyframe and start is not None and start >= self._stop:
                return
            wanted = packet.is_keyframe and (start is None or start == self._end or self._grid.is_due(start))
            self._pass(packet, start, is_skipped=not wanted)
            if not wanted:
                continue
            try:
                frames = decode_alone(self._stream.codec_context, packet)
                self._aspects.decoded(packet)
            except av.error.FFmpegError:
                if self._is_ours(start):
                    self._stats.damage(start)
                continue
            yield from ((number, frame) for frame in frames)

    def _is_ours(self, start: float | None) -> bool:
        """Whether a packet belongs to the segment, and not to its tail."""
        return start is None or self._begin <= start < self._end

    def _pass(self, packet: av.Packet, start: float | None, *, is_skipped: bool) -> None:
        """Notes a packet that was read, and its frame if that will not be decoded."""
        if start is None or not self._is_ours(start):
            return
        length = (packet.duration or 0) * self._clock.numerator / self._clock.denominator
        self._stats.packet_end = max(self._stats.packet_end or 0.0, start + length)
        if is_skipped and start >= 0 and not packet.is_discard:
            self._stats.shown(start)

    def _ahead(self) -> Iterator[av.Packet]:
        """The packets, each delayed until the times of all packets that may be shown before it are known."""
        queue: collections.deque[av.Packet] = collections.deque()
        for packet in self._packets():
            if isinstance(packet, av.error.FFmpegError):
                self._stats.damage(None)
                self._may_skip = False
                continue
            is_in_line = self._line.take(packet)
            self._stats.frames_corrupt += not is_in_line
            if self._line.has_jumped and packet.is_discard:
                packet = undiscarded(packet)
            if is_in_line and packet.pts is not None and not packet.is_discard and not self._hides(packet):
                self._times.add(packet.pts)
            queue.append(packet)
            if len(queue) > _REORDER:
                yield queue.popleft()
        yield from queue

    def _is_needed(self, packet: av.Packet, start: float | None) -> bool:
        """Whether a sample may need the packet's frame: a point of the grid lies behind the frame shown before it.

        A missing time stamp makes the gap before a frame look larger, so the answer errs only towards yes.
        """
        if start is None or packet.pts is None or packet.pts in (self._segment.first_pts, self._clock.start_pts):
            return True
        if start < self._segment.start:
            return False
        before = self._times.before(packet.pts)
        if before is None:
            return True
        after = self._times.after(packet.pts)
        if after is not None and self._clock.seconds(after) - start > 1:
            return True  # it stays on the screen
        shown_before = self._clock.seconds(before)
        return shown_before < self._end <= start or self._grid.between(shown_before, start)

    def _start(self, packet: av.Packet) -> float | None:
        return self._clock.seconds(packet.pts) if self._clock.has_pts and packet.pts is not None else None

    def _packets(self) -> Iterator[av.Packet | av.error.FFmpegError]:
        """Packets from the segment's keyframe on, even where a seek lands elsewhere."""
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
        """Packets from a keyframe on, after a seek to a time before it (None: the start); none if it lands too late."""
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

    def expand(self, segments: beam.PCollection[Segment]) -> beam.PCollection[SegmentStream]:
        return segments | beam.Map(decode_segment, self.config).with_output_types(SegmentStream)
