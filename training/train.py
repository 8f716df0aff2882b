"""The training loop that all recipes share: data in memory, cosine schedule, one checkpoint per epoch, a CSV log.

Killed and started again with the same folder, a training goes on after its last whole epoch.
"""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Any

import numpy as np

from models.runtime import Device, configure_tensorflow
from training.augment import Jitter, augment


@dataclasses.dataclass(frozen=True)
class Schedule:
    """How long and how fast.

    Attributes:
      epochs: passes over the pictures.
      batch: pictures a step.
      rate: highest learning rate, for stochastic gradient descent with Nesterov momentum 0.9.
      warmup: epochs in which the rate rises from a tenth to `rate`; then it falls as a cosine to a hundredth.
      seed: of weights, order and augmentation.
      mixed: compute in bfloat16. Halves a step's time where the CPU has AVX-512 BF16; on two busy EPYC cores with
        AVX2 alone a step took 7.2 s in place of 1.6 s (2.8 million weights, batches of 96).
    """

    epochs: int
    batch: int = 96
    rate: float = 0.08
    warmup: float = 1.0
    seed: int = 1
    mixed: bool = False


def set_up(schedule: Schedule, device: Device = "auto") -> None:
    """TensorFlow on all cores, seeds and number format; before a model is built."""
    configure_tensorflow(device, threads=os.cpu_count() or 1)
    import keras

    keras.utils.set_random_seed(schedule.seed)
    keras.mixed_precision.set_global_policy("mixed_bfloat16" if schedule.mixed else "float32")


def batches(images: np.ndarray, targets: Any, size: int, jitter: Jitter | None, schedule: Schedule) -> Any:
    """A tf.data.Dataset over (chips [batch, size, size, c] float32, targets).

    Args:
      images: [n, S, S, c] uint8, with a margin around the chip.
      targets: arrays of length n, in any nesting.
      size: width and height of the chip.
      jitter: augmentation; None cuts the middle and keeps the order.
      schedule: batch and seed.
    """
    import tensorflow as tf

    n, border = len(images), (images.shape[1] - size) // 2
    order = tf.data.Dataset.range(n)
    if jitter is not None:
        order = order.shuffle(n, seed=schedule.seed)  # indices: shuffling pictures would copy them all
    pictures, labels = images, tf.nest.map_structure(tf.constant, targets)

    def fetch(indices: np.ndarray) -> np.ndarray:
        return pictures[indices]

    def load(indices: Any) -> Any:
        block = tf.numpy_function(fetch, [indices], tf.uint8)
        block = tf.ensure_shape(block, (None, *images.shape[1:]))
        if jitter is None:
            chips = tf.cast(block[:, border : border + size, border : border + size], tf.float32)
        else:
            chips = augment(block, size, jitter)
        return chips, tf.nest.map_structure(lambda label: tf.gather(label, indices), labels)

    return order.batch(schedule.batch, drop_remainder=jitter is not None).map(load).prefetch(2)


def fit(model: Any, loss: Any, data: Any, check: Any, metrics: Any, schedule: Schedule, out: Path) -> None:
    """Train a model in place.

    Args:
      model: keras.Model that returns logits.
      loss: as keras.Model.compile takes it.
      data: training batches, from `batches`.
      check: batches to watch progress on (the calibration part; nothing is chosen by it).
      metrics: as keras.Model.compile takes it.
      schedule: how long and how fast.
      out: folder for `log.csv` and the checkpoint.
    """
    import keras

    out.mkdir(parents=True, exist_ok=True)
    steps = len(data)
    warmup = max(1, round(min(schedule.warmup, schedule.epochs / 4) * steps))
    rate = keras.optimizers.schedules.CosineDecay(
        schedule.rate / 10,
        max(1, schedule.epochs * steps - warmup),
        alpha=0.01,
        warmup_target=schedule.rate,
        warmup_steps=warmup,
    )
    # In the first steps, at this rate, one bad batch could throw the weights far.
    optimizer = keras.optimizers.SGD(rate, momentum=0.9, nesterov=True, global_clipnorm=5.0)
    model.compile(optimizer=optimizer, loss=loss, metrics=metrics)
    callbacks = [
        keras.callbacks.BackupAndRestore(str(out / "checkpoint"), delete_checkpoint=False),
        keras.callbacks.CSVLogger(str(out / "log.csv"), append=True),
    ]
    # `data` shuffles by itself.
    model.fit(data, epochs=schedule.epochs, validation_data=check, callbacks=callbacks, verbose=2, shuffle=False)


def predict(model: Any, images: np.ndarray, size: int, schedule: Schedule) -> Any:
    """Raw outputs for the middle of each picture [n, S, S, c] uint8, in the model's nesting; float32."""
    return model.predict(batches(images, np.zeros(len(images)), size, None, schedule), verbose=0)
