"""Which of the faces in a labelled picture is the one that the label means."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from training.data.own_face import NO_FACE, SEVERAL_FACES, Dropped, own_face


@pytest.mark.parametrize(
    ("boxes", "chosen"),
    [
        ([(0, 0, 10, 10)], 0),
        ([(0, 0, 10, 10), (30, 20, 40, 40)], 1),
        ([(30, 20, 40, 40), (0, 0, 10, 10), (80, 0, 10, 10)], 0),
    ],
)
def test_own_face_is_the_only_one_or_the_one_in_the_middle(boxes: Sequence[Any], chosen: int) -> None:
    assert own_face(np.array(boxes, np.float32), (100, 80)) == chosen


@pytest.mark.parametrize(
    ("boxes", "reason"),
    [
        ([], NO_FACE),
        ([(0, 0, 10, 10), (80, 0, 10, 10)], SEVERAL_FACES),
        ([(30, 20, 40, 40), (35, 25, 40, 40)], SEVERAL_FACES),
    ],
)
def test_own_face_that_cannot_be_told_is_dropped(boxes: Sequence[Any], reason: str) -> None:
    with pytest.raises(Dropped, match=reason):
        own_face(np.array(boxes, np.float32).reshape(-1, 4), (100, 80))
