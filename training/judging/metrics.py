"""Measures of predictions against labels: pure functions of arrays.

Terms are those of scikit-learn and of the literature. Shares lie in [0, 1], ages and their errors are years. What
cannot be said, a recall without a labelled picture, is NaN.
"""

from __future__ import annotations

import numpy as np

AGE_BANDS = {"0-2": 0, "3-9": 3, **{f"{low}-{low + 9}": low for low in range(10, 70, 10)}, "70+": 70}
"""First year of each age band, those of FairFace."""


def confusion(labels: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """Counts [classes, classes], a row for each true class and a column for each predicted one.

    Args:
      labels: [n] class indices.
      predicted: [n] class indices.
      classes: how many there are.
    """
    return np.bincount(labels * classes + predicted, minlength=classes**2).reshape(classes, classes)


def recall(matrix: np.ndarray) -> np.ndarray:
    """Share of each true class that was recognized, [classes], from a confusion matrix; NaN for one without labels."""
    return _ratio(np.diag(matrix), matrix.sum(axis=1))


def macro_f1(matrix: np.ndarray) -> float:
    """Mean F1 of the classes that occur among the labels, from a confusion matrix; NaN if none does."""
    f1 = _ratio(2 * np.diag(matrix), matrix.sum(axis=0) + matrix.sum(axis=1))
    return mean(f1[matrix.sum(axis=1) > 0])


def calibration_error(confidence: np.ndarray, right: np.ndarray, bins: int = 15) -> float:
    """Expected calibration error: mean gap between confidence and accuracy over equal bins, weighted by their counts.

    Source: C. Guo et al., On calibration of modern neural networks, ICML 2017.

    Args:
      confidence: [n], probability of the predicted class.
      right: [n] bool, whether it is the true one.
      bins: of the confidence, equally wide in [0, 1].
    """
    if not len(right):
        return float("nan")
    which = np.minimum((confidence * bins).astype(int), bins - 1)
    gaps = np.bincount(which, right, bins) - np.bincount(which, confidence, bins)
    return float(np.abs(gaps).sum() / len(right))


def rmse(error: np.ndarray) -> float:
    """Root of the mean squared error [n]; NaN of none."""
    return float(np.sqrt(mean(error**2)))


def coverage(error: np.ndarray, half_width: np.ndarray) -> float:
    """Share of the true values that lie within prediction ± half width, [n] each."""
    return mean(np.abs(error) <= half_width)


def years_outside(age: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Years by which an age is outside of a range, [n] each; ages below `high` + 1 are inside."""
    return np.maximum(np.maximum(low - age, age - (high + 1)), 0)


def age_band(age: np.ndarray) -> np.ndarray:
    """Names, of AGE_BANDS, of ages [n] in years; fractions belong to the year that they began in."""
    return np.array(list(AGE_BANDS))[np.searchsorted(list(AGE_BANDS.values()), age, side="right") - 1]


def mean(values: np.ndarray) -> float:
    """Mean of the values that are known; NaN if none is."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.full(len(whole), np.nan), where=whole > 0)
