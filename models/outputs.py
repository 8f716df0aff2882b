"""Turn a network's outputs into values of the tables, by TensorFlow operations: class order, calibration, years.

Source of the temperature: C. Guo et al., On calibration of modern neural networks, ICML 2017.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from models.cards import Card, Output
from schemas.tables import EMOTIONS

INTERVAL_80 = 1.2816
"""Half-width of the middle 80 % of a normal distribution, in standard deviations; age intervals are made with it."""


def attributes(tf: Any, raw: Mapping[str | None, Any], card: Card) -> dict[str, Any]:
    """Turns the network's outputs into what `models.bundle.Bundle.predict` returns.

    Args:
      tf: the TensorFlow module.
      raw: the network's outputs by name, [n, classes] float32 each.
      card: what they mean.
    """
    columns: dict[str, Any] = {}
    for output in card.outputs:
        values = raw[output.source]
        if output.attribute == "emotion":
            columns["emotion"] = _emotions(tf, class_probabilities(tf, values, output), output.classes)
        elif output.attribute == "gender":
            columns["gender_female"] = _female(tf, values, output)
        else:
            columns["age"], columns["age_std"] = _age(tf, values, output)
    return columns


def class_probabilities(tf: Any, values: Any, output: Output) -> Any:
    """Calibrated probabilities [n, classes], in the network's order."""
    logits = values if output.kind == "logits" else tf.math.log(tf.maximum(values, 1e-7))
    logits = logits / output.temperature
    return tf.nn.softmax(logits + tf.constant(output.bias, logits.dtype) if output.bias else logits)


def _emotions(tf: Any, probabilities: Any, classes: tuple[str, ...]) -> Any:
    missing = tf.fill(tf.shape(probabilities)[:1], np.float32(np.nan))
    columns = [probabilities[:, classes.index(name)] if name in classes else missing for name in EMOTIONS]
    return tf.stack(columns, axis=1)


def _female(tf: Any, values: Any, output: Output) -> Any:
    if len(output.classes) == 2:
        return class_probabilities(tf, values, output)[:, output.classes.index("female")]
    value = tf.reshape(values, (-1,))
    if output.kind == "probabilities":
        value = tf.clip_by_value(value, 1e-7, 1 - 1e-7)
        value = tf.math.log(value / (1 - value))
    return tf.sigmoid(value / output.temperature + (output.bias[0] if output.bias else 0.0))


def _age(tf: Any, values: Any, output: Output) -> tuple[Any, Any]:
    if output.kind == "years":
        age = tf.reshape(values, (-1,))
        return age, tf.fill(tf.shape(age), np.float32(output.std_years))
    mean, std = age_moments(class_probabilities(tf, values, output), output.ranges)
    return mean, std * output.std_scale


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
