"""Faces in bulk: arrays with one row for each face, in place of one object for each."""

import dataclasses
import time

import numpy as np

from schemas.in_process import stays_in_process
from schemas.step_times import StepTimes
from schemas.video import DecodeStats, Segment

NO_STAMP = -(2**63)
"""Stands for "unknown" in integer columns, until they become a table and it becomes null."""


EMBEDDING = "embedding"
"""The task of the embedding, beside those of the models."""


@dataclasses.dataclass(frozen=True)
class Boxes:
    """Detections of one frame.

    Attributes:
      xywh: [n, 4] float32, working pixels (upright, square).
      score: [n] float32, the detector's.
      points: [n, 5, 2] float32, working pixels: right eye, left eye, tip of the nose, right and left corner of the
        mouth, as the detector sees them (right is the person's); None where it gives none.
    """

    xywh: np.ndarray
    score: np.ndarray
    points: np.ndarray | None = None

    @classmethod
    def none(cls) -> "Boxes":
        """No detection."""
        return cls(np.zeros((0, 4), np.float32), np.zeros(0, np.float32))

    def only(self, row: int) -> "Boxes":
        """One of the detections."""
        rows = slice(row, row + 1)
        return Boxes(self.xywh[rows], self.score[rows], None if self.points is None else self.points[rows])


@dataclasses.dataclass(frozen=True)
class TrackedFaces:
    """Faces of one frame, each with the track it belongs to.

    Attributes:
      track: [n] int32, counting within the segment.
      xywh: [n, 4] float32, working pixels.
      confidence: [n] float32, the detector's score; NaN where only the tracker carried the face.
      track_confidence: [n] float32, the tracker's score; NaN where the tracker did not run.
      points: [n, 5, 2] float32, working pixels, as `Boxes.points`; NaN where the detector gave none.
      is_confirmed: [n] bool, whether the track's detections so far are enough to believe that it is a face.
      ended: tracks that ended before this frame, with the reason; rows after their last detection do not count, nor do
        those of a track that was never confirmed.
    """

    track: np.ndarray
    xywh: np.ndarray
    confidence: np.ndarray
    track_confidence: np.ndarray
    points: np.ndarray
    is_confirmed: np.ndarray
    ended: dict[int, str]

    @property
    def counts(self) -> np.ndarray:
        """[n] bool, whether a detection of a confirmed track shows the face."""
        return ~np.isnan(self.confidence) & self.is_confirmed

    def only(self, rows: np.ndarray) -> "TrackedFaces":
        """The same with some of the faces alone, by numbers or [n] bool."""
        arrays = ("track", "xywh", "confidence", "track_confidence", "points", "is_confirmed")
        return dataclasses.replace(self, **{name: getattr(self, name)[rows] for name in arrays})


@dataclasses.dataclass(frozen=True)
class SegmentLog:
    """What is known of a part of a segment beside its faces.

    Attributes:
      timestamps: of all samples, with faces or without.
      is_cut: whether a shot begins with the sample; as many as there are samples.
      ended: tracks of the segment that have ended so far, with the reason.
      stats: what the decoder met, complete in the last part.
      times: seconds that each step took, for the whole segment so far; the steps that follow add theirs.
      started: when the segment was begun, on the clock of `time.monotonic`.
    """

    timestamps: list[float]
    is_cut: list[bool]
    ended: dict[int, str] = dataclasses.field(default_factory=dict)
    stats: DecodeStats = dataclasses.field(default_factory=DecodeStats)
    times: StepTimes = dataclasses.field(default_factory=StepTimes)
    started: float = dataclasses.field(default_factory=time.monotonic)


@stays_in_process
@dataclasses.dataclass(frozen=True)
class FaceBatch:
    """The faces of one part of a segment on their way through the models: columns and chips.

    Attributes:
      segment: the segment that the faces are from.
      part: number of the part; a segment has one part unless it is very long.
      is_last: whether it is the segment's last part.
      columns: observation columns by name, [n] each; the models add theirs.
      rows: by the task of a model (`schemas.config.ModelRef.task`), the faces that it is asked about: [m] numbers of
        rows, in order, of every face or of the best few of each track and second.
      chips: uint8 chips of these rows by the task of a model, [m, s, s] or [m, s, s, 3]; s is the model's own size.
      log: what is known of the samples.
      embeddings: [m, d] float32, of the rows of the task `EMBEDDING`, where persons are asked for and once they are
        computed.
    """

    segment: Segment
    part: int
    is_last: bool
    columns: dict[str, np.ndarray]
    rows: dict[str, np.ndarray]
    chips: dict[str, np.ndarray]
    log: SegmentLog
    embeddings: np.ndarray | None = None

    def __len__(self) -> int:
        """The number of faces."""
        return len(self.columns["track"])

    def with_columns(self, columns: dict[str, np.ndarray], *, done: str) -> "FaceBatch":
        """The same batch with the columns that a model gives, without the chips of that model's task."""
        chips = {task: chips for task, chips in self.chips.items() if task != done}
        return dataclasses.replace(self, columns=self.columns | columns, chips=chips)
