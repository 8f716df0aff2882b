"""`facelog train`: a model from data sets to a bundle."""

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
            help="emotion, emotion-fer2013 or age-gender, as shipped; or any network of `facelog models list`.",
            show_default=False,
        ),
    ],
    data: Annotated[
        list[Path],
        typer.Option(
            metavar="PATH",
            help="A data set: its folder, zip or table, or what facelog prepare wrote; may be repeated.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            metavar="DIR",
            help="Folder of the run: checkpoint, logs, curves. \\[default: runs/NAME]",
            show_default=False,
        ),
    ] = None,
    bundle: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Where the bundle goes; its name becomes the model's. \\[default: NAME in the run's folder]",
            show_default=False,
        ),
    ] = None,
    recipe: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Fields of the recipe to change, in TOML or YAML; options win over it.",
            rich_help_panel=_RECIPE,
            show_default=False,
        ),
    ] = None,
    epochs: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Passes over the pictures; 0 only calibrates, judges and exports --start.",
            rich_help_panel=_RECIPE,
            show_default=False,
        ),
    ] = None,
    batch: Annotated[
        int | None, typer.Option(min=1, help="Pictures a step.", rich_help_panel=_RECIPE, show_default=False)
    ] = None,
    rate: Annotated[
        float | None, typer.Option(help="Highest learning rate.", rich_help_panel=_RECIPE, show_default=False)
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(min=0, help="Of weights, order and augmentation.", rich_help_panel=_RECIPE, show_default=False),
    ] = None,
    votes: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            metavar="SHARE",
            help="Of FER+'s votes in the targets of emotion; the rest is the set's own label.",
            rich_help_panel=_RECIPE,
            show_default=False,
        ),
    ] = None,
    mixed: Annotated[
        bool, typer.Option("--mixed", help="Compute in bfloat16, where the processor can.", rich_help_panel=_RECIPE)
    ] = False,
    start: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILE|BUNDLE",
            help="Weights to begin with: of a bundle, a .keras or a .weights.h5 file; of several, their mean.",
            rich_help_panel=_RUN,
            show_default=False,
        ),
    ] = None,
    weights: Annotated[
        str | None,
        typer.Option(
            metavar="imagenet|FILE|none",
            help="Of the trunk, for the networks that have one. \\[default: imagenet]",
            rich_help_panel=_RUN,
            show_default=False,
        ),
    ] = None,
    minutes: Annotated[
        float | None,
        typer.Option(
            min=0,
            help="Stop after the epoch that passes so many, and export; the same command goes on from there.",
            rich_help_panel=_RUN,
            show_default=False,
        ),
    ] = None,
    cache: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Where chips are kept once they are cut. \\[default: chips beside the run's folder]",
            rich_help_panel=_RUN,
            show_default=False,
        ),
    ] = None,
    through_pipeline: Annotated[
        bool,
        typer.Option(
            "--end-to-end",
            help="Judge it behind the pipeline's own detector and crop, too: minutes more for the card.",
            rich_help_panel=_RUN,
        ),
    ] = False,
    device: Annotated[
        str, typer.Option(metavar="auto|cpu|gpu", help="Where to compute.", rich_help_panel=_RUN)
    ] = "auto",
) -> None:
    """Train a model on labelled faces, calibrate it, judge it on what was held back, and write it as a bundle.

    The same command goes on after a stop. `facelog analyze --emotion-model DIR` and its like then use the bundle.

        facelog train emotion --data fer2013.csv
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
                raise UsageError("--votes: the recipe's file has heads already; change the votes there.")
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
        table = Table("figure", "value", title=f"{name}, on pictures held back", box=None, title_justify="left")
        for figure, value in of.items():
            table.add_row(figure, f"{value:,.4g}")
        console.print(table)
        console.print(f"written to {bundle.with_name(name)}", soft_wrap=True)
