"""`facelog detectors`: what finds faces, and how detectors compare on given videos."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from pipelines.cli.options import StorageOptions, use_stores
from pipelines.cli.terminal import exit_on_error, log_to
from pipelines.words import counted
from schemas.errors import Exit

if TYPE_CHECKING:
    from pipelines.detectors.figures import Comparison

detectors_app = typer.Typer(help="What finds faces.", no_args_is_help=True)


@detectors_app.command("list")
def list_detectors(as_json: Annotated[bool, typer.Option("--json", help="Print only JSON.")] = False) -> None:
    """List the detectors: what each costs and is for, and where it comes from."""
    console = Console()
    with exit_on_error():
        from models.detectors import summaries
        from models.detectors.choose import detector_card
        from schemas.config import Detection

        cards = {name: detector_card(name) for name in summaries()}
        if as_json:
            rows = [
                {
                    "name": name,
                    "is_default": name == Detection().detector,
                    "summary": summaries()[name],
                    "min_face": card.min_face,
                    "detect_every": card.detect_every,
                    "extra": card.extra or None,
                    "source": card.source,
                    "licence": card.licence,
                }
                for name, card in cards.items()
            ]
            typer.echo(json.dumps(rows, indent=2, ensure_ascii=False))
            return
        table = Table("name", "what it costs and is for", "source", "licence", box=None)
        for name, card in cards.items():
            shown = f"{name} (default)" if name == Detection().detector else name
            extra = f" Needs pip install 'facelog[{card.extra}]'." if card.extra else ""
            table.add_row(shown, summaries()[name] + extra, card.source, card.licence)
        console.print(table, markup=False, highlight=False)


@detectors_app.command("compare")
def compare(
    videos: Annotated[
        list[str],
        typer.Argument(
            metavar="VIDEO...",
            help="Files, folders, globs, URLs, or - for a list on standard input.",
            show_default=False,
        ),
    ],
    detectors: Annotated[
        str | None,
        typer.Option(
            metavar="NAMES",
            help="Detectors to compare, with commas between them. \\[default: yunet,hog,haar,mtcnn, as far as they are "
            "installed]",
            show_default=False,
        ),
    ] = None,
    truth: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Faces that somebody marked, as csv: clip, frame_w, frame_h, t, x, y, width, height, label.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        str | None,
        typer.Option(
            "--out",
            "-o",
            metavar="PAGE",
            help="Write a page with the frames on which they disagree most, side by side. It shows faces.",
            show_default=False,
        ),
    ] = None,
    sample_fps: Annotated[float, typer.Option(min=0.001, metavar="N", help="Frames a second to look at.")] = 1.0,
    min_face: Annotated[
        int | None,
        typer.Option(
            min=20,
            metavar="PIXELS",
            help="Smallest face to find, the same for all. \\[default: each detector's own]",
            show_default=False,
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print only the figures, as JSON.")] = False,
    storage_options: StorageOptions = None,
) -> None:
    """Compare detectors on the same frames: faces found, where they agree, CPU time, and a page to look at.

    With --truth also how many of the marked faces each found, and how many boxes are no face. Each frame is looked at
    by itself, and on one thread. Exit status 3: some videos could not be read.

        facelog detectors compare talk.mp4 -o compared.html
        facelog detectors compare archive/ --detectors yunet,hog --sample-fps 0.1
        facelog detectors compare clips/ --truth boxes.csv --min-face 40 --json
    """
    console, stderr = Console(highlight=False), Console(stderr=True, soft_wrap=True, highlight=False)
    with exit_on_error(), log_to(stderr, None):
        from pipelines.detectors.compare import compare_detectors
        from runners.local.one_thread import init_worker

        use_stores(storage_options)
        init_worker()
        result = compare_detectors(
            videos,
            detectors=[name.strip() for name in detectors.split(",")] if detectors is not None else None,
            truth=str(truth) if truth is not None else None,
            out=out,
            sample_fps=sample_fps,
            min_face=min_face,
            console=stderr,
        )
        for reason in (*result.left_out.values(), *result.unreadable.values()):
            stderr.print(reason, markup=False)
        if as_json:
            typer.echo(json.dumps(result.to_json(), indent=2, ensure_ascii=False))
        else:
            _print(result, console)
            if out is not None:
                console.print(f"open {out}", markup=False, soft_wrap=True)
    raise typer.Exit(Exit.SOME_FAILED if result.unreadable else Exit.DONE)


def _print(result: "Comparison", console: Console) -> None:
    judged = result.marked is not None
    console.print(f"{counted(result.frames, 'frame')} of {counted(result.videos, 'video')}", style="bold")
    if result.marked is not None and result.marked_large is not None:
        console.print(f"{counted(result.marked, 'marked face')}, {result.marked_large:,} of 48 pixels and more")
    table = _table()
    headings = ["min face", "faces", "by no other", "CPU ms"]
    for heading in headings + (["recall", "from 48 px", "no face"] if judged else []):
        table.add_column(heading, justify="right")
    for each in result.detectors:
        cells = [str(each.min_face), f"{each.faces:,}", f"{each.alone:,}", _number(each.cpu_ms, 1)]
        if judged:
            cells += [_number(each.recall, 3), _number(each.recall_large, 3), f"{each.false_boxes:,}"]
        table.add_row(each.name, *cells)
    console.print(table)
    if len(result.detectors) > 1:
        console.print("share of these faces that the other one found, too:")
        shared = _table()
        for each in result.detectors:
            shared.add_column(each.name, justify="right")
        for one, others in result.shared.items():
            shared.add_row(one, *("" if e.name == one else _number(others[e.name], 2) for e in result.detectors))
        console.print(shared)


def _table() -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("found by")
    return table


def _number(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:.{digits}f}"
