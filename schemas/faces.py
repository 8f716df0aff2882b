"""Faces in bulk: arrays, one row a face, not an object each."""

import dataclasses
from typing import Any

import numpy as np

from schemas.in_process import stays_in_process
from schemas.video import Segment


@dataclasses.dataclass(frozen=True)
class Boxes:
    """Detections of one frame.

    Attributes:
      xywh: [n, 4] float32, working pixels (upright, square).
      score: [n] float32, the detector's.
    """

    xywh: np.ndarray
    score: np.ndarray


@dataclasses.dataclass(frozen=True)
class TrackedFaces:
    """Faces of one frame, each with the track it belongs to.

    Attributes:
      track: [n] int32, counting within the segment.
      xywh: [n, 4] float32, working pixels.
      confidence: [n] float32, the detector's score; NaN where the tracker alone carried it.
      track_confidence: [n] float32, the tracker's score; NaN where it was not asked.
      ended: tracks that ended before this frame, with the reason: what came after their last detection is void.
    """

    track: np.ndarray
    xywh: np.ndarray
    confidence: np.ndarray
    track_confidence: np.ndarray
    ended: dict[int, str]


@stays_in_process
@dataclasses.dataclass(frozen=True)
class FaceBatch:
    """The faces of one part of a segment on their way through the models: columns and chips.

    Attributes:
      segment: where they are from.
      part: number of the part; a segment has one unless it is very long.
      is_last: whether it is the segment's last.
      columns: observation columns by name, [n] each; the models add theirs.
      chips: uint8 chips by the task of a model (`schemas.config.ModelRef.task`), each of its own size and channels: of
        emotion [n, s, s] or [n, s, s, 3], of age and gender [m, s, s] or [m, s, s, 3].
      best: [m] rows of the best few samples of each track and second, which age and gender are read from.
      log: what else the fragment says: samples, and with the last part the ends of tracks and the decoder's figures.
    """

    segment: Segment
    part: int
    is_last: bool
    columns: dict[str, np.ndarray]
    chips: dict[str, np.ndarray]
    best: np.ndarray
    log: dict[str, Any]

    def __len__(self) -> int:
        """Faces in it."""
        return len(self.columns["track"])

    def with_columns(self, columns: dict[str, np.ndarray], *, done: str) -> "FaceBatch":
        """The same with the columns of a task, and without the chips that it needed."""
        chips = {task: chips for task, chips in self.chips.items() if task != done}
        return dataclasses.replace(self, columns=self.columns | columns, chips=chips)
