"""`facelog report`: pages of what was found."""

from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from pipelines.cli.options import StorageOptions, use_stores
from pipelines.cli.terminal import exit_on_error
from pipelines.words import counted

if TYPE_CHECKING:
    from pipelines.reports.report import Reports

_SHOWN = 10


def report(
    out: Annotated[str, typer.Argument(metavar="DIR", help="Output folder of facelog analyze.", show_default=False)],
    to: Annotated[
        str | None,
        typer.Option("--out", "-o", metavar="FOLDER", help="Where the pages go. \\[default: DIR/reports]"),
    ] = None,
    video: Annotated[
        list[str] | None,
        typer.Option(
            metavar="VIDEO",
            help="Make the page of this video alone: uri, name of the file, or id; may be repeated.",
            show_default=False,
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Also write the content of the pages as JSON documents.")
    ] = False,
    thumbnails: Annotated[
        bool,
        typer.Option("--thumbnails", help="Show a picture of each track; needs the video files in their old place."),
    ] = False,
    blur: Annotated[bool, typer.Option("--blur", help="Pixelate the thumbnails.")] = False,
    persons: Annotated[
        bool,
        typer.Option(
            "--persons",
            help="Also make a page of the persons that facelog persons found; with --thumbnails, their faces.",
        ),
    ] = False,
    storage_options: StorageOptions = None,
) -> None:
    """Make pages of what was found: an index of the archive, and one for each video.

    They open in a browser from disk, without a network. A second call renews those that would come out differently.

        facelog report results
        facelog report results --thumbnails --blur
        facelog report results --persons
        facelog report results --video /archive/talk.mp4 --json --out /tmp/talk
    """
    console = Console(soft_wrap=True, highlight=False)
    with exit_on_error():
        from pipelines.reports.report import report as write

        use_stores(storage_options)
        done = write(
            out,
            to=to,
            videos=video or (),
            as_json=as_json,
            thumbnails=thumbnails,
            blur=blur,
            persons=persons,
            console=console,
        )
    for line in _lines(done):
        console.print(line, markup=False)


def _lines(done: "Reports") -> list[str]:
    pages = f"{counted(done.written, 'page')} written"
    lines = [f"{pages}, {done.unchanged} unchanged" if done.unchanged else pages]
    for title, reasons in (("no page", done.without_tables), ("no thumbnails", done.without_thumbnails)):
        lines += [f"{title}: {reason}" for _, reason in sorted(reasons.items())[:_SHOWN]]
        if len(reasons) > _SHOWN:
            lines.append(f"… and {len(reasons) - _SHOWN} more with {title}")
    return [*lines, f"open {done.index}"]
