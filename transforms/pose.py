"""Head pose from the landmarks of a face, and how sure it is.

Where the detector gives points of its own, yaw is measured twice, and the two are wrong in different ways. So their
difference says how far yaw can be trusted. `docs/detection.md` has the measurements.
"""

import numpy as np

from models.head import LANDMARKS, head_angles
from models.landmarks import Landmarks

_STD, _STD_TURNED = 8.0, 12.0
"""Standard deviation of yaw in degrees where both yaws agree, and of the yaw of turned heads."""


def head_pose(landmarks: np.ndarray) -> np.ndarray:
    """Yaw, pitch and roll of each face.

    Args:
      landmarks: [n, 5, 2], pixels, as `models.landmarks.predict_landmarks` gives them.

    Returns:
      [n, 3] float32 degrees: yaw above 0 looks to the right of the picture, pitch above 0 looks up, roll above 0 leans
      clockwise. NaN where the landmarks fit no head.
    """
    return head_angles(landmarks, LANDMARKS)


def pose_columns(landmarks: Landmarks) -> dict[str, np.ndarray]:
    """The columns `yaw`, `pitch`, `roll` and `pose_std` of faces, [n] float32 each, in degrees.

    A turned head has the yaw of the detector's points and the roll of dlib's, which follow a leaning head even where
    they lie wrong. Neither shows its pitch, which is NaN. `pose_std` is the standard deviation of yaw, NaN where the
    detector gave no points.
    """
    yaw, pitch, roll = head_pose(landmarks.predicted).T
    turned = landmarks.is_turned
    return {
        "yaw": np.where(turned, landmarks.detected_yaw, yaw),
        "pitch": np.where(turned, np.float32(np.nan), pitch),
        "roll": roll,
        "pose_std": np.where(turned, np.float32(_STD_TURNED), np.hypot(np.float32(_STD), yaw - landmarks.detected_yaw)),
    }
