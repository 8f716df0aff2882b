"""Calibration: one number each that makes probabilities and age intervals say what happens."""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

# Half-width of a normal distribution's middle 80 %, in standard deviations.
Z80 = 1.2816


def temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """The number to divide logits by so that their log likelihood is best.

    Source: C. Guo et al., On calibration of modern neural networks, ICML 2017.

    Args:
      logits: [n, classes], or [n] or [n, 1] for the second of two classes.
      labels: [n] class indices.
    """
    logits = np.asarray(logits, np.float64).reshape(len(labels), -1)
    if logits.shape[1] == 1:
        logits = np.concatenate([np.zeros_like(logits), logits], axis=1)
    rows = np.arange(len(labels))

    def loss(log_temperature: float) -> float:
        return float(-log_softmax(logits / np.exp(log_temperature), axis=1)[rows, labels.astype(int)].mean())

    return float(np.exp(minimize_scalar(loss, bounds=(-2.5, 2.5), method="bounded").x))


def age_std_scale(error: np.ndarray, std: np.ndarray) -> float:
    """The factor on predicted standard deviations with which mean ± 1.2816·std holds 80 % of the true ages.

    Args:
      error: [n] predicted minus true age.
      std: [n] predicted standard deviation.
    """
    return float(np.quantile(np.abs(error) / np.maximum(std, 1e-3), 0.8) / Z80)
