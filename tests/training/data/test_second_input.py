import dataclasses
from pathlib import Path

import numpy as np
import pytest

from models.zoo import find_network
from tests.training.conftest import smooth_noise
from tests.training.parts import make_faces, make_part
from training.data.batches import Part
from training.data.second_input import second_input, views_of
from training.recipe import Jitter

NETWORK = find_network("emotion-hog-landmarks")
PLAIN = np.zeros((12, 2), np.float32)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[np.ndarray]:
    """The chips that gradients and landmarks were computed of; here these are the means of left and right half."""
    seen: list[np.ndarray] = []

    def halves(chips: np.ndarray) -> np.ndarray:
        seen.append(chips)
        return chips.reshape(len(chips), 48, 2, 24).mean(axis=(1, 3)).astype(np.float32)

    monkeypatch.setattr("models.features.hog_landmarks", halves)
    return seen


def part() -> Part:
    chips = np.stack([smooth_noise(i, 60) for i in range(12)])
    return make_part(dataclasses.replace(make_faces(12), chips=chips))


def test_views_are_of_the_plain_chip_and_of_changed_copies(asked: list[np.ndarray], tmp_path: Path) -> None:
    views = views_of(part().chips, PLAIN, NETWORK, Jitter(copies=2), 1, tmp_path)
    assert views.shape == (12, 3, 2) and not views[:, 0].any()
    assert [chips.shape for chips in asked] == [(12, 48, 48)] * 2 and asked[0].dtype == np.uint8
    assert (asked[0] != asked[1]).any() and (views[:, 1] != views[:, 2]).any()


def test_they_are_computed_once(asked: list[np.ndarray], tmp_path: Path) -> None:
    first = views_of(part().chips, PLAIN, NETWORK, Jitter(copies=1), 1, tmp_path)
    np.testing.assert_array_equal(views_of(part().chips, PLAIN, NETWORK, Jitter(copies=1), 1, tmp_path), first)
    assert len(asked) == 1
    views_of(part().chips, PLAIN, NETWORK, Jitter(copies=1), 2, tmp_path)
    views_of(part().chips, PLAIN, NETWORK, Jitter(copies=1, degrees=3), 1, tmp_path)
    assert len(asked) == 3


def test_the_second_input_is_that_of_the_chip_without_margin(asked: list[np.ndarray], tmp_path: Path) -> None:
    chips = part().sets[0].chips
    assert second_input(chips, NETWORK, tmp_path).shape == (12, 2)
    np.testing.assert_array_equal(asked[0], np.asarray(chips[:])[:, 6:54, 6:54])
