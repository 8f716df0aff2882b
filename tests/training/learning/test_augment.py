import numpy as np
import pytest

from models.runtime import configure_tensorflow
from tests.training.conftest import smooth_noise
from training.learning.augment import DRAWS
from training.learning.augment import augment as augment_by
from training.recipe import Jitter

STILL = Jitter(degrees=0, scale=(1, 1), shift=0, contrast=0, brightness=0, erase=0)
EVERYTHING = Jitter(stretch=0.2, slant=0.1, gamma=0.5, light=0.4, focus=0.8, coarse=0.3, grey=0.3)


@pytest.fixture(autouse=True)
def _tensorflow() -> None:
    configure_tensorflow("cpu")


def augment(images: np.ndarray, size: int, jitter: Jitter) -> np.ndarray:
    draws = np.random.default_rng(1).uniform(size=(len(images), DRAWS)).astype(np.float32)
    return np.asarray(augment_by(images, size, jitter, draws))


def only(**jitter: float) -> Jitter:
    return Jitter(**{**vars(STILL), **jitter})


def detail(images: np.ndarray) -> np.ndarray:
    """How much neighbouring pixels differ, [n]."""
    return np.abs(np.diff(images.astype(float), axis=2)).mean(axis=(1, 2, 3))


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
    chips = augment(same, 64, EVERYTHING)
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


def test_stretch_changes_the_proportions_and_not_the_area() -> None:
    square = np.zeros((32, 80, 80, 1), np.uint8)
    square[:, 30:50, 30:50] = 255
    chips = augment(square, 64, only(stretch=0.3))[..., 0] > 127
    wide, high = chips.any(axis=1).sum(axis=1), chips.any(axis=2).sum(axis=1)
    assert (wide / high).min() < 0.8 and (wide / high).max() > 1.2
    np.testing.assert_allclose(wide * high, 400, rtol=0.15)


def test_slant_moves_the_top_against_the_bottom() -> None:
    bar = np.zeros((32, 80, 80, 1), np.uint8)
    bar[:, :, 38:42] = 255
    chips = augment(bar, 64, only(slant=0.2))[..., 0]
    lean = chips[:, 4].argmax(axis=1).astype(int) - chips[:, -5].argmax(axis=1)
    assert lean.min() < -6 and lean.max() > 6 and np.abs(lean).max() <= 0.2 * 64


def test_focus_blurs_some_and_sharpens_others_and_coarse_takes_detail_from_its_share() -> None:
    images = np.random.default_rng(0).integers(80, 170, (200, 48, 48, 1), np.uint8)
    change = detail(augment(images, 48, only(focus=0.8))) / detail(images)
    assert change.min() < 0.5 and change.max() > 1.3
    lost = detail(augment(images, 48, only(coarse=0.3))) / detail(images) < 0.7
    assert 0.2 < lost.mean() < 0.4


def test_gamma_leaves_black_and_white_and_light_comes_from_a_side() -> None:
    steps = np.repeat(np.linspace(0, 255, 48).astype(np.uint8)[None, :, None, None], 48, axis=2)
    chips = augment(np.repeat(steps, 16, axis=0), 48, only(gamma=0.5))
    np.testing.assert_allclose(chips[:, 0], 0, atol=0.1)
    np.testing.assert_allclose(chips[:, -1], 255, atol=0.1)
    assert np.ptp(chips[:, 24], axis=0).min() > 30
    even = np.full((32, 48, 48, 1), 100, np.uint8)
    lit = augment(even, 48, only(light=0.4))
    np.testing.assert_allclose(lit.mean(axis=(1, 2, 3)), 100, atol=0.5)
    across, down = lit[:, 24, -1, 0] - lit[:, 24, 0, 0], lit[:, -1, 24, 0] - lit[:, 0, 24, 0]
    assert across.min() < -20 and across.max() > 20 and down.min() < -20 and down.max() > 20


def test_a_share_of_colour_pictures_becomes_grey_and_keeps_its_brightness() -> None:
    images = np.empty((200, 64, 64, 3), np.uint8)
    images[:] = 200, 100, 50
    chips = augment(images, 64, only(grey=0.4))[:, 0, 0]
    spread = np.ptp(chips, axis=1)
    assert 0.3 < (spread < 1).mean() < 0.5 and 0.2 < (spread > 149).mean() < 0.4
    np.testing.assert_allclose(chips @ [0.299, 0.587, 0.114], 124.2, atol=0.5)
