"""OpenCV's cascade on Haar features, as older programs use it; 60 ms a frame; finds frontal faces alone.

It looks at luma alone. The score of a face is the number of windows in which the cascade sees it: OpenCV's
`minNeighbors=3` means a score of 4 and more. Its boxes are a little smaller and higher than those of dlib's HOG, for
which dlib's landmarks were made.
"""

import math
import threading
from pathlib import Path

import cv2
import numpy as np

from models.detectors.interface import DetectorCard, Picture, squares
from schemas.errors import BundleError
from schemas.faces import Boxes

_STEP = 1.1
"""Ratio of two neighbouring sizes of face that are searched for, as in OpenCV's defaults."""
_SIDE, _LOWER = 1.05, 0.05
"""How its boxes become those of HOG; with them dlib's landmarks differ by 0.012 eye distances in the mean."""

_of_thread = threading.local()


def weights() -> Path:
    """The cascade's file in the installed OpenCV.

    Raises:
      BundleError: it is not there.
    """
    path = Path(cv2.__file__).parent / "data" / "haarcascade_frontalface_default.xml"
    if not path.is_file():
        raise BundleError(f"{path} is missing: pip install --force-reinstall 'opencv-python-headless>=4.11,<5'.")
    return path


def _cascade(path: Path) -> cv2.CascadeClassifier:
    """The cascade of this thread: two threads cannot use one."""
    cascades: dict[Path, cv2.CascadeClassifier] = _of_thread.__dict__.setdefault("cascades", {})
    if path not in cascades:
        try:
            cascade = cv2.CascadeClassifier(str(path))
        except (cv2.error, SystemError) as error:
            raise BundleError(f"{path} is no cascade that OpenCV can use.") from error
        if cascade.empty():
            raise BundleError(f"{path} is no cascade that OpenCV can use.")
        cascades[path] = cascade
    return cascades[path]


def detect_haar(picture: Picture, *, min_face: int, threshold: float, path: Path) -> Boxes:
    """Frontal faces by a cascade on Haar features.

    Source: P. Viola and M. Jones, Rapid Object Detection using a Boosted Cascade of Simple Features, CVPR 2001; with
    the features and the weights of R. Lienhart.

    Args:
      picture: one with no room for the smallest face has no face.
      min_face: side in pixels of the smallest face to find; the cost goes with the inverse of its square. The cascade
        finds none below 24.
      threshold: number of windows that see a face, below which it is left out; there are never less than 2.
      path: the cascade's XML file.
    """
    found, windows = _cascade(path).detectMultiScale2(picture.luma, _STEP, 1, minSize=(min_face, min_face))
    score = np.array(windows, np.float32)
    order = [index for index in np.argsort(-score, kind="stable") if score[index] >= threshold]
    xywh = np.array(found, np.float32).reshape(-1, 4)[order]
    return Boxes(squares(xywh, side=_SIDE, lower=_LOWER), score[order])


DETECTOR = DetectorCard(
    find=detect_haar,
    threshold=5.0,
    sure_threshold=6.0,
    keep_threshold=3.0,
    min_face=40,
    detect_every=0.5,
    source="R. Lienhart's cascade, with OpenCV (Viola and Jones, CVPR 2001)",
    licence="Intel License Agreement For Open Source Computer Vision Library (BSD-like)",
    scores=(0.0, math.inf),
    weights=weights,
)
