from pathlib import Path

import numpy as np
from skimage import data

from models.geometry import AGE_GENDER
from models.landmarks import predict_landmarks
from training.chips import MARGIN, cut_face, cut_faces, middle
from training.datasets import read_fairface


def test_landmarks_of_a_cut_face_lie_on_the_geometrys_points() -> None:
    picture = np.ascontiguousarray(data.astronaut()[70:175, 165:270])
    chip = cut_face(picture, AGE_GENDER)
    grey = np.round(chip @ [0.299, 0.587, 0.114]).astype(np.uint8)
    found = predict_landmarks(grey, np.array([[0, 0, 64, 64]], np.float32))[0]
    assert np.abs(found - AGE_GENDER.targets()).max() < 4


def test_chips_are_cut_once(fairface: Path, tmp_path: Path) -> None:
    faces = read_fairface(fairface)
    chips = cut_faces(faces, AGE_GENDER, tmp_path / "cache")
    assert chips.shape == (40, 80, 80, 3) and MARGIN == 1 / 8
    assert middle(chips, 64).shape == (40, 64, 64, 3)
    for file in (fairface / "train").iterdir():
        file.unlink()
    np.testing.assert_array_equal(cut_faces(faces, AGE_GENDER, tmp_path / "cache"), chips)
