import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from schemas.errors import UsageError
from tests.training.parts import make_faces, make_part
from training.data.batches import batches
from training.learning.loop import LOG, RECIPE, learning_rate, predict, refuse_other, run_epochs, set_up
from training.recipe import Schedule

# Keras 3.15 has not caught up with NumPy 2 there.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def little(schedule: Schedule) -> Any:
    """A network that is to find the number in the chips of `make_faces`."""
    set_up(schedule, "cpu")
    import keras
    from keras import layers

    model = keras.Sequential([keras.Input((4, 4, 1)), layers.Flatten(), layers.Dense(4), layers.Dense(1)])
    return keras.Model(model.inputs, model.outputs)


def run(model: Any, schedule: Schedule, out: Path, **limits: float) -> bool:
    out.mkdir(exist_ok=True)
    part = make_part(make_faces(40))
    stream: dict[str, Any] = {"size": 4, "batch": schedule.batch, "scaling": (1 / 40, 0.0)}
    targets = np.arange(40, dtype=np.float32)[:, None] / 40, np.ones(40, np.float32)
    steps = 40 // schedule.batch
    shuffled = batches(
        part,
        targets=targets,
        seed=schedule.seed,
        epoch=lambda: int(model.optimizer.iterations.numpy()) // steps,
        **stream,
    )
    check = batches(part, targets=targets, **stream)
    return run_epochs(
        model, lambda true, raw: (true - raw)[:, 0] ** 2, shuffled, check, ["mae"], schedule, out, **limits
    )


def losses(out: Path) -> list[float]:
    return [float(row["val_loss"]) for row in csv.DictReader((out / LOG).open())]


@pytest.mark.parametrize(
    "schedule",
    [
        Schedule(4, batch=8, rate=0.05, warmup=1),
        Schedule(4, batch=8, rate=0.01, optimizer="adam", decay="plateau", ema=0.5),
    ],
)
def test_a_training_that_was_stopped_goes_on_as_if_it_was_not(schedule: Schedule, tmp_path: Path) -> None:
    whole = little(schedule)
    assert run(whole, schedule, tmp_path / "whole")
    stopped = little(schedule)
    assert not run(stopped, schedule, tmp_path / "parts", minutes=0)
    assert len(losses(tmp_path / "parts")) == 1
    going_on = little(schedule)
    assert run(going_on, schedule, tmp_path / "parts")
    assert losses(tmp_path / "parts") == pytest.approx(losses(tmp_path / "whole"), rel=1e-4)
    for weight, wanted in zip(going_on.get_weights(), whole.get_weights(), strict=True):
        np.testing.assert_allclose(weight, wanted, rtol=1e-3, atol=1e-6)
    assert list((tmp_path / "parts" / "tensorboard" / "validation").iterdir())


def test_early_stopping_takes_the_best_weights(tmp_path: Path) -> None:
    schedule = Schedule(30, batch=8, rate=3.0, optimizer="adam", decay="constant", patience=2)
    model = little(schedule)
    assert run(model, schedule, tmp_path)
    assert 3 <= len(losses(tmp_path)) < 30
    raw = predict(model, batches(make_part(make_faces(40)), targets=(), size=4, batch=8, scaling=(1 / 40, 0.0)))
    error = np.mean((raw[None][:, 0] - np.arange(40) / 40) ** 2)
    assert error == pytest.approx(min(losses(tmp_path)), rel=1e-3)


def test_rates() -> None:
    set_up(Schedule(1), "cpu")
    cosine = learning_rate(Schedule(10, rate=1.0, warmup=1), 100)
    rates = [float(cosine(step)) for step in (0, 50, 100, 550, 1000)]
    np.testing.assert_allclose(rates, [0.1, 0.55, 1.0, 0.505, 0.01], atol=0.005)
    steps = learning_rate(Schedule(30, rate=0.1, decay="steps"), 10)
    rates = [float(steps(step)) for step in (0, 70, 80, 160, 299)]
    np.testing.assert_allclose(rates, [0.1, 0.1, 0.02, 0.004, 0.0008], rtol=1e-5)
    assert learning_rate(Schedule(30, rate=0.1, decay="plateau"), 10) == 0.1


def test_mirror_images_are_averaged() -> None:
    set_up(Schedule(1), "cpu")
    import keras
    import tensorflow as tf

    inputs = keras.Input((2, 2, 1))
    model = keras.Model(inputs, {"left": keras.layers.Flatten()(inputs)[:, :1]})
    data = tf.data.Dataset.from_tensors((np.array([[[[4.0], [2.0]], [[0.0], [0.0]]]], np.float32),))
    assert predict(model, data)["left"].tolist() == [[4]]
    assert predict(model, data, mirror=True)["left"].tolist() == [[3]]


def test_a_run_folder_is_for_one_recipe(tmp_path: Path) -> None:
    refuse_other(tmp_path, {"epochs": 3})
    assert not list(tmp_path.iterdir())  # a call that fails later leaves nothing that refuses the next
    (tmp_path / RECIPE).write_text('{"epochs": 3}')
    refuse_other(tmp_path, {"epochs": 3})
    refuse_other(tmp_path, {"epochs": 3, "mixup": 0.0, "patience": None})  # which a later version knows
    with pytest.raises(UsageError, match=r"holds a training with another recipe \(epochs 3, now 4\)"):
        refuse_other(tmp_path, {"epochs": 4})
    with pytest.raises(UsageError, match=r"\(mixup None, now 0.2\)"):
        refuse_other(tmp_path, {"epochs": 3, "mixup": 0.2})
