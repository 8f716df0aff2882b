"""The prompt of `facelog query DIR` on a terminal."""

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
from rich.console import Console

from pipelines.queries.examples import EXAMPLES
from pipelines.queries.query import ask, cancellable
from pipelines.queries.table import show
from schemas.errors import FacelogError
from schemas.tables import TABLES

if TYPE_CHECKING:
    from types import ModuleType

_HISTORY_LINES = 1000
_HELP = ".tables  .schema NAME  .examples  .quit; anything else is SQL, and ends with ;"


class Shell:
    """Reads statements, several lines until `;`, and shows their answers.

    Args:
      connection: of `pipelines.results.database.connect`.
      console: the terminal.
      max_rows: rows shown of an answer.
      read: asks for a line with a prompt; EOFError ends, KeyboardInterrupt drops what was typed.
    """

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        console: Console,
        *,
        max_rows: int,
        read: Callable[[str], str] = input,
    ):
        self._connection, self._console, self._max_rows, self._read = connection, console, max_rows, read

    def run(self) -> None:
        """Until `.quit` or Ctrl-D."""
        self._say(_HELP)
        typed = ""
        while True:
            try:
                line = self._read("   ...> " if typed else "facelog> ")
            except EOFError:
                self._say("")
                return
            except KeyboardInterrupt:
                typed = ""
                self._say("")
                continue
            if not typed and line.strip().startswith("."):
                if line.split()[0] in (".quit", ".exit"):
                    return
                self._command(*line.split())
                continue
            typed = f"{typed}\n{line}" if typed else line
            if not typed.strip():
                typed = ""
            elif is_complete(typed):
                self._answer(typed)
                typed = ""

    def _answer(self, sql: str) -> None:
        def answer() -> str:
            return show(ask(self._connection, sql), self._console, max_rows=self._max_rows)

        try:
            self._say(cancellable(self._connection, answer).rstrip("\n"))
        except FacelogError as error:
            self._say(str(error))
        except KeyboardInterrupt:
            self._say("\ncancelled")

    def _command(self, name: str, *arguments: str) -> None:
        if name == ".tables":
            self._say("\n".join(TABLES))
        elif name == ".schema" and len(arguments) <= 1:
            for view in arguments or TABLES:
                view = view.rstrip(";").replace('"', '""')
                self._answer(f'SELECT column_name, column_type FROM (DESCRIBE "{view}")')
        elif name == ".examples":
            self._say("\n\n".join(f"-- {example.question}\n{example.sql}" for example in EXAMPLES))
        else:
            self._say(_HELP)

    def _say(self, text: str) -> None:
        # Answers are text for the terminal already: Rich would read their brackets as its own markup.
        self._console.file.write(text + "\n")
        self._console.file.flush()


def is_complete(sql: str) -> bool:
    """Whether the text ends with a `;` that is not part of a string or a comment."""
    text = sql.rstrip()
    tokens = [(place, kind) for place, kind in duckdb.tokenize(text) if kind != duckdb.token_type.comment]
    return bool(tokens) and tokens[-1][1] == duckdb.token_type.operator and text[tokens[-1][0]] == ";"


@contextlib.contextmanager
def line_editing(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Lets the user edit lines, get earlier ones back with the arrow keys (next time, too) and complete names by Tab.

    Without the system's readline, lines are just read.
    """
    try:
        import readline
    except ImportError:
        yield
        return
    history = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "facelog" / "query_history"
    with contextlib.suppress(OSError):
        readline.read_history_file(history)
    readline.set_history_length(_HISTORY_LINES)
    readline.set_completer(_completer(connection, readline))
    readline.set_completer_delims(" \t\n\"'`@$><=;|&{(,)")
    readline.parse_and_bind("tab: complete")
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            history.parent.mkdir(parents=True, exist_ok=True)
            readline.write_history_file(history)


def _completer(connection: duckdb.DuckDBPyConnection, readline: "ModuleType") -> Callable[[str, int], str | None]:
    names = sorted({*TABLES, *(name for table in TABLES for name in connection.table(table).columns)})
    words = [".tables", ".schema", ".examples", ".quit", *names]

    def complete(text: str, state: int) -> str | None:
        return next(iter([word for word in words if word.startswith(text)][state : state + 1]), None)

    return complete
