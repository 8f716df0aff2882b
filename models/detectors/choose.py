"""The detector that a configuration names."""

import dataclasses
import functools
import importlib
from collections.abc import Callable
from pathlib import Path

from models.detectors import summaries
from models.detectors.interface import DetectorCard, Picture, checksum
from schemas.config import DETECTORS_OWN, Detection
from schemas.errors import UsageError
from schemas.faces import Boxes


@dataclasses.dataclass(frozen=True)
class Detector:
    """A detector with the settings of a run.

    Attributes:
      card: what it is.
      find: its function, with its weights.
      threshold: score from which a detection counts: two of them confirm a track.
      sure_threshold: score from which one detection confirms a track by itself.
      keep_threshold: score from which one may continue a track, or begin one that is not confirmed.
      min_face: side in pixels of the smallest face to find.
      detect_every: seconds between two runs of it.
    """

    card: DetectorCard
    find: Callable[..., Boxes]
    threshold: float
    sure_threshold: float
    keep_threshold: float
    min_face: int
    detect_every: float

    def __call__(self, picture: Picture) -> Boxes:
        """The faces that may belong to a track, best first."""
        threshold = min(self.threshold, self.keep_threshold)
        return self.find(picture, min_face=self.min_face, threshold=threshold)

    def strong(self, picture: Picture, min_face: int | None = None) -> Boxes:
        """The faces that count, best first, of `min_face` pixels (default: the setting) or more."""
        return self.find(picture, min_face=min_face or self.min_face, threshold=self.threshold)


def detector_card(name: str) -> DetectorCard:
    """What is known of a detector; imports its libraries.

    Raises:
      UsageError: there is none of that name.
    """
    if name not in summaries():
        raise UsageError(f"There is no detector called {name!r}; known: {', '.join(summaries())}.")
    card = importlib.import_module(f"models.detectors.{name}").DETECTOR
    assert isinstance(card, DetectorCard)
    return card


def make_detector(detection: Detection) -> Detector:
    """The detector that a configuration names; settings that the configuration leaves open are the detector's own.

    Raises:
      UsageError: there is none of that name, or it gives no such scores.
    """
    card = detector_card(detection.detector)
    path = weights_path(detection)
    find = functools.partial(card.find, path=path) if path else card.find
    given = {name: getattr(detection, name) for name in DETECTORS_OWN}
    lowest, highest = card.scores
    for name in ("threshold", "sure_threshold", "keep_threshold"):
        if given[name] is not None and not lowest <= given[name] <= highest:
            raise UsageError(
                f"{name} is {given[name]}, and scores of the detector {detection.detector} go from {lowest:g} to "
                f"{highest:g}; was it meant for another --detector?"
            )
    return Detector(
        card, find, **{name: getattr(card, name) if value is None else value for name, value in given.items()}
    )


detector_of_run = functools.lru_cache(maxsize=8)(make_detector)
"""`make_detector` for steps that ask with each segment: its package and weights are looked for once in a process."""


def settle(detection: Detection) -> Detection:
    """The same with the detector's own values written out.

    Raises:
      UsageError: there is no detector of that name.
    """
    detector = make_detector(detection)
    return dataclasses.replace(detection, **{name: getattr(detector, name) for name in DETECTORS_OWN})


def weights_path(detection: Detection) -> Path | None:
    """Where a detector's weights are; None: it has none.

    Raises:
      UsageError: there is no detector of that name, or weights are given for one that has none.
      BundleError: its weights are missing or damaged.
    """
    card = detector_card(detection.detector)
    if detection.detector_model is None:
        return card.weights() if card.weights else None
    if card.weights is None:
        raise UsageError(f"The detector {detection.detector} takes no weights: leave --detector-model away.")
    return Path(detection.detector_model)


def weights_sha256(detection: Detection) -> str:
    """Checksum of a detector's weights; empty: it has none.

    Raises:
      UsageError, BundleError: as `weights_path`.
    """
    path = weights_path(detection)
    return checksum(path) if path else ""
