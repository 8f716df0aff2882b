"""The training loop that all recipes share: schedules, checkpoints, logs. It ends in a trained Keras model.

Killed and started again with the same folder, a training goes on after its last whole epoch, with the order of pictures
that the next one would have had.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from models.runtime import Device, configure_tensorflow
from schemas.errors import UsageError
from training.recipe import Schedule

# What a run folder holds.
CHECKPOINT, LOG, TENSORBOARD, FINAL, RECIPE = "checkpoint", "log.csv", "tensorboard", "final.keras", "recipe.json"
NOTES = "notes.json"  # what the card is to say of the training beside the recipe


def cores() -> int:
    """Threads that training computes with."""
    return len(os.sched_getaffinity(0))


def set_up(schedule: Schedule, device: Device = "auto") -> None:
    """TensorFlow on all cores, seeds and number format; before a model is built."""
    configure_tensorflow(device, threads=cores())
    import keras

    keras.utils.set_random_seed(schedule.seed)
    keras.mixed_precision.set_global_policy("mixed_bfloat16" if schedule.mixed else "float32")


def refuse_other(out: Path, recipe: Mapping[str, Any]) -> None:
    """Make sure that a run folder holds no training with another recipe.

    Args:
      out: the folder, which need not exist.
      recipe: fields that decide about the training.

    Raises:
      UsageError: a training with another recipe is in it.
    """
    file = out / RECIPE
    if file.exists():
        there = json.loads(file.read_text("utf-8"))
        for name in recipe.keys() | there.keys():
            # A field that only one of them knows is of another version of facelog, which had it off.
            if (recipe.get(name) or None) != (there.get(name) or None):
                raise UsageError(
                    f"{out} holds a training with another recipe ({name} {there.get(name)}, now {recipe.get(name)}): "
                    "give another --out, or remove that folder."
                )


def learning_rate(schedule: Schedule, steps: int) -> Any:
    """The rate over all steps, as a keras optimizer takes it.

    Args:
      schedule: how fast.
      steps: of one epoch.
    """
    import keras

    total = max(1, schedule.epochs * steps)
    if schedule.decay == "steps":
        bounds = [total // 4, total // 2, total * 3 // 4]
        values = [schedule.rate * 0.2**drop for drop in range(4)]
        return keras.optimizers.schedules.PiecewiseConstantDecay(bounds, values)
    if schedule.decay == "cosine":
        warmup = max(1, round(min(schedule.warmup, schedule.epochs / 4) * steps))
        return keras.optimizers.schedules.CosineDecay(
            schedule.rate / 10,
            max(1, total - warmup),
            alpha=0.01,
            warmup_target=schedule.rate,
            warmup_steps=warmup,
        )
    return schedule.rate


def make_optimizer(schedule: Schedule, steps: int) -> Any:
    """A keras optimizer, for epochs of so many steps."""
    import keras

    rate, ema = learning_rate(schedule, steps), {"use_ema": schedule.ema > 0, "ema_momentum": schedule.ema or 0.99}
    if schedule.optimizer == "adam":
        return keras.optimizers.Adam(rate, **ema)
    # In the first steps, at a high rate, one bad batch could throw the weights far.
    return keras.optimizers.SGD(rate, momentum=0.9, nesterov=True, global_clipnorm=5.0, **ema)


def run_epochs(
    model: Any,
    loss: Any,
    data: Any,
    check: Any,
    metrics: Any,
    schedule: Schedule,
    out: Path,
    *,
    minutes: float | None = None,
) -> bool:
    """Train a model in place, from the last whole epoch that its folder knows to the last of the schedule.

    Args:
      model: keras.Model.
      loss: as keras.Model.compile takes it.
      data: training batches, from `training.data.batches.batches`.
      check: batches to watch progress on (the calibration part).
      metrics: weighted metrics, as keras.Model.compile takes them.
      schedule: how long and how fast.
      out: folder, which is there, for `log.csv`, `tensorboard/` and `checkpoint/`.
      minutes: stop after the epoch that passes so many.

    Returns:
      Whether it is through: False when the minutes were over before the epochs.
    """
    import keras

    optimizer = make_optimizer(schedule, len(data))
    # XLA, which Keras would take by itself, compiles convolutions for one core on a CPU.
    model.compile(optimizer=optimizer, loss=loss, weighted_metrics=metrics, jit_compile=False)
    optimizer.build(model.trainable_variables)  # else the first step would be compiled twice
    clock = _clock(minutes)
    callbacks = [
        clock,
        keras.callbacks.BackupAndRestore(str(out / CHECKPOINT), delete_checkpoint=False),
        keras.callbacks.CSVLogger(str(out / LOG), append=True),
        keras.callbacks.TensorBoard(str(out / TENSORBOARD), write_graph=False),
    ]
    if schedule.decay == "plateau":
        callbacks.append(keras.callbacks.ReduceLROnPlateau(factor=0.5, patience=3, verbose=1))
    if schedule.patience is not None:
        callbacks.append(
            keras.callbacks.EarlyStopping(patience=schedule.patience, restore_best_weights=True, verbose=1)
        )
    # `data` shuffles by itself; where nobody looks on, one line an epoch.
    verbose = 1 if sys.stdout.isatty() else 2
    model.fit(data, epochs=schedule.epochs, validation_data=check, callbacks=callbacks, verbose=verbose, shuffle=False)
    return not clock.over


def predict(model: Any, data: Any, *, mirror: bool = False) -> dict[str | None, np.ndarray]:
    """Raw outputs by key, [n, k] float32 each; a network with one output has the key None.

    Args:
      model: keras.Model.
      data: batches of inputs in their own order.
      mirror: whether to average with what it says of the mirror images.
    """

    def flip(inputs: Any) -> Any:
        return (inputs[0][:, :, ::-1], *inputs[1:]) if isinstance(inputs, tuple) else inputs[:, :, ::-1]

    found = [model.predict(data, verbose=0)]
    if mirror:
        found.append(model.predict(data.map(flip), verbose=0))
    by_key = [raw if isinstance(raw, dict) else {None: raw} for raw in found]
    return {key: np.mean([raw[key] for raw in by_key], axis=0) for key in by_key[0]}


def _clock(minutes: float | None) -> Any:
    """A callback that ends training after the epoch in which the time is over."""
    import keras

    class Clock(keras.callbacks.Callback):
        over = False

        def on_train_begin(self, logs: Any = None) -> None:
            self.start = time.monotonic()

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            last = epoch + 1 >= self.params["epochs"]
            if minutes is not None and not last and time.monotonic() - self.start > minutes * 60:
                self.over = self.model.stop_training = True

    return Clock()
