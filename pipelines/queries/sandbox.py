"""Questions in SQL from a web page: they read the tables of DIR, and nothing else, for a limited time.

DuckDB keeps all files but those of the tables from them, and no setting can be changed back. It would let `COPY` write
into the folders of the tables, so a question has to be one SELECT.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

import duckdb
import pyarrow as pa

from pipelines.queries.query import plain_sql_errors
from pipelines.results.database import connect
from schemas import storage
from schemas.errors import UsageError
from schemas.tables import TABLES

SECONDS = 30.0
"""How long a question may take."""
_MEMORY = "1GB"
_THREADS = 2


@contextlib.contextmanager
def limited_question(
    out: str, sql: str, videos: pa.Table | None = None, *, seconds: float = SECONDS
) -> Iterator[duckdb.DuckDBPyRelation]:
    """The answer to a question, to be read within `with`.

    Args:
      out: DIR, or a compact copy of one.
      sql: one SELECT over the views of `connect`.
      videos: as for `connect`.
      seconds: after which the question is ended.

    Raises:
      UsageError: it is no SELECT, wants what it may not have, or takes too long; DuckDB's own words.
      StorageError: something cannot be read.
    """
    with plain_sql_errors():
        statements = duckdb.extract_statements(sql)
    if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
        raise UsageError("Give one question: a single SELECT. Nothing can be written here.")
    with contextlib.closing(connect(out, videos)) as connection:
        _limit(connection, out)
        timer = threading.Timer(seconds, connection.interrupt)
        timer.start()
        try:
            with plain_sql_errors():
                yield connection.sql(statements[0].query)
        except KeyboardInterrupt:
            raise UsageError(f"The question took longer than {seconds:g} seconds, and was ended.") from None
        finally:
            timer.cancel()


def _limit(connection: duckdb.DuckDBPyConnection, out: str) -> None:
    folders = [storage.join(storage.normalize(out), name) for name in (*TABLES, "annotations")]
    listed = ", ".join("'" + folder.replace("'", "''") + "'" for folder in folders if storage.is_local(folder))
    connection.execute(f"SET allowed_directories = [{listed}]")
    for setting in (
        *("enable_external_access = false", "python_enable_replacements = false", "autoload_known_extensions = false"),
        *(f"memory_limit = '{_MEMORY}'", f"threads = {_THREADS}", "lock_configuration = true"),
    ):
        connection.execute(f"SET {setting}")
