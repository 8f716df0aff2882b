"""The training loop of all recipes: optimizer, learning rate, checkpoints, logs.

A training that was killed continues after its last complete epoch when it is started again with the same folder. The
next epoch has the order of pictures that it would have had without the break.
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

# Names of files and folders in a run folder.
CHECKPOINT, LOG, TENSORBOARD, FINAL, RECIPE = "checkpoint", "log.csv", "tensorboard", "final.keras", "recipe.json"
NOTES = "notes.json"  # further lines for the card, beside the recipe


def cores() -> int:
    """Number of threads to train with."""
    return len(os.sched_getaffinity(0))


def set_up(schedule: Schedule, device: Device = "auto") -> None:
    """Set up TensorFlow's threads, the seeds and the number format. Call it before a model is built."""
    configure_tensorflow(device, threads=cores())
    import keras

    keras.utils.set_random_seed(schedule.seed)
    keras.mixed_precision.set_global_policy("mixed_bfloat16" if schedule.mixed else "float32")


def refuse_other(out: Path, recipe: Mapping[str, Any]) -> None:
    """Refuse a run folder that holds a training with another recipe.

    Args:
      out: the folder, which need not exist.
      recipe: the fields that the trained weights depend on, from `Recipe.decisive`.

    Raises:
      UsageError: the folder holds a training with another recipe.
    """
    file = out / RECIPE
    if file.exists():
        there = json.loads(file.read_text("utf-8"))
        for name in recipe.keys() | there.keys():
            # A field that only one of them has is from another version of facelog, where it was off.
            if (recipe.get(name) or None) != (there.get(name) or None):
                raise UsageError(
                    f"{out} holds a training with another recipe ({name} {there.get(name)}, now {recipe.get(name)}): "
                    "give another --out, or remove that folder."
                )


def learning_rate(schedule: Schedule, steps: int) -> Any:
    """The learning rate as a keras optimizer takes it: a number, or a function of the step.

    Args:
      schedule: the highest rate and how it falls.
      steps: number of steps in an epoch.
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
    """A keras optimizer, for epochs of `steps` steps."""
    import keras

    rate, ema = learning_rate(schedule, steps), {"use_ema": schedule.ema > 0, "ema_momentum": schedule.ema or 0.99}
    if schedule.optimizer == "adam":
        return keras.optimizers.Adam(rate, **ema)
    # Without clipping, one bad batch in the first steps at a high rate could spoil the weights.
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
    """Train a model in place, from the last complete epoch in its folder to the last epoch of the schedule.

    Args:
      model: keras.Model.
      loss: as keras.Model.compile takes it.
      data: training batches, from `training.data.batches.batches`.
      check: batches of the calibration part, to measure progress on after each epoch.
      metrics: weighted metrics, as keras.Model.compile takes them.
      schedule: epochs, batches and learning rate.
      out: an existing folder for `log.csv`, `tensorboard/` and `checkpoint/`.
      minutes: stop after the epoch in which this time runs out.

    Returns:
      Whether all epochs are done; False when the time ran out first.
    """
    import keras

    optimizer = make_optimizer(schedule, len(data))
    # Keras would use XLA by default, which compiles convolutions for a single core on a CPU.
    model.compile(optimizer=optimizer, loss=loss, weighted_metrics=metrics, jit_compile=False)
    optimizer.build(model.trainable_variables)  # otherwise the first step would be compiled twice
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
    # `data` is shuffled already. Print one line per epoch where the output is not a terminal.
    verbose = 1 if sys.stdout.isatty() else 2
    model.fit(data, epochs=schedule.epochs, validation_data=check, callbacks=callbacks, verbose=verbose, shuffle=False)
    return not clock.over


def predict(model: Any, data: Any, *, mirror: bool = False) -> dict[str | None, np.ndarray]:
    """Raw outputs of a model by key, [n, k] float32 each; the only output of a network has the key None.

    Args:
      model: keras.Model.
      data: batches of inputs, in order.
      mirror: whether to average with the outputs for the mirror images.
    """

    def flip(inputs: Any) -> Any:
        return (inputs[0][:, :, ::-1], *inputs[1:]) if isinstance(inputs, tuple) else inputs[:, :, ::-1]

    found = [model.predict(data, verbose=0)]
    if mirror:
        found.append(model.predict(data.map(flip), verbose=0))
    by_key = [raw if isinstance(raw, dict) else {None: raw} for raw in found]
    return {key: np.mean([raw[key] for raw in by_key], axis=0) for key in by_key[0]}


def _clock(minutes: float | None) -> Any:
    """A callback that ends training after the epoch in which the time runs out."""
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
