"""`facelog prepare`: a data set's faces as chips in Parquet, for training on more pictures than memory holds."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from pipelines.cli.terminal import exit_on_error, log_to

_LOOK, _RUN = "Which pictures and how", "How to run"


def prepare(
    path: Annotated[
        Path, typer.Argument(metavar="PATH", help="The data set: its folder, its zip, or its table (imdb.mat).")
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="DIR", help="Where the shards go; made if it is not there.")
    ],
    kind: Annotated[
        str | None,
        typer.Option(
            "--set", metavar="KIND", help="What data set it is. \\[default: what it looks like]", show_default=False
        ),
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Only this split. \\[default: all]", rich_help_panel=_LOOK, show_default=False
        ),
    ] = None,
    faces: Annotated[
        str,
        typer.Option(metavar="original|aligned", help="Which folder of All-Age-Faces.", rich_help_panel=_LOOK),
    ] = "original",
    geometry: Annotated[
        str,
        typer.Option(
            metavar="BUNDLE|NETWORK", help="Whose chips: the model's that is to be trained.", rich_help_panel=_LOOK
        ),
    ] = "age-gender",
    margin: Annotated[
        float,
        typer.Option(min=0, max=1, help="Share of the chip kept around it on each side.", rich_help_panel=_LOOK),
    ] = 0.125,
    min_face: Annotated[
        int,
        typer.Option(min=20, metavar="PIXELS", help="Smallest face to look for.", rich_help_panel=_LOOK),
    ] = 40,
    whole_picture: Annotated[
        bool | None,
        typer.Option(
            "--whole-picture/--detect",
            help="Whether a face fills its picture, or is looked for in it. \\[default: fills it in FER2013, UTKFace, "
            "FairFace and aligned All-Age-Faces]",
            rich_help_panel=_LOOK,
            show_default=False,
        ),
    ] = None,
    runner: Annotated[
        str,
        typer.Option(
            metavar="local|direct",
            help="local: worker processes. direct: Beam in this process, for tests.",
            rich_help_panel=_RUN,
        ),
    ] = "local",
    workers: Annotated[
        int | None,
        typer.Option(
            min=1, help="Worker processes. \\[default: one for each core]", rich_help_panel=_RUN, show_default=False
        ),
    ] = None,
    log_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write a log here as well.", rich_help_panel=_RUN)
    ] = None,
) -> None:
    """Find, align and cut the faces of a data set as the pipeline does, into Parquet shards that training streams.

    Pictures without a face, unreadable ones and those whose labels cannot be trusted are left out and counted by
    reason, also in DIR/prepared.json. Stopped, the same command goes on where it was.

        facelog prepare imdb_crop/imdb.mat --out imdb-chips
        facelog train age-gender --data imdb-chips
    """
    console = Console()
    with exit_on_error(), log_to(console, log_file):
        from pipelines.datasets.prepare import prepare as run
        from pipelines.datasets.prepare import print_report

        info = run(
            path,
            out,
            kind=kind,
            faces=faces,
            geometry=geometry,
            margin=margin,
            split=split,
            whole_picture=whole_picture,
            min_face=min_face,
            runner=runner,
            workers=workers,
            console=console,
        )
        print_report(info, console)
