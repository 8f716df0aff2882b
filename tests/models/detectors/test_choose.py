"""Detectors are found by the name of their file, and a configuration's open settings are the detector's own."""

import dataclasses
import hashlib
import sys
import types
from pathlib import Path

import numpy as np
import pytest

from models.detectors import summaries
from models.detectors.choose import detector_card, make_detector, settle, weights_sha256
from models.detectors.interface import DetectorCard, Picture, StillPicture
from pipelines.cli.options import DETECTOR_HELP
from schemas.config import Config, Detection, read_settings
from schemas.errors import BundleError, UsageError
from schemas.faces import Boxes
from tests.clips import scene
from tests.models.detectors.heads import tilted_head


def find(picture: Picture, *, min_face: int, threshold: float, path: Path) -> Boxes:
    """Two boxes that say what they were found with."""
    scores = np.array([0.9, threshold], np.float32)
    return Boxes(np.full((2, 4), min_face, np.float32), scores)


WEIGHTS = Path(__file__)
OTHER = DetectorCard(find, 0.7, 0.8, 0.5, 40, 0.0, "somebody", "MIT", weights=lambda: WEIGHTS)


@pytest.fixture
def other(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second detector, as a file of the folder would be."""
    module = types.ModuleType("models.detectors.other")
    module.DETECTOR = OTHER  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "models.detectors.other", module)
    named = {**summaries(), "other": "another one."}
    monkeypatch.setattr("models.detectors.choose.summaries", lambda: named)


def test_each_detector_says_what_it_costs_and_where_it_comes_from() -> None:
    assert Detection().detector in summaries()
    for name, summary in summaries().items():
        card = detector_card(name)
        assert summary.endswith(".") and len(summary) < 120
        assert card.source and card.licence and card.keep_threshold <= card.threshold <= card.sure_threshold


def test_an_unknown_detector_is_refused() -> None:
    with pytest.raises(UsageError, match="no detector called 'cnn'; known: haar, hog, mmod, mtcnn, yunet"):
        make_detector(Detection(detector="cnn"))
    with pytest.raises(UsageError, match="no detector called 'choose'"):
        weights_sha256(Detection(detector="choose"))


def test_settings_that_are_left_open_are_the_detectors_own(other: None) -> None:
    assert settle(Detection()) == Detection("yunet", 0.0, 40, 0.6, 0.7, 0.3)
    assert settle(Detection(detector="other", threshold=0.8)) == Detection("other", 0.0, 40, 0.8, 0.8, 0.5)
    assert settle(settle(Detection())) == settle(Detection())


def test_another_detector_brings_its_own_settings(other: None) -> None:
    settled = dataclasses.replace(Config(), detection=settle(Detection()))
    assert settle(settled.override(detector="other", min_face=20).detection) == Detection(
        "other", 0.0, 20, 0.7, 0.8, 0.5
    )
    assert settled.override(detector="yunet", min_face=20).detection == Detection("yunet", 0.0, 20, 0.6, 0.7, 0.3)


def test_weights_have_a_checksum_where_there_are_some(other: None) -> None:
    sha256 = hashlib.sha256(WEIGHTS.read_bytes()).hexdigest()
    assert (weights_sha256(Detection(detector="hog")), weights_sha256(Detection(detector="other"))) == ("", sha256)


def test_other_weights_are_used_and_hashed_in_place_of_the_installed_ones(other: None, tmp_path: Path) -> None:
    file = tmp_path / "mine.onnx"
    file.write_bytes(b"mine")
    detection = Detection(detector="other", detector_model=str(file))
    assert weights_sha256(detection) == hashlib.sha256(b"mine").hexdigest()
    assert make_detector(detection).find.keywords == {"path": file}  # type: ignore[attr-defined]
    with pytest.raises(BundleError, match="gone.onnx cannot be read"):
        weights_sha256(Detection(detector="other", detector_model=str(tmp_path / "gone.onnx")))
    with pytest.raises(UsageError, match="hog takes no weights"):
        weights_sha256(Detection(detector="hog", detector_model=str(file)))


def test_the_place_of_weights_does_not_change_the_hash_of_a_configuration() -> None:
    assert Config().override(detector_model="a").hash == Config().hash


def test_weak_detections_are_asked_for_unless_only_strong_ones_are_wanted(other: None) -> None:
    detector = make_detector(Detection(detector="other"))
    picture = StillPicture(np.zeros((4, 4), np.uint8))
    assert detector(picture).score.tolist() == pytest.approx([0.9, 0.5])
    assert detector.strong(picture).score.tolist() == pytest.approx([0.9, 0.7])
    assert detector.strong(picture, 77).xywh[0, 0] == 77


def test_a_still_picture_gives_luma_and_bgr() -> None:
    rgb, _ = scene(0.0, size=(160, 120))
    colour, grey = StillPicture(rgb), StillPicture(StillPicture(rgb).luma)
    assert colour.luma.shape == (120, 160)
    np.testing.assert_array_equal(colour.luma, grey.luma)
    np.testing.assert_array_equal(colour.bgr(1.0), rgb[:, :, ::-1])
    assert colour.bgr(0.5).shape == grey.bgr(0.5).shape == (60, 80, 3)
    assert np.ptp(grey.bgr(0.5), axis=2).max() == 0


def test_weak_detections_reach_the_tracker() -> None:
    config = Config().override(detector="hog", min_face=80, keep_threshold=-1.0)
    assert make_detector(config.detection)(StillPicture(tilted_head())).score.min() < 0


def test_scores_of_another_detector_are_refused() -> None:
    """Those of a configuration file that was made for HOG, for instance."""
    with pytest.raises(UsageError, match=r"keep_threshold is -0\.5, and scores of the detector yunet go from 0 to 1"):
        make_detector(Detection(detector="yunet", keep_threshold=-0.5))


def test_the_docs_and_the_help_say_what_the_default_is() -> None:
    docs = (Path(__file__).parents[3] / "docs" / "configuration.md").read_text("utf-8")
    for name in summaries():
        card = detector_card(name)
        values = (card.detect_every, card.min_face, card.threshold, card.sure_threshold, card.keep_threshold)
        assert f"| `{name}` | {' | '.join(map(str, values))} |" in docs
    _, block, _ = docs.split("```")
    documented = Config().override(**read_settings(block.removeprefix("toml")))
    assert documented == dataclasses.replace(Config(), detection=settle(Detection()))
    assert f"[default: {Detection().detector}]" in DETECTOR_HELP
