"""Export a trained network as a bundle: weights without regularisation, calibration, measured figures, card."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from models.bundle import Bundle, read_bundle, write_bundle
from models.cards import Output, write_card
from models.geometry import Geometry
from models.zoo import Network
from schemas.iteration import chunks
from training.data.labelled_faces import CALIBRATION, TEST, TRAINING, Faces
from training.datasets import LabelledPicture
from training.datasets.terms import name_of, terms_of
from training.judging.evaluate import AT_ONCE, Tally, predict, ready_crops
from training.learning.network import plain_network
from training.learning.targets import Task
from training.recipe import Recipe

COMPARED = 1000
"""Pictures of each data set that a converted network is compared with the trained one by, at most."""

EndToEnd = Callable[[Bundle, Iterator[LabelledPicture], str], Mapping[str, float]]

_IMDB = {"imdb", "wiki", "imdb_db"}
_LIMITS = {
    "emotion": (
        "It names the expression on a face, not what a person feels. FER2013's pictures come from web searches and are "
        "often posed; two thirds of its labels agree with what ten people say. Disgust and fear are rare there and "
        "often missed. Posed pictures of strangers, profiles and faces under 40 pixels are harder than the figures say."
    ),
    "age": (
        "Apparent age as annotators saw it, or as files tell it: partly an estimate. People over 80 are few in all of "
        "the sets."
    ),
    "gender": (
        "Apparent gender as annotators saw it, which need not be a person's; it has two values in this data and "
        "nothing else can come out. Accuracy differs between groups."
    ),
}


def export(
    folder: Path,
    model: Any,
    network: Network,
    outputs: Sequence[tuple[Task, Output]],
    sets: Sequence[Faces],
    recipe: Recipe,
    *,
    notes: Mapping[str, str | int | float] | None = None,
    end_to_end: EndToEnd | None = None,
) -> tuple[dict[str, float], dict[str, Any]]:
    """Write a bundle, load it as users do, evaluate it on the held-back pictures, and write the figures to its card.

    Args:
      folder: folder of the bundle; its name becomes the model's name.
      model: the trained keras.Model with the outputs of this bundle only.
      network: the network of the zoo that the model is.
      outputs: what each output learned, and the calibrated output.
      sets: the data sets, split.
      recipe: the recipe that it was trained with.
      notes: further entries for the card's recipe, such as the number of epochs done.
      end_to_end: gives further figures for the card, of the model behind the pipeline's own detector and crop.

    Returns:
      The card's figures; and the complete reports of `training.judging.evaluate`, by the prefix of their figures in the
      card.
    """
    plain = plain_network(network, recipe)
    plain.set_weights(model.get_weights())
    by_votes = any(task.head is not None and task.head.by_votes for task, _ in outputs)
    tests = " and ".join(_counted(faces, name) for faces in sets for name in faces.tests())
    chips, about = _chips_to_compare(sets, network.geometry)
    card = write_bundle(
        folder,
        plain,
        chips=chips,
        about=about,
        **(network.card_fields() | {"outputs": tuple(output for _, output in outputs)}),
        mirror=recipe.mirror,
        training_data=_training_data(sets, outputs),
        recipe={**recipe.flat(), **(notes or {})},
        calibration_data="held back: "
        + " and ".join(_counted(faces, CALIBRATION) for faces in sets if (faces.part == CALIBRATION).any())
        + (", by FER+'s majority." if by_votes else "."),
        test_data=f"{tests}. Neither trained on, chosen by nor calibrated on." if tests else "none",
        unknown_below=recipe.unknown_below if "gender" in network.attributes else None,
        limits=" ".join(_LIMITS[attribute] for attribute in network.attributes),
        licence_notes=" ".join(dict.fromkeys(terms_of(of.kind) for of in sets)),
    )
    reports = judge(folder, sets, ferplus_first=by_votes)
    figures = {name: of for prefix, report in reports.items() for name, of in flat_figures(report, prefix).items()}
    if end_to_end is not None:
        bundle = read_bundle(folder)
        for prefix, votes, samples in judged(sets):
            voted = by_votes and bool((votes.max(axis=1) > 0.5).any())
            found = end_to_end(bundle, samples(), "ferplus" if voted else "fer2013")
            figures |= {f"{prefix}end_to_end_{name}": round(value, 4) for name, value in found.items()}
    write_card(folder, card.model_copy(update={"figures": figures}))
    return figures, reports


def _chips_to_compare(sets: Sequence[Faces], geometry: Geometry) -> tuple[np.ndarray, str]:
    """Held-back faces that the network for LiteRT is compared with the trained one by, and what they are."""
    chips: list[np.ndarray] = []
    for faces in sets:
        rows = np.flatnonzero(~np.isin(faces.part, (TRAINING, "")))[:COMPARED]
        crops = ready_crops((faces.sample(int(row)) for row in rows), geometry)
        chips += [crop.chip for crop in crops if crop.chip is not None]
    names = " and ".join(dict.fromkeys(_name(faces) for faces in sets))
    return np.stack(chips), f"{len(chips)} held-back pictures of {names}"


def judged(sets: Sequence[Faces]) -> Iterator[tuple[str, np.ndarray, Callable[[], Iterator[LabelledPicture]]]]:
    """The evaluation splits of all data sets: prefix of the figures, FER+ votes, and the labelled pictures.

    The prefix is empty for the first split of the first data set, `fairface_` for another data set, and `privatetest_`
    for another split of the first data set.
    """
    names: set[str] = set()
    for i, faces in enumerate(sets):
        for j, (name, samples) in enumerate(faces.tests().items()):
            prefix = "" if i == j == 0 else f"{name.lower()}_" if i == 0 else f"{faces.kind}_"
            if prefix in names:
                prefix = f"{faces.kind}{i + 1}_{name.lower()}_"
            names.add(prefix)
            yield prefix, faces.votes[faces.part == name], samples


def judge(folder: Path, sets: Sequence[Faces], *, ferplus_first: bool) -> dict[str, dict[str, Any]]:
    """Evaluate a bundle on all evaluation splits.

    Args:
      folder: folder of the bundle.
      sets: the data sets.
      ferplus_first: whether the figures by FER+'s majorities come before those by the data set's own labels.

    Returns:
      Reports of `training.judging.evaluate` by the prefix of their figures: that of `judged`, followed by `ferplus_`
      for the figures by FER+'s majorities.
    """
    bundle = read_bundle(folder)
    reports: dict[str, dict[str, Any]] = {}
    for prefix, votes, samples in judged(sets):
        truths = {prefix: "fer2013"}
        if "emotion" in bundle.card.attributes and (votes.max(axis=1) > 0.5).any():
            truths[f"{prefix}ferplus_"] = "ferplus"
        tallies = {start: Tally(bundle.card, labels=truths[start]) for start in sorted(truths, reverse=ferplus_first)}
        for crops in chunks(ready_crops(samples(), bundle.card.geometry), AT_ONCE):
            outputs = predict(bundle, crops)
            for tally in tallies.values():
                tally.add(crops, outputs)
        reports |= {start: tally.figures() for start, tally in tallies.items()}
    return reports


def flat_figures(report: Mapping[str, Any], prefix: str = "") -> dict[str, float]:
    """The numbers of a report for a card, with recall by class, and accuracy and error by race where it is known."""
    chosen = dict(report) | {f"recall_{name}": value for name, value in (report.get("recall") or {}).items()}
    for race, of in report["groups"].get("race", {}).items():
        for name in ("accuracy", "gender_accuracy", "age_mae"):
            if name != "accuracy" or "gender_accuracy" not in of:
                chosen[f"{name}_{race.lower().replace(' ', '_')}"] = of.get(name)
    return {f"{prefix}{name}": round(float(of), 4) for name, of in chosen.items() if isinstance(of, int | float)}


def _training_data(sets: Sequence[Faces], outputs: Sequence[tuple[Task, Output]]) -> str:
    parts = " and ".join(_counted(faces, TRAINING) for faces in sets if (faces.part == TRAINING).any())
    text = f"{parts}."
    if any(faces.blocks is None for faces in sets):
        text = f"{parts}; without blank pictures, without copies and near-copies of those it is judged by."
    for task, _ in outputs:
        if task.head is not None and task.head.votes:
            text += f" Targets: own label {1 - task.head.votes:.0%}, FER+ votes {task.head.votes:.0%}."
    if "gender" in {task.output.attribute for task, _ in outputs} and not {of.kind for of in sets} & _IMDB:
        text += " It has seen no picture of IMDB or WIKI."
    return text


def _counted(faces: Faces, part: str) -> str:
    count = int((faces.part == part).sum())
    of = _name(faces) if part in (TRAINING, CALIBRATION, TEST) else f"{_name(faces)} {part}"
    return f"{of}, {count} {'held-back ' if part == TEST else ''}pictures"


def _name(faces: Faces) -> str:
    return name_of(faces.kind)
