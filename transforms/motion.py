"""Where a face is in a sample in which the detector has not seen it.

Two answers. dlib's correlation tracker looks at the picture; it is for detectors that run on some samples alone, and
its answer is a row. A steady motion only says where to look for the face again; it costs nothing, and is for detectors
that run on every sample: what such a detector does not see, a tracker seldom finds (`docs/detection.md` has figures).
"""

from typing import Protocol

import dlib
import numpy as np

_LONGEST = 0.5
"""Seconds for which a steady motion goes on; then the face waits where it would be."""
_MEMORY = 0.5
"""Share of the velocity before that is left after another detection."""


class Motion(Protocol):
    """How one face moves."""

    def detected(self, box: np.ndarray, luma: np.ndarray, timestamp: float) -> None:
        """Takes a detection: box [4] float32 (xywh, working pixels), the sample's luma and its time in seconds."""

    def advance(self, luma: np.ndarray, timestamp: float) -> tuple[np.ndarray, float]:
        """The box in the next sample, and how sure that is (a peak-to-sidelobe ratio; NaN: nobody looked)."""


class SteadyMotion:
    """The face goes on as it went between its detections, for half a second."""

    def __init__(self) -> None:
        """Before the first detection."""
        self._velocity: np.ndarray | None = None  # [2], of the centre, pixels a second
        self._last: tuple[np.ndarray, float] | None = None

    def detected(self, box: np.ndarray, luma: np.ndarray, timestamp: float) -> None:
        """Takes a detection; the velocity is an exponential average over all of them."""
        if self._last is not None and timestamp > self._last[1]:
            before, when = self._last
            moved = (box[:2] + box[2:] / 2) - (before[:2] + before[2:] / 2)
            now = (moved / (timestamp - when)).astype(np.float32)
            self._velocity = now if self._velocity is None else _MEMORY * self._velocity + (1 - _MEMORY) * now
        self._last = box, timestamp

    def advance(self, luma: np.ndarray, timestamp: float) -> tuple[np.ndarray, float]:
        """The last detection's box, moved on."""
        assert self._last is not None
        box, when = self._last
        if self._velocity is not None:
            box = box.copy()
            box[:2] += self._velocity * min(timestamp - when, _LONGEST)
        return box, np.nan


class CorrelationMotion:
    """dlib's tracker finds the face again in the picture.

    Source: Danelljan et al., Accurate Scale Estimation for Robust Visual Tracking (BMVC 2014).
    """

    def detected(self, box: np.ndarray, luma: np.ndarray, timestamp: float) -> None:
        """Takes a detection; the tracker starts anew from it when it is needed next."""
        self._start_from: tuple[np.ndarray, np.ndarray] | None = (luma, box)

    def advance(self, luma: np.ndarray, timestamp: float) -> tuple[np.ndarray, float]:
        """The box that the tracker finds; call it once for each sample without a detection."""
        if self._start_from is not None:
            before, (x, y, width, height) = self._start_from
            self._tracker = dlib.correlation_tracker()
            self._tracker.start_track(before, dlib.drectangle(x, y, x + width - 1, y + height - 1))
            self._start_from = None
        score = self._tracker.update(luma)
        place = self._tracker.get_position()
        return np.array((place.left(), place.top(), place.width(), place.height()), np.float32), score
