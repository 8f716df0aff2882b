"""evaluate: figures of a model on a labelled data set, on ready-made crops or end to end.

End to end, the pipeline's own detector, landmarks and crop come before the model, as for frames of a video; each
picture is a shot of its own. A model is only as good as the crops that it gets, so the figures on ready-made crops of
the same pictures are given as well.
"""

import contextlib
import csv
import dataclasses
import json
import random
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from rich.console import Console

from models.bundle import Bundle, load_bundle
from models.cards import Card
from models.detectors.choose import detector_card
from models.geometry import Geometry
from models.outputs import INTERVAL_80
from pipelines.progress_bar import with_bar
from pipelines.settings import AGE_GENDER_MODEL, EMOTION_MODEL, model_ref
from schemas.config import Config
from schemas.errors import UsageError
from schemas.iteration import Reservoir, chunks
from schemas.storage import FileInfo
from schemas.tables import EMOTION_COLUMNS
from schemas.video import Clock, DecodeStats, Segment
from training.data.own_face import NO_FACE, UNREADABLE
from training.datasets import DataError, LabelledPicture, read_dataset
from training.judging.evaluate import (
    AT_ONCE,
    Crop,
    Tally,
    predict,
    ready_crop,
    ready_crops,
    speed,
    true_emotion,
)
from transforms.crop_faces import crop_faces
from transforms.follow_faces import follow_faces
from transforms.picture import Picture
from transforms.samples import Sample, SegmentStream

DEFAULTS = {"emotion": EMOTION_MODEL, "age-gender": AGE_GENDER_MODEL}
"""Names of the models that the pipeline uses by default."""

# The detector expects more room around a face than crops of 48 to 120 pixels have. Crops are enlarged by a whole factor
# to about 200 pixels and get a border of a tenth of that, which repeats the outermost pixels. The detector then found
# faces in 77 % of FER2013, 98 % of UTKFace and 71 % of FairFace (600 pictures each); without border in 72, 97 and 71 %.
# With a border of a quarter or a half, or with 300 pixels and a border of a quarter, it found fewer in 250 pictures of
# FER2013. Pictures of 200 pixels and more are not changed.
_SMALL, _BORDER = 200, 0.1

_SEGMENT = Segment(FileInfo("", None, None), "", 0, Clock(None, 1, 1), 0.0, None, None, None, 0, 0.0)


@dataclasses.dataclass(frozen=True)
class Report:
    """The result of an evaluation.

    Attributes:
      model: name of the model.
      data: the data set, as it was given.
      kind: kind of the data set.
      split: split of the data set; None: all.
      labels: "fer2013" or "ferplus"; None for a model without emotions.
      figures: as `training.judging.evaluate.Tally.figures`, and `ms_per_face_b1` and `ms_per_face_b32`, CPU
        milliseconds on one thread. End to end, they are over the faces that were found.
      ready: figures on ready-made crops of the same pictures, if the evaluation is end to end.
    """

    model: str
    data: str
    kind: str
    split: str | None
    labels: str | None
    figures: dict[str, Any]
    ready: dict[str, Any] | None = None

    def to_json(self) -> str:
        """The figures as a JSON object with model and data; end to end also with `found`, `not_found` and `ready`."""
        about = {name: getattr(self, name) for name in ("model", "data", "kind", "split", "labels")}
        document = {**about, "end_to_end": self.ready is not None, **self.figures}
        if self.ready is not None:
            document |= {"found": self.found, "not_found": self.not_found, "ready": self.ready}
        return json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False)

    @property
    def found(self) -> int:
        """Number of pictures that count and in which a face was found."""
        return self.figures["n"]

    @property
    def not_found(self) -> int:
        """Number of pictures that count and in which no face was found."""
        return self.figures["left_out"].get(NO_FACE, 0)


def evaluate(
    model: str,
    data: str | Path,
    *,
    kind: str | None = None,
    split: str | None = None,
    labels: str = "fer2013",
    end_to_end: bool = False,
    detector: str | None = None,
    limit: int | None = None,
    seed: int = 0,
    predictions: str | Path | None = None,
    console: Console | None = None,
) -> Report:
    """Evaluate a model on a data set. Pictures are read one at a time, so memory does not grow with their number.

    Args:
      model: name or folder of a bundle; "emotion" and "age-gender" are the models that the pipeline uses by default.
      data: folder, zip or table of a data set.
      kind: kind of the data set; None: recognize it by its files.
      split: split of the data set, in any case; None: all of it.
      labels: which emotion counts as true: "fer2013", the data set's own label, or "ferplus", the emotion that has more
        than half of the votes of all ten annotators.
      end_to_end: whether the pipeline's own detector and crop come before the model.
      detector: what finds the faces then; default: the detector of `analyze`.
      limit: only this many pictures, drawn at random.
      seed: seed of that draw.
      predictions: csv to write, a row per picture: file, label, then the seven `emotion_*`, or age, age_low, age_high
        and gender_female; empty where there is no value.
      console: console for a progress bar; None: no progress bar.

    Raises:
      UsageError: the data set is wrong, has no label that the model gives, or the csv cannot be written.
      BundleError: there is no such model, or it is damaged.
    """
    if detector is not None:
        detector_card(detector)
    dataset = read_dataset(data, kind)
    bundle = load_bundle(DEFAULTS.get(model, model))
    tally, ready = (Tally(bundle.card, labels=labels) for _ in range(2))
    dropped: Counter[str] = Counter()
    samples: Iterable[LabelledPicture] = dataset.samples(dropped, split)
    if limit is not None:
        samples = draw(samples, limit, seed)
    if console is not None:
        total = limit or (dataset.size if split is None else None)
        samples = with_bar(samples, f"evaluating {bundle.card.name}", total, console)
    with _Predictions(predictions, bundle.card, labels) as rows:
        if end_to_end:
            for crops, outputs in _both_ways(samples, bundle, tally, ready, detector):
                rows.add(crops, outputs)
        else:
            for crops in chunks(ready_crops(samples, bundle.card.geometry), AT_ONCE):
                outputs = predict(bundle, crops)
                tally.add(crops, outputs)
                rows.add(crops, outputs)
    tally.left_out.update(dropped)
    figures = {**tally.figures(), **speed(bundle)}
    emotion = "emotion" in bundle.card.attributes
    about = (bundle.card.name, str(data), dataset.kind, split, labels if emotion else None)
    return Report(*about, figures, ready.figures() if end_to_end else None)


def end_to_end(bundle: Bundle, samples: Iterable[LabelledPicture], labels: str = "fer2013") -> dict[str, float]:
    """Figures for the card of a model behind the pipeline's own detector and crop.

    Args:
      bundle: the model.
      samples: labelled pictures to evaluate it on.
      labels: as for `evaluate`.

    Returns:
      found: share of the pictures in which a face was found; accuracy, mean_recall, age_mae and gender_accuracy on
      these, where the model has them; and as ready_… the same figures on ready-made crops of these pictures.
    """
    tally, ready = (Tally(bundle.card, labels=labels) for _ in range(2))
    for _ in _both_ways(samples, bundle, tally, ready):
        pass
    names = ("accuracy", "mean_recall") if "emotion" in bundle.card.attributes else ("age_mae", "gender_accuracy")
    figures, of_ready = tally.figures(), ready.figures()
    said = {name: figures[name] for name in names} | {f"ready_{name}": of_ready[name] for name in names}
    share = figures["n"] / max(figures["n"] + figures["left_out"].get(NO_FACE, 0), 1)
    return {"found": share} | {name: value for name, value in said.items() if value is not None}


def _both_ways(
    samples: Iterable[LabelledPicture], bundle: Bundle, tally: Tally, ready: Tally, detector: str | None = None
) -> Iterator[tuple[list[Crop], dict[str, np.ndarray]]]:
    """The pipeline's crops and the model's outputs, which are added to `tally`; ready-made crops go to `ready`."""
    for pairs in chunks(pipeline_crops(samples, bundle, detector), AT_ONCE):
        crops, as_ready = [pair[0] for pair in pairs], [pair[1] for pair in pairs if pair[0].chip is not None]
        outputs = predict(bundle, crops)
        tally.add(crops, outputs)
        ready.add(as_ready, predict(bundle, as_ready))
        yield crops, outputs


def draw(samples: Iterable[LabelledPicture], count: int, seed: int) -> list[LabelledPicture]:
    """Draw `count` of the samples at random, in their order; all if there are fewer. Keeps no others in memory."""
    drawn = Reservoir[tuple[int, LabelledPicture]](count, random.Random(seed))
    for pair in enumerate(samples):
        drawn.offer(pair)
    return [sample for _, sample in sorted(drawn.items, key=lambda pair: pair[0])]


def pipeline_crops(
    samples: Iterable[LabelledPicture], bundle: Bundle, detector: str | None = None
) -> Iterator[tuple[Crop, Crop]]:
    """Each sample's chip as the pipeline cuts it with its default settings, and as a ready-made crop; in order.

    If there are several faces, the largest one is taken as the labelled face.
    """
    ref = model_ref(str(bundle.path), *bundle.card.attributes)
    config, geometry = Config(models=(ref,)).override(detector=detector), bundle.card.geometry
    for block in chunks(samples, AT_ONCE):
        ready: list[Crop] = []
        tracked = follow_faces(_frames(block, geometry, ready), config)
        chips: dict[int, np.ndarray] = {}
        sides: dict[int, float] = {}
        for faces in crop_faces(SegmentStream(_SEGMENT, tracked, DecodeStats()), config):
            for row, chip in zip(faces.rows[ref.task], faces.chips.get(ref.task, ()), strict=True):
                i, side = int(faces.columns["timestamp"][row]), float(faces.columns["face_px"][row])
                if side > sides.get(i, 0):
                    chips[i], sides[i] = chip, side
        for i, crop in enumerate(ready):
            yield Crop(crop.sample, chips.get(i), "" if i in chips else crop.missing or NO_FACE), crop


def _frames(samples: Sequence[LabelledPicture], geometry: Geometry, ready: list[Crop]) -> Iterator[Sample]:
    """Pictures as frames of a video, each a second and a shot; their ready-made crops are appended to `ready`."""
    for i, sample in enumerate(samples):
        try:
            picture = sample.picture()
        except DataError:
            ready.append(Crop(sample, None, UNREADABLE))
        else:
            ready.append(ready_crop(sample, picture, geometry))
            frame = av.VideoFrame.from_ndarray(with_room(picture), format="rgb24")
            yield Sample(float(i), None, None, Picture(frame), is_cut=True)


def with_room(picture: np.ndarray) -> np.ndarray:
    """A picture [H, W, 3] uint8 for the detector: small crops are enlarged and get a border."""
    side = min(picture.shape[:2])
    if side >= _SMALL:
        return picture
    factor = max(1, round(_SMALL / side))
    large = cv2.resize(picture, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC)
    border = round(_BORDER * factor * side)
    return cv2.copyMakeBorder(large, border, border, border, border, cv2.BORDER_REPLICATE)


class _Predictions(contextlib.AbstractContextManager["_Predictions"]):
    """Writes the csv of predictions, if there is a path. The file gets its name when it is complete."""

    def __init__(self, path: str | Path | None, card: Card, labels: str):
        self._path = None if path is None else Path(path)
        self._labels = labels
        self._is_emotion = "emotion" in card.attributes
        columns = {"emotion": EMOTION_COLUMNS, "age": ("age", "age_low", "age_high"), "gender": ("gender_female",)}
        self._columns = [name for attribute in card.attributes for name in columns[attribute]]

    def __enter__(self) -> "_Predictions":
        if self._path is not None:
            self._part = self._path.with_name(f".{self._path.name}")
            try:
                self._file = self._part.open("w", newline="", encoding="utf-8")
            except OSError as error:
                raise UsageError(f"The predictions {self._path} cannot be written ({error.strerror}).") from error
            self._writer = csv.writer(self._file)
            self._writer.writerow(["file", "label", *self._columns])
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._path is not None:
            self._file.close()
            if kind is None:
                self._part.replace(self._path)
            else:
                self._part.unlink()

    def add(self, crops: Sequence[Crop], outputs: dict[str, np.ndarray]) -> None:
        """Write a row for each picture, with or without label and chip."""
        if self._path is None:
            return
        values = dict(outputs)
        if "emotion" in values:
            values |= dict(zip(EMOTION_COLUMNS, values["emotion"].T, strict=True))
        if "age" in values:
            age, half_width = values["age"], np.float32(INTERVAL_80) * values["age_std"]
            values |= {"age_low": np.minimum(age, np.maximum(age - half_width, 0)), "age_high": age + half_width}
        rows = np.stack([values[name] for name in self._columns], axis=1)
        for crop, row in zip(crops, rows, strict=True):
            numbers = ["" if np.isnan(value) else f"{value:.6g}" for value in row]
            self._writer.writerow([crop.sample.name, self._label(crop.sample), *numbers])

    def _label(self, sample: LabelledPicture) -> str:
        """`happy`; `25 female`, `20-29 male`."""
        if self._is_emotion:
            return true_emotion(sample, self._labels) or ""
        words = [] if sample.age is None else ["-".join(f"{age:g}" for age in sorted(set(sample.age)))]
        if sample.female is not None:
            words.append("female" if sample.female else "male")
        return " ".join(words)
