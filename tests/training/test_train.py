"""One epoch over a few generated pictures, up to bundles that load; the figures mean nothing."""

import csv
import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.bundle import load_bundle, read_bundle
from models.geometry import AGE_GENDER, EMOTION
from models.zoo import find_network
from schemas.errors import UsageError
from tests.bundles import no_conversion
from tests.training.conftest import make_fairface, make_fer2013, make_utkface
from training.data.batches import batches, part_of
from training.data.labelled_faces import CALIBRATION, TRAINING, read_sets
from training.export import export
from training.judging.calibrate import calibrated
from training.learning.loop import make_optimizer, predict, set_up
from training.learning.network import build_network
from training.learning.targets import targets_of, tasks
from training.recipe import change, find_recipe
from training.train import train

# Keras 3.15 has not caught up with NumPy 2 there.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

CHIPS = np.random.default_rng(0).integers(0, 256, (5, 48, 48), np.uint8)

TINY: dict[str, Any] = {"options": {"widths": (4, 8), "blocks": (1, 1)}, "schedule": {"epochs": 1, "batch": 8}}


def epochs(out: Path) -> list[dict[str, str]]:
    with (out / "log.csv").open() as file:
        return list(csv.DictReader(file))


@dataclasses.dataclass(frozen=True)
class Run:
    """A training that many tests look at.

    Attributes:
      data: the data sets.
      out: the run folder; bundles lie beside it.
      figures: what `train` returned.
      changes: what it was called with.
    """

    data: list[Path]
    out: Path
    figures: dict[str, dict[str, float]]
    changes: dict[str, Any]


def run(name: str, data: list[Path], folder: Path, bundle: str, **changes: Any) -> Run:
    figures = train(name, data, folder / "out", bundle=folder / bundle, device="cpu", **changes)
    return Run(data, folder / "out", figures, changes)


@pytest.fixture(scope="module", autouse=True)
def _blank_plots() -> Iterator[None]:
    """Plots are empty files: to draw them takes a fifth of the time here, and `test_plots.py` looks at them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("matplotlib.figure.Figure.savefig", lambda _, file, **options: Path(file).touch())
        yield


@pytest.fixture(scope="module")
def emotions(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Two heads, trained for one epoch."""
    folder = tmp_path_factory.mktemp("emotions")
    return run("emotion", [make_fer2013(folder / "fer2013")], folder, "mine", calibration=0.3, **TINY)


@pytest.fixture(scope="module")
def ages(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Age and gender of two sets, trained for one epoch of blends."""
    folder = tmp_path_factory.mktemp("ages")
    changes: dict[str, Any] = {"test": 0.2, "calibration": 0.2, "mirror": True, "jitter": {"mixup": 0.3}}
    sets = [make_utkface(folder / "utkface"), make_fairface(folder / "fairface")]
    with no_conversion():
        return run("age-gender", sets, folder, "tiny", **changes, **TINY)


def test_two_heads_become_two_bundles(emotions: Run) -> None:
    assert set(emotions.figures) == {"mine", "mine-fer2013"}
    for name, of in emotions.figures.items():
        card = load_bundle(emotions.out.parent / name).card
        assert (card.name, card.figures, card.architecture) == (name, of, "emotion-resnet")
        assert card.geometry == EMOTION and card.recipe["schedule.epochs"] == card.recipe["epochs_done"] == 1
        assert of["n"] == 28 and of["ferplus_n"] == 4
        assert card.litert and card.litert.sha256 and card.litert.compared_on.endswith("held-back pictures of FER2013")
        assert "FER2013" in card.training_data and str(emotions.out.parent) not in card.model_dump_json()
        assert json.loads((emotions.out / f"{name}.json").read_text())["ferplus_"]["n"] == 4
        assert (emotions.out / f"{name}_confusion_normalised.png").exists()
    assert next(iter(emotions.figures["mine"])).startswith("ferplus_")
    assert (emotions.out / "loss.png").exists() and len(epochs(emotions.out)) == 1


def test_a_card_tells_how_its_own_head_read_the_labels(emotions: Run) -> None:
    mine, own = (load_bundle(emotions.out.parent / name).card for name in ("mine", "mine-fer2013"))
    assert "FER+ votes 90%" in mine.training_data and "FER+ votes" not in own.training_data
    assert mine.recipe["votes.votes"] == 0.9 and own.recipe["own.votes"] == 0


def test_each_bundle_has_the_weights_of_its_own_head(emotions: Run) -> None:
    import keras

    trained = keras.saving.load_model(emotions.out / "final.keras", compile=False)
    raw = {key: value.numpy() for key, value in trained(CHIPS[..., None].astype(np.float32)).items()}
    for name, key in (("mine", "votes"), ("mine-fer2013", "own")):
        plain = keras.saving.load_model(emotions.out.parent / name / "model.keras", compile=False)
        np.testing.assert_allclose(plain(CHIPS[..., None].astype(np.float32)), raw[key], rtol=1e-4, atol=1e-5)
        assert all(getattr(layer, "kernel_regularizer", None) is None for layer in plain.layers)


def test_one_head_begins_with_the_weights_of_two_and_is_exported_as_it_is(emotions: Run, tmp_path: Path) -> None:
    one: dict[str, Any] = {"calibration": 0.3, "options": TINY["options"], "schedule": {"epochs": 0}}
    train("emotion-fer2013", emotions.data, tmp_path / "one", start=emotions.out / "final.keras", device="cpu", **one)
    alone = read_bundle(tmp_path / "one" / "emotion-fer2013").predict(CHIPS)["emotion"]
    of_two = load_bundle(emotions.out.parent / "mine-fer2013").predict(CHIPS)["emotion"]
    np.testing.assert_allclose(alone, of_two, atol=1e-5)


def test_age_and_gender_of_two_sets(ages: Run) -> None:
    bundle = load_bundle(ages.out.parent / "tiny")
    assert bundle.card.geometry == AGE_GENDER and bundle.card.figures == ages.figures["tiny"]
    assert bundle.card.mirror and bundle.card.unknown_below
    assert {"age_mae", "gender_accuracy", "fairface_gender_accuracy_black"} <= set(ages.figures["tiny"])
    assert "UTKFace" in bundle.card.licence_notes and "FairFace: CC BY" in bundle.card.licence_notes
    assert set(bundle.predict(np.zeros((1, 64, 64, 3), np.uint8))) == {"age", "age_std", "gender_female"}
    assert (ages.out / "tiny_fairface_by_race.png").exists()


def test_losses_of_blends_are_numbers(ages: Run) -> None:
    (row,) = epochs(ages.out)
    assert all(np.isfinite(float(row[name])) for name in ("age_loss", "age_mae", "gender_loss", "gender_accuracy"))
    assert load_bundle(ages.out.parent / "tiny").card.recipe["jitter.mixup"] == 0.3


@pytest.mark.usefixtures("unconverted")
def test_the_same_again_trains_no_further_and_gives_the_same_figures(ages: Run) -> None:
    again = train("age-gender", ages.data, ages.out, bundle=ages.out.parent / "tiny", device="cpu", **ages.changes)
    assert again == ages.figures and len(epochs(ages.out)) == 1


def test_another_recipe_needs_another_folder(ages: Run) -> None:
    with pytest.raises(UsageError, match=r"another recipe \(test"):
        train("age-gender", ages.data, ages.out, device="cpu", **{**ages.changes, "test": 0.3})


@pytest.mark.parametrize("name", ["emotion-cnn3", "mini-xception", "emotion-hog-landmarks", "emotion-3block"])
@pytest.mark.usefixtures("unconverted")
def test_networks_of_the_zoo(emotions: Run, tmp_path: Path, name: str) -> None:
    """One step and the export, by the functions that `train` calls, without a whole epoch."""
    recipe, network = change(find_recipe(name), {"calibration": 0.3}, "test"), find_network(name)
    set_up(recipe.schedule, "cpu")
    sets = read_sets(emotions.data, network, recipe, tmp_path)
    part, held = part_of(sets, TRAINING), part_of(sets, CALIBRATION)
    (task,) = tasks(network.outputs, recipe.heads, recipe.weights, part)
    stream: dict[str, Any] = {"size": network.geometry.size, "batch": 8, "scaling": (network.scale, network.offset)}
    shuffled = batches(part, targets=targets_of([task], part), jitter=recipe.jitter, seed=1, **stream)
    inputs, target, weight = next(iter(shuffled))
    model = build_network(network, recipe)
    before = model.get_weights()
    model.compile(make_optimizer(recipe.schedule, 1), task.loss, run_eagerly=True, jit_compile=False)
    assert np.isfinite(model.train_on_batch(inputs, target, weight))
    assert any((old != new).any() for old, new in zip(before, model.get_weights(), strict=True))

    output = calibrated(task, predict(model, batches(held, targets=(), **stream))[None], held)
    figures, _ = export(tmp_path / name, model, network, [(task, output)], sets, recipe)
    bundle = load_bundle(tmp_path / name)
    classes, size = bundle.card.output("emotion").classes, bundle.card.geometry.size
    probabilities = bundle.predict(np.zeros((2, size, size), np.uint8))["emotion"]
    assert (~np.isnan(probabilities)).sum() == 2 * len(classes)
    assert bundle.card.figures["n"] == figures["n"] == 4 * len(classes)


@pytest.mark.parametrize(
    ("name", "given", "said"),
    [
        ("emotions", {}, "no recipe 'emotions'"),
        ("emotion", {"options": {"width": 3}}, "emotion-resnet has no option 'width'; it has size, classes"),
        ("emotion", {"schedule": {"epochs": 0}}, "nothing to export"),
        ("emotion", {"start": "nowhere"}, "--start nowhere: there is no such file, nor a bundle"),
        (
            "emotion",
            {"start": "age-gender", "calibration": 0.3, **TINY},
            "has no head called (own|votes); it has age, gender",
        ),
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
