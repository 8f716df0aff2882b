"""The detector that a configuration names."""

import functools
from collections.abc import Callable

import numpy as np

from models.detectors.hog import detect_hog
from schemas.config import Detection
from schemas.errors import UsageError
from schemas.faces import Boxes

Detector = Callable[[np.ndarray], Boxes]
"""[H, W] uint8 → the faces in it, best first."""

DETECTORS: dict[str, Callable[[Detection], Detector]] = {
    "hog": lambda d: functools.partial(detect_hog, min_face=d.min_face, threshold=min(d.threshold, d.keep_threshold)),
}
"""Detectors by name: each makes, from the configuration, a function from luma to boxes."""


def make_detector(detection: Detection) -> Detector:
    """The detector that a configuration names.

    Raises:
      UsageError: there is none of that name.
    """
    if detection.detector not in DETECTORS:
        raise UsageError(f"There is no detector called {detection.detector!r}; known: {', '.join(DETECTORS)}.")
    return DETECTORS[detection.detector](detection)
