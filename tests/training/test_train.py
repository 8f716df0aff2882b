"""One epoch over a few generated pictures, up to bundles that load. It takes seconds; its figures mean nothing."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.bundle import load_bundle, read_bundle
from models.geometry import AGE_GENDER, EMOTION
from schemas.errors import UsageError
from training.train import train

# Keras 3.15 has not caught up with NumPy 2 there.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

TINY: dict[str, Any] = {"options": {"widths": (4, 8), "blocks": (1, 1)}, "schedule": {"epochs": 1, "batch": 8}}


def test_two_heads_become_two_bundles(fer2013: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    figures = train("emotion", [fer2013], out, bundle=tmp_path / "mine", device="cpu", calibration=0.3, **TINY)
    assert set(figures) == {"mine", "mine-fer2013"}
    for name, of in figures.items():
        card = load_bundle(tmp_path / name).card
        assert (card.name, card.figures, card.architecture) == (name, of, "emotion-resnet")
        assert card.geometry == EMOTION and card.recipe["schedule.epochs"] == card.recipe["epochs_done"] == 1
        assert of["n"] == 28 and of["ferplus_n"] == 4
        assert "FER2013" in card.training_data and str(tmp_path) not in card.model_dump_json()
        assert json.loads((out / f"{name}.json").read_text())["ferplus_"]["n"] == 4
        assert (out / f"{name}_confusion_normalised.png").exists()
    assert next(iter(figures["mine"])).startswith("ferplus_")
    assert "FER+ votes 90%" in load_bundle(tmp_path / "mine").card.training_data
    assert (out / "loss.png").exists() and len(list(csv.DictReader((out / "log.csv").open()))) == 1

    # Each bundle has the weights of its own head.
    import keras

    trained = keras.saving.load_model(out / "final.keras", compile=False)
    chips = np.random.default_rng(0).integers(0, 256, (5, 48, 48), np.uint8)
    raw = {key: value.numpy() for key, value in trained(chips[..., None].astype(np.float32)).items()}
    for name, key in (("mine", "votes"), ("mine-fer2013", "own")):
        plain = keras.saving.load_model(tmp_path / name / "model.keras", compile=False)
        np.testing.assert_allclose(plain(chips[..., None].astype(np.float32)), raw[key], rtol=1e-4, atol=1e-5)
        assert all(getattr(layer, "kernel_regularizer", None) is None for layer in plain.layers)

    # One head begins with the weights of two, and without an epoch they are exported as they are.
    one: dict[str, Any] = {"calibration": 0.3, "options": TINY["options"], "schedule": {"epochs": 0}}
    train("emotion-fer2013", [fer2013], tmp_path / "one", start=out / "final.keras", device="cpu", **one)
    alone = read_bundle(tmp_path / "one" / "emotion-fer2013").predict(chips)["emotion"]
    np.testing.assert_allclose(alone, load_bundle(tmp_path / "mine-fer2013").predict(chips)["emotion"], atol=1e-5)


def test_age_and_gender_of_two_sets(utkface: Path, fairface: Path, tmp_path: Path) -> None:
    shares: dict[str, Any] = {"test": 0.2, "calibration": 0.2, "mirror": True}
    sets = [utkface, fairface]
    figures = train("age-gender", sets, tmp_path / "out", bundle=tmp_path / "tiny", device="cpu", **shares, **TINY)
    bundle = load_bundle(tmp_path / "tiny")
    assert bundle.card.geometry == AGE_GENDER and bundle.card.figures == figures["tiny"]
    assert bundle.card.mirror and bundle.card.unknown_below
    assert {"age_mae", "gender_accuracy", "fairface_gender_accuracy_black"} <= set(figures["tiny"])
    assert "UTKFace" in bundle.card.licence_notes and "FairFace: CC BY" in bundle.card.licence_notes
    assert set(bundle.predict(np.zeros((1, 64, 64, 3), np.uint8))) == {"age", "age_std", "gender_female"}
    assert (tmp_path / "out" / "tiny_fairface_by_race.png").exists()

    # The same again trains no further epoch and gives the same figures; another recipe needs another folder.
    again = train("age-gender", sets, tmp_path / "out", bundle=tmp_path / "tiny", device="cpu", **shares, **TINY)
    assert again == figures and len(list(csv.DictReader((tmp_path / "out" / "log.csv").open()))) == 1
    with pytest.raises(UsageError, match=r"another recipe \(test"):
        train("age-gender", sets, tmp_path / "out", device="cpu", **{**shares, "test": 0.3}, **TINY)


def test_heads_of_blends_as_a_recipe_file_has_them(fer2013: Path, tmp_path: Path) -> None:
    heads: list[dict[str, Any]] = [{"name": "votes", "votes": 0.9}, {"name": "own", "suffix": "-own"}]
    changes: dict[str, Any] = {**TINY, "heads": heads, "jitter": {"mixup": 0.3}, "calibration": 0.3}
    train("emotion", [fer2013], tmp_path / "out", device="cpu", **changes)
    recipe = load_bundle(tmp_path / "out" / "emotion").card.recipe
    assert recipe["votes.votes"] == 0.9 and recipe["jitter.mixup"] == 0.3
    assert load_bundle(tmp_path / "out" / "emotion-own").card.recipe["own.votes"] == 0


def test_ages_and_genders_of_blends(utkface: Path, fairface: Path, tmp_path: Path) -> None:
    changes: dict[str, Any] = {**TINY, "jitter": {"mixup": 0.3}, "test": 0.2, "calibration": 0.2}
    train("age-gender", [utkface, fairface], tmp_path / "out", device="cpu", **changes)
    (row,) = csv.DictReader((tmp_path / "out" / "log.csv").open())
    assert all(np.isfinite(float(row[name])) for name in ("age_loss", "age_mae", "gender_loss", "gender_accuracy"))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["emotion-cnn3", "mini-xception", "emotion-hog-landmarks", "emotion-3block"])
def test_networks_of_the_zoo(fer2013: Path, tmp_path: Path, name: str) -> None:
    schedule = {"epochs": 1, "batch": 8}
    train(name, [fer2013], tmp_path / "out", device="cpu", calibration=0.3, schedule=schedule)
    bundle = load_bundle(tmp_path / "out" / name)
    classes = bundle.card.output("emotion").classes
    size = bundle.card.geometry.size
    probabilities = bundle.predict(np.zeros((2, size, size), np.uint8))["emotion"]
    assert (~np.isnan(probabilities)).sum() == 2 * len(classes)
    assert bundle.card.figures["n"] == 4 * len(classes)


@pytest.mark.parametrize(
    ("name", "given", "said"),
    [
        ("emotions", {}, "no recipe 'emotions'"),
        ("emotion", {"options": {"width": 3}}, "emotion-resnet has no option 'width'; it has size, classes"),
        ("emotion", {"schedule": {"epochs": 0}}, "nothing to export"),
        ("emotion", {"start": "nowhere"}, "--start nowhere: there is no such file, nor a bundle"),
        ("emotion", {"start": "age-gender", "calibration": 0.3}, "has no head called (own|votes); it has age, gender"),
        ("mini-xception", {"start": "emotion", "calibration": 0.3}, "not hold weights for mini-xception: its layers"),
        (
            "mini-xception",
            {"heads": [{"name": "a"}, {"name": "b"}], "calibration": 0.3},
            "does not end in a dense layer",
        ),
    ],
)
def test_what_does_not_fit_is_said(fer2013: Path, tmp_path: Path, name: str, given: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        train(name, [fer2013], tmp_path / "out", device="cpu", **given)


def test_data_that_does_not_fit_leaves_no_training_behind(fer2013: Path, utkface: Path, tmp_path: Path) -> None:
    """The corrected command has the same folder, and mostly another recipe."""
    with pytest.raises(UsageError, match="no picture with emotion"):
        train("emotion", [utkface], tmp_path / "out", device="cpu", **TINY)
    assert not (tmp_path / "out").exists()
