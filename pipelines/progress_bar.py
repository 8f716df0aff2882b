"""A bar at the terminal for work that is counted."""

import contextlib
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


@contextlib.contextmanager
def bar(what: str, total: int, console: Console | None) -> Iterator[Callable[[], None]]:
    """Shows how far a loop is, where the console is a terminal.

    Args:
      what: is done, as "copying".
      total: number of things to do.
      console: where it is shown; None: nowhere.

    Yields:
      To be called after each of them.
    """
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    shown = console is not None and console.is_terminal
    with Progress(*columns, console=console, transient=True, disable=not shown) as progress:
        task = progress.add_task(what, total=total)
        yield lambda: progress.advance(task)
