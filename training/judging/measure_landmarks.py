"""Measures where the landmarks of a data set's faces lie. The points in `models.geometry` were chosen by this.

python -m training.judging.measure_landmarks FOLDER --count 600
"""

from __future__ import annotations

import random
from pathlib import Path

import cv2
import numpy as np
import typer

from models.detectors.choose import make_detector
from models.detectors.interface import StillPicture
from models.landmarks import predict_landmarks
from schemas.config import Detection
from training.datasets.base import decode


def landmark_places(pictures: Path, *, count: int = 600, side: int = 200, seed: int = 0) -> np.ndarray:
    """Landmarks of the faces that the default detector finds in pictures that are each a crop around one face.

    Pictures are enlarged, because faces of 80 pixels and more are searched for, and get a border, because they are
    cropped closely.

    Args:
      pictures: folder with JPEG files at any depth.
      count: number of pictures to draw at random.
      side: pictures are enlarged until their shorter side has this many pixels.
      seed: seed of the draw.

    Returns:
      [n, 5, 2] float32, shares of the picture's width and height, for the n pictures in which a face was found.
    """
    files = sorted(pictures.rglob("*.jpg"))
    detector, places = make_detector(Detection(min_face=80)), []
    for file in random.Random(seed).sample(files, min(count, len(files))):
        grey = decode(file.read_bytes(), file.name, grey=True)
        factor = max(1, round(side / min(grey.shape)))
        large = cv2.resize(grey, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC)
        border = side // 4
        large = cv2.copyMakeBorder(large, border, border, border, border, cv2.BORDER_REPLICATE)
        found = detector.strong(StillPicture(large)).xywh
        if len(found):
            points = predict_landmarks(large, found[:1])[0]
            places.append((points - border + 0.5) / (np.array(grey.shape[::-1]) * factor))
    return np.array(places, np.float32).reshape(-1, 5, 2)


def main(pictures: Path, count: int = 600) -> None:
    """Print median and scatter of each of the five landmarks."""
    places = landmark_places(pictures, count=count)
    print(f"{len(places)} faces of {count} pictures; median and standard deviation as shares of the picture:")
    if len(places):
        for median, deviation in zip(np.median(places, axis=0), places.std(axis=0), strict=True):
            print(f"  x {median[0]:.3f} ± {deviation[0]:.3f}   y {median[1]:.3f} ± {deviation[1]:.3f}")


if __name__ == "__main__":
    typer.run(main)
