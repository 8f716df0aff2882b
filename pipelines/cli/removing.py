"""What the commands share that remove or copy results: their arguments, and asking before anything is removed."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from pipelines.words import counted
from schemas.errors import UsageError

if TYPE_CHECKING:
    from pipelines.keeping.files_of_videos import Traces

Dir = Annotated[str, typer.Argument(metavar="DIR", help="Output folder of facelog analyze.", show_default=False)]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document instead.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only show what would be removed.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Remove without asking.")]


def lines_console(stderr: bool = False) -> Console:
    """A console for lines that may be copied: names are not broken, and nothing in them is taken for markup."""
    return Console(stderr=stderr, soft_wrap=True, highlight=False, markup=False)


def can_ask() -> bool:
    """Whether somebody sits at a terminal and can answer."""
    return sys.stdin.isatty()


def agreed_to(question: str, *, yes: bool) -> bool:
    """Whether the user says yes, by `--yes` or when asked.

    Raises:
      UsageError: there is nobody to ask.
    """
    if yes:
        return True
    if not can_ask():
        raise UsageError("There is no terminal to ask at: add --yes to remove this, or --dry-run to only list it.")
    return typer.confirm(question, err=True)


def file_counts(traces: "Traces") -> str:
    """Such as "faces 1 file, videos 2 files"."""
    return ", ".join(f"{kind} {counted(count, 'file')}" for kind, count in traces.counts.items()) or "nothing"
