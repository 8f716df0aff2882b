"""`facelog evaluate`: measure a model on a labelled data set."""

import enum
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from pipelines.cli.terminal import exit_on_error, log_to
from schemas.errors import UsageError

if TYPE_CHECKING:
    from pipelines.datasets.evaluate import Report

_DATA, _OUTPUT = "Which pictures", "What to write"


class Labels(enum.StrEnum):
    """Which emotion counts as true."""

    fer2013 = "fer2013"
    ferplus = "ferplus"


def evaluate(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            help="Name or folder of a bundle; analyze uses emotion and age-gender by default. With --annotations, an "
            "output folder.",
            show_default=False,
        ),
    ],
    data: Annotated[
        Path | None,
        typer.Option(
            "--data",
            metavar="PATH",
            help="The data set: its folder, its zip, or its table (fer2013.csv).",
            show_default=False,
        ),
    ] = None,
    annotations: Annotated[
        bool,
        typer.Option(
            "--annotations",
            help="Measure the tables of an output folder, given as MODEL, by what people said in `facelog serve`.",
            rich_help_panel=_DATA,
        ),
    ] = False,
    kind: Annotated[
        str | None,
        typer.Option(
            "--set",
            metavar="KIND",
            help="Kind of data set: fer2013, utkface, fairface, imdb, folder …; recognized by its files if not given.",
            rich_help_panel=_DATA,
            show_default=False,
        ),
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Only this split: a folder at the first level, or the csv's Usage; all if not given.",
            rich_help_panel=_DATA,
            show_default=False,
        ),
    ] = None,
    labels: Annotated[
        Labels,
        typer.Option(
            help="Which emotion counts as true: the data set's own label, or the majority of FER+'s votes.",
            rich_help_panel=_DATA,
        ),
    ] = Labels.fer2013,
    limit: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Only this many pictures, drawn at random.", rich_help_panel=_DATA),
    ] = None,
    end_to_end: Annotated[
        bool,
        typer.Option(
            "--end-to-end",
            help="Detect and crop the faces as the pipeline does, and compare with ready-made crops.",
            rich_help_panel=_DATA,
        ),
    ] = False,
    detector: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="What finds the faces with --end-to-end. \\[default: as for analyze]",
            rich_help_panel=_DATA,
            show_default=False,
        ),
    ] = None,
    as_json: Annotated[
        bool,
        typer.Option("--json", help="Print only the figures, as JSON.", rich_help_panel=_OUTPUT),
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", metavar="FILE", help="Save the figures to this file as JSON.", rich_help_panel=_OUTPUT
        ),
    ] = None,
    predictions: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write the model's predictions for each picture to this csv file.",
            rich_help_panel=_OUTPUT,
        ),
    ] = None,
) -> None:
    """Measure how good a model is on a labelled data set.

    Each picture is taken as a crop around one face. With --end-to-end, the pipeline detects the face in it instead.

        facelog evaluate emotion --data fer2013.csv --split PublicTest
        facelog evaluate emotion --data fer2013/ --split validation --labels ferplus --end-to-end
        facelog evaluate age-gender --data fairface.zip --end-to-end --detector hog
        facelog evaluate age-gender --data utkface.zip --predictions ages.csv
        facelog evaluate results --annotations
    """
    console, stderr = Console(), Console(stderr=True)
    with exit_on_error(), log_to(stderr, None):
        if annotations:
            _score(model, console, as_json=as_json)
            return
        if data is None:
            raise UsageError("Give a data set with --data, or --annotations with an output folder.")
        from pipelines.datasets.evaluate import evaluate

        report = evaluate(
            model,
            data,
            kind=kind,
            split=split,
            labels=labels.value,
            end_to_end=end_to_end,
            detector=detector,
            limit=limit,
            predictions=predictions,
            console=stderr,
        )
        if out is not None:
            try:
                out.write_text(report.to_json() + "\n", encoding="utf-8")
            except OSError as error:
                raise UsageError(f"The figures cannot be written to {out} ({error.strerror}).") from error
        if as_json:
            typer.echo(report.to_json())
        else:
            print_report(report, console)


def _score(out: str, console: Console, *, as_json: bool) -> None:
    """Prints how right the tables of an output folder are by what people said."""
    from pipelines.results.corrections import score_annotations

    score = score_annotations(out)
    if as_json:
        typer.echo(json.dumps(score.as_json()))
        return
    console.print(f"{out} by what people said", style="bold", markup=False, highlight=False, soft_wrap=True)
    table = Table("", "", box=None, show_header=False)
    table.add_row("faces with a judged emotion", f"{score.judged:,}")
    table.add_row("of them found in the tables", f"{score.found:,}")
    table.add_row("right emotion", _cell("accuracy", score.accuracy))
    for name, recall in score.as_json()["recall"].items():
        table.add_row(f"  {name}", _cell("recall", recall))
    table.add_row("not faces, by judgement", f"{score.not_faces:,}")
    table.add_row("of them in the tables", f"{score.still_there:,}")
    console.print(table)


_WORDS = {
    "n": "pictures",
    "accuracy": "accuracy",
    "macro_f1": "macro F1",
    "mean_recall": "mean recall",
    "ece": "expected calibration error",
    "n_age": "pictures with an exact age",
    "age_mae": "age MAE, years",
    "age_rmse": "age RMSE, years",
    "age_bias": "age bias, years",
    "age_within_5": "age within 5 years",
    "age_coverage_80": "coverage of the 80 % interval",
    "age_interval_80": "width of the 80 % interval, years",
    "n_age_group": "pictures with an age group",
    "age_group_accuracy": "age within its group",
    "age_group_error": "age outside of its group, years",
    "n_gender": "pictures with a gender",
    "gender_accuracy": "gender accuracy",
    "gender_unknown": "gender unknown",
    "gender_accuracy_known": "gender accuracy without unknown",
    "ms_per_face_b1": "CPU ms per face, batch of 1",
    "ms_per_face_b32": "CPU ms per face, batch of 32",
}
_PLAIN = (
    *("age_mae", "age_rmse", "age_bias", "age_interval_80", "age_group_error"),
    *("ms_per_face_b1", "ms_per_face_b32"),
)
_IN_GROUPS = ("n", "accuracy", "mean_recall", "age_mae", "age_within_5", "age_group_accuracy", "gender_accuracy")


def print_report(report: "Report", console: Console) -> None:
    """Print the figures as tables: all of them, the confusion matrix, and figures by group."""
    figures, ready = report.figures, report.ready
    split = f", {report.split}" if report.split else ""
    labels = ", labels of FER+" if report.labels == "ferplus" else ""
    title = f"{report.model} on {report.data} ({report.kind}{split}{labels})"
    console.print(title, style="bold", markup=False, highlight=False, soft_wrap=True)
    table = Table("", *(("end to end", "ready crops") if ready else ("",)), box=None, show_header=ready is not None)
    for name, words in _WORDS.items():
        if figures[name] is not None and not (name.startswith("n_") and figures[name] == 0):
            table.add_row(words, *(_cell(name, of.get(name)) for of in (figures, ready) if of is not None))
    console.print(table)
    left_out = ", ".join(f"{count:,} {reason}" for reason, count in figures["left_out"].items())
    if left_out:
        console.print(f"Left out: {left_out}", markup=False, highlight=False)
    if figures["confusion"]:
        table = Table("true \\ predicted", *figures["classes"], "recall", box=box.SIMPLE)
        for name, row in zip(figures["classes"], figures["confusion"], strict=True):
            table.add_row(name, *map(str, row), _cell("recall", figures["recall"][name]))
        console.print(table)
    _print_groups(figures["groups"], console)


def _print_groups(groups: dict[str, dict[str, dict[str, float]]], console: Console) -> None:
    rows = [(by, name, of) for by, named in groups.items() for name, of in named.items()]
    shown = [figure for figure in _IN_GROUPS if any(of.get(figure) is not None for _, _, of in rows)]
    if rows:
        table = Table("group", "", *(_WORDS[figure] for figure in shown), box=box.SIMPLE)
        for by, name, of in rows:
            table.add_row(by, name, *(_cell(figure, of.get(figure)) for figure in shown))
        console.print(table)


def _cell(name: str, value: float | None) -> str:
    if value is None:
        return "–"
    if name == "n" or name.startswith("n_"):
        return f"{value:,}"
    return f"{value:.2f}" if name in _PLAIN else f"{100 * value:.1f} %"
