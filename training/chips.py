"""Chips of a data set's faces, cut once by the pipeline's own landmarks and geometry, and kept in a cache."""

from __future__ import annotations

import hashlib
from pathlib import Path

import cv2
import numpy as np

from models.geometry import ChipGeometry, align, cut_chip
from models.landmarks import landmark_sha256, predict_landmarks
from training.datasets import FaceList, decode

# Share of the chip that is kept around it on each side, so that jitter finds pixels there.
MARGIN = 0.125


def whole_picture(width: int, height: int) -> np.ndarray:
    """The face's box where the data set's pictures are themselves crops around one face, [1, 4] float32.

    UTKFace and FairFace were cropped by dlib's detections. Detecting again finds boxes of 0.90 and 0.94 of the picture;
    landmarks from those and from the whole picture differ by at most 0.005 of its width in the median and scatter
    alike (600 pictures each), and a quarter of FairFace is not found again at all.
    """
    return np.array([[0, 0, width, height]], np.float32)


def cut_face(image: np.ndarray, geometry: ChipGeometry) -> np.ndarray:
    """The chip of the one face that a picture [H, W, 3] uint8 RGB is filled with: [size, size, 3] uint8."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    landmarks = predict_landmarks(grey, whole_picture(image.shape[1], image.shape[0]))
    return cut_chip(image, align(landmarks, geometry)[0], geometry.size)


def cut_faces(faces: FaceList, geometry: ChipGeometry, cache: Path) -> np.ndarray:
    """Chips of all faces with their margin: [n, S, S, 3] uint8, read from the cache if they were cut before.

    Args:
      faces: the pictures.
      geometry: of the chip without margin.
      cache: folder for the array, 19 kB a face.
    """
    padded = geometry.padded(MARGIN)
    key = f"{padded}|{landmark_sha256()}|{'|'.join(faces.names)}"
    file = cache / f"chips-{hashlib.sha256(key.encode()).hexdigest()[:16]}.npy"
    if not file.exists():
        chips = np.stack([cut_face(decode((faces.root / name).read_bytes()), padded) for name in faces.names])
        cache.mkdir(parents=True, exist_ok=True)
        part = file.with_name("." + file.name)
        np.save(part, chips)
        part.rename(file)
    return np.load(file, mmap_mode="r")


def middle(chips: np.ndarray, size: int) -> np.ndarray:
    """Chips without their margin, [n, size, size, 3]."""
    border = (chips.shape[1] - size) // 2
    return chips[:, border : border + size, border : border + size]
