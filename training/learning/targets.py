"""Targets and losses for each output of a network, from the labels of the data.

A label may be missing, as when one data set has ages and another has genders. Its row then has weight 0. Losses take
the network's raw outputs: logits or probabilities, as its `Output` says.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

from models.cards import Output
from models.outputs import age_moments
from schemas.tables import EMOTIONS
from training.recipe import Head, Weights

MOST_YEARS = 100
"""Older people count as of this age."""


class Labels(Protocol):
    """Labels of n faces, in the same columns as `training.data.labelled_faces.Faces`."""

    @property
    def emotion(self) -> np.ndarray: ...
    @property
    def votes(self) -> np.ndarray: ...
    @property
    def age(self) -> np.ndarray: ...
    @property
    def female(self) -> np.ndarray: ...
    def __len__(self) -> int: ...


@dataclasses.dataclass(frozen=True, eq=False)
class Task:
    """What one output of a network learns.

    Attributes:
      key: key of the output in the network's dict; None for the only output.
      output: the meaning of the output.
      head: how emotion labels are read; None for age and gender.
      targets: part of the data → (targets [n, k] float32, weights [n] float32).
      loss: (targets, raw output) → [n].
      alike: (a teacher's raw output, raw output) → [n], the distance between the two.
      metrics: (targets, raw output) → [n], to watch progress.
      answers: raw output → targets [n, k] that say the same, with which a network can teach; for emotions.
    """

    key: str | None
    output: Output
    head: Head | None
    targets: Callable[[Labels], tuple[np.ndarray, np.ndarray]]
    loss: Callable[[Any, Any], Any]
    alike: Callable[[Any, Any], Any]
    metrics: list[Callable[[Any, Any], Any]]
    answers: Callable[[Any], Any] | None = None


def tasks(outputs: tuple[Output, ...], heads: tuple[Head, ...], weights: Weights, training: Labels) -> list[Task]:
    """What the outputs of a network learn.

    Args:
      outputs: outputs of the network, as the zoo states them.
      heads: heads for emotion; if there are several, each is an output of its own with the head's name.
      weights: weights of the losses of age and gender.
      training: the training part; the shares of its classes balance the loss.
    """
    found = []
    for output in outputs:
        if output.attribute == "emotion":
            for head in heads:
                key = head.name if len(heads) > 1 else output.source
                found.append(_emotion(key, output, head, training))
        elif output.attribute == "gender":
            found.append(_gender(output, weights))
        else:
            found.append(_age(output, weights, training))
    return found


def targets_of(learned: Sequence[Task], part: Labels) -> tuple[Any, Any]:
    """Targets and weights of all outputs, nested like the network's outputs."""
    found = [task.targets(part) for task in learned]
    return by_key(learned, [target for target, _ in found]), by_key(learned, [weight for _, weight in found])


def by_key(learned: Sequence[Task], values: Sequence[Any]) -> Any:
    """One value per task, nested like the network's outputs: a dict, or the only value itself."""
    if learned[0].key is None:
        return values[0]
    return {task.key: value for task, value in zip(learned, values, strict=True)}


def stated_sigma(age: Any, most: float) -> Any:
    """Standard deviation of a stated age in years: 0.5 + age / 10, at most `most`."""
    from keras import ops

    return ops.minimum(0.5 + age / 10, most)


def emotion_targets(emotion: np.ndarray, votes: np.ndarray, head: Head, classes: tuple[str, ...]) -> np.ndarray:
    """The target distribution of each picture.

    Args:
      emotion: [n] index into EMOTIONS, -1 where there is none.
      votes: [n, 7] shares of all votes, zeros where there are none.
      head: how labels and votes are mixed.
      classes: the classes of the network, in its order; votes for others do not count.

    Returns:
      [n, classes] float32, rows sum to 1 where there is an emotion.
    """
    columns = [EMOTIONS.index(name) for name in classes]
    own = (emotion[:, None] == columns).astype(np.float32)
    total = votes[:, columns].sum(axis=1, keepdims=True)
    # Pictures that most annotators called contempt or could not name keep their own label.
    voted = np.where(total > 0.5, votes[:, columns] / np.maximum(total, 1e-6), own)
    mixed = (1 - head.votes) * own + head.votes * voted
    return ((1 - head.smoothing) * mixed + head.smoothing / len(columns)).astype(np.float32)


def _emotion(key: str | None, output: Output, head: Head, training: Labels) -> Task:
    classes = [EMOTIONS.index(name) for name in output.classes]
    counts = np.bincount(training.emotion[training.emotion >= 0], minlength=len(EMOTIONS))[classes]
    correction = (head.balance * np.log(counts / max(counts.sum(), 1) + 1e-6)).astype(np.float32)

    def targets(part: Labels) -> tuple[np.ndarray, np.ndarray]:
        return emotion_targets(part.emotion, part.votes, head, output.classes), (part.emotion >= 0).astype(np.float32)

    def loss(target: Any, raw: Any) -> Any:
        return _cross_entropy(target, _logits(raw, output) + correction)

    def answers(raw: Any) -> Any:
        from keras import ops

        return ops.softmax(_logits(raw, output) + correction)

    def alike(teacher: Any, raw: Any) -> Any:
        return loss(answers(teacher), raw)

    def categorical_accuracy(target: Any, raw: Any) -> Any:
        return _agree(target, raw)

    return Task(key, output, head, targets, loss, alike, [categorical_accuracy], answers)


def _gender(output: Output, weights: Weights) -> Task:
    def targets(part: Labels) -> tuple[np.ndarray, np.ndarray]:
        known = np.isfinite(part.female)
        female = np.where(known, part.female, 0).astype(np.float32)
        columns = [female if name == "female" else 1 - female for name in output.classes]
        return np.stack(columns, axis=1), known.astype(np.float32)

    def loss(target: Any, raw: Any) -> Any:
        from keras import ops

        if len(output.classes) == 2:
            return weights.gender * _cross_entropy(target, _logits(raw, output))
        if output.kind == "probabilities":
            raw = ops.log(ops.maximum(raw, 1e-7)) - ops.log(ops.maximum(1 - raw, 1e-7))
        return weights.gender * (ops.softplus(raw) - target * raw)[:, 0]

    def alike(teacher: Any, raw: Any) -> Any:
        from keras import ops

        if len(output.classes) == 2:
            return loss(_softmax(teacher, output), raw)
        return loss(teacher if output.kind == "probabilities" else ops.sigmoid(teacher), raw)

    def accuracy(target: Any, raw: Any) -> Any:
        from keras import ops

        if len(output.classes) == 2:
            return _agree(target, raw)
        return ops.cast((raw > (0.5 if output.kind == "probabilities" else 0.0)) == (target > 0.5), "float32")[:, 0]

    return Task(output.source, output, None, targets, loss, alike, [accuracy])


def age_weights(ages: np.ndarray, counted: np.ndarray, power: float) -> np.ndarray:
    """How much each picture counts, so that rare ages are not drowned; 1 in the mean of the counted pictures.

    Args:
      ages: [n, 2] lowest and highest age.
      counted: [m, 2] the ages by which a year is rare; that of a range is spread over its years.
      power: 0 leaves all weights at 1, with 1 every year weighs the same.

    Returns:
      [n] float32. Of a range it is the mean over its years.
    """
    from scipy.ndimage import gaussian_filter1d

    years = np.arange(MOST_YEARS + 1)

    def covered(of: np.ndarray) -> np.ndarray:
        low, high = np.minimum(of, MOST_YEARS).round().T
        inside = (years >= low[:, None]) & (years <= high[:, None])
        return inside / inside.sum(axis=1, keepdims=True)

    # Single years are stated more often than others: round ones.
    share = gaussian_filter1d(covered(counted).mean(axis=0), 2, mode="nearest")
    of_year = np.maximum(share, share.max() / 100) ** -power
    return (covered(ages) @ of_year / (covered(counted) @ of_year).mean()).astype(np.float32)


def _age(output: Output, weights: Weights, training: Labels) -> Task:
    def targets(part: Labels) -> tuple[np.ndarray, np.ndarray]:
        known = np.isfinite(part.age[:, 0])
        weight = known.astype(np.float32)
        if weights.age_balance and known.any():
            counted = training.age[np.isfinite(training.age[:, 0])]
            weight[known] = age_weights(part.age[known], counted, weights.age_balance)
        return np.where(known[:, None], part.age, 0).astype(np.float32), weight

    def mean_error(ages: Any, raw: Any) -> Any:
        """Years between the predicted age and the stated age, or the nearest end of the stated range; [n]."""
        from keras import ops

        mean = raw[:, 0] if output.kind == "years" else age_moments(_softmax(raw, output), output.ranges)[0]
        highest = _classes(output, raw)[1][-1]
        low, high = ops.minimum(ages[:, 0], highest), ops.minimum(ages[:, 1], highest)
        return ops.maximum(ops.maximum(low - mean, mean - high), 0)

    def loss(ages: Any, raw: Any) -> Any:
        from keras import ops

        if output.kind == "years":
            return mean_error(ages, raw)
        first, last = _classes(output, raw)
        low = ops.clip(ages[:, :1], first[0], last[-1])
        high = ops.clip(ages[:, 1:], first[0], last[-1])
        outside = ops.maximum(ops.maximum(low - last, first - high), 0)
        # A range may lie between two classes (ages 2.5 to 2.7); the nearest class then counts as containing it.
        outside -= ops.min(outside, axis=1, keepdims=True)
        sigma = stated_sigma(low, weights.age_sigma)
        penalty = (outside / sigma) ** 2 / 2 if weights.age_sigma else ops.where(outside > 0, 1e9, 0.0)
        log_shares = ops.log_softmax(_logits(raw, output))
        # For an exact age the likelihood fails: years that have no share early in training would never get one.
        likelihood = ops.where(
            ages[:, 0] == ages[:, 1],
            ops.sum(ops.softmax(-penalty) * log_shares, axis=1),
            ops.logsumexp(log_shares - penalty, axis=1),
        )
        return (weights.age_error * mean_error(ages, raw) if weights.age_error else 0.0) - likelihood

    def alike(teacher: Any, raw: Any) -> Any:
        if output.kind == "years":
            return abs(teacher - raw)[:, 0]
        return _cross_entropy(_softmax(teacher, output), _logits(raw, output))

    def mae(ages: Any, raw: Any) -> Any:
        return mean_error(ages, raw)

    return Task(output.source, output, None, targets, loss, alike, [mae])


def _classes(output: Output, raw: Any) -> tuple[np.ndarray, np.ndarray]:
    """First and last year of each class of an age output."""
    if output.kind == "years":
        return np.zeros(1, np.float32), np.full(1, np.inf, np.float32)
    if output.ranges:
        first, last = np.array(output.ranges, np.float32).T
        return first, last
    years = np.arange(raw.shape[-1], dtype=np.float32)
    return years, years


def _logits(raw: Any, output: Output) -> Any:
    from keras import ops

    return raw if output.kind == "logits" else ops.log(ops.maximum(raw, 1e-7))


def _softmax(raw: Any, output: Output) -> Any:
    from keras import ops

    return ops.softmax(raw) if output.kind == "logits" else raw


def _cross_entropy(target: Any, logits: Any) -> Any:
    from keras import ops

    return -ops.sum(target * ops.log_softmax(logits), axis=1)


def _agree(target: Any, raw: Any) -> Any:
    from keras import ops

    return ops.cast(ops.argmax(target, axis=1) == ops.argmax(raw, axis=1), "float32")
