"""Sampled frames on their way through the steps, which run fused: each sample passes all of them before the next."""

import dataclasses
import math
from collections.abc import Callable, Iterator

from schemas.faces import Boxes, TrackedFaces
from schemas.in_process import stays_in_process
from schemas.step_times import StepTimes
from schemas.video import DecodeStats, Segment
from transforms.picture import Picture


@dataclasses.dataclass(slots=True)
class Sample:
    """One sampled frame; each step adds its part.

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


@stays_in_process
@dataclasses.dataclass
class SegmentStream:
    """A segment whose samples are decoded as they are asked for, once, in one process: pixels never cross a shuffle.

    Attributes:
      segment: what is read.
      samples: in order of time.
      stats: filled as `samples` is read.
      times: likewise.
    """

    segment: Segment
    samples: Iterator[Sample]
    stats: DecodeStats
    times: StepTimes = dataclasses.field(default_factory=StepTimes)

    def through(self, name: str, step: Callable[[Iterator[Sample]], Iterator[Sample]]) -> "SegmentStream":
        """The stream behind one more step, whose time is counted under a name."""
        return dataclasses.replace(self, samples=self.times.each(name, step(self.samples)))


class SampleGrid:
    """Which frames are samples: the first at or after each point k / sample_fps.

        >>> grid = SampleGrid(2.0)
        >>> [time for time in (0.0, 0.2, 0.4, 0.6, 0.8, 1.0) if grid.takes(time)]
        [0.0, 0.6, 1.0]

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
        """Whether the frame at this time is a sample; call it once for each frame, in order of time."""
        if not self.is_due(timestamp):
            return False
        self.pass_over(timestamp)
        return True

    def is_due(self, timestamp: float) -> bool:
        """Whether `takes` would say yes."""
        return self._fps is None or self.point(timestamp) >= self._next

    def pass_over(self, timestamp: float) -> None:
        """Marks the points up to this time as done: the frame was taken for another reason."""
        self._next = max(self._next, self.point(timestamp) + 1)
