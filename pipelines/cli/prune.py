"""`facelog prune`: remove the rows of files that are gone."""

import json
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from pipelines.cli.options import StorageOptions, use_stores
from pipelines.cli.removing import AsJson, Dir, DryRun, Yes, agreed_to, file_counts, lines_console
from pipelines.cli.terminal import exit_on_error
from pipelines.words import counted, size
from schemas.errors import Exit

if TYPE_CHECKING:
    from pipelines.keeping.prune import Pruned

_SHOWN = 50


def prune(
    out: Dir,
    even_if_folder_is_gone: Annotated[
        bool,
        typer.Option(
            "--even-if-folder-is-gone",
            help="Also where a whole folder is missing or empty, like that of a disk that is not mounted.",
        ),
    ] = False,
    dry_run: DryRun = False,
    yes: Yes = False,
    as_json: AsJson = False,
    storage_options: StorageOptions = None,
) -> None:
    """Remove the rows of files that are gone, with tables and reports that no other file shares.

    Shows them first, and asks. Exit status 3: some folders could not be looked into, so nothing of theirs was removed.

        facelog prune results --dry-run
        facelog prune results --yes
    """
    console = lines_console()
    with exit_on_error():
        from pipelines.keeping.prune import prune as remove

        def agreed(found: "Pruned") -> bool:
            if not as_json:
                _show_gone(found, console)
            return agreed_to(f"Remove {counted(len(found.gone), 'row')}?", yes=yes)

        use_stores(storage_options)
        found = remove(out, even_if_folder_is_gone=even_if_folder_is_gone, dry_run=dry_run, confirm=agreed)
        if as_json:
            print(json.dumps(found.as_json(), indent=2))
        elif not found.gone:
            console.print(f"{found.out}: no row is of a file that is gone; {counted(found.here, 'file')} there")
        elif dry_run:
            _show_gone(found, console)
            console.print(f"would be removed: {file_counts(found.traces)}")
        else:
            console.print(f"removed: {file_counts(found.traces)}" if found.done else "nothing was removed")
        _show_refused(found)
    raise typer.Exit(Exit.SOME_FAILED if found.refused else Exit.DONE)


def _show_gone(found: "Pruned", console: Console) -> None:
    for file in found.gone[:_SHOWN]:
        console.print(f"{file.uri}  {file.status}  {size(file.size_bytes)}  analyzed {file.analyzed_at:%F}")
    if len(found.gone) > _SHOWN:
        console.print(f"… and {len(found.gone) - _SHOWN} more: --json lists all")


def _show_refused(found: "Pruned") -> None:
    console = lines_console(stderr=True)
    for folder in found.refused:
        why = f"{folder.folder} {folder.why}" if folder.missing else folder.why
        console.print(f"not looked into, {counted(folder.files, 'row')}: {why}")
    if any(folder.missing for folder in found.refused):
        console.print("A disk that is not mounted looks like that. If they are gone for good: --even-if-folder-is-gone")
