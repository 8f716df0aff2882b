"""How long a video is: by its frames, and by what its header says where the frames agree.

A header may say anything: a month for four seconds, a tenth of a second for all of them, or a last frame that lasts for
two days. So it is believed within a second of what was seen, and beyond that only for telling that a file was cut off.
"""

import dataclasses
from collections.abc import Iterator
from fractions import Fraction

import av
from av.container import InputContainer

from schemas.video import Clock, Note
from transforms import media
from transforms.list_packets import RESTARTS, Packets, behind, believed_length

_TOLERANCE = 1.0
"""Seconds by which a header may be off, as rounding and sound behind the last frame make it."""

_ABSURD_SECONDS, _ABSURD_TIMES = 86_400.0, 10.0
"""A header that claims more than a day and ten times what is there is wrong, and the file is not cut off."""


@dataclasses.dataclass(frozen=True)
class Length:
    """The length of a video, in seconds since its first displayed frame.

    Attributes:
      duration: of what there is to see; None if nobody knows.
      end: at which the last packet of any stream ends; None unless all packets were read.
      stated_end: at which the video ends according to its stream's header; None: nothing usable is stated.
      container_end: likewise according to the container's header; for streams that state no end.
      absurd: seconds that a header claims without reason; None: it does not.
    """

    duration: float | None
    end: float | None = None
    stated_end: float | None = None
    container_end: float | None = None
    absurd: float | None = None

    def notes(self, uri: str) -> Iterator[Note]:
        """What readers of the tables should know of it."""
        if self.absurd is not None:
            claimed = f"{self.absurd:.1f}" if self.absurd < 10 else f"{self.absurd:.0f}"
            sentence = f"{uri}: its header claims {claimed} s, and it has {self.duration or 0:.1f} s."
            yield Note("wrong_duration", sentence)


def measure_length(container: InputContainer, stream: av.VideoStream, packets: Packets, clock: Clock) -> Length:
    """How long a video is.

    Args:
      container: the file.
      stream: the video in it.
      packets: of the video.
      clock: its time.
    """
    is_raw = container.format.name in media.RAW_FORMATS
    if not packets.corrections.usable or (is_raw and not clock.has_pts):
        return Length(clock.seconds(packets.count), _other_end(packets, clock))
    seen = clock.seconds(packets.end) if clock.has_pts and packets.end is not None else None
    if packets.corrections:  # what is stated of such a file, libav or its writer has from the same stamps
        return Length(seen, seen)
    base = stream.time_base or Fraction(1, 1000)
    # Of a raw stream, libav estimates the duration from its bit rate.
    ticks, of_container = max(0, stream.duration or 0), max(0, container.duration or 0)
    stated = float(ticks * base) if ticks and not is_raw else None
    declared = of_container / av.time_base if of_container and not is_raw else None
    if packets.is_index:
        return _by_index(stated or declared, packets, clock, stream)
    other_end = _other_end(packets, clock)
    end = max((end for end in (seen, other_end) if end is not None), default=None)
    claimed = stated or declared
    if seen is not None and claimed and claimed + _TOLERANCE < seen:
        return Length(seen, end, absurd=None if container.format.flags & RESTARTS else claimed)
    length = Length(claimed or (end if clock.has_pts else clock.seconds(packets.count)), end)
    # Where sound goes on to the end, no file was cut off: some have a picture for their first second alone.
    is_heard_out = stated is not None and other_end is not None and other_end + _TOLERANCE >= stated
    if clock.has_pts and stated and not is_heard_out:
        length = dataclasses.replace(length, stated_end=stated + _begin(stream, clock))
    elif clock.has_pts and declared and not stated:
        start = float((clock.start_pts or 0) * base)
        offset = max(0.0, start - (container.start_time or 0) / av.time_base)
        length = dataclasses.replace(length, container_end=declared - offset)
    if end is None:
        return length
    own_claim = float(packets.last_claim * base) if clock.has_pts else 0.0
    length = _believed(length, end, own_claim + (seen or 0.0))
    # The last picture of a slide show may stay for as long as the others, which no packet needs to say.
    rates = packets.rates(base)
    claims = [n for n in (length.stated_end, length.container_end) if n is not None]
    if rates and claims and _TOLERANCE < max(claims) - end <= 2 / rates[1]:
        length = dataclasses.replace(length, stated_end=None, container_end=None)
    return length


def _begin(stream: av.VideoStream, clock: Clock) -> float:
    """Second at which the stream begins according to its header."""
    return clock.seconds((clock.start_pts or 0) if stream.start_time is None else stream.start_time)


def _by_index(stated: float | None, packets: Packets, clock: Clock, stream: av.VideoStream) -> Length:
    """The length where the header lists all frames; nothing but their data can be missing."""
    if stated is None:
        return Length(None)
    base, ticks = Fraction(clock.numerator, clock.denominator), int(packets.shown[-1] - packets.shown[0])
    claim = round(stated / base) - ticks
    others = behind(packets.shown, base, packets.other_end)
    seen = float((ticks + believed_length(packets.shown, claim, base, others)) * base)
    if abs(stated - seen) > _TOLERANCE:
        return Length(seen, stated_end=seen, absurd=stated)
    return Length(stated, stated_end=stated + _begin(stream, clock))


def _other_end(packets: Packets, clock: Clock) -> float | None:
    """Second at which the other streams end, on the clock of the video."""
    if packets.other_end is None:
        return None
    return packets.other_end - float((clock.start_pts or 0) * Fraction(clock.numerator, clock.denominator))


def _believed(length: Length, seen: float, claimed_by_frames: float) -> Length:
    """The length without what is claimed and nothing shows.

    Args:
      length: as it is claimed.
      seen: second at which the last packet ends.
      claimed_by_frames: second at which the last frame ends if it lasts as long as it says.
    """
    claims = [n for n in (length.duration, length.stated_end, length.container_end) if n is not None]
    claimed = max(claims, default=0.0)
    if claimed <= seen + _TOLERANCE:
        return length
    if claimed > max(_ABSURD_SECONDS, _ABSURD_TIMES * seen) or claimed <= claimed_by_frames + _TOLERANCE:
        return Length(seen, length.end, absurd=claimed)
    duration = min(length.duration, seen) if length.duration is not None else None
    return dataclasses.replace(length, duration=duration)
