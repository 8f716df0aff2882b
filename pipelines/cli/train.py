"""`facelog train`: train a model on data sets and write it as a bundle."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from pipelines.cli.terminal import exit_on_error, log_to
from schemas.errors import UsageError

_RECIPE, _RUN = "Changes to the recipe", "How to run"


def train(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            help="A shipped model (emotion, emotion-fer2013, age-gender), emotion-wide (emotion, trained further on "
            "sets of your own), or any network of `facelog models list`.",
            show_default=False,
        ),
    ],
    data: Annotated[
        list[Path],
        typer.Option(
            metavar="PATH",
            help="A data set: its folder, zip or table, or a folder of facelog prepare; may be repeated.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            metavar="DIR",
            help="Folder of the run, for checkpoint, logs and plots. \\[default: runs/NAME]",
            show_default=False,
        ),
    ] = None,
    bundle: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Folder for the bundle; its name becomes the model's name. \\[default: NAME in the run's folder]",
            show_default=False,
        ),
    ] = None,
    recipe: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="A TOML or YAML file with changes to the recipe; options override it.",
            rich_help_panel=_RECIPE,
            show_default=False,
        ),
    ] = None,
    epochs: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Passes over the pictures; with 0, the weights of --start are calibrated, evaluated and exported.",
            rich_help_panel=_RECIPE,
            show_default=False,
        ),
    ] = None,
    batch: Annotated[
        int | None, typer.Option(min=1, help="Pictures per step.", rich_help_panel=_RECIPE, show_default=False)
    ] = None,
    rate: Annotated[
        float | None, typer.Option(help="Highest learning rate.", rich_help_panel=_RECIPE, show_default=False)
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(
            min=0, help="Seed of initial weights, order and augmentation.", rich_help_panel=_RECIPE, show_default=False
        ),
    ] = None,
    votes: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            metavar="SHARE",
            help="Weight of FER+'s votes in the emotion targets; the data set's own label has the rest.",
            rich_help_panel=_RECIPE,
            show_default=False,
        ),
    ] = None,
    mixed: Annotated[
        bool,
        typer.Option(
            "--mixed", help="Compute in bfloat16; faster only where the processor supports it.", rich_help_panel=_RECIPE
        ),
    ] = False,
    start: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILE|BUNDLE",
            help="Initial weights: a bundle, a .keras or a .weights.h5 file; given several times, their mean.",
            rich_help_panel=_RUN,
            show_default=False,
        ),
    ] = None,
    weights: Annotated[
        str | None,
        typer.Option(
            metavar="imagenet|FILE|none",
            help="Weights of the trunk, for networks that have one. \\[default: imagenet]",
            rich_help_panel=_RUN,
            show_default=False,
        ),
    ] = None,
    minutes: Annotated[
        float | None,
        typer.Option(
            min=0,
            help="Stop after the epoch in which this time runs out, and export; the same command continues.",
            rich_help_panel=_RUN,
            show_default=False,
        ),
    ] = None,
    cache: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Folder for the chips that are cut. \\[default: chips beside the run's folder]",
            rich_help_panel=_RUN,
            show_default=False,
        ),
    ] = None,
    through_pipeline: Annotated[
        bool,
        typer.Option(
            "--end-to-end",
            help="Also evaluate the model behind the pipeline's own detector and crop; takes some minutes.",
            rich_help_panel=_RUN,
        ),
    ] = False,
    device: Annotated[
        str, typer.Option(metavar="auto|cpu|gpu", help="Where to compute.", rich_help_panel=_RUN)
    ] = "auto",
) -> None:
    """Train a model on labelled faces, calibrate it, evaluate it on held-back pictures, and write it as a bundle.

    After a stop, the same command continues. Use the bundle with `facelog analyze --model DIR`.

        facelog train emotion --data fer2013.csv
        facelog train emotion-wide --data fer2013.csv --data AffectNet/ --data KDEF/
        facelog train age-gender --data UTKFace/ --data fairface.zip --bundle models/mine
        facelog train mini-xception --data fer2013/ --epochs 40 --minutes 30
        facelog train emotion --data fer2013.csv --start final.keras --epochs 0
    """
    console, stderr = Console(), Console(stderr=True)
    with exit_on_error(), log_to(stderr, None):
        from training.export import EndToEnd
        from training.recipe import find_recipe, read_changes
        from training.train import train

        heads = find_recipe(name).heads
        changes: dict[str, Any] = read_changes(recipe) if recipe is not None else {}
        options = {"epochs": epochs, "batch": batch, "rate": rate, "seed": seed, "mixed": mixed or None}
        changes["schedule"] = changes.get("schedule", {}) | _given(options)
        if weights is not None:
            changes["options"] = changes.get("options", {}) | {"weights": None if weights == "none" else weights}
        if votes is not None:
            if "heads" in changes:
                raise UsageError("--votes: the recipe's file already has heads; change the votes there.")
            changes["heads"] = [vars(head) | ({"votes": votes} if head is heads[0] else {}) for head in heads]
        judge: EndToEnd | None = None
        if through_pipeline:
            from pipelines.datasets.evaluate import end_to_end

            judge = end_to_end
        figures = train(
            name,
            data,
            out or Path("runs") / name,
            bundle=bundle,
            start=start or (),
            minutes=minutes,
            cache=cache,
            device=device,  # type: ignore[arg-type]
            end_to_end=judge,
            **changes,
        )
        _show(figures, bundle or (out or Path("runs") / name) / name, console)


def _given(options: dict[str, Any]) -> dict[str, Any]:
    return {option: value for option, value in options.items() if value is not None}


def _show(figures: dict[str, dict[str, float]], bundle: Path, console: Console) -> None:
    for name, of in figures.items():
        table = Table("figure", "value", title=f"{name}, on held-back pictures", box=None, title_justify="left")
        for figure, value in of.items():
            table.add_row(figure, f"{value:,.4g}")
        console.print(table)
        console.print(f"written to {bundle.with_name(name)}", soft_wrap=True)
