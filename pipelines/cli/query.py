"""`facelog query`: questions to an output folder in SQL."""

import enum
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from pipelines.cli.options import StorageOptions, use_stores
from pipelines.cli.terminal import exit_on_error
from pipelines.words import counted
from schemas.errors import Exit, UsageError

if TYPE_CHECKING:
    import duckdb


class Format(enum.StrEnum):
    """How an answer is written."""

    table = "table"
    csv = "csv"
    json = "json"
    parquet = "parquet"


def query(
    directory: Annotated[
        str, typer.Argument(metavar="DIR", help="Output folder of facelog analyze.", show_default=False)
    ],
    sql: Annotated[
        str | None,
        typer.Argument(
            metavar="SQL",
            help="The query; - reads it from standard input. Without it: a prompt.",
            show_default=False,
        ),
    ] = None,
    file: Annotated[
        Path | None, typer.Option("--file", "-f", metavar="FILE", help="Read the query from a file.")
    ] = None,
    form: Annotated[
        Format | None,
        typer.Option(
            "--format",
            help="Format of the answer. \\[default: table, or the one of the ending of --out]",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        str | None,
        typer.Option("--out", "-o", metavar="FILE", help="Write the answer here: .csv, .json or .parquet."),
    ] = None,
    max_rows: Annotated[int, typer.Option(min=0, help="Most rows that a table shows; 0: all.")] = 40,
    storage_options: StorageOptions = None,
) -> None:
    """Ask the tables in DIR in SQL (DuckDB's), over the views faces, tracks, timeline and videos.

    Without a question: on a terminal a prompt, else the views with their columns and five questions to begin with.

        facelog query results "SELECT emotion, count(*) FROM faces GROUP BY emotion"
        facelog query results "FROM videos WHERE status <> 'ok'" --format json
        facelog query results --file smiles.sql --out smiles.parquet
    """
    console = Console(soft_wrap=True, highlight=False)
    with exit_on_error():
        from pipelines.results.database import connect

        use_stores(storage_options)
        question = _question(sql, file)
        chosen = _format(form, out)
        connection = connect(directory)
        if question is not None:
            try:
                _answer(connection, question, chosen, out, max_rows, console)
            except BrokenPipeError:
                _leave_quietly()
            except KeyboardInterrupt:
                Console(stderr=True).print("\nfacelog: cancelled.", highlight=False)
                raise typer.Exit(Exit.STOPPED) from None
        elif out is not None or chosen != "table":
            raise UsageError("There is no question: give it in SQL, with --file, or - to read it from standard input.")
        elif sys.stdin.isatty() and console.is_terminal:
            from pipelines.queries.shell import Shell, line_editing

            with line_editing(connection):
                Shell(connection, console, max_rows=max_rows).run()
        else:
            from pipelines.queries.examples import overview
            from schemas.tables import TABLES

            views = {name: connection.table(name) for name in TABLES}
            columns = {n: list(zip(v.columns, map(str, v.types), strict=True)) for n, v in views.items()}
            sys.stdout.write(overview(columns))


def _question(sql: str | None, file: Path | None) -> str | None:
    if sql is not None and file is not None:
        raise UsageError("Give the question as SQL or with --file, not both.")
    try:
        if file is not None:
            return file.read_text("utf-8")
        return sys.stdin.read() if sql == "-" else sql
    except OSError as error:
        raise UsageError(f"--file {file} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{file or 'Standard input'} is no text in UTF-8.") from error


def _format(form: Format | None, out: str | None) -> str:
    from pipelines.queries.query import format_of

    if out is None:
        if form == Format.parquet:
            raise UsageError("Parquet is not for the terminal: say where it goes with --out FILE.")
        return (form or Format.table).value
    if form == Format.table:
        raise UsageError("A table is for the terminal: choose csv, json or parquet for --out.")
    return form.value if form else format_of(out)


def _answer(
    connection: "duckdb.DuckDBPyConnection", sql: str, form: str, out: str | None, max_rows: int, console: Console
) -> None:
    from pipelines.queries.query import ask, cancellable, write_csv, write_json, write_parquet
    from pipelines.queries.table import show
    from schemas import storage

    write: dict[str, Callable] = {"csv": write_csv, "json": write_json, "parquet": write_parquet}

    def work() -> int | None:
        relation = ask(connection, sql)
        if form == "table":
            sys.stdout.write(show(relation, console, max_rows=max_rows))
            sys.stdout.flush()
            return None
        if out is None:
            write[form](relation, sys.stdout.buffer)
            sys.stdout.buffer.flush()
            return None
        with storage.open_output(out) as file:
            return write[form](relation, file)

    rows = cancellable(connection, work)
    if rows is not None:
        console.print(f"{counted(rows, 'row')} in {out}", markup=False)


def _leave_quietly() -> None:
    """Whoever read our output has seen enough. What is left of it goes nowhere, or Python would complain at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    raise typer.Exit(Exit.DONE)
