"""One continuous clock of the time stamps that a file has, whatever its parts and its damage did to them.

Recordings that were joined begin their time stamps anew in the middle, cameras restart, and a flipped bit puts one
frame a day away. `find_corrections` looks at all stamps of a stream and says where they jump and which ones are strays;
`ClockLine` applies that to the packets of the same stream as they are read again. Nothing here opens a file.
"""

import dataclasses
from fractions import Fraction
from typing import Protocol

import numpy as np

from schemas.faces import NO_STAMP
from schemas.video import Clock, Jump

_NEAR = 10.0
"""Seconds without a frame from which on the next frame is looked at closely."""

_LONE = 3600.0
"""Seconds from which on one or two frames at an end of the file, so far from all others, are strays."""

_PAUSE = 86_400.0
"""Longest pause, in seconds, that stamps may show; a longer one is a jump."""

_PAUSE_OF_RESTARTING = 60.0
"""The same in formats whose clock may begin anew (transport and program streams), where no other stream goes on."""

_LONGEST = 30 * 86_400.0
"""Seconds that a file with long pauses may have in all; beyond, its pauses are taken for jumps."""

_MAX_STRAYS = 8
"""Packets in a row that may be strays."""

_SLOWEST, _FASTEST = 3600.0, 1 / 20_000
"""Seconds from frame to frame beyond which stamps say nothing."""

_COMPANION = 2.0
"""Seconds by which the stamps of another stream may be off where a part begins."""

_WRAP = 2**33
"""Ticks after which the clock of a transport or program stream starts again at 0."""


@dataclasses.dataclass(frozen=True)
class Stamps:
    """Time stamps of the packets of one stream, in the order of the file.

    Attributes:
      pts: [n] int64, when a frame is shown; `NO_STAMP` where unknown.
      dts: [n] int64, when it is decoded; likewise.
      time_base: seconds of a tick.
    """

    pts: np.ndarray
    dts: np.ndarray
    time_base: Fraction

    def without(self, left_out: np.ndarray) -> "Stamps":
        """The same, as if some packets had no stamps; `left_out` [n] says which."""
        return Stamps(np.where(left_out, NO_STAMP, self.pts), np.where(left_out, NO_STAMP, self.dts), self.time_base)


@dataclasses.dataclass(frozen=True)
class Corrections:
    """What makes stamps a continuous clock.

    Attributes:
      jumps: where stamps begin anew, in the order of the file.
      strays: numbers of packets whose stamps are far out of line.
      usable: whether the stamps are a clock at all; if not, frames have to be counted.
    """

    jumps: tuple[Jump, ...] = ()
    strays: tuple[int, ...] = ()
    usable: bool = True

    def __bool__(self) -> bool:
        """Whether anything has to be corrected."""
        return bool(self.jumps or self.strays) or not self.usable

    def apply(self, pts: np.ndarray) -> np.ndarray:
        """The stamps [n] on the continuous clock; `NO_STAMP` for strays."""
        moved = pts.copy()
        ends = [*(jump.packet for jump in self.jumps[1:]), len(pts)]
        for jump, end in zip(self.jumps, ends, strict=False):
            moved[jump.packet : end] += jump.ticks
        moved[pts == NO_STAMP] = NO_STAMP
        moved[list(self.strays)] = NO_STAMP
        return moved


def find_corrections(stamps: Stamps, *, restarts: bool = False, others: np.ndarray | None = None) -> Corrections:
    """What has to be corrected in the stamps of a stream; nothing for an ordinary file.

    Args:
      stamps: of all its packets.
      restarts: whether the format allows that its clock begins anew, so that a pause of a minute is a jump, too.
      others: [m] sorted seconds of the packets of other streams, on the clock of `stamps`. A pause in which another
        stream goes on is no jump.
    """
    others = np.zeros(0) if others is None else others
    pauses = (_PAUSE_OF_RESTARTING,) if restarts else (_PAUSE, _PAUSE_OF_RESTARTING)
    found = Corrections()
    for pause in pauses:
        found = _Search(stamps, pause, others, wraps=restarts).corrections()
        shown = found.apply(stamps.pts)
        shown = shown[shown != NO_STAMP]
        if not found.usable or not len(shown) or float(np.ptp(shown) * stamps.time_base) <= _LONGEST:
            break
    return found


class _Search:
    """One way through the stamps. All lengths are in ticks."""

    def __init__(self, stamps: Stamps, pause: float, others: np.ndarray, *, wraps: bool):
        self._pts, self._others = stamps.pts, others
        self._tick = float(stamps.time_base)
        has_dts, has_pts = stamps.dts != NO_STAMP, stamps.pts != NO_STAMP
        by_dts = 2 * np.count_nonzero(has_dts) >= len(has_dts) and len(np.unique(stamps.dts[has_dts])) > 1
        key = stamps.dts if by_dts else stamps.pts
        self._numbers = np.flatnonzero(key != NO_STAMP)
        self._key = key[self._numbers]
        steps = np.diff(self._key if by_dts else np.sort(self._key))
        self._typical = float(np.median(steps[steps > 0])) if (steps > 0).any() else 0.0
        second = 1 / self._tick
        self._near = _NEAR * second + 10 * self._typical
        self._back = 0.5 * second + self._typical if by_dts else second + 17 * self._typical
        self._pause = max(pause * second, 2 * self._near)
        self._lone = max(_LONE * second, 2 * self._near)
        self._latest = 2 * self._near + 10 * self._typical  # a frame is shown 16 frames after it is decoded at most
        self._wrap = _WRAP if wraps else 0
        self._delay = np.zeros(len(key), np.float64)
        both = has_dts & has_pts
        self._delay[both] = stamps.pts[both].astype(np.float64) - stamps.dts[both]

    def corrections(self) -> Corrections:
        if len(self._key) < 2:
            return Corrections()
        step = self._typical * self._tick
        if (len(self._key) > 2 and not _FASTEST <= step <= _SLOWEST) or _stands_still(self._key):
            return Corrections(usable=False)
        strays = self._shown_elsewhere()
        steps = np.diff(self._key.astype(np.float64))
        if (steps >= -self._back).all() and (steps <= self._near).all():
            return Corrections(strays=tuple(sorted(strays)))
        jumps = self._walk(strays)
        n = len(self._key)
        if len(jumps) > max(20, n // 20) or len(strays) > max(20, n // 10):
            return Corrections(usable=False)
        return Corrections(tuple(jumps), tuple(sorted(strays)))

    def _shown_elsewhere(self) -> set[int]:
        """Packets that claim to be shown long after they are decoded, at a time at which no other frame is shown."""
        far = np.flatnonzero((self._delay < -self._near) | (self._delay > self._latest))
        if not len(far):
            return set()
        around = np.sort(self._pts[self._pts != NO_STAMP]).astype(np.float64)
        around = np.concatenate([[-np.inf], around, [np.inf]])
        places = np.searchsorted(around, self._pts[far])
        alone = np.minimum(around[places] - around[places - 1], around[places + 1] - around[places]) > self._near
        return set(far[alone].tolist())

    def _walk(self, strays: set[int]) -> list[Jump]:
        """The jumps; adds to the strays."""
        key, numbers = self._key.tolist(), self._numbers.tolist()
        jumps: list[Jump] = []
        offset, last, i = 0, key[0], 1
        highest = self._shown(0, 0)
        while i < len(key):
            step = key[i] + offset - last
            if self._in_line(step):
                last = max(last, key[i] + offset)
            elif run := self._strays_from(i, last - offset, key):
                for j in range(i, i + run):
                    if not self._in_line(self._shown(j, offset) - last):
                        strays.add(numbers[j])
                i += run
                continue
            elif i <= 2 and not jumps and self._is_head(i, step, key):
                strays.update(range(numbers[i]))
                last, highest = key[i], self._shown(i, 0)
            elif self._is_pause(step, last, offset, remaining=len(key) - i):
                last = key[i] + offset
            elif len(key) - i <= 2 and len(key) >= 5:
                strays.update(numbers[i:])
                break
            else:
                wrapped = next((w for w in (self._wrap, -self._wrap) if w and self._in_line(step + w)), 0)
                first = i if wrapped else self._first_of_part(i)
                if wrapped:
                    offset += wrapped
                else:
                    offset = highest + max(1, round(self._typical)) - int(self._pts_of(first))
                jumps.append(Jump(numbers[first], offset, is_wrap=bool(wrapped)))
                last = key[i] + offset
            highest = max(highest, self._shown(i, offset))
            i += 1
        return jumps

    def _pts_of(self, i: int) -> int:
        pts = int(self._pts[self._numbers[i]])
        return int(self._key[i]) if pts == NO_STAMP else pts

    def _shown(self, i: int, offset: int) -> int:
        """When a frame is shown, unless its stamps contradict each other."""
        pts, key = self._pts_of(i), int(self._key[i])
        return (pts if abs(pts - key) <= self._latest else key) + offset

    def _first_of_part(self, i: int) -> int:
        """The first packet with a PTS of the part that begins here by DTS; libav makes up some from the next DTS."""
        first = i
        while first > 1 and abs(self._pts_of(first - 1) - int(self._key[first - 1])) > self._latest:
            if abs(self._pts_of(first - 1) - self._pts_of(i)) > self._near:
                break
            first -= 1
        return first

    def _in_line(self, step: float) -> bool:
        return -self._back <= step <= self._near

    def _strays_from(self, i: int, last: int, key: list[int]) -> int:
        """Packets from this one on that are strays: after them, stamps go on where they were. 0: they do not."""
        for j in range(i + 1, min(i + _MAX_STRAYS + 1, len(key))):
            is_abrupt = not -self._back <= key[j] - key[j - 1] <= self._near
            if is_abrupt and -self._back <= key[j] - last <= self._near + (j - i) * self._typical:
                return j - i
        return 0

    def _is_head(self, i: int, step: float, key: list[int]) -> bool:
        """Whether the packets before this one are strays, and the file begins here."""
        rest = np.diff(key[i : i + _MAX_STRAYS])
        goes_on = len(rest) >= 2 and bool(np.all((rest >= -self._back) & (rest <= self._near)))
        return goes_on and not self._near < step <= self._lone

    def _is_pause(self, step: float, last: int, offset: int, *, remaining: int) -> bool:
        """Whether no frame was recorded for a while, or none was needed."""
        if step <= self._near or (remaining <= 2 and step > self._lone):
            return False
        if step <= self._pause:
            return True
        # Other streams are heard all through a pause; the longest silence of theirs tells.
        begin, end = (last - offset) * self._tick, (last - offset + step) * self._tick
        inside = self._others[(self._others > begin) & (self._others < end)]
        silences = np.diff(np.concatenate([[begin], inside, [end]]))
        return end - begin <= _PAUSE and float(silences.max()) < 0.5 * (end - begin)


def _stands_still(key: np.ndarray) -> bool:
    """Whether one stamp is that of many packets in a row, as where libav goes on behind what an index lists."""
    changes = np.flatnonzero(np.diff(key, prepend=key[:1] - 1, append=key[-1:] + 1))
    return int(np.diff(changes).max()) > max(_MAX_STRAYS, len(key) // 4)


class StampedPacket(Protocol):
    """A packet as libav gives it."""

    pts: int | None
    dts: int | None


class ClockLine:
    """Puts the packets of a stream on its continuous clock as they are read, from the first one of the file on.

        >>> line = ClockLine(Clock(0, 1, 25, jumps=(Jump(packet=2, ticks=2),), strays=(3,)))
        >>> from types import SimpleNamespace
        >>> packets = [SimpleNamespace(pts=pts, dts=pts) for pts in (0, 1, 0, 9000, 2)]
        >>> [line.take(packet) for packet in packets], [packet.pts for packet in packets]
        ([True, True, True, False, True], [0, 1, 2, 9002, 4])

    Args:
      clock: of the video.

    Attributes:
      has_jumped: whether a jump was passed. The edit list of a joined file, which hides frames at its beginning, does
        not hold behind one, though libav applies it there.
    """

    def __init__(self, clock: Clock):
        self._jumps, self._strays = list(clock.jumps), frozenset(clock.strays)
        self._stray_stamps: set[int] = set()
        self._number = self._ticks = 0
        self._is_plain = not clock.jumps and not clock.strays
        self.has_jumped = False
        self._parts: list[int] = []

    def take(self, packet: StampedPacket) -> bool:
        """Moves the stamps of the next packet; returns whether they are in line."""
        if self._is_plain:
            return True
        begins = bool(self._jumps) and self._number == self._jumps[0].packet
        if begins:
            jump = self._jumps.pop(0)
            self._ticks = jump.ticks
            self.has_jumped = True
        if packet.pts is not None:
            packet.pts += self._ticks
        if packet.dts is not None:
            packet.dts += self._ticks
        if begins and not jump.is_wrap and packet.pts is not None:
            self._parts.append(packet.pts)
        is_stray = self._number in self._strays
        if is_stray and packet.pts is not None:
            self._stray_stamps.add(packet.pts)
        self._number += 1
        return not is_stray

    def is_stray(self, pts: int | None) -> bool:
        """Whether a frame with this stamp comes from a packet that is out of line."""
        return pts in self._stray_stamps

    def begins_part(self, pts: int) -> bool:
        """Whether a part that was joined begins at or before a frame, and no frame was asked for since."""
        begins = bool(self._parts) and self._parts[0] <= pts
        while self._parts and self._parts[0] <= pts:
            self._parts.pop(0)
        return begins


class CompanionLine:
    """Puts another stream, such as the sound, on the continuous clock of the video in the same file.

    Its stamps begin anew where those of the video do, though some packets earlier or later. So they move as far as the
    video's as soon as that makes them go on without a pause.

    Args:
      clock: of the video.
    """

    def __init__(self, clock: Clock):
        tick = Fraction(clock.numerator, clock.denominator)
        self._moves = [Fraction(0), *(jump.ticks * tick for jump in clock.jumps)]
        self._part = 0
        self._end: Fraction | None = None

    def take(self, packet: StampedPacket, time_base: Fraction, duration: int) -> None:
        """Moves the stamps of the next packet of the stream.

        Args:
          packet: of the other stream.
          time_base: seconds of a tick of its stamps.
          duration: its ticks.
        """
        stamp = packet.dts if packet.dts is not None else packet.pts
        if len(self._moves) == 1 or stamp is None:
            return
        begin = stamp * time_base
        if self._end is not None:
            later = range(self._part, len(self._moves))
            goes_on = (part for part in later if abs(begin + self._moves[part] - self._end) <= _COMPANION)
            self._part = next(goes_on, self._part)
        ticks = round(self._moves[self._part] / time_base)
        packet.pts = None if packet.pts is None else packet.pts + ticks
        packet.dts = None if packet.dts is None else packet.dts + ticks
        self._end = begin + self._moves[self._part] + max(0, duration) * time_base
