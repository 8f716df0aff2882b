"""`facelog compact`: the tables in few large files."""

import re
from typing import Annotated

import typer

from pipelines.cli.options import StorageOptions, use_stores
from pipelines.cli.removing import Dir, lines_console
from pipelines.cli.terminal import exit_on_error
from pipelines.words import counted, size
from schemas.errors import Exit, UsageError


def compact(
    out: Dir,
    target: Annotated[
        str,
        typer.Argument(metavar="OUT", help="A new or empty folder, or one with an earlier copy.", show_default=False),
    ],
    observations: Annotated[
        bool, typer.Option("--observations", help="Also copy every sample, if analyze kept them.")
    ] = False,
    file_size: Annotated[
        str, typer.Option(metavar="SIZE", help="Size of a file; 128MB to 512MB suit most readers.")
    ] = "256MB",
    storage_options: StorageOptions = None,
) -> None:
    """Copy the tables of DIR into few large files in OUT, for readers of very large archives.

    Rows are sorted by their key. DIR stays as it is, since all other commands work on it. An earlier copy in OUT is
    replaced once the new one is complete.

        facelog compact results results-compact
        facelog compact s3://results/run1 s3://results/run1-compact --file-size 512MB
    """
    console = lines_console()
    with exit_on_error():
        from pipelines.keeping.compact import compact as make

        use_stores(storage_options)
        copy = make(out, target, observations=observations, file_size=parse_size(file_size), console=console)
        console.print(f"{copy.target}: {copy.videos} videos")
        for table, parts in copy.parts.items():
            figures = counted(copy.rows(table), "row"), counted(len(parts), "file"), size(copy.bytes(table))
            console.print(f"  {table}: {', '.join(figures)}")
        for reason in copy.damaged.values():
            console.print(f"left out a video: {reason}")
        if copy.damaged:
            raise typer.Exit(Exit.SOME_FAILED)


def parse_size(text: str) -> int:
    """Bytes of a size such as 256MB (a million each) or 256MiB."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmg]?)(i?)b?", text.strip().lower())
    if not match:
        raise UsageError(f"--file-size {text}: give it as 256MB.")
    return int(float(match[1]) * (1024 if match[3] else 1000) ** " kmg".index(match[2] or " "))
