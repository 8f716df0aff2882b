"""What all commands do at the terminal: an error becomes one sentence and an exit status, and the log is set up."""

import contextlib
import logging
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.logging import RichHandler
from typer.core import TyperCommand

from schemas.errors import Exit, FacelogError, LeftRunningError, UsageError

MORE = "facelog.more"
"""Key of `typer.Context.meta` for options behind `--`."""

_ON_FLINK = re.compile(r"(?i)--runner[ =]flink(runner)?\b")


class WithMore(TyperCommand):
    """A command that takes options of Beam behind `--` if its runner is Flink.

    With another runner, `--` means what it always does: names of files follow, whatever they begin with.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Stores the options after `--` in `ctx.meta[MORE]`."""
        if "--" in args and _ON_FLINK.search(" ".join(args[: args.index("--")])):
            ctx.meta[MORE] = args[args.index("--") + 1 :]
            args = args[: args.index("--")]
        return super().parse_args(ctx, args)


def key_values(option: str, texts: Iterable[str]) -> dict[str, str]:
    """Keys and values of an option that is given as KEY=VALUE, once or more.

    Raises:
      UsageError: there is no `=`.
    """
    pairs = [text.partition("=") for text in texts]
    for key, equals, _ in pairs:
        if not key or not equals:
            raise UsageError(f"{option} {key}: give it as KEY=VALUE.")
    return {key.strip(): value for key, _, value in pairs}


@contextlib.contextmanager
def exit_on_error() -> Iterator[None]:
    """Turns our exceptions into one sentence and an exit status. Other exceptions are bugs and keep their traceback."""
    stderr = Console(stderr=True, soft_wrap=True)
    try:
        yield
    except LeftRunningError as error:
        stderr.print(f"facelog: {error}", markup=False, highlight=False)
        raise typer.Exit(Exit.DONE if error.wanted else Exit.STOPPED) from None
    except UsageError as error:
        stderr.print(f"facelog: {error}", markup=False, highlight=False)
        raise typer.Exit(Exit.USAGE) from None
    except FacelogError as error:
        stderr.print(f"facelog: {error}", markup=False, highlight=False)
        raise typer.Exit(Exit.FAILED) from None
    except KeyboardInterrupt:
        stderr.print("\nfacelog: stopped; the same command goes on where it was.", markup=False, highlight=False)
        raise typer.Exit(Exit.STOPPED) from None


@contextlib.contextmanager
def log_to(console: Console, file: Path | None) -> Iterator[None]:
    """Sends warnings to the terminal, above the live display, and all messages to the log file."""
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
