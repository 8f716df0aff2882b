"""The time of day of each frame of a live source.

Frames arrive unevenly, while the stamps of a source are even but begin anywhere, and its clock is a little faster or
slower than ours. So a frame's time is its stamp plus an offset. No frame arrives before its time, so the offset is that
of the frame that came soonest, and apart from that it follows the frames' arrival slowly. It is taken anew where stamps
and arrival disagree by seconds.
"""

_MOST_LATE = 10.0
"""Seconds between a frame's time and its arrival beyond which the offset is taken anew."""

_FOLLOW = 0.001
"""Share of a frame's lateness that the offset takes over: half of it is gone after 700 frames."""

_BACK = 0.5
"""Seconds by which a frame may be earlier than the one before and be left out; beyond them, the stamps begin anew."""

_LEAST_EARLY = 0.005
"""Seconds that nobody waits for."""

TICK = 1 / 90_000
"""Seconds; times of frames differ by one at least."""


class WallClock:
    """Gives each frame of a source its time.

    >>> clock = WallClock()
    >>> [clock.time(stamp, now) for stamp, now in ((7.0, 100.0), (8.0, 101.0), (7.9, 101.0))]
    [100.0, 101.0, None]

    Attributes:
      last: time of the last frame, in seconds; None before the first.
    """

    def __init__(self) -> None:
        """Knows nothing of the source yet."""
        self.last: float | None = None
        self._offset: float | None = None

    def begin(self) -> None:
        """Forgets the stamps: the source was opened anew."""
        self._offset = None

    def early(self, stamp: float | None, now: float) -> float:
        """Seconds by which a frame comes before its time, as from a file that is read at once; 0 if it does not.

        Args:
          stamp: as of `time`.
          now: as of `time`.
        """
        early = 0.0 if stamp is None or self._offset is None else stamp + self._offset - now
        return early if _LEAST_EARLY < early < _MOST_LATE else 0.0

    def time(self, stamp: float | None, now: float) -> float | None:
        """Time of the next frame; None if it is out of order and has to be left out.

        Args:
          stamp: seconds of the source's clock; None: it gives none, and frames have the time at which they arrive.
          now: when the frame arrived, in seconds.
        """
        if stamp is None:
            time = now
        else:
            if self._offset is None:
                self._offset = now - stamp
            time = stamp + self._offset
            is_back = self.last is not None and time < self.last - _BACK
            if is_back or not 0 <= now - time <= _MOST_LATE:
                self._offset, time = now - stamp, now
            elif self.last is not None and time <= self.last:
                return None
            self._offset += (now - time) * _FOLLOW
        self.last = time if self.last is None else max(time, self.last + TICK)
        return self.last
