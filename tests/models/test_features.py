from pathlib import Path

import numpy as np
import pytest
from skimage import data

from models import features
from models.features import hog_landmarks
from models.geometry import EMOTION, cut_chip
from models.landmarks import predict_landmarks
from schemas.errors import BundleError

# dlib's 68 landmarks: the five of the aligned chip, in the order of `models.landmarks`.
FIVE_OF_68 = (45, 42, 36, 39, 33)


@pytest.fixture(scope="module")
def chip() -> np.ndarray:
    """The astronaut's face as the emotion models see it."""
    luma = np.round(data.astronaut() @ [0.299, 0.587, 0.114]).astype(np.uint8)
    boxes = np.array([[175, 76, 91, 91]], np.float32)
    transform = EMOTION.transforms(predict_landmarks(luma, boxes), boxes, (512, 512))[0]
    return cut_chip(luma, transform, EMOTION.size)


def test_shape_type_and_scale(chip: np.ndarray) -> None:
    values = hog_landmarks(np.stack([chip, chip[:, ::-1]]))
    assert values.shape == (2, 208) and values.dtype == np.float32
    assert values[:, :72].min() >= 0 and 0.5 < values[:, :72].max() <= 1
    assert values[:, 72:].min() > -0.5 and values[:, 72:].max() < 1.5
    assert hog_landmarks(np.zeros((0, 48, 48), np.uint8)).shape == (0, 208)


def test_a_chip_gets_the_same_alone_and_among_others(chip: np.ndarray) -> None:
    others = np.random.default_rng(0).integers(0, 256, (3, 48, 48), dtype=np.uint8)
    together = hog_landmarks(np.concatenate([others, chip[None]]))
    np.testing.assert_array_equal(together[3:], hog_landmarks(chip[None]))


def test_landmarks_lie_where_the_chip_has_them(chip: np.ndarray) -> None:
    points = hog_landmarks(chip[None])[0, 72:].reshape(68, 2)
    assert np.abs(points[list(FIVE_OF_68)] - EMOTION.points).max() < 0.08  # 4 of 48 pixels
    assert points[8, 1] > points[57, 1] > points[33, 1] > points[27, 1]  # chin, lips, nose, brow: downwards


def test_gradients_are_of_their_cell_and_direction() -> None:
    image = np.zeros((48, 48), np.uint8)
    image[20:28, 40:] = 200  # in the cell of the middle row and right column: one vertical edge, two horizontal ones
    cells = hog_landmarks(image[None])[0, :72].reshape(3, 3, 8)
    assert np.argwhere(cells.any(axis=2)).tolist() == [[1, 2]]
    stripes = np.zeros((48, 48), np.uint8)
    stripes[:, ::4] = stripes[:, 1::4] = 255
    upright, lying = (hog_landmarks(picture[None])[0, :72].reshape(9, 8) for picture in (stripes, stripes.T))
    # Eight bins of 22.5 degrees: gradients along x fall into the first, along y into the fifth.
    assert set(upright.argmax(axis=1)) == {0} and set(lying.argmax(axis=1)) == {4}


def test_a_flat_chip_has_no_gradients() -> None:
    assert not hog_landmarks(np.full((1, 48, 48), 90, np.uint8))[0, :72].any()


def test_a_missing_file_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(features, "landmark_path", lambda: tmp_path / "shape_predictor_5_face_landmarks.dat")
    features._predictor.cache_clear()
    with pytest.raises(BundleError, match="68_face_landmarks.dat is missing"):
        hog_landmarks(np.zeros((1, 48, 48), np.uint8))
