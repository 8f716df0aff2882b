"""Turn a network's outputs into values of the tables: class order, calibration, years.

Source of the temperature: C. Guo et al., On calibration of modern neural networks, ICML 2017.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.special import expit, softmax

from models.cards import Card, Output
from schemas.tables import EMOTIONS

INTERVAL_80 = 1.2816
"""Half-width of the middle 80 % of a normal distribution, in standard deviations; age intervals are made with it."""

RawOutputs = dict[str | None, np.ndarray]
"""A network's outputs [n, k] float32 by name; None is the name of an only output."""

Network = Callable[..., RawOutputs]
"""Scaled chips [n, size, size, channels] and, if the card says so, a second input [n, k], float32 → its outputs."""

_CLEAR = 4.0
"""How many times as probable as the next an emotion must be for the mirror image of a face to be left out;
`python -m benchmarks.mirror` shows what that changes."""

_AT_ONCE = 32
"""Chips that are scaled at once, so that few are in memory as floats."""


def answers(card: Card, network: Network, chips: np.ndarray) -> dict[str, np.ndarray]:
    """What a model says of chips, as `models.bundle.Bundle.predict` returns it.

    Args:
      card: how chips are scaled, whether their mirror image counts, and what the outputs mean.
      network: the network.
      chips: [n, size, size, channels] uint8.
    """
    parts = [
        _answers_at_once(card, network, chips[start : start + _AT_ONCE])
        for start in range(0, max(len(chips), 1), _AT_ONCE)
    ]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _answers_at_once(card: Card, network: Network, chips: np.ndarray) -> dict[str, np.ndarray]:
    scaled = chips.astype(np.float32) * np.float32(card.scale) + np.float32(card.offset)
    if card.second_input == "hog_landmarks":
        from models.features import hog_landmarks

        return attributes(network(scaled, hog_landmarks(chips[..., 0])), card)
    raw = network(scaled)
    if card.mirror:
        unclear = np.flatnonzero(~is_clear(raw, card))
        mirrored = network(scaled[unclear, :, ::-1]) if len(unclear) else {}
        for name, values in mirrored.items():
            raw[name][unclear] = (raw[name][unclear] + values) / 2
    return attributes(raw, card)


def is_clear(raw: RawOutputs, card: Card) -> np.ndarray:
    """[n] bool, of which faces the emotion is so clear that their mirror images are not worth their time.

    Args:
      raw: the network's outputs for the faces as they are.
      card: what they mean. If it gives anything else than emotion, no face is clear.
    """
    if card.attributes != ("emotion",):
        return np.zeros(len(next(iter(raw.values()))), bool)
    output = card.output("emotion")
    next_best, best = np.sort(class_probabilities(raw[output.source], output), axis=1)[:, -2:].T
    return best >= _CLEAR * next_best


def attributes(raw: RawOutputs, card: Card) -> dict[str, np.ndarray]:
    """Turns the network's outputs into what `models.bundle.Bundle.predict` returns.

    Args:
      raw: the network's outputs.
      card: what they mean.
    """
    columns: dict[str, np.ndarray] = {}
    for output in card.outputs:
        values = raw[output.source]
        if output.attribute == "emotion":
            columns["emotion"] = _emotions(class_probabilities(values, output), output.classes)
        elif output.attribute == "gender":
            columns["gender_female"] = _female(values, output)
        else:
            columns["age"], columns["age_std"] = _age(values, output)
    return {name: of.astype(np.float32) for name, of in columns.items()}


def class_probabilities(values: np.ndarray, output: Output) -> np.ndarray:
    """Calibrated probabilities [n, classes] float64, in the network's order."""
    values = values.astype(np.float64)
    logits = values if output.kind == "logits" else np.log(np.maximum(values, 1e-7))
    return softmax(logits / output.temperature + (output.bias or 0.0), axis=1)


def _emotions(probabilities: np.ndarray, classes: tuple[str, ...]) -> np.ndarray:
    missing = np.full(len(probabilities), np.nan)
    columns = [probabilities[:, classes.index(name)] if name in classes else missing for name in EMOTIONS]
    return np.stack(columns, axis=1)


def _female(values: np.ndarray, output: Output) -> np.ndarray:
    if len(output.classes) == 2:
        return class_probabilities(values, output)[:, output.classes.index("female")]
    value = values.astype(np.float64).reshape(-1)
    if output.kind == "probabilities":
        value = np.clip(value, 1e-7, 1 - 1e-7)
        value = np.log(value / (1 - value))
    return expit(value / output.temperature + (output.bias[0] if output.bias else 0.0))


def _age(values: np.ndarray, output: Output) -> tuple[np.ndarray, np.ndarray]:
    if output.kind == "years":
        age = values.reshape(-1)
        return age, np.full(len(age), output.std_years)
    age, std = age_of(class_probabilities(values, output), output)
    return age, std * output.std_scale


def age_of(probabilities: np.ndarray, output: Output) -> tuple[np.ndarray, np.ndarray]:
    """Age, as the card's `tails` has it read, and the distribution's standard deviation, in years, [n] each.

    Args:
      probabilities: [n, classes] of an output with classes of age.
      output: what it means.
    """
    mean, std = age_moments(probabilities, output.ranges)
    return middle_mean(probabilities, output.tails, output.ranges) if output.tails else mean, std


def middle_mean(probabilities: np.ndarray, tails: float, ranges: tuple[tuple[float, float], ...] = ()) -> np.ndarray:
    """Mean of an age distribution without its ends: the trimmed mean, with 0.25 the interquartile mean. In years, [n].

    Args:
      probabilities: [n, classes]; the rows sum to 1.
      tails: share that is left out at each end, below 0.5.
      ranges: as for `age_moments`.
    """
    low, high = np.array(ranges or [(year, year) for year in range(probabilities.shape[1])], np.float64).T
    after = np.clip(probabilities.cumsum(axis=1, dtype=np.float64), 0.0, 1.0)
    before = np.concatenate([np.zeros((len(after), 1)), after[:, :-1]], axis=1)
    share = np.maximum(after - before, 1e-12)
    starts, ends = np.clip(before, tails, 1 - tails), np.clip(after, tails, 1 - tails)
    # What is left of a class is a part of its years, from half a year before its first to half a year after its last.
    centre = low - 0.5 + (high - low + 1) * ((starts + ends) / 2 - before) / share
    return ((ends - starts) * centre).sum(axis=1) / (1 - 2 * tails)


def age_moments(probabilities: Any, ranges: tuple[tuple[float, float], ...] = ()) -> tuple[Any, Any]:
    """Mean and standard deviation of an age distribution, in years, [n] each.

    Args:
      probabilities: [n, classes] float32, of any kind of array.
      ranges: first and last year of each class, within which all years are as likely; none: 0, 1, 2 … years.
    """
    if ranges:
        low, high = np.array(ranges, np.float32).T
        years, within = (low + high) / 2, ((high - low + 1) ** 2 - 1) / 12
    else:
        years = np.arange(probabilities.shape[-1], dtype=np.float32)
        within = np.zeros_like(years)
    ones = np.ones((len(years), 1), np.float32)
    mean = (probabilities * years) @ ones
    variance = (probabilities * ((years - mean) ** 2 + within)) @ ones
    return mean[:, 0], variance[:, 0] ** 0.5
