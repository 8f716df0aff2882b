"""OpenCV's cascade finds frontal faces, each with the number of windows that see it."""

from pathlib import Path

import numpy as np
import pytest

from models.detectors.choose import make_detector, weights_sha256
from models.detectors.interface import StillPicture
from schemas.config import Detection
from schemas.errors import BundleError
from tests.clips import scene
from transforms.track_faces import overlap

HAAR = Detection(detector="haar")


@pytest.mark.parametrize("faces", [1, 2])
def test_faces_are_where_they_are(faces: int) -> None:
    rgb, boxes = scene(0.0, size=(300 * faces, 270), faces=faces)
    found = make_detector(HAAR).strong(StillPicture(rgb))
    assert len(found.score) == faces
    assert overlap(boxes, found.xywh).max(axis=1).min() > 0.6
    np.testing.assert_allclose(found.xywh[:, 2], found.xywh[:, 3])
    assert found.xywh.dtype == found.score.dtype == np.float32
    assert list(found.score) == sorted(found.score, reverse=True)
    assert (found.score == found.score.round()).all() and found.points is None


def test_the_threshold_is_a_number_of_windows() -> None:
    rgb, _ = scene(0.0, size=(300, 270))
    detector, picture = make_detector(HAAR), StillPicture(rgb)
    best = float(detector.strong(picture).score[0])
    for threshold, number in ((best, 1), (best + 0.5, 0)):
        assert len(detector.find(picture, min_face=40, threshold=threshold).score) == number


def test_min_face_is_the_smallest_that_is_found() -> None:
    """The face is 101 pixels wide."""
    rgb, _ = scene(0.0, size=(300, 270))
    assert [len(make_detector(HAAR).strong(StillPicture(rgb), size).score) for size in (20, 80, 150)] == [1, 1, 0]


@pytest.mark.parametrize("shape", [(1, 1), (3, 400), (24, 24), (200, 200)])
def test_pictures_without_a_face(shape: tuple[int, int]) -> None:
    found = make_detector(HAAR)(StillPicture(np.full(shape, 128, np.uint8)))
    assert found.xywh.shape == (0, 4) and found.score.shape == (0,)


def test_its_cascade_is_hashed_and_one_that_is_none_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "other.xml"
    file.write_text("<other/>")
    other = Detection(detector="haar", detector_model=str(file))
    assert len({weights_sha256(HAAR), weights_sha256(other), ""}) == 3
    with pytest.raises(BundleError, match=r"other\.xml is no cascade"):
        make_detector(other).strong(StillPicture(np.zeros((64, 64), np.uint8)))
