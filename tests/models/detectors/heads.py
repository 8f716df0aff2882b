"""Heads that a detector is shown."""

import cv2
import numpy as np

from tests.clips import scene


def grey_scene(size: tuple[int, int], **options) -> tuple[np.ndarray, np.ndarray]:
    """Luma of heads side by side, and the boxes of their faces."""
    picture, boxes = scene(0.0, size=size, **options)
    return (picture @ np.array([0.299, 0.587, 0.114])).astype(np.uint8), boxes


def tilted_head() -> np.ndarray:
    """A head that leans: one clear detection and one that scores below 0."""
    luma, _ = grey_scene((300, 270))
    return cv2.warpAffine(luma, cv2.getRotationMatrix2D((150, 135), 20, 1), (300, 270), borderValue=200)
