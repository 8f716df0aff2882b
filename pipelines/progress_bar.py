"""The one progress bar, for work that is counted."""

import contextlib
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

_Item = TypeVar("_Item")


@contextlib.contextmanager
def bar(what: str, total: int | None, console: Console | None) -> Iterator[Callable[[], None]]:
    """Shows at a terminal how much of some work is done, and about how long the rest takes.

    Args:
      what: the work, as "copying".
      total: number of things to do; None where nobody knows.
      console: where the bar is shown, if it is a terminal; None: nowhere.

    Yields:
      A function to call after each thing.
    """
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    shown = console is not None and console.is_terminal
    with Progress(*columns, console=console, transient=True, disable=not shown) as progress:
        task = progress.add_task(what, total=total)
        yield lambda: progress.advance(task)


def with_bar(items: Iterable[_Item], what: str, total: int | None, console: Console | None) -> Iterator[_Item]:
    """The items, while a bar shows how many were taken and worked on.

    Args:
      items: the things to do.
      what: the work, as "copying".
      total: number of the items; None where nobody knows.
      console: where the bar is shown, if it is a terminal; None: nowhere.
    """
    with bar(what, total, console) as advance:
        for item in items:
            yield item
            advance()
