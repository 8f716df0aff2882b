"""The emotion model on FER2013's real pictures; skipped where the data sets are absent."""

import cv2
import dlib
import numpy as np
import pytest

from models.bundle import load_bundle
from models.geometry import EMOTION, align, cut_chip
from models.landmarks import predict_landmarks
from schemas.tables import EMOTIONS
from tests.training.conftest import REAL
from training.datasets import read_dataset

pytestmark = pytest.mark.slow


def recut(picture: np.ndarray, detector: dlib.fhog_object_detector) -> np.ndarray | None:
    """The chip that the pipeline would cut from a picture, enlarged and with a border; None where no face is found."""
    large = cv2.resize(picture, None, fx=4, fy=4, interpolation=cv2.INTER_CUBIC)
    large = cv2.copyMakeBorder(large, 48, 48, 48, 48, cv2.BORDER_REPLICATE)
    found = detector(large, 0)
    if not found:
        return None
    box = np.array([[found[0].left(), found[0].top(), found[0].width(), found[0].height()]], np.float32)
    return cut_chip(large, align(predict_landmarks(large, box), EMOTION)[0], EMOTION.size)


@pytest.fixture(scope="module")
def public_test() -> tuple[np.ndarray, np.ndarray]:
    """Pictures [n, 48, 48] and labels [n]."""
    if not (REAL / "fer2013.zip").exists():
        pytest.skip("the data sets ../shared/data are not there")
    samples = list(read_dataset(REAL / "fer2013.zip").samples(split="PublicTest"))
    pictures = np.stack([sample.picture(grey=True) for sample in samples])
    return pictures, np.array([EMOTIONS.index(sample.emotion) for sample in samples if sample.emotion])


def test_the_pipelines_chips_are_read_as_well_as_the_data_sets_own(public_test: tuple[np.ndarray, np.ndarray]) -> None:
    some = np.random.default_rng(0).permutation(len(public_test[1]))[:200]
    pictures, labels = (of[some] for of in public_test)
    bundle, detector = load_bundle("emotion"), dlib.get_frontal_face_detector()
    chips = [recut(picture, detector) for picture in pictures]
    found = np.array([chip is not None for chip in chips])
    assert found.mean() > 0.6
    aligned = bundle.predict(np.stack([chip for chip in chips if chip is not None]))["emotion"].argmax(axis=1)
    own = bundle.predict(pictures[found])["emotion"].argmax(axis=1)
    # 64.8 and 64.4 % over 764 pictures, when it was trained
    assert (aligned == labels[found]).mean() > (own == labels[found]).mean() - 0.05


def test_the_cards_accuracy_is_what_is_measured(public_test: tuple[np.ndarray, np.ndarray]) -> None:
    pictures, labels = public_test
    bundle = load_bundle("emotion")
    predicted = bundle.predict(pictures)["emotion"].argmax(axis=1)
    assert (predicted == labels).mean() == pytest.approx(bundle.card.figures["accuracy"], abs=1e-3)
