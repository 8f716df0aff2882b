"""`facelog forget`: remove all that results hold of a video."""

import json
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from pipelines.cli import removing
from pipelines.cli.options import StorageOptions, use_stores
from pipelines.cli.removing import AsJson, Dir, DryRun, Yes, agreed_to, file_counts, lines_console
from pipelines.cli.terminal import exit_on_error
from pipelines.words import counted
from schemas.errors import Exit

if TYPE_CHECKING:
    from pipelines.keeping.forget import Forgotten


def forget(
    videos: Annotated[
        list[str],
        typer.Argument(metavar="VIDEO...", help="Uri, name of the file, or id.", show_default=False),
    ],
    out: Dir,
    all_copies: Annotated[
        bool | None,
        typer.Option(
            "--all-copies/--keep-copies",
            help="Whether other files with the same content are forgotten too. \\[default: ask]",
            show_default=False,
        ),
    ] = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    as_json: AsJson = False,
    storage_options: StorageOptions = None,
) -> None:
    """Remove everything that DIR holds about a video: rows, tables, samples, reports, unfinished work and names.

    For data protection requests. It lists the files that it removed and says what it cannot reach. The video itself is
    never touched; keep it from being analyzed again with facelog analyze --exclude. Interrupted, the same command
    finishes. Exit status 3: DIR holds nothing about some of the videos.

        facelog forget /archive/day1/cam2.mp4 results --dry-run
        facelog forget 3f6c0a9d2b7e4815a0c3d5e7f9b1a2c4 results --yes --json
    """
    console = lines_console()
    with exit_on_error():
        from pipelines.keeping.forget import copies_of
        from pipelines.keeping.forget import forget as remove

        def agreed(found: "Forgotten") -> bool:
            if not as_json:
                _show_traces(found, console)
            return agreed_to(f"Remove all this of {counted(len(found.uris), 'video')}?", yes=yes)

        use_stores(storage_options)
        if all_copies is None and removing.can_ask() and (copies := copies_of(videos, out)):
            console.print("The same content under other names:", *copies, sep="\n  ")
            all_copies = typer.confirm("Forget them as well?", err=True)
        found = remove(videos, out, all_copies=all_copies, dry_run=dry_run, confirm=agreed)
        if as_json:
            print(json.dumps(found.as_json(), indent=2))
        elif dry_run or found.done:
            if dry_run:
                _show_traces(found, console)
            console.print(f"{'removed' if found.done else 'would be removed'}: {file_counts(found.traces)}")
            console.print("out of reach:", *found.beyond, sep="\n  ")
        else:
            console.print("nothing was removed")
        for name in found.unknown:
            lines_console(stderr=True).print(f"{found.out} holds nothing of {name}")
    raise typer.Exit(Exit.SOME_FAILED if found.unknown else Exit.DONE)


def _show_traces(found: "Forgotten", console: Console) -> None:
    console.print("videos:", *found.uris, sep="\n  ")
    for kind, files in found.traces.files.items():
        if files:
            rows = f", {counted(found.rows[kind], 'row')}" if kind in found.rows else ""
            console.print(f"{kind} ({counted(len(files), 'file')}{rows}):", *files, sep="\n  ")
    if found.rewritten:
        console.print("rewritten without them:", *found.rewritten, sep="\n  ")
