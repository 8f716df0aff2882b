"""How far a crop can be trusted: sharpness, light, size and pose of a face, its flags, and one score of them all."""

import cv2
import numpy as np

from models.geometry import EMOTION
from schemas.config import Quality
from schemas.tables import AT_BORDER, BLURRED, DARK, PROFILE, SMALL, TRACKER_ONLY

QUALITY_CHIP = EMOTION
"""How the grey chip is cut that sharpness and brightness are measured on, whichever models there are."""


def sharpness(chip: np.ndarray) -> float:
    """Variance of the Laplacian of a grey chip [s, s] uint8; measured at the chip's scale, so faces compare.

    Source: Pech-Pacheco et al., Diatom autofocusing in brightfield microscopy, ICPR 2000.
    """
    return float(cv2.Laplacian(chip, cv2.CV_32F).var())


def quality_score(
    face_px: np.ndarray, sharp: np.ndarray, brightness: np.ndarray, yaw: np.ndarray, flags: np.ndarray
) -> np.ndarray:
    """The weight of a sample in its second, in (0, 1], and the order by which a track's best samples are chosen.

    A product of size, sharpness, light and frontality, each saturating; it is halved at the border of the picture, and
    halved where only the tracker saw the face. All arguments and the result: [n].

        >>> large, small = quality_score(*np.array([[96, 30], [300, 300], [120, 120], [0, 0]]), np.zeros(2, int))
        >>> bool(large > small)
        True
    """
    size = np.clip(face_px / 96, 0.05, 1)
    focus = sharp / (sharp + 100)
    light = np.clip(np.minimum(brightness, 255 - brightness) / 60, 0.1, 1)
    frontal = np.cos(np.radians(np.clip(np.nan_to_num(np.abs(yaw), nan=60.0), 0, 80)))
    halved = np.where(flags & AT_BORDER, 0.5, 1) * np.where(flags & TRACKER_ONLY, 0.5, 1)
    return np.maximum(size * (0.1 + 0.9 * focus) * light * frontal * halved, 1e-3).astype(np.float32)


def quality_columns(
    chips: np.ndarray, columns: dict[str, np.ndarray], size: tuple[int, int], limits: Quality
) -> dict[str, np.ndarray]:
    """The columns `sharpness`, `brightness`, `quality_flags` and `quality` of the faces of one sample.

    Args:
      chips: [n, s, s] uint8, cut by `QUALITY_CHIP`.
      columns: observation columns of the same faces: box, `face_px`, `yaw`, `confidence`.
      size: width and height of the picture, in the pixels of the boxes.
      limits: from where on a crop is flagged.
    """
    sharp = np.array([sharpness(chip) for chip in chips], np.float32)
    brightness = chips.mean(axis=(1, 2)).astype(np.float32)
    left, top = columns["x"], columns["y"]
    right, bottom = left + columns["width"], top + columns["height"]
    bits = (
        (SMALL, columns["face_px"] < limits.small_px),
        (PROFILE, np.abs(columns["yaw"]) > limits.profile_degrees),
        (BLURRED, sharp < limits.blurred_below),
        (DARK, brightness < limits.dark_below),
        (AT_BORDER, (left < 0) | (top < 0) | (right > size[0]) | (bottom > size[1])),
        (TRACKER_ONLY, np.isnan(columns["confidence"])),
    )
    flags = np.sum([np.where(is_set, bit, 0) for bit, is_set in bits], axis=0).astype(np.uint16)
    score = quality_score(columns["face_px"], sharp, brightness, columns["yaw"], flags)
    return {"sharpness": sharp, "brightness": brightness, "quality_flags": flags, "quality": score}
