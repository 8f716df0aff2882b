"""Questions to an output folder in SQL: answers as a pyarrow table, or streamed as csv, JSON or Parquet.

DuckDB's `COPY … TO` would write other files (2.0.1): its JSON has `NaN`, which no JSON parser takes, and a float32 0.1
as 0.10000000149011612; its CSV writes an empty text as `""`; and its Parquet columns are marked as never null
where DuckDB knows that they have none. And it writes neither to standard output nor to an object store.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import math
import re
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime, time
from decimal import Decimal
from pathlib import PurePath
from typing import Any, BinaryIO, TypeVar

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.results.database import connect
from schemas.errors import StorageError, UsageError

T = TypeVar("T")

FORMATS = ("table", "csv", "json", "parquet")
_BATCH_ROWS = 10_000
_ENDINGS = {".csv": "csv", ".json": "json", ".parquet": "parquet", ".pq": "parquet"}


def query(out: str, sql: str) -> pa.Table:
    """The answer to a question about an output folder.

        query("out", "SELECT uri, max_faces FROM videos ORDER BY max_faces DESC").to_pandas()

    The answer holds no file open; pandas (`to_pandas()`) and polars (`polars.from_arrow`) take it. For further
    questions in DuckDB, or an answer that does not fit in memory, use `pipelines.connect(out)`.

    Args:
      out: DIR, on disk or on an object store.
      sql: in DuckDB's dialect, over the views `faces`, `tracks`, `timeline` and `videos`; of several statements the
        last one answers.

    Raises:
      UsageError: there are no results in DIR, or DuckDB refuses the question; its own words.
      StorageError: something cannot be read.
    """
    connection = connect(out)
    with contextlib.closing(connection), plain_sql_errors():
        return ask(connection, sql).to_arrow_table()


def ask(connection: duckdb.DuckDBPyConnection, sql: str) -> duckdb.DuckDBPyRelation:
    """The answer as a relation, not read yet where it is a SELECT.

    Raises:
      UsageError: as `query`; also where there is no statement at all.
    """
    with plain_sql_errors():
        relation = connection.sql(sql)
    if relation is None:
        raise UsageError("There is no question in it: give a statement in SQL, such as SELECT count(*) FROM faces.")
    return relation


@contextlib.contextmanager
def plain_sql_errors() -> Iterator[None]:
    """Turns what DuckDB raises into our errors, in its own words."""
    try:
        yield
    except duckdb.InterruptException:
        raise KeyboardInterrupt from None
    except duckdb.OperationalError as error:  # files, memory
        raise StorageError(_words(error)) from error
    except duckdb.Error as error:
        raise UsageError(_words(error)) from error
    except (pa.ArrowException, OSError) as error:
        # An error of DuckDB comes like this when it is met while the answer is read.
        if isinstance(error, OSError) and error.errno is not None:
            raise
        text = _words(error)
        if "INTERRUPT" in text:
            raise KeyboardInterrupt from None
        raise (StorageError if text.startswith("IO Error") else UsageError)(text) from error


def _words(error: Exception) -> str:
    return "\n".join(line for line in str(error).splitlines() if line.strip())


def cancellable(connection: duckdb.DuckDBPyConnection, work: Callable[[], T]) -> T:
    """Does some work with a connection, which Ctrl-C ends at once: DuckDB alone does not react to signals.

    Raises:
      KeyboardInterrupt: Ctrl-C was pressed, and the work has ended.
    """
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(work)
        try:
            return future.result()
        except KeyboardInterrupt:
            connection.interrupt()
            raise


def batches(relation: duckdb.DuckDBPyRelation) -> Generator[pa.RecordBatch]:
    """The rows of an answer, piece by piece."""
    with plain_sql_errors():
        reader = relation.to_arrow_reader(_BATCH_ROWS)
        try:
            yield from reader
        finally:
            reader.close()  # until then the connection takes no other question


def format_of(name: str) -> str:
    """The format that a file's ending means.

    Raises:
      UsageError: none is known for it.
    """
    ending = PurePath(name).suffix.lower()
    if ending not in _ENDINGS:
        raise UsageError(f"--out {name}: name the file .csv, .json or .parquet, or say which with --format.")
    return _ENDINGS[ending]


def write_csv(relation: duckdb.DuckDBPyRelation, file: BinaryIO, *, line_end: str = "\n") -> int:
    """Writes an answer as comma-separated values in UTF-8, quoted as RFC 4180 says; null is an empty field.

    Args:
      relation: the answer.
      file: to write in.
      line_end: RFC 4180 asks for carriage return and line feed.

    Returns:
      Its rows.
    """
    rows = 0
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator=line_end)
    # DuckDB writes numbers, times and lists as text better than Python would: 0.1 of a float32 stays 0.1.
    texts = relation.project("*").project("COLUMNS(*)::VARCHAR")
    writer.writerow(texts.columns)
    for batch in batches(texts):
        writer.writerows(zip(*(column.to_pylist() for column in batch.columns), strict=True))
        rows += batch.num_rows
        _move(text, file)
    _move(text, file)
    return rows


def write_json(relation: duckdb.DuckDBPyRelation, file: BinaryIO) -> int:
    """Writes an answer as one JSON array of objects, one on each line; NaN, which JSON does not have, is null.

    Blobs are text as DuckDB prints them. So are times that Python cannot have: infinite ones, and years beyond 9999.

    Returns:
      Its rows.
    """
    rows, text = 0, io.StringIO("[")
    text.seek(1)
    for batch in batches(exact_floats(relation)):
        for row in zip(*(_values(column) for column in batch.columns), strict=True):
            text.write(",\n" if rows else "\n")
            named = dict(zip(batch.schema.names, row, strict=True))
            json.dump(_plain(named), text, ensure_ascii=False, allow_nan=False)
            rows += 1
        _move(text, file)
    text.write("\n]\n" if rows else "]\n")
    _move(text, file)
    return rows


def write_parquet(relation: duckdb.DuckDBPyRelation, file: BinaryIO) -> int:
    """Writes an answer as a Parquet file, zstd.

    Returns:
      Its rows.
    """
    rows = 0
    with contextlib.closing(batches(relation)) as found:
        first = next(found, None)
        schema = first.schema if first is not None else relation.limit(0).to_arrow_table().schema
        with pq.ParquetWriter(file, schema, compression="zstd") as writer:
            while first is not None:
                writer.write_batch(first)
                rows += first.num_rows
                first = next(found, None)
    return rows


def exact_floats(relation: duckdb.DuckDBPyRelation) -> duckdb.DuckDBPyRelation:
    """The answer with each float32 as the float64 of the same digits: 0.1, not 0.10000000149011612."""
    relation = relation.project("*")  # gives columns of the same name different ones
    names = [f'"{name.replace(chr(34), chr(34) * 2)}"' for name in relation.columns]
    kinds = map(str, relation.types)
    return relation.project(
        ", ".join(
            f"{name}::VARCHAR::DOUBLE AS {name}" if kind == "FLOAT" else name
            for name, kind in zip(names, kinds, strict=True)
        )
    )


def _values(column: pa.Array) -> list[Any]:
    """The values of a column as Python has them; times that it cannot have are text."""
    try:
        return column.to_pylist()
    except (ValueError, OverflowError):
        return [_value(scalar) for scalar in column]


def _value(scalar: Any) -> Any:
    try:
        return scalar.as_py()
    except (ValueError, OverflowError):
        pass
    if isinstance(scalar, pa.StructScalar):
        return {name: _value(item) for name, item in scalar.items()}
    if isinstance(scalar, pa.MapScalar):
        return [(_value(pair["key"]), _value(pair["value"])) for pair in scalar.values]
    if isinstance(scalar, pa.ListScalar | pa.FixedSizeListScalar):
        return [_value(item) for item in scalar.values]
    number, bits = scalar.cast(f"int{scalar.type.bit_width}").as_py(), scalar.type.bit_width
    if abs(number) == (1 << bits - 1) - 1:  # as DuckDB passes infinity on
        return "infinity" if number > 0 else "-infinity"
    text = str(np.datetime64(number, "D" if bits == 32 else scalar.type.unit))
    return re.sub(r"^-(\d+)", lambda year: f"-{year[1]:0>4}", text)  # ISO 8601 wants four digits


def _blob(value: bytes) -> str:
    """Bytes as DuckDB writes them as text: those that are not printable by their two digits."""
    shown = (chr(byte) if 32 <= byte <= 126 and chr(byte) not in "\\'\"" else f"\\x{byte:02X}" for byte in value)
    return "".join(shown)


def _interval(value: pa.MonthDayNano) -> str:
    """As ISO 8601 has it."""
    seconds = Decimal(value.nanoseconds) / 1_000_000_000
    return f"P{value.months}M{value.days}DT{seconds.normalize():f}S"


def _plain(value: Any) -> Any:
    """A value as JSON knows it."""
    if isinstance(value, bytes):
        return _blob(value)
    if isinstance(value, pa.MonthDayNano):
        return _interval(value)
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    return value if value is None or isinstance(value, bool | int | str) else str(value)


def _move(text: io.StringIO, file: BinaryIO) -> None:
    file.write(text.getvalue().encode())
    text.seek(0)
    text.truncate()
