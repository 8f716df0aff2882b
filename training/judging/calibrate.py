"""Calibration of probabilities and age intervals by a few numbers, which are fitted on held-back pictures."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from models.cards import Output
from models.outputs import INTERVAL_80, age_of, class_probabilities
from schemas.tables import EMOTIONS
from training.learning.targets import Labels, Task


def calibrated(task: Task, raw: np.ndarray, held: Labels, *, bias: np.ndarray | None = None) -> Output:
    """An output with its calibration.

    Args:
      task: what the output learned.
      raw: [n, k] raw outputs for the calibration part.
      held: the calibration part. An emotion head that is evaluated by FER+ is calibrated on FER+'s majorities.
      bias: [classes] numbers to add to an emotion head's logits, from `recall_bias`.
    """
    output = task.output
    if output.attribute == "emotion":
        logits, labels = _known(task, raw, held)
        found = temperature(logits if bias is None else logits + bias, labels)
        # The card adds the bias after the division.
        added = {"bias": tuple(float(value) for value in bias / found)} if bias is not None else {}
        return output.model_copy(update={"temperature": found, **added})
    if output.attribute == "gender":
        known = np.isfinite(held.female)
        if not known.any():
            return output
        female = held.female[known].astype(int)
        labels = female if output.classes != ("female", "male") else 1 - female
        return output.model_copy(update={"temperature": temperature(as_logits(raw[known], output), labels)})
    known = held.age[:, 0] == held.age[:, 1]
    if not known.any():
        return output
    age, std = _ages(raw[known], output)
    scale = age_std_scale(age - held.age[known, 0], std)
    if output.kind == "years":
        return output.model_copy(update={"std_years": scale})
    return output.model_copy(update={"std_scale": scale})


def as_logits(raw: np.ndarray, output: Output) -> np.ndarray:
    """Raw outputs [n, k] as logits, as `models.outputs` takes them; of a single sigmoid, the logit of its class."""
    if output.kind == "logits":
        return raw.astype(np.float64)
    raw = np.maximum(raw.astype(np.float64), 1e-7)
    if raw.shape[1] == 1:
        return np.log(raw) - np.log(np.maximum(1 - raw, 1e-7))
    return np.log(raw)


def temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """The number to divide logits by for the highest log likelihood.

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


def _known(task: Task, raw: np.ndarray, part: Labels) -> tuple[np.ndarray, np.ndarray]:
    """Logits of an emotion head, and class indices, for the pictures whose true emotion is one of its classes."""
    labels, columns = part.emotion, [EMOTIONS.index(name) for name in task.output.classes]
    if task.head is not None and task.head.by_votes and (part.votes.max(axis=1) > 0.5).any():
        labels = np.where(part.votes.max(axis=1) > 0.5, part.votes.argmax(axis=1), -1)
    known = np.isin(labels, columns)
    return as_logits(raw[known], task.output), np.array([columns.index(label) for label in labels[known]], int)


def bias_of(task: Task, raw: np.ndarray, part: Labels) -> np.ndarray | None:
    """`recall_bias` of an emotion head on a part of the data; None for other outputs, or if it is 0.

    Use the training part. The calibration part has too few pictures of the rare classes (five of disgust in a twentieth
    of FER2013), and a single number cannot overfit the training part.
    """
    if task.head is None or not task.head.recall_cost:
        return None
    bias = recall_bias(*_known(task, raw, part), task.head.recall_cost)
    return bias if bias.any() else None


def recall_bias(logits: np.ndarray, labels: np.ndarray, cost: float) -> np.ndarray:
    """Numbers to add to logits for the best mean recall at a limited cost of accuracy: post-hoc logit adjustment.

    They are a multiple of the classes' negative log shares, so rarer classes gain more. Only the multiple is chosen.

    Source: A. Menon et al., Long-tail learning via logit adjustment, ICLR 2021.

    Args:
      logits: [n, classes].
      labels: [n] class indices.
      cost: accuracy that may be lost, as a share of the pictures.

    Returns:
      [classes], with mean 0.
    """
    counts = np.bincount(labels, minlength=logits.shape[1])
    rarity = -np.log((counts + 1) / (counts + 1).sum())
    rarity -= rarity.mean()
    chosen, best, least = 0.0, -1.0, 0.0
    for multiple in np.linspace(0, 1.5, 31):
        right = (logits + multiple * rarity).argmax(axis=1) == labels
        recall = np.mean([right[labels == label].mean() for label in np.unique(labels)])
        if multiple == 0:
            least = right.mean() - cost
        if right.mean() >= least and recall > best + 1e-6:
            chosen, best = float(multiple), float(recall)
    return chosen * rarity


def age_std_scale(error: np.ndarray, std: np.ndarray) -> float:
    """The factor on predicted standard deviations for which mean ± 1.2816 · std contains 80 % of the true ages.

    Args:
      error: [n] predicted minus true age.
      std: [n] predicted standard deviation.
    """
    return float(np.quantile(np.abs(error) / np.maximum(std, 1e-3), 0.8) / INTERVAL_80)


def _ages(raw: np.ndarray, output: Output) -> tuple[Any, Any]:
    """Age and its uncalibrated standard deviation in years, [n] each."""
    if output.kind == "years":
        return raw[:, 0], np.ones(len(raw), np.float32)
    return age_of(class_probabilities(raw, output), output)
