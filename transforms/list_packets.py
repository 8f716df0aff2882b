"""What the packets of a video say before anything is decoded: its frames, its clock, its keyframes and its end.

They come from the index of the file where that is complete (mov and mp4), else from reading all packets once.
"""

import array
import dataclasses
import functools
from collections.abc import Callable, Iterator
from fractions import Fraction

import av
import numpy as np
from av.container import InputContainer

from schemas.config import Config
from schemas.faces import NO_STAMP
from schemas.video import Clock
from transforms.continuous_clock import Corrections, Stamps, find_corrections
from transforms.open_video import open_video, read_packets
from transforms.split_into_segments import Keyframes

_REORDERED = 1.0
"""Seconds by which a keyframe may be shown after it is decoded: the 16 frames of H.264 and HEVC at 16 a second."""

_LONGEST_ALONE = 60.0
"""Seconds that the only frame of a file, or a packet of another stream, lasts at most, whatever a header says."""

RESTARTS = 0x200
"""libav's flag of formats whose time stamps may begin anew (AVFMT_TS_DISCONT)."""


@dataclasses.dataclass(frozen=True)
class Packets:
    """What the packets of one video say.

    Attributes:
      count: packets, hidden ones included.
      has_pts: whether there are time stamps.
      shown: [n] int64 sorted stamps of the frames that are shown, on the continuous clock; from an index, their DTS.
      corrections: what had to be corrected for that.
      keyframes: where decoding can begin.
      jumps_at: stamps on the continuous clock at which parts begin that were joined.
      last_length: ticks that the last frame lasts: as it says, if other frames last as long or it is not more than a
        minute, else as most frames do.
      last_claim: ticks that its packet says.
      other_end: second of the file's own clock at which the other streams end; None where there are none.
      rest: share of the file behind the last packet of any stream; streams may begin there that nothing foretold.
      read_to: byte at which the last packet of any stream ends.
      is_index: whether an index was read, which also lists packets that a truncated file has no more.
      has_others: whether there are keyframes, and other packets between them.
    """

    count: int
    has_pts: bool
    shown: np.ndarray
    corrections: Corrections
    keyframes: Keyframes
    jumps_at: tuple[int, ...]
    last_length: int
    last_claim: int
    other_end: float | None
    is_index: bool
    read_to: int
    rest: float = 0.0
    has_others: bool = False

    @property
    def is_vfr(self) -> bool | None:
        """Whether the time between frames differs by more than a fifth, and by more than rounding to ticks explains."""
        if len(self.shown) < 3:
            return None
        steps = np.diff(self.shown)
        typical = float(np.median(steps))
        return bool(np.abs(steps - typical).max() > max(1.5, 0.2 * typical))

    @property
    def end(self) -> int | None:
        """Tick at which the last frame ends; None without time stamps."""
        return int(self.shown[-1]) + self.last_length if len(self.shown) else None

    def rates(self, time_base: Fraction) -> tuple[float, ...]:
        """Frames a second: on average, and by the usual time from one to the next; empty where nothing tells."""
        steps = np.diff(self.shown)
        if not len(steps) or not (steps > 0).any():
            return ()
        ticks = (int(self.shown[-1] - self.shown[0]) / len(steps), float(np.median(steps[steps > 0])))
        return tuple(1 / (float(time_base) * n) for n in ticks)


def list_packets(uri: str, container: InputContainer, stream: av.VideoStream, config: Config) -> Packets:
    """What the packets of a stream say.

    Args:
      uri: the file; it is opened anew where its packets have to be read.
      container: the same, open.
      stream: the video in it.
      config: the run's configuration.
    """
    if _index_is_complete(container, stream):
        packets = _from_index(container, stream)
        if not packets.corrections:
            return packets
    return _walk(uri, config)


def hides(codec: str) -> Callable[[av.Packet], bool]:
    """Whether a packet of this codec has no frame that is shown: VP8 and VP9 have some that only others refer to."""
    return _HIDES.get(codec, lambda packet: False)


def _vp8_hides(packet: av.Packet) -> bool:
    return not memoryview(packet)[0] & 0x10


def _vp9_hides(packet: av.Packet) -> bool:
    data = memoryview(packet)
    if data[0] & 0xC0 != 0x80 or data[-1] & 0xE0 == 0xC0:  # a superframe has one that is shown
        return False
    after_profile = 5 if data[0] & 0x30 == 0x30 else 4  # profile 3 has one more bit
    header = data[0] << 8 | (data[1] if len(data) > 1 else 0)
    shows_existing, is_shown = (header >> (15 - after_profile - bit) & 1 for bit in (0, 2))
    return not (shows_existing or is_shown)


_HIDES = {"vp8": _vp8_hides, "vp9": _vp9_hides}


def _index_is_complete(container: InputContainer, stream: av.VideoStream) -> bool:
    # Only mov and mp4 state in their header where every packet lies; a fragmented one states no frames there. A header
    # may state more frames than the file has bytes.
    is_possible = 0 < stream.frames <= container.size
    return "mp4" in container.format.name and is_possible and stream.frames == len(stream.index_entries)


def _from_index(container: InputContainer, stream: av.VideoStream) -> Packets:
    entries = list(stream.index_entries)
    ends = (entry.pos + entry.size for other in container.streams for entry in other.index_entries)
    dts = np.array([entry.timestamp for entry in entries], np.int64)
    key = np.array([entry.is_keyframe for entry in entries], bool)
    shown = ~np.array([entry.is_discard for entry in entries], bool)
    none = np.full(len(dts), NO_STAMP)
    base = stream.time_base or Fraction(1, 1000)
    return Packets(
        count=len(dts),
        has_pts=True,
        shown=dts,
        corrections=find_corrections(Stamps(none, dts, base)),
        keyframes=Keyframes(None, dts[key], np.cumsum(shown)[key] - shown[key]),
        jumps_at=(),
        last_length=max(_usual(dts), 1),
        last_claim=0,
        other_end=max(_ends_of_others(container, stream), default=None),
        is_index=True,
        read_to=max(ends),
        has_others=bool(key.any() and not key.all()),
    )


def _ends_of_others(container: InputContainer, stream: av.VideoStream) -> Iterator[float]:
    """Second at which the last packet of each other stream begins, by its index."""
    for other in container.streams:
        entries = other.index_entries
        if other.index != stream.index and other.time_base and len(entries):
            yield float(entries[len(entries) - 1].timestamp * other.time_base)


def _usual(shown: np.ndarray) -> int:
    """Ticks from one frame to the next, mostly; 0: there are no two."""
    return int(np.median(np.diff(shown))) if len(shown) > 1 else 0


class _Stream:
    """Stamps of the packets of one stream, as they are read."""

    def __init__(self, time_base: Fraction):
        self.time_base = time_base
        self.pts, self.dts, self.length = array.array("q"), array.array("q"), array.array("q")

    def add(self, packet: av.Packet) -> None:
        self.pts.append(NO_STAMP if packet.pts is None else packet.pts)
        self.dts.append(NO_STAMP if packet.dts is None else packet.dts)
        self.length.append(packet.duration or 0)

    @functools.cached_property
    def stamps(self) -> Stamps:
        return Stamps(np.array(self.pts, np.int64), np.array(self.dts, np.int64), self.time_base)

    def seconds(self) -> np.ndarray:
        """Second at which each packet begins, where that is known."""
        stamps = np.where(self.stamps.pts == NO_STAMP, self.stamps.dts, self.stamps.pts)
        return stamps[stamps != NO_STAMP] * float(self.time_base)

    def end(self) -> float | None:
        """Second at which it ends; None if nothing tells, or its stamps are no clock either."""
        stamps = np.where(self.stamps.pts == NO_STAMP, self.stamps.dts, self.stamps.pts)
        known = stamps != NO_STAMP
        if not known.any() or find_corrections(self.stamps):
            return None
        # A header may say of a single packet that it lasts for days.
        length = np.clip(np.array(self.length, np.int64), 0, round(_LONGEST_ALONE / self.time_base))
        return float(int((stamps + length)[known].max()) * self.time_base)


def _walk(uri: str, config: Config) -> Packets:
    """Reads all packets of the file once, without decoding."""
    streams: dict[int, _Stream] = {}
    key, hidden, dropped = array.array("b"), array.array("b"), array.array("b")
    # Opened anew: not every container can be taken back to its start.
    with open_video(uri, config) as (container, stream):
        hidden_in, restarts = hides(stream.codec_context.name), bool(container.format.flags & RESTARTS)
        # Of a whole mov or mp4, libav puts the parts that an edit list shows on one clock; what it hides between them
        # goes back to a keyframe.
        has_edits = "mp4" in container.format.name and stream.frames > 0
        base = stream.time_base or Fraction(1, 1000)
        video = streams[stream.index] = _Stream(base)
        place, size, is_transport = 0, container.size, container.format.name == "mpegts"
        for packet in read_packets(container):
            if not isinstance(packet, av.Packet):
                continue
            place = max(place, (packet.pos or 0) + packet.size)
            if packet.stream_index not in streams:
                streams[packet.stream_index] = _Stream(packet.time_base or Fraction(1, 1000))
            streams[packet.stream_index].add(packet)
            if packet.stream_index == stream.index:
                key.append(packet.is_keyframe)
                hidden.append(hidden_in(packet))
                dropped.append(packet.is_discard)
    others = [other for other in streams.values() if other is not video]
    heard = np.sort(np.concatenate([other.seconds() for other in others])) if others else None
    stamps = video.stamps
    is_key, is_dropped = np.array(key, bool), np.array(dropped, bool)
    corrections = find_corrections(stamps.without(is_dropped) if has_edits else stamps, restarts=restarts, others=heard)
    pts = corrections.apply(stamps.pts)
    if corrections.jumps:
        is_dropped[corrections.jumps[0].packet :] = False  # see `ClockLine.has_jumped`
    is_shown = ~np.array(hidden, bool) & ~is_dropped
    has_pts = corrections.usable and bool((pts != NO_STAMP).any())
    seek_to = np.minimum(pts, np.where(stamps.dts == NO_STAMP, pts, stamps.dts))
    starts = is_key & (pts != NO_STAMP) & ~(is_dropped & has_edits)
    in_order = np.sort(pts[is_shown & (pts != NO_STAMP)])
    claim = _last_claim(pts, video, in_order) if has_pts else 0
    ends = [end for end in (other.end() for other in others) if end is not None]
    other_end = max(ends, default=None)
    return Packets(
        count=int(is_shown.sum()) or len(pts),
        has_pts=has_pts,
        shown=in_order if has_pts else in_order[:0],
        corrections=corrections,
        keyframes=Keyframes(pts[starts], seek_to[starts], (np.cumsum(is_shown) - is_shown)[starts]),
        jumps_at=tuple(int(pts[jump.packet]) for jump in corrections.jumps if not jump.is_wrap),
        last_length=believed_length(in_order, claim, base, behind(in_order, base, other_end)) if has_pts else 0,
        last_claim=claim,
        other_end=other_end,
        is_index=False,
        read_to=place,
        rest=max(0.0, 1 - place / size) if is_transport and size > 0 else 0.0,
        has_others=bool(is_key.any() and not is_key.all()),
    )


def _last_claim(pts: np.ndarray, video: _Stream, shown: np.ndarray) -> int:
    """Ticks that the packet of the last frame says it lasts."""
    return max(0, video.length[int(np.flatnonzero(pts == shown[-1])[-1])]) if len(shown) else 0


def believed_length(shown: np.ndarray, claim: int, base: Fraction, others: int = 0) -> int:
    """Ticks that the last of some frames lasts, whatever its header or its packet claims.

    Args:
      shown: [n] int64 sorted stamps of the frames.
      claim: ticks.
      base: seconds of a tick.
      others: ticks for which other streams go on behind the last frame: a song may have one picture.
    """
    longest = int(np.diff(shown).max()) if len(shown) > 1 else 0
    is_believed = 0 < claim <= max(longest, round(_LONGEST_ALONE / base), others + round(1 / base))
    return claim if is_believed else _usual(shown)


def behind(shown: np.ndarray, base: Fraction, other_end: float | None) -> int:
    """Ticks for which other streams go on behind the last frame."""
    return max(0, round(other_end / base) - int(shown[-1])) if other_end is not None and len(shown) else 0


def with_pts(
    container: InputContainer, stream: av.VideoStream, keyframes: Keyframes, clock: Clock, length: float
) -> Keyframes:
    """Adds presentation times to keyframes whose decoding times alone are known.

    Only keyframes that may start a segment of `length` seconds are looked up, by reading one packet each; the others
    are left out.
    """
    last = 0.0
    rows, pts = [], []
    for row, dts in enumerate(keyframes.seek_to.tolist()):
        if clock.seconds(dts) + _REORDERED < last + length:
            continue
        found = _keyframe_pts(container, stream, dts, ahead=(clock.start_pts or 0) - int(keyframes.seek_to[0]))
        if found is not None:
            rows.append(row)
            pts.append(found)
            last = clock.seconds(found) if clock.seconds(found) >= last + length else last
    stamps = np.array(pts, np.int64)
    return Keyframes(stamps, stamps, keyframes.packets_before[rows])


def _keyframe_pts(container: InputContainer, stream: av.VideoStream, dts: int, ahead: int) -> int | None:
    """PTS of the keyframe with this decoding time; `ahead` is about how much later it is than that time."""
    container.seek(dts + max(ahead, 0), stream=stream)  # mov and mp4 are sought by PTS
    for packet in read_packets(container, stream):
        if not isinstance(packet, av.Packet) or packet.dts is None or packet.dts > dts:
            return None
        if packet.dts == dts:
            return packet.pts
    return None
