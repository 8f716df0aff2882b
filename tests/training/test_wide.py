"""The recipe `emotion-wide`: other sets beside FER2013, from a network that is there."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from models.bundle import read_bundle
from models.zoo import find_network
from tests.clips import head
from tests.training.conftest import make_fer2013, save
from tests.training.data.test_mixing import FEAR, HAPPY, faces, mixed
from training.data.teaching import taught
from training.learning.loop import set_up
from training.learning.network import blend_weights, build_network
from training.learning.targets import targets_of, tasks
from training.recipe import change, find_recipe
from training.train import train

# Keras 3.15 has not caught up with NumPy 2 there.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

TINY: dict[str, Any] = {"options": {"widths": (4, 8), "blocks": (1, 1)}, "schedule": {"epochs": 1, "batch": 16}}


@pytest.fixture(scope="module", autouse=True)
def _quick() -> Iterator[None]:
    """Plots are empty files, and networks do not convert to LiteRT."""

    def refuse(model: Any) -> bytes:
        raise ValueError("not here")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("matplotlib.figure.Figure.savefig", lambda _, file, **options: Path(file).touch())
        patch.setattr("models.conversion._converted", refuse)
        yield


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """FER2013's form, and JAFFE's with portraits of more than the face."""
    folder = tmp_path_factory.mktemp("sets")
    portrait = cv2.cvtColor(head(256), cv2.COLOR_RGB2GRAY)
    for i, person in enumerate(("KA", "KL", "KM", "KR", "MK", "NA", "NM", "TM", "UY", "YM")):
        for j, code in enumerate(("AN", "HA", "FE")):
            save(folder / "jaffe" / f"{person}.{code}1.7.png", portrait // 2 + np.uint8(3 * i + j))
    return [make_fer2013(folder / "fer2013"), folder / "jaffe"]


def test_a_network_goes_on_with_other_sets(sets: list[Path], tmp_path: Path) -> None:
    recipe = change(find_recipe("emotion-wide"), TINY, "test")
    set_up(recipe.schedule, "cpu")
    start = build_network(find_network(recipe.network), recipe)
    start.save(tmp_path / "start.keras")
    changes = TINY | {"further": {"kept": 1.0}, "calibration": 0.3, "test": 0.4}
    figures = train("emotion-wide", sets, tmp_path / "out", start=tmp_path / "start.keras", device="cpu", **changes)
    assert {"ferplus_n", "n", "jaffe_n"} <= set(figures["emotion-wide"])
    card = read_bundle(tmp_path / "out" / "emotion-wide").card
    assert "FER2013" in card.training_data and "JAFFE" in card.training_data
    assert (
        card.licence_notes.startswith("FER2013: research use.") and "JAFFE: for research, under" in card.licence_notes
    )
    assert card.recipe["mix.voted"] == 0.5 and card.recipe["further.taught"] == 0.5
    assert card.recipe["start"] == "start.keras" and card.recipe["epochs_done"] == 1
    import keras

    final = keras.saving.load_model(tmp_path / "out" / "final.keras", compile=False)
    for now, before in zip(final.get_weights(), start.get_weights(), strict=True):
        np.testing.assert_allclose(now, before, atol=1e-6)  # all of the beginning is kept


def test_weights_are_blended() -> None:
    import keras

    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    begun = [np.full((2, 1), 4.0), np.zeros(1)]
    model.set_weights([np.full((2, 1), 8.0), np.ones(1)])
    blend_weights(model, begun, 0.25)
    np.testing.assert_allclose(np.concatenate([of.ravel() for of in model.get_weights()]), [7, 7, 0.75])


class Sure:
    """A network that sees fear everywhere."""

    def predict(self, data: Any, verbose: int) -> np.ndarray:
        count = sum(len(batch[0] if isinstance(batch, tuple) else batch) for batch in data)
        return np.tile(np.where(np.arange(7) == FEAR, 50.0, 0.0), (count, 1))


def test_the_beginning_teaches_what_people_voted_on() -> None:
    part = mixed(faces("fer2013", {HAPPY: 6}), faces("kdef", {HAPPY: 4}))
    recipe = find_recipe("emotion-wide")
    learned = tasks(find_network(recipe.network).outputs, recipe.heads, recipe.weights, part)
    targets, _ = targets_of(learned, part)
    stream = {"size": 4, "batch": 4, "scaling": (1.0, 0.0)}
    mixed_targets = taught(targets, learned, part, Sure(), 0.25, stream)
    assert mixed_targets[:6, FEAR].min() > 0.25 and mixed_targets[:6, HAPPY] == pytest.approx(0.75 * targets[:6, HAPPY])
    np.testing.assert_array_equal(mixed_targets[6:], targets[6:])
