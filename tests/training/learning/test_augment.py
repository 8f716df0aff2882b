import numpy as np
import pytest

from models.runtime import configure_tensorflow
from tests.training.conftest import smooth_noise
from training.learning.augment import DRAWS
from training.learning.augment import augment as augment_by
from training.recipe import Jitter

STILL = Jitter(degrees=0, scale=(1, 1), shift=0, contrast=0, brightness=0, erase=0)


@pytest.fixture(autouse=True)
def _tensorflow() -> None:
    configure_tensorflow("cpu")


def augment(images: np.ndarray, size: int, jitter: Jitter) -> np.ndarray:
    draws = np.random.default_rng(1).uniform(size=(len(images), DRAWS)).astype(np.float32)
    return np.asarray(augment_by(images, size, jitter, draws))


def pictures(n: int, side: int, channels: int = 1) -> np.ndarray:
    return np.stack([smooth_noise(i, side, channels).reshape(side, side, channels) for i in range(n)])


@pytest.mark.parametrize("side", [48, 60])
def test_without_jitter_it_is_the_middle_or_its_mirror_image(side: int) -> None:
    images, border = pictures(16, side), (side - 48) // 2
    chips = augment(images, 48, STILL)
    middle = images[:, border : border + 48, border : border + 48].astype(np.float32)
    plain = np.abs(chips - middle).max(axis=(1, 2, 3)) < 1e-3
    mirrored = np.abs(chips - middle[:, :, ::-1]).max(axis=(1, 2, 3)) < 1e-3
    assert (plain | mirrored).all() and plain.any() and mirrored.any()


def test_every_picture_is_changed_in_its_own_way() -> None:
    same = np.repeat(pictures(1, 80, 3), 8, axis=0)
    chips = augment(same, 64, Jitter())
    assert chips.shape == (8, 64, 64, 3) and chips.dtype == np.float32
    assert chips.min() >= 0 and chips.max() <= 255
    assert all(np.abs(chips[i] - chips[j]).mean() > 1 for i in range(8) for j in range(i))


def test_scale_makes_the_face_larger() -> None:
    square = np.zeros((4, 80, 80, 1), np.uint8)
    square[:, 30:50, 30:50] = 255
    for scale in (0.8, 1.3):
        chips = augment(square, 64, Jitter(**{**vars(STILL), "scale": (scale, scale)}))
        np.testing.assert_allclose(chips.sum(axis=(1, 2, 3)) / 255, (20 * scale) ** 2, rtol=0.05)


def test_the_erased_square_is_grey() -> None:
    white = np.full((32, 48, 48, 1), 255, np.uint8)
    chips = augment(white, 48, Jitter(**{**vars(STILL), "erase": 0.25}))
    erased = (chips == 127.5).sum(axis=(1, 2, 3))
    assert erased.max() <= 13**2 and erased.mean() > 50
