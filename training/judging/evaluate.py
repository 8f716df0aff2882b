"""Figures of a loaded bundle on labelled pictures.

Faces come as crops: a labelled picture and its chip, or the reason why it has no chip. Only labels and outputs are
kept, some hundred bytes for each face, so any number of pictures can be evaluated.
"""

from __future__ import annotations

import collections
import dataclasses
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from models.bundle import Bundle
from models.cards import Card
from models.geometry import Geometry
from models.outputs import INTERVAL_80
from schemas.errors import UsageError
from schemas.tables import EMOTIONS, GENDERS
from training.data.own_face import UNREADABLE, Dropped
from training.data.ready_chips import labelled_chip
from training.datasets import DataError, LabelledPicture
from training.judging import metrics

_LABELS = ("fer2013", "ferplus")
AT_ONCE = 256
"""Crops that a model is asked about at once, so that few are in memory."""

# Names of all figures, first those of the classes.
FIGURES = (
    *("n", "classes", "accuracy", "macro_f1", "mean_recall", "recall", "confusion", "ece"),
    *("n_age", "age_mae", "age_rmse", "age_bias", "age_within_5", "age_coverage_80", "age_interval_80"),
    *("n_age_group", "age_group_accuracy", "age_group_error"),
    *("n_gender", "gender_accuracy", "gender_unknown", "gender_accuracy_known"),
)

_GROUPS = {"age": "age_band", "gender": "gender", "race": "race"}

_Columns = dict[str, np.ndarray]
_Figures = dict[str, Any]


@dataclasses.dataclass(frozen=True, eq=False)
class Crop:
    """A labelled face on its way to the model.

    Attributes:
      sample: the labelled picture.
      chip: input of the model; None if there is none.
      missing: the reason why there is no chip.
    """

    sample: LabelledPicture
    chip: np.ndarray | None
    missing: str = ""


def ready_crops(samples: Iterable[LabelledPicture], geometry: Geometry) -> Iterator[Crop]:
    """Chips of pictures that are ready-made crops around one face, or tell how to find it."""
    for sample in samples:
        try:
            picture = sample.picture()
        except DataError:
            yield Crop(sample, None, UNREADABLE)
        else:
            yield ready_crop(sample, picture, geometry)


def ready_crop(sample: LabelledPicture, picture: np.ndarray, geometry: Geometry) -> Crop:
    """The chip of a sample with this picture; see `training.data.ready_chips.labelled_chip`."""
    try:
        return Crop(sample, labelled_chip(sample, picture, geometry))
    except Dropped as reason:
        return Crop(sample, None, str(reason))


def predict(bundle: Bundle, crops: Sequence[Crop]) -> _Columns:
    """Outputs of `Bundle.predict` for each crop; NaN for a crop without a chip."""
    there = np.array([crop.chip is not None for crop in crops], bool)
    geometry = bundle.card.geometry
    shape = (0, geometry.size, geometry.size, *(() if geometry.channels == "grey" else (3,)))
    chips = [crop.chip for crop in crops if crop.chip is not None]
    outputs = bundle.predict(np.stack(chips) if chips else np.empty(shape, np.uint8))
    filled = {name: np.full((len(crops), *of.shape[1:]), np.nan, np.float32) for name, of in outputs.items()}
    for name, of in outputs.items():
        filled[name][there] = of
    return filled


def speed(bundle: Bundle) -> dict[str, float]:
    """CPU milliseconds per face in batches of 1 and of 32, as `ms_per_face_b1` and `ms_per_face_b32`."""
    return {f"ms_per_face_b{batch}": milliseconds_per_face(bundle, batch) for batch in (1, 32)}


def milliseconds_per_face(bundle: Bundle, batch: int, *, repeats: int = 9) -> float:
    """CPU time per face in `Bundle.predict` with `batch` faces per call; the median over some calls.

    It includes copying, scaling, a second input and calibration, but not cutting the chips. It is the CPU time of this
    process, so other processes do not matter. `load_bundle` keeps the network to one CPU thread.
    """
    geometry = bundle.card.geometry
    shape = (batch, geometry.size, geometry.size, *(() if geometry.channels == "grey" else (3,)))
    chips = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    bundle.predict(chips)
    seconds = []
    for _ in range(repeats):
        start = time.process_time()
        bundle.predict(chips)
        seconds.append(time.process_time() - start)
    return float(np.median(seconds)) / batch * 1e3


def true_emotion(sample: LabelledPicture, labels: str) -> str | None:
    """The emotion that counts as true: the data set's own label, or the majority of all votes."""
    if labels == "fer2013":
        return sample.emotion
    if sample.votes is None or sample.votes.max() <= 0.5:
        return None
    return EMOTIONS[int(sample.votes.argmax())]


class Tally:
    """Collects labels and outputs of crops as columns of numbers.

    Attributes:
      left_out: number of crops that do not count, by reason.
    """

    def __init__(self, card: Card, *, labels: str = "fer2013"):
        """Starts empty.

        Args:
          card: the model's card.
          labels: which emotion counts as true: "fer2013", the data set's own label, or "ferplus", the emotion that has
            more than half of the votes of all ten annotators.

        Raises:
          UsageError: there are no labels of that name.
        """
        if labels not in _LABELS:
            raise UsageError(f"There are no labels called {labels!r}: choose fer2013 or ferplus.")
        self.left_out: collections.Counter[str] = collections.Counter()
        self._attributes = card.attributes
        self._labels = labels
        self._unknown_below = card.unknown_below
        known = card.output("emotion").classes if "emotion" in card.attributes else ()
        self._emotions = tuple(name for name in EMOTIONS if name in known)
        self._columns: dict[str, list[np.ndarray]] = collections.defaultdict(list)

    def add(self, crops: Sequence[Crop], outputs: _Columns) -> None:
        """Add crops.

        Args:
          crops: faces, with or without chip.
          outputs: the model's outputs for each, as `predict` gives them.
        """
        rows = []
        for row, crop in enumerate(crops):
            reason = self._without_label(crop.sample) or crop.missing
            if reason:
                self.left_out[reason] += 1
            else:
                rows.append(row)
        if rows:
            samples = [crops[row].sample for row in rows]
            chosen = {name: of[rows] for name, of in outputs.items()}
            for name, values in {**self._label_columns(samples), **self._output_columns(chosen)}.items():
                self._columns[name].append(values)

    def figures(self) -> dict[str, Any]:
        """All figures so far; None for a figure that has no data.

        Classes are the emotions that the model knows or, for a model without emotions, the two genders. Samples of
        other classes are left out. A sample counts for every attribute that it has a label of.

        Returns:
          n: number of samples that count. left_out: the others, by reason.
          classes: names in the order of `confusion`, which has a row per true and a column per predicted class.
          accuracy, macro_f1, mean_recall; recall: of each class. Means are over the classes that occur.
          ece: expected calibration error of the probability of the predicted class, 15 bins.
          age_mae, age_rmse, age_bias (mean of predicted minus true), age_within_5, age_coverage_80 (share of true ages
            in the 80 % interval), age_interval_80 (its mean width in years): over the n_age exact ages.
          age_group_accuracy, age_group_error: over the n_age_group ages that are known as a range only: the share of
            predictions within the range, and the mean number of years outside of it.
          gender_accuracy: over n_gender samples, by the more probable gender. gender_unknown: share that is less
            probable than the card demands; gender_accuracy_known: accuracy without those.
          groups: the same figures except `confusion` for each group, by `age`, `gender` and `race`, where the samples
            have these labels.

        Raises:
          UsageError: no sample counts.
        """
        if not self._columns:
            reasons = ", ".join(f"{count} × {reason}" for reason, count in self.left_out.most_common())
            wanted = " and ".join(self._attributes)
            raise UsageError(f"No picture is left to evaluate a model of {wanted} by: {reasons or 'there is none'}.")
        columns = {name: np.concatenate(parts) for name, parts in self._columns.items()}
        figures = self._figures(columns)
        return {
            **{name: figures.get(name) for name in FIGURES},
            "left_out": dict(self.left_out.most_common()),
            "groups": {
                by: {name: self._of_group(columns, columns[column] == name) for name in _names(columns[column])}
                for by, column in _GROUPS.items()
                if (columns[column] != "").any()
            },
        }

    def _without_label(self, sample: LabelledPicture) -> str | None:
        """The reason why a sample does not count; None if it counts."""
        if "emotion" not in self._attributes:
            wanted = {"age": sample.age, "gender": sample.female}
            has_label = any(wanted[attribute] is not None for attribute in self._attributes)
            return None if has_label else f"no label of {' or '.join(self._attributes)}"
        emotion = true_emotion(sample, self._labels)
        if emotion is None:
            return "no emotion has most votes" if self._labels == "ferplus" else "no emotion label"
        return None if emotion in self._emotions else f"{emotion} is no class of the model"

    def _label_columns(self, samples: Sequence[LabelledPicture]) -> _Columns:
        ages = np.array([(np.nan, np.nan) if s.age is None else s.age for s in samples], np.float32)
        bands = metrics.age_band(np.nan_to_num(ages.mean(axis=1)))
        columns = {
            "age_low": ages[:, 0],
            "age_high": ages[:, 1],
            "age_band": np.where(np.isnan(ages[:, 0]), "", bands).astype("O"),
            "gender": np.array([_gender(s) or "" for s in samples], "O"),
            "race": np.array([s.race or "" for s in samples], "O"),
        }
        if self._emotions:
            emotions = [true_emotion(sample, self._labels) for sample in samples]
            columns["label"] = np.array([self._emotions.index(emotion) for emotion in emotions if emotion], np.int64)
        else:
            genders = map(_gender, samples)
            columns["label"] = np.array([-1 if name is None else GENDERS.index(name) for name in genders], np.int64)
        return columns

    def _output_columns(self, outputs: _Columns) -> _Columns:
        columns = {name: of for name, of in outputs.items() if name in ("age", "age_std")}
        if self._emotions:
            probabilities = outputs["emotion"][:, [EMOTIONS.index(name) for name in self._emotions]]
        elif "gender_female" in outputs:
            of = {"female": outputs["gender_female"], "male": 1 - outputs["gender_female"]}
            probabilities = np.stack([of[name] for name in GENDERS], axis=1)
        else:
            return columns
        return columns | {"predicted": probabilities.argmax(axis=1), "confidence": probabilities.max(axis=1)}

    def _of_group(self, columns: _Columns, rows: np.ndarray) -> _Figures:
        figures = self._figures({name: of[rows] for name, of in columns.items()})
        return {name: of for name, of in figures.items() if name not in ("classes", "confusion")}

    def _figures(self, columns: _Columns) -> _Figures:
        figures: _Figures = {"n": len(columns["label"])}
        labelled = columns["label"] >= 0
        if "predicted" in columns and labelled.any():
            label, predicted, confidence = (columns[name][labelled] for name in ("label", "predicted", "confidence"))
            figures |= _of_classes(self._emotions or GENDERS, label, predicted, confidence)
            if "gender" in self._attributes:
                figures |= _of_gender(label == predicted, confidence, self._unknown_below or 0)
        if "age" in columns:
            figures |= _of_age(*(columns[name] for name in ("age", "age_std", "age_low", "age_high")))
        return figures


def _gender(sample: LabelledPicture) -> str | None:
    """The name of the labelled gender; None without a label."""
    return None if sample.female is None else "female" if sample.female else "male"


def _of_classes(classes: Sequence[str], label: np.ndarray, predicted: np.ndarray, confidence: np.ndarray) -> _Figures:
    matrix = metrics.confusion(label, predicted, len(classes))
    recall = metrics.recall(matrix)
    return {
        "classes": list(classes),
        "accuracy": metrics.mean(label == predicted),
        "macro_f1": metrics.macro_f1(matrix),
        "mean_recall": metrics.mean(recall),
        "recall": {name: _number(value) for name, value in zip(classes, recall, strict=True)},
        "confusion": matrix.tolist(),
        "ece": metrics.calibration_error(confidence, label == predicted),
    }


def _of_gender(right: np.ndarray, confidence: np.ndarray, unknown_below: float) -> _Figures:
    known = confidence >= unknown_below
    return {
        "n_gender": len(right),
        "gender_accuracy": metrics.mean(right),
        "gender_unknown": metrics.mean(~known),
        "gender_accuracy_known": _number(metrics.mean(right[known])),
    }


def _of_age(age: np.ndarray, std: np.ndarray, low: np.ndarray, high: np.ndarray) -> _Figures:
    exact, in_range = low == high, low < high
    error, half_width = (age - low)[exact], INTERVAL_80 * std[exact]
    outside = metrics.years_outside(age[in_range], low[in_range], high[in_range])
    return {
        "n_age": int(exact.sum()),
        "age_mae": _number(metrics.mean(np.abs(error))),
        "age_rmse": _number(metrics.rmse(error)),
        "age_bias": _number(metrics.mean(error)),
        "age_within_5": _number(metrics.mean(np.abs(error) <= 5)),
        "age_coverage_80": _number(metrics.coverage(error, half_width)),
        "age_interval_80": _number(metrics.mean(2 * half_width)),
        "n_age_group": int(in_range.sum()),
        "age_group_accuracy": _number(metrics.mean(outside == 0)),
        "age_group_error": _number(metrics.mean(outside)),
    }


def _names(values: np.ndarray) -> list[str]:
    """The names that occur: age bands in order of age, others in alphabetical order."""
    there = set(values) - {""}
    return [name for name in metrics.AGE_BANDS if name in there] or sorted(there)


def _number(value: float) -> float | None:
    """The number for JSON, with None for NaN."""
    return None if np.isnan(value) else float(value)
