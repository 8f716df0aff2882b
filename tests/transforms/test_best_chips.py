"""Which faces of a track the embedding is computed of."""

import numpy as np
import pytest

from models.embeddings.choose import embedding_card
from models.landmarks import Landmarks
from schemas.faces import TrackedFaces
from schemas.tables import BLURRED
from transforms.best_chips import BestChips

CARD = embedding_card("sface")
POINTS = np.array([[[30, 40], [70, 40], [50, 60], [35, 80], [65, 80]]], np.float32)
NONE = np.zeros((0, 5, 2), np.float32)


class CountingPicture:
    """Chips that hold a number, and how many were cut."""

    cut = 0

    def __init__(self, number: int):
        self.number = number

    def chip(self, transform: np.ndarray, size: int, channels: str) -> np.ndarray:
        assert transform.shape == (2, 3) and channels == "bgr"
        CountingPicture.cut += 1
        return np.full((size, size, 3), self.number, np.uint8)


def offer(chips: BestChips, time: float, quality: float, *, track: int = 0, flags: int = 0, found: bool = True) -> None:
    confidence = np.array([0.9 if found else np.nan], np.float32)
    columns = {
        "track": np.array([track], np.int32),
        "timestamp": np.array([time]),
        "quality": np.array([quality], np.float32),
        "quality_flags": np.array([flags], np.uint16),
        "confidence": confidence,
    }
    faces = TrackedFaces(columns["track"], NONE, confidence, confidence, POINTS, np.ones(1, bool), {})
    chips.offer(columns, faces, Landmarks(POINTS, POINTS, confidence), CountingPicture(int(100 * quality)))  # type: ignore[arg-type]


def taken(chips: BestChips, *times: float, track: int = 0, is_last: bool = True) -> dict[float, int]:
    """By time, the number in the chip."""
    columns = {"track": np.full(len(times), track, np.int32), "timestamp": np.array(times)}
    rows, pixels = chips.take(columns, is_last=is_last)
    assert pixels.shape == (len(rows), 112, 112, 3) and list(rows) == sorted(rows)
    return {times[row]: int(chip[0, 0, 0]) for row, chip in zip(rows, pixels, strict=True)}


TIMES = (0.0, 0.5, 2.0, 4.5, 6.0)


def test_the_best_faces_are_kept_and_no_two_of_the_same_two_seconds() -> None:
    chips = BestChips(CARD, 2)
    for time, quality in zip(TIMES, (0.8, 0.9, 0.3, 0.5, 0.4), strict=True):
        offer(chips, time, quality)
    assert taken(chips, *TIMES) == {0.5: 90, 4.5: 50}
    assert taken(chips, *TIMES) == {}


def test_a_doubtful_face_counts_only_alone() -> None:
    chips = BestChips(CARD, 3)
    for time, quality, flags in ((0.0, 0.9, BLURRED), (2.0, 0.95, BLURRED), (4.0, 0.5, BLURRED)):
        offer(chips, time, quality, flags=flags)
    assert taken(chips, 0.0, 2.0, 4.0, is_last=False) == {2.0: 95}
    for time, quality, flags in ((0.0, 0.9, BLURRED), (2.0, 0.2, 0), (4.0, 0.3, 0), (6.0, 0.9, BLURRED)):
        offer(chips, time, quality, flags=flags)
    assert taken(chips, 0.0, 2.0, 4.0, 6.0) == {2.0: 20, 4.0: 30}


def test_only_faces_that_the_detector_saw_before_the_segments_end() -> None:
    chips = BestChips(CARD, 3, end=4.0)
    offer(chips, 0.0, 0.9, found=False)
    offer(chips, 2.0, 0.5)
    offer(chips, 4.0, 0.9)
    assert taken(chips, 0.0, 2.0, 4.0) == {2.0: 50}


def test_a_part_gives_its_own_and_faces_that_do_not_count_are_dropped() -> None:
    chips = BestChips(CARD, 3)
    offer(chips, 0.0, 0.5)
    offer(chips, 2.0, 0.6)
    offer(chips, 2.0, 0.7, track=1)  # a track that is never confirmed
    assert taken(chips, 0.0, is_last=False) == {0.0: 50}
    assert taken(chips, 2.0) == {2.0: 60}
    assert taken(chips, 2.0, track=1) == {}


@pytest.mark.parametrize("equal", [0.5, 0.4])
def test_a_chip_is_cut_only_for_a_better_face(equal: float) -> None:
    CountingPicture.cut = 0
    chips = BestChips(CARD, 3)
    offer(chips, 0.0, 0.5)
    offer(chips, 0.25, equal)
    assert CountingPicture.cut == 1
