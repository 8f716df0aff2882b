"""Soft labels by trained models: what they say of the training pictures becomes part of the targets.

A label of FER2013 is one choice by few people, and often another than most would make; what several models agree on is
calmer, and tells how alike the other classes look.

Source: G. Hinton, O. Vinyals and J. Dean, Distilling the knowledge in a neural network, 2015; with the network's own
kind as its teacher: T. Furlanello et al., Born again neural networks, ICML 2018.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from models.bundle import load_bundle
from models.geometry import Geometry
from schemas.errors import UsageError
from schemas.tables import EMOTIONS
from training.data import Part
from training.targets import Head, Task, by_key

_BLOCK = 1024


def taught(targets: Any, learned: Sequence[Task], part: Part, geometry: Geometry) -> Any:
    """Targets, those of heads with teachers mixed with what these say of the pictures.

    Args:
      targets: as `training.targets.targets_of` gives them, nested as the network's outputs.
      learned: what the outputs learn.
      part: the pictures.
      geometry: of their chips.

    Raises:
      UsageError: a teacher says nothing of a head's classes, or takes other chips.
      BundleError: there is no such teacher.
    """
    values = [targets if task.key is None else targets[task.key] for task in learned]
    for i, task in enumerate(learned):
        if task.head is not None and task.head.teachers:
            opinion = _opinion(task, task.head, part, geometry)
            values[i] = (1 - task.head.taught) * values[i] + task.head.taught * opinion
    return by_key(learned, values)


def _opinion(task: Task, head: Head, part: Part, geometry: Geometry) -> np.ndarray:
    """Mean of the teachers' probabilities, [n, classes] float32, rows sum to 1."""
    columns = [EMOTIONS.index(name) for name in task.output.classes]
    total = np.zeros((len(part), len(columns)), np.float32)
    for name in head.teachers:
        teacher = load_bundle(name)
        if teacher.card.geometry.chip() != geometry:
            raise UsageError(f"The teacher {name} takes other crops of a face than the network that is to learn.")
        for start in range(0, len(part), _BLOCK):
            chips = part.chips(np.arange(start, min(start + _BLOCK, len(part))))
            border = (chips.shape[1] - geometry.size) // 2
            chips = chips[:, border : border + geometry.size, border : border + geometry.size]
            said = teacher.predict(chips[..., 0] if chips.shape[-1] == 1 else chips).get("emotion")
            if said is None or not np.isfinite(said[:, columns]).all():
                raise UsageError(f"The teacher {name} does not know {', '.join(task.output.classes)}.")
            total[start : start + len(chips)] += said[:, columns] / said[:, columns].sum(axis=1, keepdims=True)
    return total / len(head.teachers)
