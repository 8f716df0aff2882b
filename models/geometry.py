"""Crop geometry: how a face in a picture becomes the input of a network, for training and pipeline alike.

There are two geometries. `ChipGeometry` turns, scales and shifts the face so that its landmarks lie where the training
pictures have them. `BoxGeometry` takes the detector's box, as older systems do.

Coordinates are (x, y) in pixels with pixel centres at whole numbers, as in dlib and OpenCV; only a geometry's own
points are fractions of the chip, whose edges are 0 and 1.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Annotated, Literal

import cv2
import numpy as np
import pydantic

_IN_CARDS = pydantic.ConfigDict(extra="forbid")  # cards and prepared data sets hold geometries as they are here

Point = tuple[float, float]
Channels = Literal["grey", "rgb", "bgr"]

# At this limit a pixel of the chip is the mean of 64 × 64 pixels of the picture, as for a face of 2,000 pixels. Only
# degenerate landmarks ask for more; the limit bounds the memory of the oversampled chip.
_MAX_OVERSAMPLING = 64


@dataclasses.dataclass(frozen=True)
class ChipGeometry:
    """Size of a chip, its channels, and where in it the five landmarks lie.

    Attributes:
      size: width and height in pixels.
      points: the five landmarks in the order of `models.landmarks`, as fractions of the chip's width and height.
      channels: "grey" (cut from the luma plane as it is), "rgb" or "bgr".
      kind: how a card tells the two geometries apart.
    """

    size: int
    points: tuple[Point, Point, Point, Point, Point]
    channels: Channels
    kind: Literal["aligned"] = dataclasses.field(default="aligned", repr=False)

    __pydantic_config__ = _IN_CARDS

    def transforms(self, landmarks: np.ndarray, boxes: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        """From picture to chip, [n, 2, 3] float32, by the landmarks [n, 5, 2] alone."""
        return align(landmarks, self)

    def targets(self) -> np.ndarray:
        """The points in chip pixels, [5, 2] float64."""
        return np.asarray(self.points, np.float64) * self.size - 0.5

    def padded(self, margin: float) -> ChipGeometry:
        """The same scale of face in a larger chip: `margin` times the size more on each side (training cuts these)."""
        border = round(self.size * margin)
        size = self.size + 2 * border
        points = tuple(((x * self.size + border) / size, (y * self.size + border) / size) for x, y in self.points)
        return ChipGeometry(size, points, self.channels)  # type: ignore[arg-type]


@dataclasses.dataclass(frozen=True)
class BoxGeometry:
    """The detector's box, enlarged, cut off at the picture's edges, and stretched to a square.

    Attributes:
      size: width and height of the chip in pixels.
      enlarge: share of the box's width and height that is added on each side.
      channels: "grey", "rgb" or "bgr".
      kind: how a card tells the two geometries apart.
    """

    size: int
    enlarge: Annotated[float, pydantic.Field(ge=0, le=2)]
    channels: Channels
    kind: Literal["box"] = dataclasses.field(default="box", repr=False)

    __pydantic_config__ = _IN_CARDS

    def transforms(self, landmarks: np.ndarray, boxes: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        """From picture to chip.

        Args:
          landmarks: not used.
          boxes: [n, 4], x, y, width, height in pixels of the picture.
          size: width and height of the picture.

        Returns:
          [n, 2, 3] float32, as OpenCV's warpAffine takes them.
        """
        corner, extent = np.asarray(boxes, np.float64)[:, :2], np.asarray(boxes, np.float64)[:, 2:]
        low = np.clip(corner - self.enlarge * extent, 0, np.array(size) - 1)
        high = np.clip(corner + (1 + self.enlarge) * extent, low + 1, np.maximum(np.array(size), low + 1))
        scale = self.size / (high - low)
        # Pixel centres: the box's edge at low - 1/2 becomes the chip's at -1/2.
        shift = (0.5 - low) * scale - 0.5
        zeros = np.zeros(len(scale))
        rows = np.stack([scale[:, 0], zeros, shift[:, 0], zeros, scale[:, 1], shift[:, 1]], axis=1)
        return rows.reshape(-1, 2, 3).astype(np.float32)


Geometry = ChipGeometry | BoxGeometry

# Medians of dlib's landmarks over 600 pictures each, made symmetric; `python -m training.judging.measure_landmarks`
# measures them.
# FER2013 (48 × 48): the faces of its pictures scatter around these points by 0.07 of the width.
EMOTION = ChipGeometry(
    size=48,
    points=((0.760, 0.394), (0.615, 0.403), (0.240, 0.394), (0.385, 0.403), (0.500, 0.667)),
    channels="grey",
)
# Between UTKFace (outer corners 0.545 of the width apart) and FairFace (0.505): neither loses more than its rim.
AGE_GENDER = ChipGeometry(
    size=64,
    points=((0.763, 0.305), (0.612, 0.316), (0.237, 0.305), (0.388, 0.316), (0.500, 0.589)),
    channels="rgb",
)


def align(landmarks: np.ndarray, geometry: ChipGeometry) -> np.ndarray:
    """Least-squares similarity transforms (turn, scale, shift; no reflection) from picture to chip.

    With points as complex numbers, a similarity is z → a·z + b, and its least squares have a closed form: the optimum
    of Umeyama (TPAMI 1991) for two dimensions.

    Args:
      landmarks: [n, 5, 2], pixels of the picture.
      geometry: where the landmarks have to lie.

    Returns:
      [n, 2, 3] float32, as OpenCV's warpAffine takes them. Landmarks that all coincide give scale 0.
    """
    source = np.ascontiguousarray(landmarks, np.float64).view(np.complex128)[..., 0]
    target = geometry.targets().view(np.complex128)[..., 0]
    source_mean, target_mean = source.mean(axis=1, keepdims=True), target.mean()
    centred = source - source_mean
    spread = np.maximum((np.abs(centred) ** 2).sum(axis=1), np.finfo(np.float64).tiny)
    a = (np.conj(centred) * (target - target_mean)).sum(axis=1) / spread
    b = target_mean - a * source_mean[:, 0]
    rows = np.stack([a.real, -a.imag, b.real, a.imag, a.real, b.imag], axis=1)
    return rows.reshape(-1, 2, 3).astype(np.float32)


def cut_chip(image: np.ndarray, transform: np.ndarray, size: int) -> np.ndarray:
    """Cut one chip.

    A face larger than the chip is first warped to a chip 2, 4, 8 … times as large, at no less than its own resolution,
    and then averaged down: bilinear sampling alone would skip pixels and alias. Outside the picture, its nearest pixel
    is repeated, since a black wedge would be an edge that no training picture has at the face.

    Args:
      image: [H, W] or [H, W, 3] uint8.
      transform: [2, 3], from a geometry's `transforms`.
      size: width and height of the chip in pixels.

    Returns:
      [size, size] or [size, size, 3] uint8.
    """
    scale = min(math.hypot(*transform[:, 0]), math.hypot(*transform[:, 1]))
    wanted = math.ceil(math.log2(1 / scale)) if 0 < scale < 1 else 0
    oversampling = min(2**wanted, _MAX_OVERSAMPLING)
    matrix = np.asarray(transform, np.float64) * oversampling
    matrix[:, 2] += (oversampling - 1) / 2  # pixel centres: (x + ½)·k − ½
    large = (size * oversampling, size * oversampling)
    chip = cv2.warpAffine(image, matrix, large, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return chip if oversampling == 1 else cv2.resize(chip, (size, size), interpolation=cv2.INTER_AREA)
