"""The faces of pictures that come one at a time, at once: tracks, and what the models say of them, smoothed.

The steps are those of the pipeline. Only the models are asked about few faces of each picture, those whose answers are
oldest, so that a picture with many faces takes hardly longer than one with few.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import av
import numpy as np

from models.bundle import bundle_path
from models.cards import Card, read_card
from models.detectors.choose import make_detector
from models.handlers import ATTRIBUTE_COLUMNS
from models.outputs import INTERVAL_80
from pipelines.face_words import age_words, emotion_words, flag_words, gender_words
from schemas.config import Config, ModelRef
from schemas.errors import MediaError
from schemas.tables import EMOTION_COLUMNS, EMOTIONS
from transforms.crop_faces import Cropped, crop_sample
from transforms.detect_cuts import detect_cuts
from transforms.detect_faces import detect_faces
from transforms.picture import Picture
from transforms.samples import Sample
from transforms.track_faces import FaceTracker, TrackerSettings

_FACES_A_PICTURE = {"every": 4, "best": 2}
"""Faces that a model is asked about in one picture, by the rows that its card wants."""

_AGAIN = {"every": 0.0, "best": 0.3}
"""Seconds before a model is asked about the same face again, likewise."""

_SECONDS = {"every": 0.4, "best": 2.0}
"""Seconds over which answers are smoothed, likewise."""


class JpegDecoder:
    """Decodes the JPEG pictures of one sender."""

    def __init__(self, max_pixels: int):
        """Refuses pictures of more pixels."""
        self._max_pixels = max_pixels
        self._begin()

    def _begin(self) -> None:
        self._codec = av.CodecContext.create("mjpeg", "r")
        self._codec.options = {"max_pixels": str(self._max_pixels)}

    def decode(self, data: bytes) -> av.VideoFrame:
        """The picture.

        Raises:
          MediaError: it is none, is not whole, or is too large.
        """
        try:
            frames: list[Any] = self._codec.decode(av.Packet(data)) if data else []
        except (av.error.FFmpegError, ValueError):
            frames = []
        if not frames:
            self._begin()
            raise MediaError("This is no JPEG picture that can be read.")
        return frames[0]


@dataclasses.dataclass
class _Known:
    """What is known of a track.

    Attributes:
      values: by observation column, smoothed.
      asked_at: when each model was asked last, by its task, in seconds.
    """

    values: dict[str, float] = dataclasses.field(default_factory=dict)
    asked_at: dict[str, float] = dataclasses.field(default_factory=dict)

    def learn(self, values: dict[str, float], weight: float) -> None:
        for name, value in values.items():
            before = self.values.get(name, value)
            self.values[name] = before + weight * (value - before)


class LiveFaces:
    """Follows the faces of one sender's pictures."""

    def __init__(self, config: Config, bundles: Sequence[Any]):
        """Starts without a face.

        Args:
          config: settled; `sampling` does not matter.
          bundles: the loaded models, in the order of the configuration's.
        """
        self._config, detector = config, make_detector(config.detection)
        self._cards: dict[str, Card] = {model.task: read_card(bundle_path(model.name)) for model in config.models}
        self._models: list[tuple[ModelRef, Any]] = list(zip(config.models, bundles, strict=True))
        self._counts_from = detector.threshold
        self._tracker = FaceTracker(TrackerSettings.of(config))
        self._sample: Sample | None = None
        cuts = detect_cuts(iter(self._given, None), threshold=config.detection.cut_threshold)
        self._found = detect_faces(cuts, detector, every=detector.detect_every)
        self._tracks: dict[int, _Known] = {}
        gender = config.model("gender")
        self._unknown_below = (gender and self._cards[gender.task].unknown_below) or 0.5

    def _given(self) -> Sample | None:
        return self._sample

    def look(self, picture: Picture, at: float) -> list[dict[str, Any]]:
        """The faces of the next picture that are believed, with what is known of them; ready for JSON.

        Args:
          picture: its pixels.
          at: seconds, later than those of the picture before.
        """
        self._sample = Sample(at, None, None, picture, is_first=self._sample is None)
        sample = next(self._found)
        faces = sample.faces = self._tracker.follow(picture.luma, at, sample.detections, is_cut=sample.is_cut)
        for track in faces.ended:
            self._tracks.pop(track, None)
        if not len(faces.track):
            return []
        cropped = crop_sample(sample, self._cards, self._config.quality, self._counts_from)
        shown: list[int] = np.flatnonzero(faces.is_confirmed).tolist()
        tracks = [int(track) for track in faces.track]
        for model, bundle in self._models:
            self._ask(model, bundle, cropped, tracks, shown, at)
        return [self._face(cropped, row, tracks[row]) for row in shown]

    def _ask(
        self, model: ModelRef, bundle: Any, cropped: Cropped, tracks: list[int], shown: list[int], at: float
    ) -> None:
        """Asks a model about the faces that it was asked about least recently."""
        task, kind = model.task, self._cards[model.task].rows
        known = {row: self._tracks.setdefault(tracks[row], _Known()) for row in shown}
        since = {row: at - known[row].asked_at.get(task, -math.inf) for row in shown}
        due = [row for row in shown if since[row] >= _AGAIN[kind]]
        rows = sorted(due, key=lambda row: -since[row])[: _FACES_A_PICTURE[kind]]
        if not rows:
            return
        columns = _columns(bundle.predict(cropped.chips[task][rows]), model)
        for place, row in enumerate(rows):
            values = {name: float(of[place]) for name, of in columns.items()}
            known[row].learn(values, 1 - math.exp(-since[row] / _SECONDS[kind]))
            known[row].asked_at[task] = at

    def _face(self, cropped: Cropped, row: int, track: int) -> dict[str, Any]:
        values = self._tracks.setdefault(track, _Known()).values
        columns = cropped.columns
        emotions = [values[name] for name in EMOTION_COLUMNS if name in values]
        best = int(np.argmax(emotions)) if emotions else None
        age, std, female = (values.get(name) for name in ("age", "age_std", "gender_female"))
        reach = INTERVAL_80 * (std or 0.0)
        low, high = (None, None) if age is None else (max(0.0, age - reach), age + reach)
        gender = None
        if female is not None:
            likelier = "female" if female >= 0.5 else "male"
            gender = likelier if max(female, 1 - female) >= self._unknown_below else "unknown"
        return {
            "track": track,
            "box": [round(float(columns[name][row]), 1) for name in ("x", "y", "width", "height")],
            "emotions": [round(value, 3) for value in emotions],
            "emotion": None if best is None else EMOTIONS[best],
            "words": {
                "emotion": emotion_words(None, None) if best is None else emotion_words(EMOTIONS[best], emotions[best]),
                "age": age_words(age, low, high),
                "gender": gender_words(gender, female),
                "quality": ", ".join(flag_words(int(columns["quality_flags"][row]))) or "good",
            },
        }


def _columns(answers: Mapping[str, np.ndarray], model: ModelRef) -> dict[str, np.ndarray]:
    """A model's answers as observation columns [n], those alone that the configuration takes from it."""
    named = {name: of for name, of in answers.items() if name != "emotion"}
    if "emotion" in answers:
        named |= dict(zip(EMOTION_COLUMNS, answers["emotion"].T, strict=True))
    return {name: named[name] for attribute in model.attributes for name in ATTRIBUTE_COLUMNS[attribute]}
