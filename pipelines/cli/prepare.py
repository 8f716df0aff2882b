"""`facelog prepare`: cut a data set's faces into Parquet shards, to train on more pictures than fit into memory."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from pipelines.cli.options import DETECTOR_HELP
from pipelines.cli.terminal import exit_on_error, log_to

_LOOK, _RUN = "Which pictures and how", "How to run"


def prepare(
    path: Annotated[
        Path, typer.Argument(metavar="PATH", help="The data set: its folder, its zip, or its table (imdb.mat).")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Folder for the shards; created if needed.")],
    kind: Annotated[
        str | None,
        typer.Option(
            "--set", metavar="KIND", help="Kind of data set. \\[default: recognized by its files]", show_default=False
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
            metavar="BUNDLE|NETWORK",
            help="Cut chips for this bundle or network: the one to train.",
            rich_help_panel=_LOOK,
        ),
    ] = "age-gender",
    margin: Annotated[
        float,
        typer.Option(
            min=0, max=1, help="Margin around the chip on each side, as a share of its size.", rich_help_panel=_LOOK
        ),
    ] = 0.125,
    detector: Annotated[
        str | None,
        typer.Option(metavar="NAME", help=DETECTOR_HELP, rich_help_panel=_LOOK, show_default=False),
    ] = None,
    min_face: Annotated[
        int,
        typer.Option(min=20, metavar="PIXELS", help="Smallest face to search for.", rich_help_panel=_LOOK),
    ] = 40,
    whole_picture: Annotated[
        bool | None,
        typer.Option(
            "--whole-picture/--detect",
            help="Whether one face fills each picture, or faces are detected. \\[default: --whole-picture for FER2013, "
            "UTKFace, FairFace and aligned All-Age-Faces]",
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
            min=1, help="Worker processes. \\[default: one per core]", rich_help_panel=_RUN, show_default=False
        ),
    ] = None,
    log_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Also write a log to this file.", rich_help_panel=_RUN)
    ] = None,
) -> None:
    """Detect, align and cut the faces of a data set as the pipeline does, into Parquet shards for training.

    Pictures without a face, unreadable pictures and pictures with doubtful labels are left out. They are counted by
    reason, also in DIR/prepared.json. After a stop, the same command continues.

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
            detector=detector,
            min_face=min_face,
            runner=runner,
            workers=workers,
            console=console,
        )
        print_report(info, console)
