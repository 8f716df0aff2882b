"""Find and read the Parquet files of tables: the one place that says which is missing or damaged, and what to do."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.parquet as pq

from schemas import storage
from schemas.errors import StorageError
from schemas.storage import FileInfo
from schemas.tables import ADDED_COLUMNS

ANALYZE_AGAIN = "to have that video analyzed again, take it out with `facelog forget` and run analyze"
"""The remedy for a file that belongs to one video with a row in `videos`."""


class MissingTableError(StorageError):
    """The file of a table is not there."""


class DamagedTableError(StorageError):
    """The file of a table is no Parquet file, is cut off, or has other columns."""


def read_table(uri: str, schema: pa.Schema | None = None, *, remedy: str = ANALYZE_AGAIN) -> pa.Table:
    """The rows of one file; the texts of its footer are the table's metadata.

    Args:
      uri: the file.
      schema: the columns that it must have; None: any. Columns that an older facelog did not write are null.
      remedy: what the user can do, half a sentence at the end of the error.

    Raises:
      MissingTableError: the file is not there.
      DamagedTableError: it cannot be read as a table, or has other columns.
      StorageError: the file system did not let us read it.
    """
    with _said(uri, remedy):
        table = _open(uri).read(use_threads=False)
        if schema is None:
            return table
        return in_columns(table, schema)


def in_columns(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """A table with all columns of a schema; those that an older facelog did not write are null.

    Raises:
      ArrowInvalid: it has other columns.
    """
    for place, field in enumerate(schema):
        if field.name in ADDED_COLUMNS and field.name not in table.column_names:
            table = table.add_column(place, field, pa.nulls(len(table), field.type))
    if not table.schema.equals(schema):
        raise pa.ArrowInvalid("other columns")
    return table


def read_footer(uri: str, *, remedy: str = ANALYZE_AGAIN) -> dict[str, str]:
    """The texts of a file's footer.

    Raises:
      MissingTableError, DamagedTableError, StorageError: as `read_table`.
    """
    with _said(uri, remedy):
        return footer_texts(_open(uri).schema_arrow)


def count_rows(uri: str, *, remedy: str = ANALYZE_AGAIN) -> int:
    """The number of a file's rows.

    Raises:
      MissingTableError, DamagedTableError, StorageError: as `read_table`.
    """
    with _said(uri, remedy):
        return _open(uri).metadata.num_rows


def list_table_files(folder: str) -> Iterator[FileInfo]:
    """The Parquet files in a folder and the folders in it, without those under construction."""
    for info in storage.list_files(folder):
        name = info.uri.rsplit("/", 1)[-1]
        if name.endswith(".parquet") and not name.startswith("."):
            yield info


def footer_texts(schema: pa.Schema) -> dict[str, str]:
    """The texts of the footer that a table or a schema was read with."""
    return {key.decode(): value.decode() for key, value in (schema.metadata or {}).items()}


def _open(uri: str) -> pq.ParquetFile:
    # Read first: what goes wrong then is about the file system, and what goes wrong later about the content.
    return pq.ParquetFile(pa.BufferReader(storage.read_bytes(uri)))


@contextlib.contextmanager
def _said(uri: str, remedy: str) -> Iterator[None]:
    """Turns what goes wrong into an error with the file's name and the remedy."""
    try:
        yield
    except FileNotFoundError as error:
        raise MissingTableError(f"{uri} is missing; {remedy}.") from error
    except (OSError, UnicodeDecodeError, pa.ArrowException) as error:
        raise DamagedTableError(f"{uri} is damaged; {remedy}.") from error
