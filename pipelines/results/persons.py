"""The persons of an archive and where they appear, as tables: `DIR/persons`. They hold no embedding."""

from __future__ import annotations

import pyarrow as pa

from schemas.layout import Layout
from schemas.table_files import MissingTableError, read_table
from schemas.tables import parquet_bytes

PERSONS = pa.schema(
    [
        pa.field("person_id", pa.int32(), nullable=False),
        pa.field("name", pa.string()),
        pa.field("n_videos", pa.int32(), nullable=False),
        pa.field("n_tracks", pa.int32(), nullable=False),
        pa.field("seconds", pa.float64(), nullable=False),
        pa.field("is_enrolled", pa.bool_(), nullable=False),
    ]
)
"""A row for each person; `seconds` is the sum over their tracks."""

APPEARANCES = pa.schema(
    [
        pa.field("person_id", pa.int32(), nullable=False),
        pa.field("video_id", pa.string(), nullable=False),
        pa.field("track_id", pa.int32(), nullable=False),
        pa.field("start_time", pa.float64(), nullable=False),
        pa.field("end_time", pa.float64(), nullable=False),
        pa.field("similarity", pa.float32()),
    ]
)
"""A row for each track of a person; `similarity` is its mean likeness to the person's other tracks, null of the only
one."""

DECISIONS = pa.schema(
    [
        pa.field("number", pa.int32(), nullable=False),
        pa.field("kind", pa.string(), nullable=False),
        pa.field("person_id", pa.int32()),
        pa.field("other_id", pa.int32()),
        pa.field("name", pa.string()),
        pa.field("anchors", pa.string(), nullable=False),
        pa.field("tracks", pa.string(), nullable=False),
        pa.field("decided_at", pa.string(), nullable=False),
    ]
)
"""What users decided about persons, in order; see `pipelines.persons.decisions`."""

TABLES = {"persons": PERSONS, "appearances": APPEARANCES, "decisions": DECISIONS}
VIEWS = ("persons", "appearances")

_REMEDY = "remove it, and run `facelog persons` again"


def read_persons(out: str, name: str) -> pa.Table:
    """One of `TABLES`, with the texts of its footer as metadata; without rows where it is not there.

    Args:
      out: DIR, or a compact copy of it, normalized.
      name: of the table.

    Raises:
      StorageError: it cannot be read.
    """
    try:
        return read_table(Layout(out).persons(name), TABLES[name], remedy=_REMEDY)
    except MissingTableError:
        return TABLES[name].empty_table()


def persons_file(out: str, name: str, table: pa.Table, texts: dict[str, str]) -> tuple[str, bytes]:
    """One of `TABLES` as the name and the bytes of its file."""
    return Layout(out).persons(name), parquet_bytes(table.cast(TABLES[name]), texts)
