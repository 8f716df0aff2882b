"""The same recipes on a GPU, by JAX, in minutes: pictures, chance and teachers are in its memory.

    python -m training.on_device pack emotion --data fer2013.csv --out emotion.npz
    python -m training.on_device fit emotion emotion.npz --out runs/emotion
    facelog train emotion --data fer2013.csv --out runs/emotion

The first gathers chips and labels in one file, so that the second needs neither the data set, TensorFlow nor dlib, only
this package, Keras and JAX, on any machine. It leaves a run folder as after the last epoch, which the third calibrates,
judges and exports. With teachers, faces without labels (`pack --unlabelled`) teach as well.

An epoch is one compiled program here, where `training.learning.loop` sends one batch of small pictures after the other.
Networks, losses and augmentation are the same code on both ways.
"""

from __future__ import annotations

import dataclasses
import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
import typer

from models.zoo import Network, find_network
from schemas.errors import UsageError
from training.data.packed import LOSSLESS, Pictures, joined, labelled, pack, pack_unlabelled, unpack
from training.learning.augment import DRAWS, augment, middle
from training.learning.loop import FINAL, LOG, NOTES, RECIPE, learning_rate, make_optimizer, refuse_other
from training.learning.mixup import mix, mixed_loss, shares
from training.learning.network import build_network, load_weights, weights_file
from training.learning.targets import Task, targets_of, tasks
from training.recipe import Recipe, change, find_recipe, read_changes

_STAYED = 3
"""Epochs without a better loss after which the plateau schedule halves the rate."""
_LOOKED_AT = 256
"""Faces without labels that teachers look at in one go."""


def fit(
    recipe: Recipe,
    training: Pictures,
    held: Pictures,
    out: Path,
    *,
    starts: Sequence[Path] = (),
    teachers: Sequence[Path] = (),
    taught: float = 0.5,
    unlabelled: Pictures | None = None,
    mined: float = 0.5,
    plain: bool = False,
    minutes: float | None = None,
) -> None:
    """Train a model and leave it in a run folder, with the log and the recipe beside it.

    With teachers the network learns to say of each picture, as it is turned, lit and blended in that step, what they
    say of the very same. They also teach with faces that have no labels. Each epoch draws as many of these as there are
    labelled pictures, or all if they are fewer; faces to which the teachers give a rare answer are drawn more often.

    Sources: L. Beyer et al., Knowledge distillation: A good teacher is patient and consistent, CVPR 2022; Q. Xie et
    al., Self-training with noisy student improves ImageNet classification, CVPR 2020.

    Args:
      recipe: how.
      training: what the weights are fit to.
      held: the calibration part, to watch.
      out: the run folder.
      starts: weights to begin with, as `training.learning.network.load_weights` takes them.
      teachers: `.keras` files of trained networks with the same inputs and outputs; their raw outputs are averaged.
      taught: how much of the loss is the teachers'; the rest is the labels'.
      unlabelled: faces without labels.
      mined: power of the shares of the teachers' answers by which rare ones are drawn more often; 0: all alike.
      plain: teachers look at each picture as it is, not as it is turned and lit for the network: for teachers that were
        trained with less augmentation.
      minutes: stop after the epoch that passes so many.

    Raises:
      UsageError: the recipe asks for what there is not here, or a file does not fit.
    """
    import jax
    import keras
    from jax import numpy as jnp

    schedule, network = recipe.schedule, find_network(recipe.network)
    if schedule.ema:
        raise UsageError("There is no moving average of weights on this way: leave ema at 0.")
    if len(training) < schedule.batch:
        raise UsageError(f"{len(training)} pictures to train with are fewer than a batch of {schedule.batch}.")
    refuse_other(out, recipe.decisive())
    keras.utils.set_random_seed(schedule.seed)
    keras.mixed_precision.set_global_policy("mixed_bfloat16" if schedule.mixed else "float32")
    model = build_network(network, recipe)
    if starts:
        load_weights(model, starts, recipe)
    experts = [_load_teacher(file, model) for file in teachers]
    learned = tasks(network.outputs, recipe.heads, recipe.weights, training)
    pictures, drawn = training, 0
    if unlabelled is not None:
        if not experts:
            raise UsageError("Faces without labels teach nothing without a teacher.")
        pictures, drawn = joined([training, unlabelled]), min(len(unlabelled), len(training))
    steps = (len(training) + drawn) // schedule.batch
    # The rate is given to each step, so that the compiled program is the same for any schedule.
    optimizer = make_optimizer(dataclasses.replace(schedule, decay="constant"), steps)
    optimizer.build(model.trainable_variables)
    rate = learning_rate(schedule, steps)
    counted = jnp.arange(schedule.epochs * steps, dtype=jnp.float32).reshape(schedule.epochs, steps)
    rates = jax.vmap(jax.vmap(rate))(counted) if callable(rate) else jnp.full_like(counted, rate)

    epoch, check, answers = _programs(
        model, optimizer, experts, learned, network, recipe, (len(training), drawn), taught if experts else 0.0, plain
    )
    data, judged = _on_device(pictures, learned), _on_device(held, learned)
    said = [_values(expert.trainable_variables, expert.non_trainable_variables) for expert in experts]
    chances = jnp.zeros(0)
    if drawn:
        answered = np.asarray(answers(data, said))
        chances = jnp.log(answered @ np.maximum(answered.mean(axis=0), 1e-4) ** -mined)
        rounded = " ".join(f"{share:.3f}" for share in answered.mean(axis=0))
        print(f"{out.name}: the teachers' mean answer to faces without labels is {rounded}", flush=True)
    state = _values(model.trainable_variables, model.non_trainable_variables, optimizer.variables)
    key, began = jax.random.key(schedule.seed), time.monotonic()
    rows: list[dict[str, float]] = []
    best, best_state, since = float("inf"), state, 0
    for number in range(schedule.epochs):
        start = time.monotonic()
        state, loss = epoch(state, data, said, chances, jax.random.fold_in(key, number), rates[number])
        found = {name: float(value) for name, value in check(state, judged).items()}
        rows.append({"epoch": number, "loss": float(loss)} | found)
        values = ", ".join(f"{name} {value:.4f}" for name, value in rows[-1].items() if name != "epoch")
        print(f"{out.name} {number + 1}/{schedule.epochs}: {values}, {time.monotonic() - start:.1f} s", flush=True)
        since = 0 if found["val_loss"] < best else since + 1
        if since == 0:
            best = found["val_loss"]
            if schedule.patience is not None:
                best_state = jax.tree.map(lambda value: value.copy(), state)
        if schedule.decay == "plateau" and since and since % _STAYED == 0:
            rates = rates / 2
        if schedule.patience is not None and since >= schedule.patience:
            break
        if minutes is not None and time.monotonic() - began > minutes * 60:
            break
    if schedule.patience is not None:
        state = best_state
    for variables, of in zip((model.trainable_variables, model.non_trainable_variables), state[:2], strict=True):
        for variable, value in zip(variables, of, strict=True):
            variable.assign(value)

    # The run folder.
    out.mkdir(parents=True, exist_ok=True)
    notes: dict[str, Any] = {"trained_by": "training.on_device"}
    if experts:
        sizes = " and ".join(f"{expert.count_params():,}" for expert in experts)
        notes |= {"teachers": f"networks of {sizes} parameters, trained on the same pictures", "taught": taught}
    if plain:
        notes["teachers_see"] = "pictures as they are"
    if unlabelled is not None:
        notes |= {"unlabelled": len(unlabelled), "mined": mined}
    if starts:
        notes["start"] = " + ".join(file.parent.name for file in starts)
    (out / NOTES).write_text(json.dumps(notes, indent=2) + "\n", encoding="utf-8")
    (out / RECIPE).write_text(json.dumps(recipe.decisive(), indent=2) + "\n", encoding="utf-8")
    pd.DataFrame(rows).to_csv(out / LOG, index=False)
    model.save(out / FINAL, include_optimizer=False)  # last: it says that the run is through


def _load_teacher(file: Path, model: Any) -> Any:
    import keras

    try:
        teacher = keras.saving.load_model(file, compile=False)
    except (ValueError, TypeError, OSError) as error:
        raise UsageError(f"{file} does not hold a network: {str(error).strip().partition(chr(10))[0]}") from error
    if _shapes(teacher) != _shapes(model):
        raise UsageError(f"{file} takes or gives something else than {model.name}: it cannot teach it.")
    return teacher


def _shapes(model: Any) -> Any:
    import keras

    return keras.tree.map_structure(lambda tensor: tuple(tensor.shape), (model.input, model.output))


def _programs(
    model: Any,
    optimizer: Any,
    experts: Sequence[Any],
    learned: Sequence[Task],
    network: Network,
    recipe: Recipe,
    counts: tuple[int, int],
    taught: float,
    plain: bool,
) -> tuple[Any, Any, Any]:
    """An epoch, the look at the held back pictures after it, and what teachers say of faces without labels; compiled.

    `counts` are the pictures with labels, which come first in the data, and how many without are drawn for an epoch.
    """
    import jax
    from jax import numpy as jnp

    size, jitter, batch = network.geometry.size, recipe.jitter, recipe.schedule.batch
    count, drawn = counts
    steps = (count + drawn) // batch
    of_rate = [i for i, variable in enumerate(optimizer.variables) if variable.path.endswith("/learning_rate")]

    def scaled(chips: Any) -> Any:
        return chips.astype(jnp.float32) * network.scale + network.offset

    def inputs(chips: Any, features: Any) -> Any:
        return (chips, features) if features.shape[1] else chips

    def each(nested: Any) -> list[Any]:
        return [nested if task.key is None else nested[task.key] for task in learned]

    def teach(weights: Sequence[Any], seen: Any) -> list[Any]:
        """Mean of what the teachers say, for each task."""
        said = [
            each(expert.stateless_call(*of, seen, training=False)[0])
            for expert, of in zip(experts, weights, strict=True)
        ]
        return [sum(of) / len(experts) for of in zip(*said, strict=True)]

    def step(state: Any, at: Any, data: Any, said: Any) -> tuple[Any, Any]:
        rows, key, rate = at
        trainable, rest, of_optimizer = state
        of_optimizer = [rate if i in of_rate else value for i, value in enumerate(of_optimizer)]
        given, features, targets, weights = jax.tree.map(lambda column: column[rows], data)
        of_jitter, of_mix = jax.random.split(key)
        if jitter is None:
            chips = middle(given, size)
        else:
            with jax.default_matmul_precision("highest"):  # places of pixels
                chips = augment(given, size, jitter, jax.random.uniform(of_jitter, (batch, DRAWS)))
        as_it_is, chips = scaled(middle(given, size)), scaled(chips)
        share = jnp.ones(batch)
        if jitter is not None and jitter.mixup:
            one, other = jax.random.gamma(of_mix, jitter.mixup, (2, batch))
            share = shares(one, other)
            chips, targets = mix(chips, targets, weights, share)
        seen = inputs(chips, features)
        opinions = teach(said, inputs(as_it_is, features) if plain else seen) if experts else [None] * len(learned)

        def loss_of(trainable: Any) -> tuple[Any, Any]:
            raw, after, losses = model.stateless_call(trainable, rest, seen, training=True, return_losses=True)
            total = sum(losses)
            for task, target, weight, value, opinion in zip(
                learned, each(targets), each(weights), each(raw), opinions, strict=True
            ):
                loss = mixed_loss(task.loss)(target, value) * weight
                if opinion is not None:
                    unlike = task.alike(opinion, value)
                    if plain:  # of a blend both pictures
                        unlike = share * unlike + (1 - share) * task.alike(jnp.roll(opinion, 1, axis=0), value)
                    loss = (1 - taught) * loss + taught * unlike
                total += loss.mean()
            return total, after

        (loss, rest), gradients = jax.value_and_grad(loss_of, has_aux=True)(trainable)
        trainable, of_optimizer = optimizer.stateless_apply(of_optimizer, gradients, trainable)
        return (trainable, rest, of_optimizer), loss

    def epoch(state: Any, data: Any, said: Any, chances: Any, key: Any, rates: Any) -> tuple[Any, Any]:
        of_order, of_drawing, of_steps = jax.random.split(key, 3)
        rows = jnp.arange(count)
        if drawn:
            # The largest sums with Gumbel noise are a draw by these chances, without putting back.
            _, found = jax.lax.top_k(chances + jax.random.gumbel(of_drawing, chances.shape), drawn)
            rows = jnp.concatenate([rows, count + found])
        order = jax.random.permutation(of_order, rows)[: steps * batch].reshape(steps, batch)
        keys = jax.random.split(of_steps, steps)
        state, losses = jax.lax.scan(lambda state, at: step(state, at, data, said), state, (order, keys, rates))
        return state, losses.mean()

    def check(state: Any, data: Any) -> dict[str, Any]:
        chips, features, targets, weights = data
        raw, _ = model.stateless_call(state[0], state[1], inputs(scaled(middle(chips, size)), features), training=False)
        found: dict[str, Any] = {"val_loss": 0.0}
        for task, target, weight, value in zip(learned, each(targets), each(weights), each(raw), strict=True):
            known = jnp.maximum(weight.sum(), 1)
            found["val_loss"] += (task.loss(target, value) * weight).sum() / known
            for metric in task.metrics:
                name = "_".join(filter(None, ("val", task.key, metric.__name__)))
                found[name] = (metric(target, value) * weight).sum() / known
        return found

    def answers(data: Any, said: Any) -> Any:
        """The teachers' mean answer of the first output to each picture without a label; [n, k] or [n, 1]."""

        def look(at: Any) -> Any:
            chips, features = at
            raw = teach(said, inputs(scaled(middle(chips[None], size)), features[None]))[0][0]
            return jax.nn.softmax(raw) if learned[0].output.kind == "logits" else raw

        return jax.lax.map(look, (data[0][count:], data[1][count:]), batch_size=_LOOKED_AT)

    return jax.jit(epoch), jax.jit(check), jax.jit(answers)


def _on_device(pictures: Pictures, learned: Sequence[Task]) -> Any:
    """Chips, features, targets and weights, in the device's memory."""
    import jax

    targets, weights = targets_of(learned, pictures)
    return jax.device_put((pictures.chips, pictures.features.astype(np.float32), targets, weights))


def _values(*groups: Sequence[Any]) -> Any:
    """What lies in some groups of variables, as JAX takes it."""
    return tuple([variable.value for variable in variables] for variables in groups)


app = typer.Typer(help=__doc__, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)

_Name = Annotated[str, typer.Argument(metavar="NAME", help="A recipe, as `facelog train` takes it.")]
_FILE: dict[str, Any] = {"exists": True, "dir_okay": False}
_RecipeFile = Annotated[
    Path | None, typer.Option("--recipe", help="TOML or YAML file with changes to the recipe.", **_FILE)
]


def _recipe(name: str, file: Path | None) -> Recipe:
    return change(find_recipe(name), read_changes(file) if file else {}, str(file))


@app.command("pack")
def pack_command(
    name: _Name,
    data: Annotated[list[Path], typer.Option("--data", help="A data set; may be given several times.")],
    out: Annotated[Path, typer.Option("--out", help="The file to write, .npz.")],
    recipe: _RecipeFile = None,
    cache: Annotated[Path, typer.Option("--cache", help="Folder for chips that were cut.")] = Path("runs/chips"),
    quality: Annotated[int, typer.Option(help="Of WebP; from 101 on nothing is lost.")] = LOSSLESS,
    unlabelled: Annotated[bool, typer.Option("--unlabelled", help="All faces, without labels, for teachers.")] = False,
) -> None:
    """Gather chips and labels of data sets in one file."""
    gather = pack_unlabelled if unlabelled else pack
    gather(_recipe(name, recipe), data, out, cache=cache, quality=quality)


@app.command("fit")
def fit_command(
    name: _Name,
    packed: Annotated[list[Path], typer.Argument(metavar="FILE...", help="What `pack` wrote.", **_FILE)],
    out: Annotated[Path, typer.Option("--out", help="The run folder.")],
    recipe: _RecipeFile = None,
    start: Annotated[
        list[str] | None, typer.Option("--start", help="Weights to begin with; of several, the mean.")
    ] = None,
    teacher: Annotated[
        list[Path] | None, typer.Option("--teacher", help="A trained network's .keras file.", **_FILE)
    ] = None,
    taught: Annotated[float, typer.Option(help="How much of the loss is the teachers'.")] = 0.5,
    unlabelled: Annotated[
        list[Path] | None, typer.Option("--unlabelled", help="What `pack --unlabelled` wrote.", **_FILE)
    ] = None,
    mined: Annotated[float, typer.Option(help="How much rare answers of the teachers are drawn more often.")] = 0.5,
    plain: Annotated[bool, typer.Option("--plain", help="Teachers look at pictures as they are.")] = False,
    minutes: Annotated[float | None, typer.Option(help="Stop after so many.")] = None,
) -> None:
    """Train by what `pack` wrote."""
    os.environ["KERAS_BACKEND"] = "jax"
    made = _recipe(name, recipe)
    network = find_network(made.network)
    parts = [unpack(packed, part, network.inputs["chip"][-1]) for part in ("training", "calibration")]
    training, held = (labelled(part, network) for part in parts)
    fit(
        made,
        training,
        held,
        out,
        starts=[weights_file(of) for of in start or []],
        teachers=teacher or [],
        taught=taught,
        unlabelled=unpack(unlabelled, "training", network.inputs["chip"][-1]) if unlabelled else None,
        mined=mined,
        plain=plain,
        minutes=minutes,
    )


if __name__ == "__main__":
    try:
        app()
    except UsageError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
