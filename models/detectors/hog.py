"""dlib's detector of frontal faces on HOG features; 42 ms a frame at --min-face 60; misses turned and tilted heads.

It looks at luma alone. Boxes are (x, y, width, height) in pixels of the frame.
"""

import math
import threading

import cv2
import dlib
import numpy as np

from models.detectors.interface import DetectorCard, Picture
from schemas.faces import Boxes

HOG_WINDOW = 80
"""Side of dlib's detection window in pixels: the smallest face that it finds without scaling."""

_of_thread = threading.local()


def _hog() -> dlib.fhog_object_detector:
    """The detector of this thread: two threads that use one detector end the process."""
    if not hasattr(_of_thread, "hog"):
        _of_thread.hog = dlib.get_frontal_face_detector()
    return _of_thread.hog


def detect_hog(luma: np.ndarray, *, min_face: int, threshold: float) -> Boxes:
    """Frontal faces by dlib's HOG detector.

    Source: D. King, Max-Margin Object Detection, arXiv 1502.00046, over the features of Dalal and Triggs (CVPR 2005).

    Args:
      luma: [H, W] uint8.
      min_face: side in pixels of the smallest face to find; the frame is scaled by 80 / min_face first, and the cost
        goes with the square of that.
      threshold: dlib's margin below which a detection is dropped.
    """
    scale = HOG_WINDOW / min_face
    height, width = luma.shape
    if min(height, width) * scale < HOG_WINDOW / 2:
        return Boxes.none()
    if scale != 1:
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        luma = cv2.resize(luma, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    rectangles, scores, _ = _hog().run(luma, 0, threshold)
    xywh = np.array([(r.left(), r.top(), r.width(), r.height()) for r in rectangles], np.float32).reshape(-1, 4)
    score = np.array(scores, np.float32)
    order = np.argsort(-score, kind="stable")
    return Boxes(xywh[order] / np.float32(scale), score[order])


def _find(picture: Picture, *, min_face: int, threshold: float) -> Boxes:
    return detect_hog(picture.luma, min_face=min_face, threshold=threshold)


DETECTOR = DetectorCard(
    find=_find,
    threshold=0.0,
    sure_threshold=0.0,
    keep_threshold=-0.5,
    min_face=60,
    detect_every=0.5,
    source="D. King's dlib, dlib.net (Max-Margin Object Detection, arXiv 1502.00046)",
    licence="Boost Software License 1.0",
    scores=(-math.inf, math.inf),
)
