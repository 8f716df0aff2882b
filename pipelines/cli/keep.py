"""`facelog compact`, `prune`, `forget`, `upgrade`: results that are kept for long."""

import json
import re
import sys
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.filesize import decimal

from pipelines.cli.options import StorageOptions, use_stores
from pipelines.cli.terminal import plain_errors
from schemas.errors import UsageError

if TYPE_CHECKING:
    from pipelines.keeping.files_of_videos import Traces
    from pipelines.keeping.forget import Forgotten
    from pipelines.keeping.prune import Pruned

_SHOWN = 50

Dir = Annotated[str, typer.Argument(metavar="DIR", help="Output folder of facelog analyze.", show_default=False)]
AsJson = Annotated[bool, typer.Option("--json", help="The same as one JSON document.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only list what would be removed.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


def compact(
    out: Dir,
    target: Annotated[
        str,
        typer.Argument(metavar="OUT", help="New, empty, or with an earlier copy.", show_default=False),
    ],
    observations: Annotated[
        bool, typer.Option("--observations", help="With every sample, where analyze was told to keep them.")
    ] = False,
    file_size: Annotated[
        str, typer.Option(metavar="SIZE", help="Of a file; 128MB to 512MB suit most readers.")
    ] = "256MB",
    storage_options: StorageOptions = None,
) -> None:
    """Copy the tables of DIR into few large files in OUT, for readers of very large archives.

    Rows are sorted by their key. DIR stays as it is: it is what all other commands work on. A copy that OUT holds is
    replaced once the new one is whole.

        facelog compact results results-compact
        facelog compact s3://results/run1 s3://results/run1-compact --file-size 512MB
    """
    console = _console()
    with plain_errors(console):
        from pipelines.keeping.compact import compact as make

        use_stores(storage_options)
        copy = make(out, target, observations=observations, file_size=parse_size(file_size), console=console)
        console.print(f"{copy.target}: {copy.videos} videos")
        for table, parts in copy.parts.items():
            figures = _count(copy.rows(table), "row"), _files(len(parts)), decimal(copy.bytes(table))
            console.print(f"  {table}: {', '.join(figures)}")


def prune(
    out: Dir,
    even_if_folder_is_gone: Annotated[
        bool,
        typer.Option(
            "--even-if-folder-is-gone",
            help="Also where a whole folder is missing or empty, as that of a disk that is not mounted.",
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
    console = _console()
    with plain_errors(console):
        from pipelines.keeping.prune import prune as remove

        def agreed(found: "Pruned") -> bool:
            if not as_json:
                _show_gone(found, console)
            return _agreed(f"Remove {_count(len(found.gone), 'row')}?", yes)

        use_stores(storage_options)
        found = remove(out, even_if_folder_is_gone=even_if_folder_is_gone, dry_run=dry_run, confirm=agreed)
        if as_json:
            print(json.dumps(found.as_json(), indent=2))
        elif not found.gone:
            console.print(f"{found.out}: no row is of a file that is gone; {_count(found.here, 'file')} there")
        elif dry_run:
            _show_gone(found, console)
            console.print(f"would be removed: {_counts(found.traces)}")
        else:
            console.print(f"removed: {_counts(found.traces)}" if found.done else "nothing was removed")
        _show_refused(found)
    raise typer.Exit(3 if found.refused else 0)


def forget(
    videos: Annotated[
        list[str],
        typer.Argument(metavar="VIDEO...", help="As videos.uri has it, or a video_id.", show_default=False),
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
    """Remove all that DIR holds of a video: rows, tables, samples, reports, unfinished work, names in records.

    For requests of data protection. Says which files it removed and what it cannot reach. The video itself is never
    touched; keep it from being analyzed again with facelog analyze --exclude. Interrupted, the same command finishes.
    Exit status 3: of some of the videos DIR holds nothing.

        facelog forget /archive/day1/cam2.mp4 results --dry-run
        facelog forget 3f6c0a9d2b7e4815a0c3d5e7f9b1a2c4 results --yes --json
    """
    console = _console()
    with plain_errors(console):
        from pipelines.keeping.forget import copies_of
        from pipelines.keeping.forget import forget as remove

        def agreed(found: "Forgotten") -> bool:
            if not as_json:
                _show_traces(found, console)
            return _agreed(f"Remove all this of {_count(len(found.uris), 'video')}?", yes)

        use_stores(storage_options)
        if all_copies is None and _can_ask() and (copies := copies_of(videos, out)):
            console.print("The same content under other names:", *copies, sep="\n  ")
            all_copies = typer.confirm("Forget them as well?", err=True)
        found = remove(videos, out, all_copies=all_copies, dry_run=dry_run, confirm=agreed)
        if as_json:
            print(json.dumps(found.as_json(), indent=2))
        elif dry_run or found.done:
            if dry_run:
                _show_traces(found, console)
            console.print(f"{'removed' if found.done else 'would be removed'}: {_counts(found.traces)}")
            console.print("out of reach:", *found.beyond, sep="\n  ")
        else:
            console.print("nothing was removed")
        for name in found.unknown:
            _console(stderr=True).print(f"{found.out} holds nothing of {name}")
    raise typer.Exit(3 if found.unknown else 0)


def upgrade(out: Dir, storage_options: StorageOptions = None) -> None:
    """Bring DIR to this facelog's schema version, without analyzing anything again.

    Files are rewritten one by one, rows of videos last; killed, the same command goes on where it was.

        facelog upgrade results
    """
    console = _console()
    with plain_errors(console):
        from pipelines.keeping.upgrade import upgrade as rewrite

        use_stores(storage_options)
        done = rewrite(out, console=console)
        if done.from_versions:
            old = ", ".join(f"{_files(count)} of version {version}" for version, count in done.from_versions.items())
            console.print(f"{done.out} has schema version {done.version} now: rewritten were {old}.")
        else:
            console.print(f"{done.out} has schema version {done.version}, which is current.")


def parse_size(text: str) -> int:
    """Bytes of a size such as 256MB (a million each) or 256MiB."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmg]?)(i?)b?", text.strip().lower())
    if not match:
        raise UsageError(f"--file-size {text}: give it as 256MB.")
    return int(float(match[1]) * (1024 if match[3] else 1000) ** " kmg".index(match[2] or " "))


def _console(stderr: bool = False) -> Console:
    """For lines that may be copied: names in one piece, and as they are."""
    return Console(stderr=stderr, soft_wrap=True, highlight=False, markup=False)


def _can_ask() -> bool:
    return sys.stdin.isatty()


def _agreed(question: str, yes: bool) -> bool:
    if yes:
        return True
    if not _can_ask():
        raise UsageError("There is no terminal to ask at: add --yes to remove this, or --dry-run to only list it.")
    return typer.confirm(question, err=True)


def _show_gone(found: "Pruned", console: Console) -> None:
    for file in found.gone[:_SHOWN]:
        size = "?" if file.size_bytes is None else decimal(file.size_bytes)
        console.print(f"{file.uri}  {file.status}  {size}  analyzed {file.analyzed_at:%F}")
    if len(found.gone) > _SHOWN:
        console.print(f"… and {len(found.gone) - _SHOWN} more: --json lists all")


def _show_refused(found: "Pruned") -> None:
    console = _console(stderr=True)
    for folder in found.refused:
        why = f"{folder.folder} {folder.why}" if folder.missing else folder.why
        console.print(f"not looked into, {_count(folder.files, 'row')}: {why}")
    if any(folder.missing for folder in found.refused):
        console.print("A disk that is not mounted looks like that. If they are gone for good: --even-if-folder-is-gone")


def _show_traces(found: "Forgotten", console: Console) -> None:
    console.print("videos:", *found.uris, sep="\n  ")
    for kind, files in found.traces.files.items():
        if files:
            rows = f", {_count(found.rows[kind], 'row')}" if kind in found.rows else ""
            console.print(f"{kind} ({_files(len(files))}{rows}):", *files, sep="\n  ")
    if found.rewritten:
        console.print("rewritten without them:", *found.rewritten, sep="\n  ")


def _counts(traces: "Traces") -> str:
    return ", ".join(f"{kind} {_files(count)}" for kind, count in traces.counts.items()) or "nothing"


def _files(count: int) -> str:
    return _count(count, "file")


def _count(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"
