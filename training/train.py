"""What `facelog train` does: read and split the data, build the network, train, calibrate, evaluate, export."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from models.runtime import Device
from models.zoo import find_network
from schemas.errors import UsageError
from training.data.batches import batches, part_of
from training.data.labelled_faces import CALIBRATION, TRAINING, read_sets
from training.data.second_input import views_of
from training.data.teaching import taught
from training.export import EndToEnd, export
from training.judging.calibrate import bias_of, calibrated
from training.judging.plots import plot_curves, plot_report
from training.learning.loop import FINAL, LOG, NOTES, RECIPE, predict, refuse_other, run_epochs, set_up
from training.learning.mixup import first_metric, mixed_loss
from training.learning.network import (
    blend_weights,
    build_network,
    check_options,
    in_float32,
    load_weights,
    one_head,
    weights_file,
)
from training.learning.targets import by_key, targets_of, tasks
from training.recipe import change, find_recipe


def train(
    name: str,
    data: Sequence[str | Path],
    out: str | Path,
    *,
    bundle: str | Path | None = None,
    start: str | Path | Sequence[str | Path] = (),
    minutes: float | None = None,
    cache: str | Path | None = None,
    device: Device = "auto",
    end_to_end: EndToEnd | None = None,
    **changes: Any,
) -> dict[str, dict[str, float]]:
    """Train a model and write it as a bundle.

        train("emotion", ["fer2013.csv"], "runs/emotion")
        train("mini-xception", ["fer2013/"], "runs/small", schedule={"epochs": 30, "rate": 2e-3})

    The same call again continues after the last complete epoch. If training is finished, it calibrates and exports
    again.

    Args:
      name: a recipe (`emotion`, `emotion-fer2013`, `age-gender`, `emotion-wide`) or a network of the zoo.
      data: data sets, or folders that `facelog prepare` wrote.
      out: folder of the run, for the checkpoint, logs, reports and plots.
      bundle: folder to write the bundle to; its name becomes the model's name. A recipe with several heads writes one
        bundle per head, side by side. None: the folder `name` inside `out`.
      start: initial weights: a bundle's name or folder, a `.keras` or a `.weights.h5` file. Of several files, the mean
        is taken. With 0 epochs, these weights are calibrated, evaluated and exported unchanged. Where none are given,
        `emotion-wide` begins from the shipped `emotion`.
      minutes: stop after the epoch in which this time runs out; the same call then continues.
      cache: folder for the chips cut from the data sets; None: `chips` beside the run's folder.
      device: "auto", "cpu" or "gpu".
      end_to_end: measures a bundle behind the pipeline's own detector and crop, for the card. Callers pass
        `pipelines.datasets.evaluate.end_to_end`, which this package may not import.
      **changes: fields of `training.recipe.Recipe`; nested fields as dicts.

    Returns:
      The figures in each bundle's card, by the bundle's name.

    Raises:
      UsageError: the recipe, the data or the weights do not fit.
    """
    recipe = change(find_recipe(name), changes, "The recipe's change")
    network, schedule, out = find_network(recipe.network), recipe.schedule, Path(out)
    bundle, cache = Path(bundle or out / name), Path(cache or out.parent / "chips")
    given = [start] if isinstance(start, str | Path) else list(start)
    starts = given or ([recipe.further.start] if recipe.further else [])
    check_options(network, recipe)
    if schedule.epochs:
        refuse_other(out, recipe.decisive())
    elif not starts and not (out / FINAL).exists():
        raise UsageError(
            "With 0 epochs there is nothing to export: give weights (--start), or the folder of a finished run."
        )

    through = (out / FINAL).exists() and (schedule.epochs > 0 or not given)
    weights = [out / FINAL] if through else [weights_file(of) for of in starts]

    # Read and split the data sets; find out what each of the network's outputs learns from them.
    sets = read_sets([Path(path) for path in data], network, recipe, cache)
    training, held = part_of(sets, TRAINING, recipe.mix), part_of(sets, CALIBRATION, recipe.mix)
    drawn, held = training.sample(schedule.seed, own_votes=True), held.sample(schedule.seed)
    learned = tasks(network.outputs, recipe.heads, recipe.weights, drawn)
    stream: dict[str, Any] = {
        "size": network.geometry.size,
        "batch": schedule.batch,
        "scaling": (network.scale, network.offset),
    }

    # Build the network.
    set_up(schedule, device)
    model = build_network(network, recipe)
    if weights:
        load_weights(model, weights, recipe)

    # Train, unless that is done.
    if schedule.epochs and not through:
        targets, weighed = targets_of(learned, training)
        begun = model.get_weights()
        if recipe.further and recipe.further.taught:
            targets = taught(targets, learned, training, model, recipe.further.taught, stream)
        out.mkdir(parents=True, exist_ok=True)
        (out / RECIPE).write_text(json.dumps(recipe.decisive(), indent=2) + "\n", encoding="utf-8")
        steps = max(1, training.per_epoch // schedule.batch)
        views = None
        if network.second_input and recipe.jitter:
            plain, seed = training.features, schedule.seed
            views = views_of(training.chips, plain, network, recipe.jitter, seed, cache)
        shuffled = batches(
            training,
            targets=(targets, weighed),
            jitter=recipe.jitter,
            views=views,
            seed=schedule.seed,
            epoch=lambda: int(model.optimizer.iterations.numpy()) // steps,
            **stream,
        )
        check = batches(held, targets=targets_of(learned, held), **stream)
        loss = by_key(learned, [mixed_loss(task.loss) for task in learned])
        metrics = by_key(learned, [[first_metric(metric) for metric in task.metrics] for task in learned])
        done = run_epochs(model, loss, shuffled, check, metrics, schedule, out, minutes=minutes)
        if recipe.further and recipe.further.kept:
            blend_weights(model, begun, recipe.further.kept)
        if done:
            model.save(out / FINAL, include_optimizer=False)
    notes: dict[str, Any] = {"start": " + ".join(Path(of).name for of in starts)} if starts else {}
    if (out / NOTES).exists():
        notes |= json.loads((out / NOTES).read_text("utf-8"))
    if (out / LOG).exists():
        notes["epochs_done"] = len(pd.read_csv(out / LOG))
        plot_curves(out / LOG, out)

    # Calibrate, evaluate and export; each head becomes a bundle of its own.
    out.mkdir(parents=True, exist_ok=True)
    if schedule.mixed:
        model = in_float32(model, network, recipe)
    raw = predict(model, batches(held, targets=(), **stream), mirror=recipe.mirror)
    of_training = {}
    if any(head.recall_cost for head in recipe.heads):
        of_training = predict(model, batches(drawn, targets=(), **stream))
    figures = {}
    for head in recipe.heads:
        mine = [task for task in learned if task.head in (head, None)]
        outputs = []
        for task in mine:
            bias = bias_of(task, of_training[task.key], drawn) if of_training else None
            outputs.append((task, calibrated(task, raw[task.key], held, bias=bias)))
        alone = one_head(model, head.name) if len(recipe.heads) > 1 else model
        folder = bundle.with_name(bundle.name + head.suffix)
        figures[folder.name], reports = export(
            folder, alone, network, outputs, sets, recipe, notes=notes, end_to_end=end_to_end
        )
        (out / f"{folder.name}.json").write_text(json.dumps(reports, indent=2) + "\n", encoding="utf-8")
        for start_of_names, report in reports.items():
            plot_report(report, out, f"{folder.name}_{start_of_names}")
    return figures
