"""The recipe of the emotion model: FER2013's grey pictures, its own labels mixed with FER+'s votes."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

from models.cards import Calibration
from models.geometry import EMOTION
from models.networks import emotion_resnet
from schemas.tables import EMOTIONS
from training import calibrate, evaluate
from training.augment import Jitter
from training.datasets import EmotionSet, read_fer2013, split_fer2013
from training.export import export_bundle
from training.train import Schedule, batches, fit, predict, set_up


@dataclasses.dataclass(frozen=True)
class EmotionRecipe:
    """What the emotion model is trained with.

    Attributes:
      schedule: how long and how fast.
      jitter: augmentation.
      votes: share of FER+'s votes in a target, where there are any; the rest is the data set's own label.
      smoothing: share of a target spread evenly over the classes.
      balance: power of the class shares that logits are corrected by in training, after Menon et al. (ICLR 2021): 0
        leaves the rare classes (disgust: 1.5 %) to be drowned, 1 gives every class the same weight.
      widths: filters of the network's stages.
      blocks: residual blocks of the network's stages.
      dropout: share of the features dropped.
      decay: L2 regularisation of convolutions.
      calibration: share of the training split held back for calibration.
    """

    schedule: Schedule = dataclasses.field(default_factory=lambda: Schedule(epochs=14))
    jitter: Jitter = dataclasses.field(default_factory=Jitter)
    votes: float = 0.3
    smoothing: float = 0.05
    balance: float = 0.3
    widths: tuple[int, ...] = (24, 48, 96, 192)
    blocks: tuple[int, ...] = (1, 1, 2, 2)
    dropout: float = 0.3
    decay: float = 2e-4
    calibration: float = 0.05


def targets(data: EmotionSet, recipe: EmotionRecipe) -> np.ndarray:
    """What the network is to say of each picture: [n, 7] float32, rows sum to 1."""
    own = np.eye(len(EMOTIONS), dtype=np.float32)[data.labels]
    total = data.votes.sum(axis=1, keepdims=True)
    # Pictures that most people called contempt or could not name keep their own label.
    voted = np.where(total > 0.5, data.votes / np.maximum(total, 1e-6), own)
    mixed = (1 - recipe.votes) * own + recipe.votes * voted
    return ((1 - recipe.smoothing) * mixed + recipe.smoothing / len(EMOTIONS)).astype(np.float32)


def train(data: Path, out: Path, bundle: Path, recipe: EmotionRecipe) -> dict[str, float]:
    """Train, calibrate, measure and export the emotion model.

    Args:
      data: FER2013, folder or zip.
      out: folder for checkpoints and log.
      bundle: folder to write the bundle to; its name becomes the model's.
      recipe: what to train with.

    Returns:
      The card's figures.
    """
    set_up(recipe.schedule)
    import tensorflow as tf

    test = read_fer2013(data, "validation")
    training, held = split_fer2013(read_fer2013(data, "train"), test, recipe.calibration)
    prior = np.bincount(training.labels, minlength=len(EMOTIONS)) / len(training.labels)
    correction = tf.constant(recipe.balance * np.log(prior + 1e-6), tf.float32)

    def loss(target: Any, logits: Any) -> Any:
        return tf.nn.softmax_cross_entropy_with_logits(target, logits + correction)

    model = emotion_resnet(widths=recipe.widths, blocks=recipe.blocks, dropout=recipe.dropout, decay=recipe.decay)
    size, schedule = EMOTION.size, recipe.schedule
    fit(
        model,
        loss,
        batches(training.images[..., None], targets(training, recipe), size, recipe.jitter, schedule),
        batches(held.images[..., None], np.eye(len(EMOTIONS), dtype=np.float32)[held.labels], size, None, schedule),
        ["accuracy"],
        schedule,
        out,
    )
    temperature = calibrate.temperature(predict(model, held.images[..., None], size, schedule), held.labels)
    return export_bundle(
        bundle,
        model,
        emotion_resnet(widths=recipe.widths, blocks=recipe.blocks),
        task="emotion",
        description="Facial expression, seven classes, from a grey 48 × 48 chip.",
        classes=EMOTIONS,
        geometry=EMOTION,
        training_data=(
            f"FER2013 Training, {len(training.images)} pictures: without blank ones, without copies of PublicTest's, "
            f"without {recipe.calibration:.0%} held back for calibration. Targets: own label {1 - recipe.votes:.0%}, "
            f"FER+ votes {recipe.votes:.0%}."
        ),
        recipe=recipe,
        calibration=Calibration(
            data=f"{len(held.images)} pictures held back from FER2013 Training, own labels", temperature=temperature
        ),
        test_data=f"FER2013 PublicTest, {len(test.images)} pictures; nothing was fit or chosen on it.",
        evaluate=lambda loaded: evaluate.emotion(loaded, test),
        limits=(
            "It names the expression on a face, not what a person feels. FER2013's pictures come from web searches and "
            "are often posed; two thirds of its labels agree with what ten people say. Disgust and fear are rare "
            "there and often missed. Posed pictures of strangers, profiles and faces under 40 pixels are harder than "
            "the figures say."
        ),
        licence_notes="FER2013: research use. FER+ votes: MIT.",
    )
