"""The labelled face of a picture that shows more than it."""

from __future__ import annotations

import functools

import numpy as np

from models.detectors.choose import Detector, make_detector
from models.detectors.interface import Picture, StillPicture
from models.landmarks import find_landmarks
from schemas.config import Detection
from schemas.faces import Boxes

UNREADABLE = "the picture does not read"
NO_FACE = "no face found"
SEVERAL_FACES = "several faces, none of them alone in the middle"

MIN_FACE = 40
"""Pixels; less than in the pipeline, because collections of old photographs are small: IMDB has some of 100 pixels."""

# The labelled face fills about half of the picture's side. Faces are searched from a quarter on, at the same cost for
# pictures of any size.
_OWN_FACE = 0.25


class Dropped(Exception):  # noqa: N818 (no error: many pictures are)
    """A picture gives no chip; the text is the reason by which it is counted."""


def own_face(boxes: np.ndarray, size: tuple[int, int]) -> int:
    """Index of the detection that is the labelled face.

    Pictures of these data sets were cropped around one face. So it is the only detection, or the one that covers the
    middle of the picture.

    Args:
      boxes: [n, 4], x, y, width, height in pixels.
      size: width and height of the picture.

    Raises:
      Dropped: there is no face, or it is not clear which one is labelled.
    """
    if len(boxes) == 0:
        raise Dropped(NO_FACE)
    if len(boxes) == 1:
        return 0
    middle = np.array(size) / 2
    over = np.flatnonzero(((boxes[:, :2] <= middle) & (middle < boxes[:, :2] + boxes[:, 2:])).all(axis=1))
    if len(over) != 1:
        raise Dropped(SEVERAL_FACES)
    return int(over[0])


def find_own_face(picture: Picture, detector: Detector) -> Boxes:
    """A picture's own face, one detection. Large faces are looked for first, since they are cheap to find.

    Args:
      picture: whose face is looked for.
      detector: finds it.

    Raises:
      Dropped: as `own_face`.
    """
    height, width = picture.luma.shape
    large = max(detector.min_face, round(min(height, width) * _OWN_FACE))
    for smallest in dict.fromkeys((large, detector.min_face)):
        found = detector.strong(picture, smallest)
        if len(found.xywh):
            break
    return found.only(own_face(found.xywh, (width, height)))


def landmarks_of_own_face(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Landmarks [1, 5, 2] and box [1, 4] of a picture's own face, as the pipeline finds them.

    Args:
      image: [H, W] or, in RGB, [H, W, 3] uint8.

    Raises:
      Dropped: as `own_face`.
    """
    picture = StillPicture(image)
    face = find_own_face(picture, _detector())
    return find_landmarks(picture.luma, face.xywh, face.points).points, face.xywh


@functools.cache
def _detector() -> Detector:
    """The detector that the pipeline uses by default."""
    return make_detector(Detection(min_face=MIN_FACE))
