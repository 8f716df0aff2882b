"""Time stamps of the frames around the one that is decoded."""

import bisect

from schemas.video import Clock

_KEPT = 1024
"""Time stamps kept at least, of the packets read last."""


class FrameTimes:
    """Time stamps of the last frames that were read, in order: they give a frame's rank and its neighbours."""

    def __init__(self, clock: Clock, frames_before: int):
        """Knows no frame yet.

        Args:
          clock: of the video.
          frames_before: frames of the video that are shown before the first that will be read.
        """
        self._first = clock.start_pts or 0
        self._forgotten = frames_before
        self._pts: list[int] = []

    def add(self, pts: int) -> None:
        """Takes the time stamp of a packet that was read."""
        if pts < self._first:
            return  # pictures before the first that decodes are never shown
        bisect.insort(self._pts, pts)
        if len(self._pts) > 2 * _KEPT:
            del self._pts[:_KEPT]
            self._forgotten += _KEPT

    def rank(self, pts: int) -> int:
        """Frames of the video that are shown before."""
        return self._forgotten + bisect.bisect_left(self._pts, pts)

    def before(self, pts: int) -> int | None:
        """The next smaller PTS."""
        place = bisect.bisect_left(self._pts, pts)
        return self._pts[place - 1] if place else None

    def after(self, pts: int) -> int | None:
        """The next larger PTS that was read so far."""
        place = bisect.bisect_right(self._pts, pts)
        return self._pts[place] if place < len(self._pts) else None
