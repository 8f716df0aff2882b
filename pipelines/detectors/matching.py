"""Which boxes of two people or detectors are the same face, and which faces somebody has marked in a video."""

from __future__ import annotations

import csv
import dataclasses
from pathlib import Path

import numpy as np

from schemas.errors import UsageError
from transforms.track_faces import overlap

_SAME_IOU = 0.3
_ODDEST_AREA = 3.0
"""Boxes that overlap less are the same face, too, if the centre of each lies in the other one and neither has more than
this many times the area of the other: people mark faces from hair to chin, detectors from brows to mouth."""
_CENTRED = 0.01
"""Similarity of such boxes, below that of any that overlap."""
LARGE = 48.0
"""Width in pixels, in the truth's own frame, from which a face counts as large."""
_SMALLEST_FALSE = 16.0
"""Width in pixels below which a box that is no face is not counted: faces are marked from there on."""
_NEAR, _AFTER = 0.13, 0.1
"""Seconds between a marked face and the frame it is in, and between a whole second and the frame that shows it."""


def similarity(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """How much every box in a [n, 4] is like every box in b [m, 4], xywh; [n, m] in [0, 1], 0: another face.

    >>> similarity(np.array([[0, 0, 9, 9.0]]), np.array([[0, 0, 9, 9.0], [2, 2, 5, 5], [9, 9, 9, 9]])).round(2)
    array([[1.  , 0.31, 0.  ]])
    """
    iou = overlap(a, b)
    a, b = a[:, None].astype(np.float64), b[None].astype(np.float64)
    larger = a[..., 2] * a[..., 3] / np.maximum(b[..., 2] * b[..., 3], 1e-9)
    centred = _inside(_centre(a), b) & _inside(_centre(b), a)
    centred &= (larger < _ODDEST_AREA) & (larger > 1 / _ODDEST_AREA)
    return np.where(iou >= _SAME_IOU, iou, np.where(centred, _CENTRED, 0.0))


def _centre(boxes: np.ndarray) -> np.ndarray:
    return boxes[..., :2] + boxes[..., 2:] / 2


def _inside(points: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    return ((boxes[..., :2] < points) & (points < boxes[..., :2] + boxes[..., 2:])).all(axis=-1)


def same_faces(alike: np.ndarray) -> list[tuple[int, int]]:
    """Pairs (row, column) that are one face: each row in turn takes the column that is most like it and still free."""
    pairs, free = [], np.ones(alike.shape[1], bool)
    for row, values in enumerate(alike):
        left = np.where(free, values, 0.0)
        if left.size and left.max() > 0:
            column = int(left.argmax())
            free[column] = False
            pairs.append((row, column))
    return pairs


@dataclasses.dataclass(frozen=True)
class Marked:
    """The faces that somebody marked in a frame.

    Attributes:
      boxes: [n, 4] xywh in pixels of the frame; those that count come first.
      counts: [n] bool, whether it is a face to be found; the others may be found or not.
      is_large: [n] bool, whether it has `LARGE` pixels or more.
    """

    boxes: np.ndarray
    counts: np.ndarray
    is_large: np.ndarray

    def judge(self, found: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Which marked boxes are found ([n] bool), and which boxes of `found` [m, 4] are no face ([m] bool)."""
        alike = similarity(self.boxes, found)
        hit = np.zeros(len(self.boxes), bool)
        wrong = found[:, 2] >= _SMALLEST_FALSE
        for row, column in same_faces(alike):
            hit[row], wrong[column] = True, False
        # What is like a face that another box has found already is a second box of it, and no mistake of its own.
        return hit, wrong & ~(alike > 0).any(axis=0)


class Truth:
    """Faces that somebody marked, in one frame for each second of some videos.

    It is a csv file with the columns `clip` (name of the file without its ending), `frame_w` and `frame_h` (of the
    picture that they were marked in), `t` (seconds), `x`, `y`, `width`, `height` and `label`. `label` is `face`, or
    something else for what may be found or not: faces that are too small, blurred or turned to tell.
    """

    def __init__(self, path: str) -> None:
        """Reads the file.

        Raises:
          UsageError: it cannot be read, or a column or a number is missing.
        """
        self._rows: dict[str, list[_Row]] = {}
        line = 1
        try:
            with Path(path).open(encoding="utf-8", newline="") as file:
                reader = csv.DictReader(file)
                for fields in reader:
                    line = reader.line_num
                    self._rows.setdefault(fields["clip"], []).append(_Row.read(fields))
        except OSError as error:
            raise UsageError(f"The truth {path} cannot be read ({error.strerror}).") from error
        except KeyError as error:
            raise UsageError(f"The truth {path} has no column {error.args[0]}.") from error
        except (ValueError, TypeError, csv.Error) as error:
            raise UsageError(f"The truth {path}, line {line}: {error}") from error

    def __contains__(self, clip: object) -> bool:
        """Whether faces of this clip are marked."""
        return clip in self._rows

    @staticmethod
    def second(timestamp: float) -> int | None:
        """The second whose frame this is; None where it is between two seconds, so that nobody has marked it."""
        second = round(timestamp)
        return second if 0 <= timestamp - second < _AFTER else None

    def marked(self, clip: str, timestamp: float, size: tuple[int, int]) -> Marked:
        """The faces in a frame of this size (width, height)."""
        near = [row for row in self._rows.get(clip, ()) if abs(row.seconds - timestamp) < _NEAR]
        near.sort(key=lambda row: not row.counts)
        boxes = [np.array(row.box) * (np.array(size) / row.frame)[[0, 1, 0, 1]] for row in near]
        return Marked(
            np.array(boxes, np.float64).reshape(-1, 4),
            np.array([row.counts for row in near], bool),
            np.array([row.box[2] >= LARGE for row in near], bool),
        )


@dataclasses.dataclass(frozen=True)
class _Row:
    """A line of the file."""

    seconds: float
    box: tuple[float, ...]
    frame: tuple[float, float]
    counts: bool

    @classmethod
    def read(cls, fields: dict[str, str]) -> _Row:
        box = tuple(float(fields[name]) for name in ("x", "y", "width", "height"))
        frame = float(fields["frame_w"]), float(fields["frame_h"])
        if min(frame) <= 0:
            raise ValueError("frame_w and frame_h must be above 0")
        return cls(float(fields["t"]), box, frame, fields["label"] == "face")
