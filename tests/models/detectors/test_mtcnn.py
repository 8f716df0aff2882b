"""MTCNN finds faces and their points; it is an extra, and says so where it is missing."""

import importlib.metadata
import io
import sys
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from models.detectors.choose import make_detector
from models.detectors.interface import NotInstalledError, StillPicture
from pipelines.cli.doctor import examine
from schemas.config import Detection
from schemas.errors import BundleError
from tests.clips import scene
from transforms.track_faces import overlap

MTCNN = Detection(detector="mtcnn")


@pytest.fixture
def installed() -> None:
    pytest.importorskip("mtcnn", reason="the extra facelog[mtcnn] is not installed")


@pytest.mark.parametrize("min_face", [20, 40, 80])
@pytest.mark.parametrize("faces", [1, 2])
def test_faces_are_where_they_are(installed: None, min_face: int, faces: int) -> None:
    rgb, boxes = scene(0.0, size=(300 * faces, 270), faces=faces)
    found = make_detector(MTCNN).strong(StillPicture(rgb), min_face)
    assert len(found.score) == faces
    assert overlap(boxes, found.xywh).max(axis=1).min() > 0.6
    np.testing.assert_allclose(found.xywh[:, 2], found.xywh[:, 3], rtol=1e-5)
    assert found.points is not None and found.points.shape == (faces, 5, 2)
    assert found.xywh.dtype == found.score.dtype == found.points.dtype == np.float32
    assert list(found.score) == sorted(found.score, reverse=True)
    # Right eye, left eye, nose, right and left corner of the mouth, of a person who looks at us.
    for (right_eye, left_eye, nose, right_mouth, left_mouth), box in zip(found.points, found.xywh, strict=True):
        assert right_eye[0] < nose[0] < left_eye[0] and right_mouth[0] < left_mouth[0]
        assert box[1] < right_eye[1] < nose[1] < right_mouth[1] < box[1] + box[3]


def test_every_size_of_picture_is_looked_at(installed: None) -> None:
    """Whatever smallest size is asked for: the package alone finds nothing in some of these."""
    detector, (rgb, _) = make_detector(MTCNN), scene(0.0, size=(300, 270))
    sizes = [(height, min_face) for height in (210, 240, 270) for min_face in (33, 47, 60, 75)]
    counts = [len(detector.strong(StillPicture(rgb[:height]), min_face).score) for height, min_face in sizes]
    assert counts == [1] * len(sizes)


@pytest.mark.parametrize("shape", [(1, 1, 3), (3, 400, 3), (24, 24, 3), (200, 200, 3)])
def test_pictures_without_a_face(installed: None, shape: tuple[int, ...]) -> None:
    found = make_detector(MTCNN)(StillPicture(np.full(shape, 128, np.uint8)))
    assert found.xywh.shape == (0, 4) and found.score.shape == (0,)


def test_other_weights_are_refused(installed: None, tmp_path: Path) -> None:
    for name in ("pnet.lz4", "rnet.lz4", "onet.lz4"):
        (tmp_path / name).write_bytes(b"other")
    with pytest.raises(BundleError, match=r"pnet\.lz4 is no network that the detector mtcnn can use"):
        make_detector(Detection(detector="mtcnn", detector_model=str(tmp_path))).strong(
            StillPicture(np.zeros((64, 64, 3), np.uint8))
        )


def test_where_the_extra_is_missing_an_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.metadata.distribution

    def without(name: str) -> importlib.metadata.Distribution:
        if name == "mtcnn":
            raise importlib.metadata.PackageNotFoundError(name)
        return real(name)

    monkeypatch.setattr(importlib.metadata, "distribution", without)
    with pytest.raises(NotInstalledError, match=r"mtcnn is not installed: pip install 'facelog\[mtcnn\]'"):
        make_detector(MTCNN)
    console = Console(record=True, width=200, file=io.StringIO())
    examine(console)
    text = console.export_text()
    assert "not installed; if you want it: pip install 'facelog[mtcnn]'" in text
    assert "missing: the detector" not in text  # facelog is whole without it


def test_a_part_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "mtcnn.stages", None)
    with pytest.raises(NotInstalledError, match=r"mtcnn\.stages, which is missing: pip install 'facelog\[mtcnn\]'"):
        make_detector(Detection(detector="mtcnn", detector_model=str(tmp_path))).strong(
            StillPicture(np.zeros((64, 64, 3), np.uint8))
        )
