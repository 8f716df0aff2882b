"""Head pose from five landmarks.

A rigid head of average measures is fitted to the landmarks by perspective-n-point (SQPNP: Terzakis and Lourakis, ECCV
2020). Five points on eyes and nose determine yaw and roll well, and pitch only roughly.
"""

import cv2
import numpy as np

# Millimetres, x to the right of the picture, y down, z away from the viewer, origin between the eyes; in the order of
# `models.landmarks`. Width and height are the proportions of FER2013's frontal faces (`models.geometry.EMOTION`) at
# 88 mm between the outer corners of the eyes; depths are those of an average head.
_HEAD = np.array(
    [(44.0, 0.0, 9.0), (19.5, 1.5, 0.0), (-44.0, 0.0, 9.0), (-19.5, 1.5, 0.0), (0.0, 46.0, -17.0)], np.float64
)
_FOCAL = 5.0
"""Focal length in widths of the face; the camera is so far away that perspective hardly matters, as in most footage."""


def head_pose(landmarks: np.ndarray) -> np.ndarray:
    """Yaw, pitch and roll of each face.

    Args:
      landmarks: [n, 5, 2], pixels.

    Returns:
      [n, 3] float32 degrees: yaw above 0 looks to the right of the picture, pitch above 0 looks up, roll above 0 leans
      clockwise. NaN where the landmarks fit no head.
    """
    out = np.full((len(landmarks), 3), np.nan, np.float32)
    for i, points in enumerate(np.asarray(landmarks, np.float64)):
        if not np.isfinite(points).all() or np.ptp(points, axis=0).max() < 1:
            continue  # all landmarks in one place, for which OpenCV raises
        focal = _FOCAL * max(float(np.ptp(points[:, 0])), float(np.ptp(points[:, 1])), 1.0)
        camera = np.diag((focal, focal, 1.0))
        found, rotation, _ = cv2.solvePnP(_HEAD, points - points.mean(axis=0), camera, None, flags=cv2.SOLVEPNP_SQPNP)
        if found and np.isfinite(rotation).all():
            matrix, _ = cv2.Rodrigues(rotation)
            out[i] = _angles(matrix)
    return out


def _angles(matrix: np.ndarray) -> tuple[float, float, float]:
    # The head looks along -z: that direction gives yaw and pitch. Its x axis in the picture gives roll.
    look = -matrix[:, 2]
    yaw = np.degrees(np.arctan2(look[0], -look[2]))
    pitch = np.degrees(np.arctan2(-look[1], np.hypot(look[0], look[2])))
    roll = np.degrees(np.arctan2(matrix[1, 0], matrix[0, 0]))
    return float(yaw), float(pitch), float(roll)
