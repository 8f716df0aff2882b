"""JAX and TensorFlow cannot both be below Keras in one process: JAX's part runs in another."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from models.bundle import load_bundle
from models.runtime import configure_tensorflow
from models.zoo import find_network
from schemas.errors import UsageError
from schemas.tables import EMOTIONS
from tests.training.conftest import make_fer2013, smooth_noise
from training.data.packed import Pictures, labelled, pack, pack_unlabelled, unpack
from training.learning.augment import DRAWS, augment
from training.recipe import Jitter, change, find_recipe, read_changes
from training.train import train

pytestmark = [
    pytest.mark.multiprocess,
    pytest.mark.slow,
    # Keras 3.15 has not caught up with NumPy 2 there.
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
]

ROOT = Path(__file__).parents[2]


JITTER = Jitter(stretch=0.2, slant=0.1, gamma=0.5, light=0.4, focus=0.8, coarse=0.3)
FIELDS: dict[str, Any] = {"calibration": 0.3, "schedule": {"epochs": 2, "batch": 8}, "jitter": {"mixup": 0.0}}
OPTIONS = {"widths": [4, 8], "blocks": [1, 1]}


@pytest.fixture(scope="module")
def by_jax(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of `on_jax.py` after it has run, and the data set `fer2013` of which its `packed.npz` is made."""
    folder = tmp_path_factory.mktemp("on-jax")
    images = np.stack([smooth_noise(i, 60).reshape(60, 60, 1) for i in range(16)])
    draws = np.random.default_rng(0).uniform(size=(16, DRAWS)).astype(np.float32)
    np.savez(folder / "given.npz", images=images, draws=draws)
    changes = folder / "changes.toml"
    changes.write_text(
        "calibration = 0.3\n[schedule]\nepochs = 2\nbatch = 8\n[options]\nwidths = [4, 8]\nblocks = [1, 1]\n"
        "[jitter]\nmixup = 0.0\n"  # the small networks have it
    )
    recipe = change(find_recipe("emotion"), read_changes(changes), "test")
    pack(recipe, [make_fer2013(folder / "fer2013")], folder / "packed.npz", cache=folder / "chips")
    environment = os.environ | {
        "KERAS_BACKEND": "jax",
        "JAX_PLATFORMS": "cpu",
        # Nearly all of its time is that of the compiler; here each program runs only a few times.
        "XLA_FLAGS": "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true",
    }
    command = [sys.executable, "-m", "tests.training.on_jax", str(folder)]
    done = subprocess.run(command, cwd=ROOT, env=environment, text=True, capture_output=True, timeout=500)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


def test_augmentation_labels_and_teachers(by_jax: Path) -> None:
    given, found = np.load(by_jax / "given.npz"), np.load(by_jax / "found.npz")
    configure_tensorflow("cpu")
    by_tensorflow = augment(given["images"], 48, JITTER, given["draws"]).numpy()
    # At the edge of what is erased a pixel may fall to either side.
    assert (np.abs(found["augmented"] - by_tensorflow) < 0.05).mean() > 0.999

    by_labels, taught, without_labels = (pd.read_csv(log).val_categorical_accuracy for log in found["logs"])
    assert by_labels.max() > 0.95
    assert taught.max() > 0.9  # its labels are wrong in every case
    assert without_labels.max() > 0.9
    no_network, other_outputs, too_few, untaught, other_recipe = found["refused"]
    assert "does not hold a network" in no_network and "cannot teach" in other_outputs
    assert "holds a training with another recipe (test" in other_recipe
    assert too_few == "9 pictures to train with are fewer than a batch of 24."
    assert untaught == "Faces without labels teach nothing without a teacher."
    assert not (by_jax / "refused").exists()


def test_a_run_on_a_device_becomes_a_bundle(by_jax: Path, tmp_path: Path) -> None:
    assert len(pd.read_csv(by_jax / "teacher" / "log.csv")) == 1
    said = (by_jax / "fit.txt").read_text()
    assert "run 2/2: loss " in said and "val_own_categorical_accuracy" in said

    data, out = [by_jax / "fer2013"], by_jax / "run"
    figures = train("emotion", data, out, bundle=tmp_path / "mine", device="cpu", options=OPTIONS, **FIELDS)
    assert set(figures) == {"mine", "mine-fer2013"}
    card = load_bundle(tmp_path / "mine").card
    assert card.recipe["epochs_done"] == 2 and card.recipe["taught"] == 0.3
    assert "parameters" in str(card.recipe["teachers"])
    assert len(pd.read_csv(out / "log.csv")) == 2  # nothing was trained on
    with pytest.raises(UsageError, match=r"another recipe \(calibration"):
        train("emotion", data, out, device="cpu", options=OPTIONS, **FIELDS | {"calibration": 0.2})
    assert json.loads((out / "recipe.json").read_text())["schedule.epochs"] == 2


@pytest.mark.parametrize("channels", [1, 3])
def test_what_is_packed_is_what_training_would_see(channels: int, fer2013: Path, utkface: Path, tmp_path: Path) -> None:
    from training.data.batches import part_of
    from training.data.labelled_faces import TRAINING, read_sets

    name, data = ("emotion", fer2013) if channels == 1 else ("age-gender", utkface)
    recipe = change(find_recipe(name), {"calibration": 0.3, "test": 0.2}, "test")
    pack(recipe, [data], tmp_path / "packed.npz", cache=tmp_path / "chips")
    pictures = unpack([tmp_path / "packed.npz"], TRAINING, channels)
    part = part_of(read_sets([data], find_network(recipe.network), recipe, tmp_path / "chips"), TRAINING)
    np.testing.assert_array_equal(pictures.chips, part.chips(np.arange(len(part))))
    for column in ("emotion", "votes", "age", "female"):
        np.testing.assert_array_equal(getattr(pictures, column), getattr(part, column))
    twice = unpack([tmp_path / "packed.npz"] * 2, TRAINING, channels)
    assert len(twice) == 2 * len(pictures)


def test_faces_are_packed_without_their_labels(utkface: Path, fairface: Path, tmp_path: Path) -> None:
    packed, recipe = tmp_path / "faces.npz", find_recipe("emotion")
    pack_unlabelled(recipe, [utkface, fairface], packed, cache=tmp_path / "chips")
    faces = unpack([packed], "training", 1)
    assert faces.chips.shape == (80, 60, 60, 1)
    assert (faces.emotion == -1).all() and not faces.votes.any()
    assert np.isnan(faces.age).all() and np.isnan(faces.female).all()
    with pytest.raises(UsageError, match="second input"):
        pack_unlabelled(find_recipe("emotion-hog-landmarks"), [utkface], packed, cache=tmp_path / "chips")


def test_pictures_of_other_emotions_are_left_out() -> None:
    n, none = 7, np.full(7, np.nan, np.float32)
    pictures = Pictures(
        np.arange(n, dtype=np.uint8)[:, None, None, None],
        np.arange(n),
        np.zeros((n, 7), np.float32),
        np.stack([none, none], 1),
        none,
        np.empty((n, 0), np.float32),
    )
    three = labelled(pictures, find_network("emotion-cnn3"))
    assert [EMOTIONS[i] for i in three.emotion] == [name for name in EMOTIONS if name in ("happy", "sad", "neutral")]
    np.testing.assert_array_equal(three.chips[:, 0, 0, 0], three.emotion)
    with pytest.raises(UsageError, match="No picture has a label"):
        labelled(pictures, find_network("age-gender-resnet"))
