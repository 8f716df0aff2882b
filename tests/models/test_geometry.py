import math

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.geometry import AGE_GENDER, EMOTION, BoxGeometry, ChipGeometry, align, cut_chip

similarities = st.tuples(
    st.floats(-math.pi, math.pi), st.floats(0.1, 8), st.floats(-3000, 3000), st.floats(-3000, 3000)
)


def matrix(angle: float, scale: float, x: float, y: float) -> np.ndarray:
    a, b = scale * math.cos(angle), scale * math.sin(angle)
    return np.array([[a, -b, x], [b, a, y]])


def apply(transform: np.ndarray, points: np.ndarray) -> np.ndarray:
    return points @ transform[:, :2].T + transform[:, 2]


def face(seed: int) -> np.ndarray:
    """Landmarks roughly as they lie in a face 100 pixels wide."""
    return np.asarray(EMOTION.points) * 100 + np.random.default_rng(seed).normal(0, 4, (5, 2))


def gradient(size: int) -> np.ndarray:
    y, x = (np.mgrid[:size, :size] + 0.5) / size
    return np.round((x + y) * 127).astype(np.uint8)


@given(similarities)
def test_landmarks_that_are_a_similar_figure_come_to_lie_on_the_points(similarity: tuple[float, ...]) -> None:
    landmarks = apply(matrix(*similarity), EMOTION.targets())
    moved = apply(align(landmarks[None], EMOTION)[0].astype(float), landmarks)
    # float32 coefficients times coordinates of a few thousand pixels
    np.testing.assert_allclose(moved, EMOTION.targets(), atol=0.05)


@given(st.integers(0, 1000), similarities)
def test_moving_the_picture_moves_the_transform_with_it(seed: int, similarity: tuple[float, ...]) -> None:
    move = matrix(*similarity)
    before = align(face(seed)[None], AGE_GENDER)[0]
    after = align(apply(move, face(seed))[None], AGE_GENDER)[0]
    np.testing.assert_allclose(apply(after, apply(move, face(seed))), apply(before, face(seed)), atol=0.05)


@given(st.integers(0, 1000))
def test_no_similarity_fits_better(seed: int) -> None:
    landmarks = face(seed)
    best = align(landmarks[None], EMOTION)[0].astype(float)

    def error(transform: np.ndarray) -> float:
        return float(((apply(transform, landmarks) - EMOTION.targets()) ** 2).sum())

    rng = np.random.default_rng(seed)
    for _ in range(20):
        step = matrix(rng.normal(0, 0.02), 1 + rng.normal(0, 0.02), *rng.normal(0, 0.3, 2))
        other = step[:, :2] @ best
        other[:, 2] += step[:, 2]
        assert error(best) <= error(other) + 1e-3


def test_mirrored_landmarks_are_not_mirrored_back() -> None:
    mirrored = face(0) * [-1, 1]
    transform = align(mirrored[None], EMOTION)[0]
    assert np.linalg.det(transform[:, :2]) > 0


def test_no_faces_and_degenerate_faces() -> None:
    assert align(np.zeros((0, 5, 2), np.float32), EMOTION).shape == (0, 2, 3)
    point = align(np.full((1, 5, 2), 7, np.float32), EMOTION)
    assert np.isfinite(point).all() and not point[0, :, :2].any()
    assert cut_chip(gradient(64), point[0], 48).std() == 0


@pytest.mark.parametrize("factor", [0.2, 0.5, 1, 3, 9.7])
def test_a_chip_looks_the_same_at_any_size_of_the_face(factor: float) -> None:
    """A smooth picture, cut so that the whole of it fills the chip."""
    size = round(48 * factor)
    scale = 48 / size
    whole = matrix(0, scale, (scale - 1) / 2, (scale - 1) / 2)
    chip = cut_chip(gradient(size), whole.astype(np.float32), 48).astype(int)
    assert np.abs(chip - gradient(48)).max() <= (2 if factor >= 1 else 14)


def test_fine_patterns_are_averaged_and_not_sampled() -> None:
    stripes = np.tile(np.array([0, 255], np.uint8), (480, 240))
    chip = cut_chip(stripes, matrix(0, 0.1, -0.45, -0.45).astype(np.float32), 48)
    assert chip.min() >= 120 and chip.max() <= 135


def test_outside_the_picture_the_nearest_pixel_is_repeated() -> None:
    chip = cut_chip(np.full((20, 20, 3), (10, 120, 240), np.uint8), matrix(0.3, 1, 30, 5).astype(np.float32), 64)
    assert chip.shape == (64, 64, 3) and (chip == (10, 120, 240)).all()


@pytest.mark.parametrize("geometry", [EMOTION, AGE_GENDER])
def test_a_margin_leaves_the_middle_as_it_was(geometry: ChipGeometry) -> None:
    padded = geometry.padded(0.125)
    border = (padded.size - geometry.size) // 2
    assert border == geometry.size // 8
    np.testing.assert_allclose(padded.targets() - border, geometry.targets())
    picture = gradient(200)
    plain = cut_chip(picture, align(face(1)[None], geometry)[0], geometry.size)
    wide = cut_chip(picture, align(face(1)[None], padded)[0], padded.size)
    assert np.abs(wide[border:-border, border:-border].astype(int) - plain).max() <= 1


def box_chip(image: np.ndarray, box: tuple[float, float, float, float], size: int, enlarge: float) -> np.ndarray:
    geometry = BoxGeometry(size, enlarge, "grey")
    picture = (image.shape[1], image.shape[0])
    (transform,) = geometry.transforms(np.zeros((1, 5, 2)), np.array([box], np.float32), picture)
    return cut_chip(image, transform, size)


def test_a_box_is_cut_as_slicing_would() -> None:
    image = np.random.default_rng(0).integers(0, 256, (80, 90), np.uint8)
    np.testing.assert_array_equal(box_chip(image, (10, 20, 32, 32), 32, 0.0), image[20:52, 10:42])
    np.testing.assert_array_equal(box_chip(image, (20, 30, 20, 20), 40, 0.5), image[20:60, 10:50])


def test_a_box_is_cut_off_at_the_edges_and_stretched() -> None:
    image = gradient(100)
    whole = cv2.resize(image[:60, :50], (32, 32), interpolation=cv2.INTER_AREA).astype(float)
    cut = box_chip(image, (-20, -10, 70, 70), 32, 0.0).astype(float)
    assert np.abs(cut - whole).mean() < 2
    assert box_chip(image, (-500, -500, 20, 20), 32, 0.1).shape == (32, 32)  # wholly outside: the corner's pixel
    assert box_chip(image, (500, 500, 20, 20), 32, 0.1).std() < 1
