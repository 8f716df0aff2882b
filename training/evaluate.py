"""Figures of a loaded bundle on labelled pictures, as its card states them."""

from __future__ import annotations

import time

import numpy as np

from models.bundle import Bundle
from schemas.tables import EMOTIONS
from training.calibrate import Z80
from training.datasets import EmotionSet


def confusion(labels: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """Counts [classes, classes], a row for each true class."""
    return np.bincount(labels * classes + predicted, minlength=classes**2).reshape(classes, classes)


def recalls(matrix: np.ndarray) -> np.ndarray:
    """Share of each true class that was found, from a confusion matrix; 0 for a class without pictures."""
    return np.diag(matrix) / np.maximum(matrix.sum(axis=1), 1)


def macro_f1(matrix: np.ndarray) -> float:
    """Mean F1 of the classes, from a confusion matrix."""
    return float((2 * np.diag(matrix) / np.maximum(matrix.sum(axis=0) + matrix.sum(axis=1), 1)).mean())


def calibration_error(probabilities: np.ndarray, labels: np.ndarray, bins: int = 15) -> float:
    """Expected calibration error: mean gap between top probability and accuracy over equal bins, weighted by count.

    Args:
      probabilities: [n, classes].
      labels: [n].
      bins: of the top probability.
    """
    top, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    which = np.minimum((top * bins).astype(int), bins - 1)
    gaps = np.bincount(which, right, bins) - np.bincount(which, top, bins)
    return float(np.abs(gaps).sum() / len(labels))


def milliseconds_per_face(bundle: Bundle, chips: np.ndarray) -> float:
    """Time of one chip in full blocks, median of five runs over 256 chips, in this process."""
    chips = np.resize(chips, (256, *chips.shape[1:]))
    times = []
    for _ in range(5):
        start = time.perf_counter()
        bundle.predict(chips)
        times.append((time.perf_counter() - start) / len(chips) * 1e3)
    return float(np.median(times))


def emotion(bundle: Bundle, data: EmotionSet) -> dict[str, float]:
    """Figures of an emotion bundle, against the data set's own labels and, where votes are there, FER+'s majority."""
    probabilities = bundle.predict(data.images)["emotion"]
    predicted = probabilities.argmax(axis=1)
    matrix = confusion(data.labels, predicted, len(EMOTIONS))
    figures = {
        "pictures": float(len(data.labels)),
        "accuracy": float((predicted == data.labels).mean()),
        "macro_f1": macro_f1(matrix),
        "ece": calibration_error(probabilities, data.labels),
        **{f"recall_{name}": float(value) for name, value in zip(EMOTIONS, recalls(matrix), strict=True)},
    }
    majority = data.votes.max(axis=1) > 0.5
    if majority.any():
        voted = data.votes[majority].argmax(axis=1)
        figures["ferplus_pictures"] = float(majority.sum())
        figures["ferplus_accuracy"] = float((predicted[majority] == voted).mean())
        figures["ferplus_mean_recall"] = float(recalls(confusion(voted, predicted[majority], len(EMOTIONS))).mean())
        figures["ferplus_ece"] = calibration_error(probabilities[majority], voted)
    return figures


def age_gender(bundle: Bundle, chips: np.ndarray, ages: np.ndarray, female: np.ndarray) -> dict[str, float]:
    """Figures of an age-gender bundle.

    Args:
      bundle: the model.
      chips: [n, size, size, 3] uint8.
      ages: [n, 2], lowest and highest age in years; age figures are over those that are known to the year.
      female: [n], 0 or 1.
    """
    output = bundle.predict(chips)
    probability, known = output["gender_female"], ages[:, 0] == ages[:, 1]
    both = np.stack([1 - probability, probability], axis=1)
    right = (probability > 0.5) == (female > 0.5)
    figures = {
        "pictures": float(len(chips)),
        "gender_accuracy": float(right.mean()),
        "gender_recall_female": float(right[female > 0.5].mean()) if (female > 0.5).any() else 0.0,
        "gender_recall_male": float(right[female < 0.5].mean()) if (female < 0.5).any() else 0.0,
        "gender_ece": calibration_error(both, female.astype(int)),
    }
    if bundle.card.unknown_below is not None:
        sure = both.max(axis=1) >= bundle.card.unknown_below
        figures["gender_unknown_share"] = float(1 - sure.mean())
        figures["gender_accuracy_known"] = float(right[sure].mean()) if sure.any() else 0.0
    if known.any():
        error, std = output["age"][known] - ages[known, 0], output["age_std"][known]
        figures |= {
            "age_mae_years": float(np.abs(error).mean()),
            "age_bias_years": float(error.mean()),
            "age_coverage_80": float((np.abs(error) <= Z80 * std).mean()),
            "age_interval_80_years": float((2 * Z80 * std).mean()),
        }
    if (~known).any():
        low, high = ages[~known].T
        off = np.maximum(np.maximum(low - output["age"][~known], output["age"][~known] - high - 1), 0)
        figures["age_group_off_years"] = float(off.mean())
    return figures
