"""The detector that a configuration names."""

import dataclasses
import importlib

from models.detectors import summaries
from models.detectors.interface import DetectorCard, Picture
from schemas.config import DETECTORS_OWN, Detection
from schemas.errors import UsageError
from schemas.faces import Boxes


@dataclasses.dataclass(frozen=True)
class Detector:
    """A detector with the settings of a run.

    Attributes:
      card: what it is.
      threshold: score from which a detection may begin a track.
      keep_threshold: score from which it may continue one.
      min_face: side in pixels of the smallest face to find.
      detect_every: seconds between two runs of it.
    """

    card: DetectorCard
    threshold: float
    keep_threshold: float
    min_face: int
    detect_every: float

    def __call__(self, picture: Picture) -> Boxes:
        """The faces that may begin or continue a track, best first."""
        threshold = min(self.threshold, self.keep_threshold)
        return self.card.find(picture, min_face=self.min_face, threshold=threshold)

    def strong(self, picture: Picture, min_face: int | None = None) -> Boxes:
        """The faces that may begin a track, best first, of `min_face` pixels (default: the setting) or more."""
        return self.card.find(picture, min_face=min_face or self.min_face, threshold=self.threshold)


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
      UsageError: there is none of that name.
    """
    card = detector_card(detection.detector)
    given = {name: getattr(detection, name) for name in DETECTORS_OWN}
    return Detector(card, **{name: getattr(card, name) if value is None else value for name, value in given.items()})


def settle(detection: Detection) -> Detection:
    """The same with the detector's own values written out.

    Raises:
      UsageError: there is no detector of that name.
    """
    detector = make_detector(detection)
    return dataclasses.replace(detection, **{name: getattr(detector, name) for name in DETECTORS_OWN})


def weights_sha256(name: str) -> str:
    """Checksum of a detector's weights; empty: it has none.

    Raises:
      UsageError: there is no detector of that name.
      BundleError: its weights are missing or damaged.
    """
    sha256 = detector_card(name).weights_sha256
    return sha256() if sha256 else ""
