"""One epoch over a few made pictures, all the way to a bundle that loads: seconds, and no figure worth reading."""

import csv
from pathlib import Path

import numpy as np
import pytest

from models.bundle import load_bundle
from models.geometry import AGE_GENDER, EMOTION
from training import age_gender, emotion
from training.train import Schedule

# Keras 3.15 has not caught up with NumPy 2 there.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

WIDTHS, BLOCKS = (4, 8), (1, 1)


def test_emotion(fer2013: Path, tmp_path: Path) -> None:
    recipe = emotion.EmotionRecipe(Schedule(1, batch=8), calibration=0.3, widths=WIDTHS, blocks=BLOCKS)
    figures = emotion.train(fer2013, tmp_path / "out", tmp_path / "tiny-emotion", recipe)
    bundle = load_bundle(tmp_path / "tiny-emotion")
    assert bundle.card.name == "tiny-emotion" and bundle.card.figures == figures
    assert bundle.card.geometry.chip() == EMOTION and figures["pictures"] == 28
    assert bundle.card.recipe["schedule.epochs"] == 1 and bundle.card.recipe["widths"] == "(4, 8)"
    assert bundle.predict(np.zeros((1, 48, 48), np.uint8))["emotion"].shape == (1, 7)

    # The same again finds its checkpoint, trains no further epoch and gives the same figures.
    assert emotion.train(fer2013, tmp_path / "out", tmp_path / "again", recipe) == figures
    assert len(list(csv.DictReader((tmp_path / "out" / "log.csv").open()))) == 1


def test_age_and_gender(utkface: Path, fairface: Path, tmp_path: Path) -> None:
    recipe = age_gender.AgeGenderRecipe(Schedule(1, batch=8), calibration=0.2, widths=WIDTHS, blocks=BLOCKS)
    figures = age_gender.train(utkface, fairface, tmp_path / "out", tmp_path, tmp_path / "tiny-age-gender", recipe)
    bundle = load_bundle(tmp_path / "tiny-age-gender")
    assert bundle.card.geometry.chip() == AGE_GENDER and bundle.card.figures == figures
    assert {"age_mae_years", "gender_accuracy", "fairface_gender_accuracy_black"} <= set(figures)
    assert set(bundle.predict(np.zeros((1, 64, 64, 3), np.uint8))) == {"age", "age_std", "gender_female"}


def test_targets_mix_labels_and_votes(fer2013: Path) -> None:
    data = emotion.read_fer2013(fer2013, "validation")
    targets = emotion.targets(data, emotion.EmotionRecipe(votes=0.5, smoothing=0.0))
    np.testing.assert_allclose(targets.sum(axis=1), 1, atol=1e-6)
    happy, angry = data.labels == 3, data.labels == 0
    np.testing.assert_allclose(targets[happy][0], [0, 0, 0, 0.875, 0, 0, 0.125], atol=1e-6)
    np.testing.assert_allclose(targets[angry][0], [1, 0, 0, 0, 0, 0, 0])


def test_the_age_loss_is_least_inside_the_stated_range() -> None:
    recipe = age_gender.AgeGenderRecipe()
    loss = age_gender.losses(recipe)["age"]
    logits = np.full((3, 101), -20, np.float32)
    logits[0, 35] = logits[1, 44] = logits[2, 60] = 20
    inside, near, far = loss(np.array([[30, 39]] * 3, np.float32), logits).numpy()
    assert abs(inside) < 1e-3 and 2 < near < far
