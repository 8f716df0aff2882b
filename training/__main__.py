"""`python -m training`: train and measure the bundles."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from models.bundle import load_bundle
from training import age_gender as age_gender_recipe
from training import datasets
from training import emotion as emotion_recipe
from training import evaluate as evaluation
from training.chips import middle
from training.measure import landmark_places

app = typer.Typer(help="Train and measure facelog's models.", no_args_is_help=True, add_completion=False)

Out = Annotated[Path, typer.Option(help="Folder for checkpoints and log; the same again goes on from there.")]
BundleFolder = Annotated[Path, typer.Option(help="Bundle to write, for example models/bundles/NAME.")]
Cache = Annotated[Path, typer.Option(help="Folder for the cut chips (1 GB).")]


def _show(figures: dict[str, float]) -> None:
    for name, value in figures.items():
        typer.echo(f"{name:24} {value:10.4f}")


@app.command()
def emotion(
    data: Annotated[Path, typer.Option(help="FER2013, folder or zip.")],
    out: Out,
    bundle: BundleFolder,
    epochs: int = emotion_recipe.EmotionRecipe().schedule.epochs,
) -> None:
    """Train the emotion model."""
    recipe = emotion_recipe.EmotionRecipe()
    recipe = dataclasses.replace(recipe, schedule=dataclasses.replace(recipe.schedule, epochs=epochs))
    _show(emotion_recipe.train(data, out, bundle, recipe))


@app.command()
def age_gender(
    utkface: Annotated[Path, typer.Option(help="UTKFace, folder or zip.")],
    fairface: Annotated[Path, typer.Option(help="FairFace, folder or zip.")],
    out: Out,
    bundle: BundleFolder,
    cache: Cache = Path(".cache/chips"),
    epochs: int = age_gender_recipe.AgeGenderRecipe().schedule.epochs,
) -> None:
    """Train the age-gender model."""
    recipe = age_gender_recipe.AgeGenderRecipe()
    recipe = dataclasses.replace(recipe, schedule=dataclasses.replace(recipe.schedule, epochs=epochs))
    _show(age_gender_recipe.train(utkface, fairface, out, cache, bundle, recipe))


@app.command()
def evaluate(
    bundle: Annotated[str, typer.Argument(help="Name of one of facelog's bundles, or a folder.")],
    data: Annotated[Path | None, typer.Option(help="FER2013, for an emotion model.")] = None,
    utkface: Annotated[Path | None, typer.Option(help="UTKFace, for an age-gender model.")] = None,
    fairface: Annotated[Path | None, typer.Option(help="FairFace, for an age-gender model.")] = None,
    cache: Cache = Path(".cache/chips"),
) -> None:
    """Measure a bundle on the held-back pictures, as its card states them, and its time per face on one thread."""
    loaded = load_bundle(bundle)
    if loaded.card.task == "emotion" and data is not None:
        test = datasets.read_fer2013(data, "validation")
        chips, figures = test.images, evaluation.emotion(loaded, test)
    elif loaded.card.task == "age_gender" and utkface is not None and fairface is not None:
        recipe = age_gender_recipe.AgeGenderRecipe()
        _, _, utk = age_gender_recipe.read_parts(datasets.read_utkface(utkface), recipe, cache)
        _, _, fair = age_gender_recipe.read_parts(datasets.read_fairface(fairface), recipe, cache)
        chips = middle(utk.chips, loaded.card.geometry.size)
        figures = dict(age_gender_recipe.measure(loaded, utk, fair))
    else:
        raise typer.BadParameter("An emotion model needs --data, an age-gender model --utkface and --fairface.")
    _show({**figures, "milliseconds_per_face": evaluation.milliseconds_per_face(loaded, chips)})


@app.command()
def geometry(
    pictures: Annotated[Path, typer.Argument(help="Folder with JPEG crops around one face each.")],
    count: Annotated[int, typer.Option(help="Pictures to draw.")] = 600,
) -> None:
    """Where dlib's five landmarks lie in a data set's pictures: what models/geometry.py was chosen by."""
    places = landmark_places(pictures, count=count)
    typer.echo(f"{len(places)} faces of {count} pictures; median and standard deviation as shares of the picture:")
    for median, deviation in zip(np.median(places, axis=0), places.std(axis=0), strict=True):
        typer.echo(f"  x {median[0]:.3f} ± {deviation[0]:.3f}   y {median[1]:.3f} ± {deviation[1]:.3f}")


if __name__ == "__main__":
    app()
