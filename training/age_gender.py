"""The recipe of the age-gender model: UTKFace, whose ages are exact, and FairFace, whose ages are ranges."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from models.bundle import Bundle, age_moments
from models.cards import Calibration
from models.geometry import AGE_GENDER
from models.networks import AGES, age_gender_resnet
from training import calibrate, evaluate
from training.augment import Jitter
from training.chips import cut_faces, middle
from training.datasets import FaceList, fraction, read_fairface, read_utkface
from training.export import export_bundle
from training.train import Schedule, batches, fit, predict, set_up


@dataclasses.dataclass(frozen=True)
class AgeGenderRecipe:
    """What the age-gender model is trained with.

    Attributes:
      schedule: how long and how fast.
      jitter: augmentation.
      age_sigma: how far off a stated age may be, in years: the likelihood of an age falls as a normal distribution
        outside the stated age or range.
      age_error: weight of the mean's absolute error in years beside that likelihood.
      gender: weight of gender's cross entropy.
      widths: filters of the network's stages.
      blocks: residual blocks of the network's stages.
      dropout: share of the features dropped.
      decay: L2 regularisation of convolutions.
      test: share of each data set that is held back and reported.
      calibration: share of each data set that is held back for calibration.
      unknown_below: for the card.
    """

    schedule: Schedule = dataclasses.field(default_factory=lambda: Schedule(epochs=10, batch=128, rate=0.06))
    jitter: Jitter = dataclasses.field(default_factory=lambda: Jitter(shift=0.05, erase=0.2))
    age_sigma: float = 2.0
    age_error: float = 0.1
    gender: float = 1.0
    widths: tuple[int, ...] = (32, 48, 96, 192)
    blocks: tuple[int, ...] = (1, 1, 2, 2)
    dropout: float = 0.2
    decay: float = 2e-4
    test: float = 0.15
    calibration: float = 0.05
    unknown_below: float = 0.7


@dataclasses.dataclass(frozen=True, eq=False)
class Part:
    """Chips with their margin [n, S, S, 3] uint8, ages [n, 2] and female [n] float32, of one part of a split."""

    chips: np.ndarray
    ages: np.ndarray
    female: np.ndarray
    races: np.ndarray

    def __add__(self, other: Part) -> Part:
        pairs = zip(dataclasses.astuple(self), dataclasses.astuple(other), strict=True)
        return Part(*(np.concatenate(pair) for pair in pairs))


def read_parts(faces: FaceList, recipe: AgeGenderRecipe, cache: Path) -> tuple[Part, Part, Part]:
    """Training, calibration and test part of a data set; groups of near-duplicates stay together."""
    chips = cut_faces(faces, AGE_GENDER, cache)
    place = np.array([fraction(str(group)) for group in faces.groups])
    test = place < recipe.test
    held = ~test & (place < recipe.test + recipe.calibration)

    def part(keep: np.ndarray) -> Part:
        return Part(chips[keep], faces.ages[keep], faces.female[keep], faces.races[keep])

    return part(~test & ~held), part(held), part(test)


def losses(recipe: AgeGenderRecipe) -> dict[str, Any]:
    """The network's loss by output; ages as [n, 2] (lowest, highest), female as [n, 1]."""
    import tensorflow as tf

    years = tf.range(AGES, dtype=tf.float32)

    def age(ages: Any, logits: Any) -> Any:
        low, high = tf.minimum(ages[:, :1], AGES - 1.0), tf.minimum(ages[:, 1:], AGES - 1.0)
        outside = tf.maximum(tf.maximum(low - years, years - high), 0)
        likelihood = tf.reduce_logsumexp(tf.nn.log_softmax(logits) - (outside / recipe.age_sigma) ** 2 / 2, axis=1)
        mean, _ = age_moments(tf, logits)
        error = tf.maximum(tf.maximum(low[:, 0] - mean, mean - high[:, 0]), 0)
        return recipe.age_error * error - likelihood

    def gender(female: Any, logits: Any) -> Any:
        return recipe.gender * tf.nn.sigmoid_cross_entropy_with_logits(tf.cast(female, tf.float32), logits)[:, 0]

    return {"age": age, "gender": gender}


def _fit_calibration(model: Any, held: Part, recipe: AgeGenderRecipe) -> tuple[float, float]:
    """Temperature of the gender logit, scale of the age's standard deviation."""
    import tensorflow as tf

    raw = predict(model, held.chips, AGE_GENDER.size, recipe.schedule)
    mean, std = (value.numpy() for value in age_moments(tf, tf.constant(raw["age"])))
    known = held.ages[:, 0] == held.ages[:, 1]
    scale = calibrate.age_std_scale((mean - held.ages[:, 0])[known], std[known])
    return calibrate.temperature(raw["gender"], held.female), scale


def measure(bundle: Bundle, utkface: Part, fairface: Part) -> Mapping[str, float]:
    """The card's figures: on UTKFace's held-back part plain, on FairFace's with a prefix, gender there by race too."""
    size = bundle.card.geometry.size
    figures = evaluate.age_gender(bundle, middle(utkface.chips, size), utkface.ages, utkface.female)
    other = evaluate.age_gender(bundle, middle(fairface.chips, size), fairface.ages, fairface.female)
    figures |= {f"fairface_{name}": value for name, value in other.items()}
    for race in np.unique(fairface.races):
        of = fairface.races == race
        part = evaluate.age_gender(bundle, middle(fairface.chips[of], size), fairface.ages[of], fairface.female[of])
        figures[f"fairface_gender_accuracy_{str(race).lower().replace(' ', '_')}"] = part["gender_accuracy"]
    return figures


def train(
    utkface: Path, fairface: Path, out: Path, cache: Path, bundle: Path, recipe: AgeGenderRecipe
) -> dict[str, float]:
    """Train, calibrate, measure and export the age-gender model.

    Args:
      utkface: folder or zip.
      fairface: folder or zip.
      out: folder for checkpoint and log.
      cache: folder for the chips.
      bundle: folder to write the bundle to; its name becomes the model's.
      recipe: what to train with.

    Returns:
      The card's figures.
    """
    set_up(recipe.schedule)
    utk, utk_held, utk_test = read_parts(read_utkface(utkface), recipe, cache)
    fair, fair_held, fair_test = read_parts(read_fairface(fairface), recipe, cache)
    training, held = utk + fair, utk_held + fair_held

    def data(part: Part, jitter: Jitter | None) -> Any:
        labels = {"age": part.ages, "gender": part.female[:, None]}
        return batches(part.chips, labels, AGE_GENDER.size, jitter, recipe.schedule)

    model = age_gender_resnet(widths=recipe.widths, blocks=recipe.blocks, dropout=recipe.dropout, decay=recipe.decay)
    metrics = {"gender": ["binary_accuracy"]}
    fit(model, losses(recipe), data(training, recipe.jitter), data(held, None), metrics, recipe.schedule, out)
    temperature, scale = _fit_calibration(model, held, recipe)
    return export_bundle(
        bundle,
        model,
        age_gender_resnet(widths=recipe.widths, blocks=recipe.blocks),
        task="age_gender",
        description="Apparent age in years, with its uncertainty, and apparent gender, from an RGB 64 × 64 chip.",
        classes=("male", "female"),
        geometry=AGE_GENDER,
        training_data=(
            f"UTKFace, {len(utk.chips)} pictures with exact ages, and FairFace (train, a part), {len(fair.chips)} with "
            "age ranges; UTKFace's near-duplicates kept on one side of every split."
        ),
        recipe=recipe,
        calibration=Calibration(
            data=f"held back: {len(utk_held.chips)} pictures of UTKFace; "
            f"for gender {len(fair_held.chips)} of FairFace too",
            temperature=temperature,
            age_std_scale=scale,
        ),
        test_data=(
            f"UTKFace, {len(utk_test.chips)} held-back pictures; fairface_*: {len(fair_test.chips)} held-back pictures "
            "of FairFace. Neither trained on, chosen by nor calibrated on."
        ),
        unknown_below=recipe.unknown_below,
        evaluate=lambda loaded: measure(loaded, utk_test, fair_test),
        limits=(
            "Apparent age and gender as annotators saw them, which need not be a person's age or gender; gender has "
            "two values in this data and nothing else can come out. Ages are partly estimates, near-duplicates carry "
            "ages years apart, and people over 80 are few. Accuracy differs between groups: see fairface_gender_*."
        ),
        licence_notes="UTKFace: research use. FairFace: CC BY 4.0.",
    )
