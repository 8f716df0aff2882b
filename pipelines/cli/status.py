"""`facelog status`: the progress of a run."""

import json
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from pipelines.cli.options import StorageOptions, use_stores
from pipelines.cli.terminal import exit_on_error

if TYPE_CHECKING:
    from pipelines.results.status import Status

_SHOWN = 10


def status(
    out: Annotated[str, typer.Argument(metavar="DIR", help="Output folder of a run.", show_default=False)],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    storage_options: StorageOptions = None,
) -> None:
    """Show the progress of the run in DIR: done, failed, time left, time in each step; or how the last run ended.

    It reads only files in DIR, so it works from any machine that sees DIR, for any runner, also without the client.

        facelog status results
        facelog status s3://results/run1 --json
    """
    console = Console(soft_wrap=True, highlight=False)
    with exit_on_error():
        from pipelines.results.status import status as ask

        use_stores(storage_options)
        now = ask(out)
        if as_json:
            print(json.dumps(now.as_json(), indent=2))
            return
        for line in _lines(now):
            console.print(line, markup=False)


def _lines(now: "Status") -> list[str]:
    from pipelines.runs.job_display import progress_line
    from pipelines.words import clock

    lines = []
    record = now.record
    if record is None:
        lines.append(f"{now.out}: no run has begun here")
    else:
        runner = f"{record.runner}, begun {record.started_at:%F %T} UTC"
        if not record.is_live:
            runner += f": {record.files} files"
        lines.append(f"{now.out}: {now.state} ({runner})")
        if now.holder:
            lines.append(f"held by {now.holder}")
        if now.progress:
            line = progress_line(now.state, now.progress, now.elapsed or 0.0)
            lines.append(line)
        if now.state == "finished":
            lines.append(f"it took {clock(now.elapsed or 0)}")
        if now.state == "stopped":
            lines.append(f"nobody is at work; the same command goes on where it was: {record.command}")
        if now.figures:
            lines += now.figures.lines
    counts = [f"{count} {name}" for name, count in sorted(now.statuses.items())]
    if now.by_keyframes:
        counts.append(f"{now.by_keyframes} of them by keyframes alone")
    lines.append("videos in the tables: " + (", ".join(counts) or "none yet"))
    lines += [f"  {reason}" for _, reason in now.failed[:_SHOWN]]
    if len(now.failed) > _SHOWN:
        lines.append(f"  … and {len(now.failed) - _SHOWN} more: see the videos table")
    return lines
