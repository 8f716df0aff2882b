"""What is known about an embedding: its network, the chip that the network wants, and what its similarities mean."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np

from models.geometry import ChipGeometry

Embed = Callable[[np.ndarray], np.ndarray]
"""A chip [s, s, 3] uint8 → its embedding, [d] float32 of length 1."""


@dataclasses.dataclass(frozen=True)
class EmbeddingCard:
    """An embedding.

    Attributes:
      name: as `--embedding` takes it.
      length: number of values, d.
      by_landmarks: how the chip is cut by dlib's landmarks, in the order of `models.landmarks`.
      by_points: how it is cut by a detector's five points, in the order of `schemas.faces.Boxes.points`; None: it is
        always cut by the landmarks.
      same_above: mean cosine similarity from which two groups of tracks are one person, unless the configuration says
        another.
      sure_above: added to it where a group has none but short, small, blurred, dark or turned faces.
      two_below: cosine similarity below which two good faces of one track are plainly two people's.
      across_above: added to it across an archive, where there are more people to be mistaken for.
      weights: gives the file of the network's weights; raises BundleError where it is missing or damaged.
      load: gives the network. Two threads cannot use one.
      source: whose work it is.
      licence: of its code and its weights.
    """

    name: str
    length: int
    by_landmarks: ChipGeometry
    by_points: ChipGeometry | None
    same_above: float
    sure_above: float
    two_below: float
    across_above: float
    weights: Callable[[], Path]
    load: Callable[[Path], Embed]
    source: str
    licence: str

    def transform(self, points: np.ndarray, landmarks: np.ndarray) -> tuple[np.ndarray, ChipGeometry]:
        """From the picture to the chip of one face.

        Args:
          points: [5, 2] float32, pixels; NaN where the detector gave none.
          landmarks: [5, 2] float32, pixels, dlib's.

        Returns:
          [2, 3] float32, as OpenCV's warpAffine takes it, and the geometry that it belongs to.
        """
        geometry, source = self.by_landmarks, landmarks
        if self.by_points is not None and np.isfinite(points).all():
            geometry, source = self.by_points, points
        return geometry.transforms(source[None], np.zeros((1, 4)), (0, 0))[0], geometry


def unit(vector: np.ndarray) -> np.ndarray:
    """A vector [d], or vectors [n, d], as float32 of length 1; a vector of zeros stays one."""
    norm = np.linalg.norm(vector, axis=-1, keepdims=True)
    return (vector / np.maximum(norm, np.finfo(np.float32).tiny)).astype(np.float32)
