"""The part of the tests of `training.on_device` that needs JAX below Keras, a program: on_jax.py FOLDER.

Writes to `found.npz` there what `augment` makes of the pictures in `given.npz`, and how often three networks are right:
one that learned from labels, one that learned from wrong labels and from the first, which it was to believe, and one
that saw most faces without any label; and what was refused.

Then it runs the command `fit` on `packed.npz` with the recipe `changes.toml`: into `teacher`, and with that teacher
into `run`. What the second one says goes to `fit.txt`.
"""

import contextlib
import dataclasses
import sys
from pathlib import Path
from typing import Any

import jax
import numpy as np

from models.zoo import ZOO, find_network
from schemas.errors import UsageError
from schemas.tables import EMOTIONS
from training.data.packed import Pictures
from training.learning.augment import augment
from training.learning.loop import FINAL, LOG
from training.on_device import app, fit
from training.recipe import Jitter, change, find_recipe

CLASSES = ("happy", "sad", "neutral")


def small() -> Any:
    """Enough for `bands`; a network of the zoo would take minutes to compile and train here."""
    import keras
    from keras import layers

    inputs = keras.Input((48, 48, 1), name="chip")
    x = layers.Dropout(0.1)(layers.Flatten()(layers.AveragePooling2D(8)(inputs)))
    return keras.Model(inputs, layers.Dense(3, activation="softmax", dtype="float32", name="emotion")(x))


def other_network(folder: Path) -> Path:
    import keras

    inputs = keras.Input((48, 48, 1), name="chip")
    keras.Model(inputs, keras.layers.Dense(7)(keras.layers.Flatten()(inputs))).save(folder / "other.keras")
    return folder / "other.keras"


def bands(n: int, seed: int) -> Pictures:
    """Pictures whose class is where they are bright."""
    chance = np.random.default_rng(seed)
    label = chance.integers(0, 3, n)
    chips = chance.integers(0, 80, (n, 60, 60, 1), np.uint8)
    for chip, of in zip(chips, label, strict=True):
        chip[6 + 16 * of : 22 + 16 * of] += 150
    emotion = np.array([EMOTIONS.index(name) for name in CLASSES])[label]
    none = np.full(n, np.nan, np.float32)
    return Pictures(chips, emotion, np.zeros((n, 7), np.float32), np.stack([none, none], 1), none, np.empty((n, 0)))


def main(folder: Path) -> None:
    train_small(folder)
    fit_twice(folder)


def train_small(folder: Path) -> None:
    given = dict(np.load(folder / "given.npz"))
    jitter = Jitter(stretch=0.2, slant=0.1, gamma=0.5, light=0.4, focus=0.8, coarse=0.3)
    compiled = jax.jit(lambda images, draws: augment(images, 48, jitter, draws))  # as in an epoch
    augmented = np.asarray(compiled(given["images"], given["draws"]))
    ZOO["small"] = dataclasses.replace(find_network("emotion-cnn3"), name="small", build=small)
    schedule = {"epochs": 8, "batch": 24, "rate": 0.02, "patience": 5}
    still = dict.fromkeys(("coarse", "focus", "gamma", "light", "mixup"), 0.0)  # `fit_twice` compiles the rest
    recipe = change(find_recipe("small"), {"schedule": schedule, "jitter": still}, "test")
    training, held = bands(96, 0), bands(48, 1)
    fit(recipe, training, held, folder / "taught-by-labels")
    numbers = np.unique(training.emotion)
    training.emotion[:] = np.roll(numbers, 1)[np.searchsorted(numbers, training.emotion)]
    teacher = folder / "taught-by-labels" / FINAL
    fit(recipe, training, held, folder / "taught", teachers=[teacher], taught=0.9)
    faces = bands(96, 2)
    faces.emotion[:] = -1
    blended = change(recipe, {"jitter": {"mixup": 0.2}}, "test")  # compiles twice as long
    few = Pictures(**{name: values[:24] for name, values in vars(bands(96, 0)).items()})
    fit(blended, few, held, folder / "without-labels", teachers=[teacher], taught=0.9, unlabelled=faces, plain=True)

    refused = []
    wrong: list[dict[str, Any]] = [
        {"teachers": [folder / "given.npz"]},
        {"teachers": [other_network(folder)]},
        {"training": bands(9, 0)},
        {"unlabelled": faces},
        {"recipe": change(recipe, {"test": 0.3}, "test"), "out": folder / "taught"},
    ]
    for changes in wrong:
        arguments: dict[str, Any] = {"recipe": recipe, "training": training, "held": held, "out": folder / "refused"}
        try:
            fit(**arguments | changes)
        except UsageError as error:
            refused.append(str(error))
    logs = [str(folder / of / LOG) for of in ("taught-by-labels", "taught", "without-labels")]
    np.savez(folder / "found.npz", refused=refused, augmented=augmented, logs=logs)


def fit_twice(folder: Path) -> None:
    common = ["fit", "emotion", f"{folder}/packed.npz", "--recipe", f"{folder}/changes.toml"]
    app([*common, "--out", f"{folder}/teacher", "--minutes", "0"], standalone_mode=False)
    with (folder / "fit.txt").open("w") as text, contextlib.redirect_stdout(text):
        by_teacher = ["--teacher", f"{folder}/teacher/{FINAL}", "--taught", "0.3"]
        app([*common, "--out", f"{folder}/run", *by_teacher], standalone_mode=False)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
