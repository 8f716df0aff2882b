"""Chips of a data set's pictures: how the face of a picture becomes the input of a network.

Training and evaluation share this code. Most sets have ready-made crops, which one face fills. Where a picture has room
around the face, the face is looked for, as the pipeline does.
"""

from __future__ import annotations

import cv2
import numpy as np

from models.geometry import BoxGeometry, Channels, ChipGeometry, Geometry, cut_chip
from models.landmarks import predict_landmarks
from training.data.own_face import Dropped, landmarks_of_own_face
from training.datasets.base import LabelledPicture

# Training chips have a margin of this share on each side, so that random shifts and rotations find pixels there.
MARGIN = 0.125

# Pictures up to this size (longer side) are inputs of networks already, and taken whole. Measured with the bundles
# of the first release: 2,000 of FER2013 (48 pixels), whole 61.2 % right, by landmarks 59.9 %, by landmarks of
# the picture enlarged four times 60.6 %. 1,500 of UTKFace made 48 pixels small: an age MAE of 5.55, 5.48 and 5.45, of
# a standard error of 0.15; at their own 120 pixels 5.56 whole and 5.49 by landmarks.
WHOLE_UP_TO = 64


def ready_chip(picture: np.ndarray, geometry: Geometry) -> np.ndarray:
    """The chip of a ready-made crop around one face.

    A picture of at most 64 pixels is taken whole, whatever the geometry. With `BoxGeometry` every picture is taken
    whole: it counts as the box, and nothing is added around it. With `ChipGeometry` a larger picture counts as the
    detector's box; landmarks are found in it, and the chip is aligned by them.

    Args:
      picture: [H, W] or [H, W, 3] RGB, uint8.
      geometry: geometry of the chip.

    Returns:
      [size, size] for "grey", else [size, size, 3] in the geometry's order of channels; uint8.
    """
    return training_chip(picture, geometry, 0.0)


def training_chip(picture: np.ndarray, geometry: Geometry, margin: float = MARGIN) -> np.ndarray:
    """`ready_chip` with a margin from the picture around it.

    Args:
      picture: [H, W] or [H, W, 3] RGB, uint8.
      geometry: geometry of the chip without margin.
      margin: margin on each side for `ChipGeometry`, as a share of the chip's size; beyond the edge of the picture the
        nearest pixel is repeated. `BoxGeometry` gets no margin, because the whole picture is in the box already.

    Returns:
      As `ready_chip`, larger by twice the margin.
    """
    return _cut(picture, _transform(picture, geometry), geometry, margin)


def _cut(picture: np.ndarray, transform: np.ndarray, geometry: Geometry, margin: float) -> np.ndarray:
    border = round(geometry.size * margin) if isinstance(geometry, ChipGeometry) else 0
    transform = transform.copy()
    transform[:, 2] += border
    return cut_chip(in_channels(picture, geometry.channels), transform, geometry.size + 2 * border)


def labelled_chip(sample: LabelledPicture, picture: np.ndarray, geometry: Geometry, margin: float = 0.0) -> np.ndarray:
    """The chip of a sample's face, whether it fills the picture or is to be looked for.

    Where the sample tells how much room there is, and no face is found, it is taken to be in the middle.

    Args:
      sample: tells how much room is around its face.
      picture: its picture, [H, W] or [H, W, 3] RGB.
      geometry: geometry of the chip without margin.
      margin: as for `training_chip`.

    Returns:
      As `training_chip`.

    Raises:
      Dropped: no face is found, and nothing tells where it is.
    """
    height, width = picture.shape[:2]
    if sample.room == 0 or (sample.room is not None and max(height, width) <= WHOLE_UP_TO):
        return training_chip(picture, geometry, margin)
    try:
        landmarks, box = landmarks_of_own_face(picture)
    except Dropped:
        if sample.room is None:
            raise
        face = 1 / (1 + 2 * sample.room)
        box = whole_picture(width, height) * face
        box[0, :2] = (1 - face) / 2 * width, (1 - face) / 2 * height
        landmarks = predict_landmarks(in_channels(picture, "grey"), box)
    return _cut(picture, geometry.transforms(landmarks, box, (width, height))[0], geometry, margin)


def in_channels(picture: np.ndarray, channels: Channels) -> np.ndarray:
    """A picture [H, W] or [H, W, 3] RGB as [H, W] for "grey", else [H, W, 3] in the given order of channels."""
    if channels == "grey":
        return picture if picture.ndim == 2 else cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    rgb = picture if picture.ndim == 3 else cv2.cvtColor(picture, cv2.COLOR_GRAY2RGB)
    return rgb if channels == "rgb" else cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR)


def whole_picture(width: int, height: int) -> np.ndarray:
    """The whole picture as the face's box, [1, 4] float32, for data sets of crops around one face.

    UTKFace and FairFace were cropped by dlib's detections. A second detection finds boxes of 0.90 and 0.94 of the
    picture. Landmarks from those boxes and from the whole picture differ by at most 0.005 of its width in the median,
    with the same scatter (600 pictures each). In a quarter of FairFace a second detection finds no face.
    """
    return np.array([[0, 0, width, height]], np.float32)


def _transform(picture: np.ndarray, geometry: Geometry) -> np.ndarray:
    """The transform from picture to chip, [2, 3] float32."""
    height, width = picture.shape[:2]
    box = whole_picture(width, height)
    if isinstance(geometry, ChipGeometry) and max(height, width) > WHOLE_UP_TO:
        landmarks = predict_landmarks(in_channels(picture, "grey"), box)
    else:
        geometry, landmarks = BoxGeometry(geometry.size, 0.0, geometry.channels), np.empty((1, 5, 2), np.float32)
    return geometry.transforms(landmarks, box, (width, height))[0]
