"""`facelog export`: results for other programs."""

import enum
from typing import Annotated

import typer
from rich.console import Console

from pipelines.cli.options import StorageOptions, use_stores
from pipelines.cli.terminal import exit_on_error
from schemas.errors import Exit, UsageError

_SHOWN = 5


class Target(enum.StrEnum):
    """What programs results can be exported for."""

    mot = "mot"
    csv = "csv"
    openface = "openface"
    subtitles = "subtitles"
    fiftyone = "fiftyone"
    rttm = "rttm"


class SubtitleFormat(enum.StrEnum):
    """Kinds of subtitles."""

    ass = "ass"
    vtt = "vtt"


def export(
    directory: Annotated[
        str, typer.Argument(metavar="DIR", help="Output folder of facelog analyze.", show_default=False)
    ],
    to: Annotated[
        Target,
        typer.Option(
            help="mot: MOTChallenge text. csv: the tables for spreadsheets. openface: columns of its CSV that facelog "
            "knows. subtitles: for a player. fiftyone: a data set in JSON. rttm: which person is seen when.",
            show_default=False,
        ),
    ],
    out: Annotated[
        str, typer.Option("--out", "-o", metavar="PATH", help="Folder for the files; for fiftyone also FILE.json.")
    ],
    video: Annotated[
        list[str] | None,
        typer.Option(
            metavar="VIDEO",
            help="Only this video: uri, name of the file, or id; may be repeated.",
            show_default=False,
        ),
    ] = None,
    form: Annotated[
        SubtitleFormat | None,
        typer.Option("--format", help="Format of subtitles. \\[default: ass]", show_default=False),
    ] = None,
    storage_options: StorageOptions = None,
) -> None:
    """Write the results in DIR for other programs.

    A video whose tables are damaged is named, costs exit status 3, and does not end the export of the others.
    mot and openface need the observations that analyze keeps with --keep-observations.

        facelog export results --to subtitles --out subs --video talk.mp4
        facelog export results --to mot --out mot
        facelog export results --to csv --out sheets
    """
    console = Console(soft_wrap=True, highlight=False)
    with exit_on_error():
        from pipelines.exports.export import export as write

        if form is not None and to != Target.subtitles:
            raise UsageError("--format is for --to subtitles alone.")
        use_stores(storage_options)
        made = write(
            directory,
            to.value,
            out,
            videos=video or (),
            subtitle_format=(form or SubtitleFormat.ass).value,
            console=console,
        )
        for line in _lines(made.files, made.left_out, out):
            console.print(line, markup=False)
        for uri, reason in made.failed[:_SHOWN]:
            console.print(f"failed {uri}: {reason}", markup=False)
        if len(made.failed) > _SHOWN:
            console.print(f"… and {len(made.failed) - _SHOWN} more failed")
        if made.failed:
            raise typer.Exit(Exit.SOME_FAILED)


def _lines(files: list[str], left_out: list[tuple[str, str]], out: str) -> list[str]:
    if len(files) <= _SHOWN:
        lines = [f"wrote {name}" for name in files]
    else:
        lines = [f"wrote {len(files)} files in {out}: {files[0]} …"]
    lines += [f"left out {uri}: {reason}" for uri, reason in left_out[:_SHOWN]]
    if len(left_out) > _SHOWN:
        lines.append(f"… and left out {len(left_out) - _SHOWN} more")
    return lines
