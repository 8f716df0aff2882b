"""What every command does at the terminal: errors as one sentence with an exit status, and where the log goes."""

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path

import typer
from rich.console import Console
from rich.logging import RichHandler

from schemas.errors import FacelogError, UsageError


@contextlib.contextmanager
def plain_errors(console: Console) -> Iterator[None]:
    """Turns our exceptions into one sentence and an exit status; anything else is a bug and keeps its traceback."""
    stderr = Console(stderr=True, soft_wrap=True)
    try:
        yield
    except UsageError as error:
        stderr.print(f"facelog: {error}", markup=False, highlight=False)
        raise typer.Exit(2) from None
    except FacelogError as error:
        stderr.print(f"facelog: {error}", markup=False, highlight=False)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        stderr.print("\nfacelog: stopped; the same command goes on where it was.", markup=False, highlight=False)
        raise typer.Exit(130) from None


@contextlib.contextmanager
def log_to(console: Console, file: Path | None) -> Iterator[None]:
    """Warnings to the terminal, beside the live display; everything to the log file."""
    from runners.options import quiet_beam

    root = logging.getLogger()
    handlers: list[logging.Handler] = []
    if not console.quiet:
        # The summary names each bad file; while a display is live, lines for them would only scroll by.
        level = logging.ERROR if console.is_terminal else logging.WARNING
        shown = RichHandler(level, console=Console(stderr=True), show_time=False, show_path=False, markup=False)
        handlers.append(shown)
    if file is not None:
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            writer = logging.FileHandler(file, encoding="utf-8")
        except OSError as error:
            raise UsageError(f"The log file {file} cannot be written: {error.strerror}.") from error
        writer.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        handlers.append(writer)
    for handler in handlers:
        root.addHandler(handler)
    root.setLevel(logging.INFO if file else logging.WARNING)
    quiet_beam()
    try:
        yield
    finally:
        for handler in handlers:
            root.removeHandler(handler)
            handler.close()
