import cv2
import numpy as np
import pytest
from skimage import data

from training.data.surroundings import fill_surroundings, find_surroundings

FACE = cv2.resize(data.astronaut()[70:175, 165:270], (60, 60), interpolation=cv2.INTER_AREA)


def oval(chip: np.ndarray, shade: int) -> np.ndarray:
    """The face cut out by a soft-edged oval."""
    mask = np.zeros(chip.shape[:2], np.uint8)
    cv2.ellipse(mask, (30, 30), (23, 28), 0, 0, 360, 255, -1)
    soft = (cv2.GaussianBlur(mask, (3, 3), 0) / 255.0).reshape(60, 60, *[1] * (chip.ndim - 2))
    return (soft * chip + (1 - soft) * shade).round().astype(np.uint8)


@pytest.mark.parametrize("shade", [0, 6, 60, 255])
@pytest.mark.parametrize("grey", [True, False])
def test_the_ground_around_an_oval_is_filled(shade: int, grey: bool) -> None:
    face = cv2.cvtColor(FACE, cv2.COLOR_RGB2GRAY) if grey else FACE
    cut = oval(face, shade)
    around = find_surroundings(cut)
    assert 0.25 < around.mean() < 0.45
    filled = fill_surroundings(cut)
    inside = cv2.erode((~around).astype(np.uint8), np.ones((7, 7))) > 0
    np.testing.assert_array_equal(filled[inside], cut[inside])
    assert filled.shape == cut.shape and not find_surroundings(filled).any()
    # No edge is left: pixels on both sides of it differ as little as others do.
    edge = (cv2.dilate(around.astype(np.uint8), np.ones((5, 5))) > 0) & ~around

    def steps(chip: np.ndarray) -> float:
        plane = chip.astype(float).reshape(60, 60, -1)[..., 0]
        return float(np.hypot(*np.gradient(plane))[edge].mean())

    assert steps(filled) < 0.6 * steps(cut)


def test_other_faces_stay_as_they_are() -> None:
    assert fill_surroundings(FACE) is FACE
    black = np.zeros((60, 60), np.uint8)
    assert fill_surroundings(black) is black
