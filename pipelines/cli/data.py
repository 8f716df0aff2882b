"""`facelog data`: overviews of data sets before training."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from pipelines.cli.terminal import exit_on_error

data_app = typer.Typer(help="Data sets for training and evaluation.", no_args_is_help=True)


@data_app.command("show")
def show(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="The data set's folder, zip, csv or Matlab file.")],
    kind: Annotated[
        str | None,
        typer.Option(
            "--set",
            metavar="KIND",
            help="Kind of data set: fer2013, imdb, utkface …; recognized by its files if not given.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            metavar="FILE",
            help="File for the page; by default PATH's name with .html, in the current folder.",
        ),
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Open only this many pictures, chosen at random.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print only JSON; the page is written only with --out.")
    ] = False,
) -> None:
    """Show a data set as an HTML page: classes, ages, sample pictures, duplicates, unreadable files.

    For instance: facelog data show fer2013.zip
    """
    console = Console()
    with exit_on_error():
        from schemas.storage import write_bytes
        from training.datasets import read_dataset
        from training.judging.overview import examine, page, print_summary

        overview = examine(read_dataset(path, kind), limit=limit, console=Console(stderr=True))
        target = out or (None if as_json else Path(f"{path.resolve().stem}.html"))
        if target is not None:
            write_bytes(str(target), page(overview).encode())
        if as_json:
            typer.echo(json.dumps(overview.to_json(), indent=2, ensure_ascii=False))
            return
        print_summary(overview, console)
        console.print(f"The page is {target}.", markup=False, highlight=False)
