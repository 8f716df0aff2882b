"""Targets in part by the network that a training begins from, so that little of what it knows is lost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from training.data.batches import Part, batches
from training.data.mixing import VOTED, style_of
from training.learning.loop import predict
from training.learning.targets import Task, by_key


def taught(
    targets: Any, learned: Sequence[Task], part: Part, model: Any, share: float, stream: Mapping[str, Any]
) -> Any:
    """Targets with a share of the network's answers, for pictures that people voted on.

    The network looks at the plain picture and its mirror image, and later learns to say the same of changed ones.

    Args:
      targets: as `targets_of` gives them for the part.
      learned: the tasks.
      part: the faces.
      model: the network, before it is trained.
      share: share of its answers in the targets.
      stream: size, batch and scaling of `batches`.

    Returns:
      As `targets`.
    """
    rows = np.flatnonzero([style_of(kind) == VOTED for kind in part.kinds])
    tasks = [task for task in learned if task.answers is not None]
    if not len(rows) or not tasks:
        return targets
    voted = Part(part.sets, part.owner[rows], part.row[rows])
    raw = predict(model, batches(voted, targets=(), **stream), mirror=True)
    mixed = []
    for task in learned:
        target = targets if task.key is None else targets[task.key]
        if task.answers is not None:
            target = target.copy()
            target[rows] = (1 - share) * target[rows] + share * np.asarray(task.answers(raw[task.key]))
        mixed.append(target)
    return by_key(learned, mixed)
