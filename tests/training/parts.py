"""Faces without pictures, for tests of labels."""

from typing import Any

import numpy as np

from training.data.batches import Part
from training.data.labelled_faces import TRAINING, Faces
from training.datasets import LabelledPicture


def make_faces(n: int, *, size: int = 4, blocks: np.ndarray | None = None, **columns: Any) -> Faces:
    """The number of a face is in the pixels of its chip."""
    chips = np.arange(n, dtype=np.uint8)[:, None, None] + np.zeros((1, size, size), np.uint8)
    values = {
        "emotion": np.full(n, -1),
        "votes": np.zeros((n, 7), np.float32),
        "age": np.full((n, 2), np.nan, np.float32),
        "female": np.full(n, np.nan, np.float32),
        "part": np.full(n, TRAINING, "<U32"),
        **{name: np.array(value) for name, value in columns.items()},
    }
    return Faces("made", chips, **values, sample=lambda row: LabelledPicture(str(row), chips[row]), blocks=blocks)


def make_part(*sets: Faces, **columns: Any) -> Part:
    """All faces of some sets; of one with these columns if none is given."""
    if not sets:
        sets = (make_faces(len(next(iter(columns.values()))), **columns),)
    counts = [faces.chips.shape[0] for faces in sets]
    return Part(sets, np.repeat(np.arange(len(sets)), counts), np.concatenate([np.arange(n) for n in counts]))
