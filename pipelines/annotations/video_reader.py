"""Read a video, or a part of it, for writing it again: all frames in order and the packets of sound, on one clock."""

import math
from collections.abc import Iterator, Sequence
from fractions import Fraction

import av
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.video.stream import VideoStream

from schemas.video import Clock, Plan
from transforms.continuous_clock import ClockLine, CompanionLine
from transforms.open_video import read_packets, undiscarded
from transforms.picture import Aspects, Orientation

_SEEK_AHEAD = 5.0
"""Seconds before a cut from which the file is read: sound may lie that far before the pictures of its time."""

_SOUND_BEHIND = 10.0
"""Seconds of pictures behind the end of a cut after which no more sound is waited for."""

_SOUND_AHEAD = 1.0
"""Seconds before the start of a part from which sound may reach into it: longer than any packet."""

_KEPT_START = 1.0
"""Seconds at which a container's clock may begin; one that begins later is set back to 0."""

_A_DAY = 86_400.0


class VideoReader:
    """Frames and sound of a video from one time to another.

    Frames whose time is not after that of the one before are left out, and damaged places are passed over, both as in
    the analysis.

    Attributes:
      stream: the video.
      sound: streams whose packets are given as well.
      time_base: seconds of a tick of `pts`.
      frames: that were given.
      first, last: seconds at which the first begins and the last ends, since the first displayed frame of the video.
      dropped: frames that were out of order.
      damaged: packets that could not be read or decoded.
    """

    def __init__(
        self,
        container: InputContainer,
        stream: VideoStream,
        sound: Sequence[AudioStream],
        plan: Plan,
        start: float | None = None,
        end: float | None = None,
    ):
        """Takes an open file.

        Args:
          container: the file.
          stream: the video in it.
          sound: streams to give the packets of.
          plan: what the probe says of it.
          start: second to begin with, since the first displayed frame; the first frame is then given the time 0.
          end: second at which to end.
        """
        self.stream, self.sound = stream, sound
        self._container, self._plan = container, plan
        self._clock: Clock = plan.segments[0].clock
        self._start, self._end = start, math.inf if end is None else end
        self.time_base = Fraction(self._clock.numerator, self._clock.denominator)
        self._origin = (self._clock.start_pts or 0) * self.time_base
        self._moved: Fraction | None = None
        self.frames = self.dropped = self.damaged = 0
        self.first = self.last = 0.0
        self._number = 0
        self._newest = -math.inf
        self._line = ClockLine(self._clock)
        self._companions = {stream.index: CompanionLine(self._clock) for stream in sound}
        self._aspects = Aspects(stream)

    @property
    def seconds(self) -> float | None:
        """How long the part is; None where nobody knows."""
        return max(0.0, self._stop - (self._start or 0.0)) if math.isfinite(self._stop) else None

    @property
    def _stop(self) -> float:
        """Second at which the part ends, as far as anybody knows."""
        duration = self._plan.info.duration if self._plan.info else None
        return min(self._end, math.inf if duration is None else duration)

    @property
    def bit_rate(self) -> float | None:
        """Bits a second of the pictures; None where nobody knows."""
        if self.stream.bit_rate:
            return float(self.stream.bit_rate)
        info, size = self._plan.info, self._plan.file.size_bytes
        if info is None or not info.duration or not size:
            return None
        other = sum(stream.bit_rate or 0 for stream in self._container.streams.audio)
        return max(8 * size / info.duration - other, 1.0)

    @property
    def written_time_base(self) -> Fraction:
        """Seconds of a tick of the file that is written: so that the video has fewer than 2^31 of them.

        Two frames must not lie further apart in mp4. Nearly always these are the source's ticks.
        """
        length = _A_DAY if self.seconds is None else self.seconds
        times_too_long = math.ceil(length / self.time_base / 2**31)
        if times_too_long <= 1:
            return self.time_base
        return Fraction(1, max(1000, self.time_base.denominator // self.time_base.numerator // times_too_long))

    def pixel_aspect(self, frame: av.VideoFrame) -> Fraction:
        """Width of a displayed pixel over its height, of the upright picture."""
        aspect = self._aspects.of(frame)
        return 1 / aspect if Orientation.of(frame).transposed else aspect

    def read(self) -> Iterator[tuple[av.VideoFrame, float, int] | av.Packet]:
        """Each frame with its second in the video and its PTS to write, and packets of sound; a frame comes first."""
        waiting: list[av.Packet] = []
        for item in self._timed(self._items()):
            if isinstance(item, av.Packet):
                if self._may_be_heard(item):
                    waiting.append(item)
                if self._moved is None:
                    continue
            else:
                if self._moved is None:
                    self._moved = self._shift(item)
                pts, timestamp = self._ticks(item), self._seconds(item)
                yield item, timestamp, pts - round(self._moved / self.time_base)
            for packet in waiting:
                if self._is_heard(packet):
                    yield self._set_back(packet)
            waiting.clear()

    def _timed(self, items: Iterator[av.VideoFrame | av.Packet]) -> Iterator[av.VideoFrame | av.Packet]:
        """Gives frames the time that they are shown; where frames are reordered, containers mix these times up."""
        held: av.VideoFrame | None = None
        before = 0
        for item in items:
            if isinstance(item, av.Packet):
                yield item
                continue
            if held is not None:
                before = self._ticks(item) - self._ticks(held)
                held.duration = min(held.duration or before, before)
                yield held
            held = item
        if held is not None:
            timestamp = self._seconds(held)
            rest = round((self._stop - timestamp) / self.time_base) if math.isfinite(self._stop) else 0
            held.duration = held.duration or before
            if rest > 0:
                held.duration = min(held.duration, rest)
            self.last = timestamp + float(held.duration * self.time_base)
            yield held

    def _items(self) -> Iterator[av.VideoFrame | av.Packet]:
        """Frames that are wanted, and all packets of sound, as they lie in the file."""
        ended = {stream.index: False for stream in self.sound}
        for packet in self._packets():
            if isinstance(packet, av.error.FFmpegError):
                self.damaged += 1
                continue
            if packet.stream_index != self.stream.index:
                time_base = packet.time_base or Fraction(1, 1000)
                self._companions[packet.stream_index].take(packet, time_base, packet.duration or 0)
                ended[packet.stream_index] = self._heard_at(packet) >= self._end
                yield packet
                continue
            self._line.take(packet)
            if self._line.has_jumped and packet.is_discard:
                packet = undiscarded(packet)
            for frame in self._decode(packet):
                if self._is_wanted(frame):
                    yield frame
            behind = self._newest - self._end
            if behind >= 0 and (all(ended.values()) or behind > _SOUND_BEHIND):
                return
        for frame in self._decode(None):
            if self._is_wanted(frame):
                yield frame

    def _decode(self, packet: av.Packet | None) -> Iterator[av.VideoFrame]:
        try:
            frames = self.stream.codec_context.decode(packet)
            if packet is not None:
                self._aspects.decoded(packet)
            yield from frames
        except av.error.EOFError:
            return
        except av.error.FFmpegError:
            self.damaged += 1

    def _is_wanted(self, frame: av.VideoFrame) -> bool:
        number, self._number = self._number, self._number + 1
        if self._clock.has_pts:
            if frame.pts is None:
                return False
        else:
            frame.pts = number
        timestamp = self._seconds(frame)
        if timestamp <= self._newest or timestamp < 0 or self._line.is_stray(frame.pts):
            self.dropped += 1
            return False
        self._newest = timestamp
        if timestamp < (self._start or 0.0) - 1e-6 or timestamp >= self._end - 1e-6:
            return False
        if not self.frames:
            self.first = timestamp
        self.frames += 1
        return True

    def _packets(self) -> Iterator[av.Packet | av.error.FFmpegError]:
        """From a keyframe before the part's start on; from the file's start where that is not found."""
        streams = (self.stream, *self.sound)
        segment = next((s for s in reversed(self._plan.segments) if s.start <= (self._start or 0) - _SEEK_AHEAD), None)
        if segment is not None and segment.seek_to is not None:
            self._container.seek(segment.seek_to, stream=self.stream)
            before: list[av.Packet | av.error.FFmpegError] = []
            packets = read_packets(self._container, *streams)
            for packet in packets:
                before.append(packet)
                if isinstance(packet, av.Packet) and packet.stream_index == self.stream.index:
                    if packet.is_keyframe and packet.pts is not None and packet.pts <= (segment.first_pts or 0):
                        yield from before
                        yield from packets
                        return
                    break
            self._container.seek(0)
        yield from read_packets(self._container, *streams)

    def _ticks(self, frame: av.VideoFrame) -> int:
        return frame.pts or 0

    def _seconds(self, frame: av.VideoFrame) -> float:
        return self._clock.seconds(self._ticks(frame))

    def _shift(self, first: av.VideoFrame) -> Fraction:
        """Seconds that all times are set back by."""
        if self._start is not None or not self._clock.has_pts:
            return self._ticks(first) * self.time_base
        begin = Fraction(self._container.start_time or 0, av.time_base)
        return begin if abs(begin) > _KEPT_START else Fraction(0)

    def _heard_at(self, packet: av.Packet) -> float:
        """Second of the video that a packet of sound belongs to."""
        stamp = packet.pts if packet.pts is not None else packet.dts
        return -math.inf if stamp is None else float((stamp or 0) * (packet.time_base or 0) - self._origin)

    def _may_be_heard(self, packet: av.Packet) -> bool:
        """Whether it is worth keeping until the first frame is known."""
        return self._start is None or self._heard_at(packet) >= self._start - _SOUND_AHEAD

    def _is_heard(self, packet: av.Packet) -> bool:
        if self._start is None and math.isinf(self._end):
            return True
        at = self._heard_at(packet)
        half = float((packet.duration or 0) * (packet.time_base or 0)) / 2
        return (self.first - half <= at or self._start is None) and at < self._end - half

    def _set_back(self, packet: av.Packet) -> av.Packet:
        ticks = round((self._moved or 0) / (packet.time_base or 1))
        if packet.pts is not None:
            packet.pts -= ticks
        if packet.dts is not None:
            packet.dts -= ticks
        return packet
