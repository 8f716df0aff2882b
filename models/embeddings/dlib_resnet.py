"""dlib's ResNet: 128 values, 70 ms a face on one core; its weights come with facelog anyway.

It tells people apart less well than SFace, above all outside of Europe and America; see docs/persons.md.
"""

from pathlib import Path

import dlib
import numpy as np

from models.detectors.interface import checked_weights, file_of_package
from models.embeddings.interface import Embed, EmbeddingCard, unit
from models.geometry import ChipGeometry
from schemas.errors import BundleError

_SHA256 = "55533b28a95800a551ba546ba62fe69625c7e95a7061c338adffead08719da30"
"""Checksum of `dlib_face_recognition_resnet_model_v1.dat`."""
_PADDING = 0.25
_POINTS = (
    *((0.8595674595992, 0.2134981538014), (0.6460604764104, 0.2289674387677)),
    *((0.1205750620789, 0.2137274526848), (0.3340850613712, 0.2290642403242), (0.4901123135679, 0.6277975316475)),
)
"""dlib's landmarks in a face of width 1, as its `get_face_chip_details` has them."""


def weights() -> Path:
    """The network's file in the installed package `face_recognition_models`, which is not imported.

    Raises:
      BundleError: it is not installed, or the file is another one.
    """
    remedy = "pip install 'face_recognition_models>=0.3,<0.4'"
    name = "face_recognition_models/models/dlib_face_recognition_resnet_model_v1.dat"
    path = file_of_package("face_recognition_models", name, remedy)
    return checked_weights(path, _SHA256, of="embedding dlib", remedy=remedy)


def load(path: Path) -> Embed:
    """The network.

    Raises:
      BundleError: the file is no network that dlib can read.
    """
    try:
        network = dlib.face_recognition_model_v1(str(path))
    except RuntimeError as error:
        raise BundleError(f"{path} is no network that the embedding dlib can use.") from error

    def embed(chip: np.ndarray) -> np.ndarray:
        return unit(np.array(network.compute_face_descriptor(np.ascontiguousarray(chip))))

    return embed


EMBEDDING = EmbeddingCard(
    name="dlib",
    length=128,
    by_landmarks=ChipGeometry(
        150,
        tuple(((x + _PADDING) / (1 + 2 * _PADDING), (y + _PADDING) / (1 + 2 * _PADDING)) for x, y in _POINTS),  # type: ignore[arg-type]
        "rgb",
    ),
    by_points=None,
    same_above=0.94,
    sure_above=0.01,
    two_below=0.85,
    across_above=0.005,
    weights=weights,
    load=load,
    source="D. King's dlib, dlib.net; weights from davisking/dlib-models",
    licence="Boost Software License 1.0; weights CC0 1.0",
)
