"""A rigid head of average measures, and its fit to points of a face in a picture.

The fit is by perspective-n-point (SQPNP: Terzakis and Lourakis, ECCV 2020).
"""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np

# Millimetres, x to the right of the picture, y down, z away from the viewer, origin between the eyes. Width and height
# of the landmarks are the proportions of FER2013's frontal faces (`models.geometry.EMOTION`) at 88 mm between the outer
# corners of the eyes; depths are those of an average head.
LANDMARKS = np.array(
    [(44.0, 0.0, 9.0), (19.5, 1.5, 0.0), (-44.0, 0.0, 9.0), (-19.5, 1.5, 0.0), (0.0, 46.0, -17.0)], np.float64
)
"""The five points of dlib, in the order of `models.landmarks.predict_landmarks`; [5, 3]."""

DETECTED = np.array(
    [(-31.0, 1.0, 4.5), (31.0, 1.0, 4.5), (0.0, 38.0, -31.0), (-26.0, 61.0, 5.0), (26.0, 61.0, 5.0)], np.float64
)
"""The five points of a detector, in the order of `schemas.faces.Boxes.points`; [5, 3]. Measures of the mean of
MediaPipe's face mesh over 690 frontal faces."""

_FOCAL = 5.0
"""Focal length in widths of the face; the camera is so far away that perspective hardly matters, as in most footage."""


@dataclasses.dataclass(frozen=True)
class HeadFit:
    """How a head lies in a picture.

    Attributes:
      rotation: [3, 3], from the head's axes to the camera's.
      translation: [3], the head's origin in the camera's axes.
      focal: of the camera, in pixels.
      centre: [2], the pixel at which the camera looks.
    """

    rotation: np.ndarray
    translation: np.ndarray
    focal: float
    centre: np.ndarray

    @property
    def angles(self) -> tuple[float, float, float]:
        """Yaw, pitch and roll in degrees: to the right of the picture, up, clockwise."""
        # The head looks along -z: that direction gives yaw and pitch. Its x axis in the picture gives roll.
        look = -self.rotation[:, 2]
        yaw = np.degrees(np.arctan2(look[0], -look[2]))
        pitch = np.degrees(np.arctan2(-look[1], np.hypot(look[0], look[2])))
        roll = np.degrees(np.arctan2(self.rotation[1, 0], self.rotation[0, 0]))
        return float(yaw), float(pitch), float(roll)

    def project(self, points: np.ndarray) -> np.ndarray:
        """Where points [n, 3] of the head lie in the picture, [n, 2]."""
        seen = points @ self.rotation.T + self.translation
        return seen[:, :2] / seen[:, 2:] * self.focal + self.centre


def fit_head(points: np.ndarray, head: np.ndarray) -> HeadFit | None:
    """The head that fits points in a picture best; None where none does.

    Args:
      points: [5, 2], pixels.
      head: [5, 3], the same points of the head: `LANDMARKS` or `DETECTED`.
    """
    points = np.asarray(points, np.float64)
    extent = float(np.ptp(points, axis=0).max())
    if not 1 <= extent < np.inf:  # all points in one place, for which OpenCV raises; or none known
        return None
    focal = _FOCAL * extent
    centre = points.mean(axis=0)
    camera = np.array(((focal, 0, 0), (0, focal, 0), (0, 0, 1)))
    found, turned, moved = cv2.solvePnP(head, points - centre, camera, None, flags=cv2.SOLVEPNP_SQPNP)
    if not found or not np.isfinite(turned).all():
        return None
    return HeadFit(cv2.Rodrigues(turned)[0], moved[:, 0], focal, centre)


def head_angles(points: np.ndarray, head: np.ndarray) -> np.ndarray:
    """Yaw, pitch and roll of each face.

    Args:
      points: [n, 5, 2], pixels.
      head: [5, 3], the same points of the head: `LANDMARKS` or `DETECTED`.

    Returns:
      [n, 3] float32 degrees, as `HeadFit.angles`. NaN where the points fit no head.
    """
    fits = [fit_head(face, head) for face in points]
    return np.array([(np.nan,) * 3 if fit is None else fit.angles for fit in fits], np.float32).reshape(-1, 3)
