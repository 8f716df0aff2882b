"""An output folder, or a compact copy of one, as a database: the tables as views of DuckDB."""

from __future__ import annotations

import glob
import json
from collections.abc import Mapping
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from pipelines.results import persons
from pipelines.results.videos import read_videos
from schemas import storage
from schemas.config import ALGORITHM_VERSION, SCHEMA_VERSION
from schemas.errors import UsageError
from schemas.layout import ROW_TABLES, Layout
from schemas.tables import ANNOTATIONS, TABLES, VIDEOS, make_table

BUCKET = ds.partitioning(pa.schema([("bucket", pa.string())]), flavor="hive")
"""The partition of folders such as `bucket=3f`: text, or folders that happen to be all digits would become numbers."""

RECORD = "compact.json"
"""Name of the file in a compact copy that says what it is, and whether it is whole."""


def connect(out: str, videos: pa.Table | None = None) -> duckdb.DuckDBPyConnection:
    """A connection of its own, in memory, with the views `faces`, `tracks`, `timeline`, `videos` and more.

        connect("out").sql("SELECT emotion, count(*) FROM faces GROUP BY emotion").show()

    These and `annotations` are read with each query, but for `videos`, which holds the rows of the moment of this call.
    They have one more column, `bucket`, the first two digits of `video_id`; a condition on it opens only those folders.
    `persons` and `appearances`, too, are those of the moment; they have no rows unless `facelog persons` found some.

    Args:
      out: DIR, or a copy of it by `facelog compact`, on disk or on an object store.
      videos: rows of `videos` that were read already; None: they are read.

    Raises:
      UsageError: there are no results in it, or of another schema version, or the copy is not whole.
      StorageError: it cannot be read.
    """
    out = storage.normalize(out)
    if record := read_record(out):
        return _connect_copy(out, record)
    if videos is None:
        rows = read_videos(out)
        videos = make_table(VIDEOS, {name: [row[name] for row in rows] for name in VIDEOS.names})
    connection = duckdb.connect()
    connection.execute("SET timezone = 'UTC'")
    connection.register("videos", videos)
    oldest = pc.min(videos["algorithm_version"]).as_py()
    has_older = oldest is not None and oldest < ALGORITHM_VERSION
    for name in ROW_TABLES:
        _make_view(connection, name, TABLES[name], storage.join(out, name), has_older)
    _make_view(connection, "annotations", ANNOTATIONS, Layout(out).folder("annotations"), False)
    _register_persons(connection, out)
    return connection


def _register_persons(connection: duckdb.DuckDBPyConnection, out: str) -> None:
    """The views `persons` and `appearances`, empty where `facelog persons` was never called."""
    for name in persons.VIEWS:
        connection.register(name, persons.read_persons(out, name).replace_schema_metadata(None))


def _make_view(
    connection: duckdb.DuckDBPyConnection, name: str, schema: pa.Schema, folder: str, has_older: bool
) -> None:
    if not any(storage.list_files(folder)):
        connection.register(name, schema.append(pa.field("bucket", pa.string())).empty_table())
    elif has_older or not storage.is_local(folder) or "=" in folder:
        # Files of an older facelog may lack columns. DuckDB's own way to object stores is an extension that it would
        # have to download; and on disk it takes every folder called `key=value` for a partition, also those that DIR
        # lies in.
        connection.register(name, open_dataset(folder, schema))
    else:
        files = (glob.escape(folder) + "/bucket=*/*.parquet").replace("'", "''")
        try:
            connection.execute(
                f"CREATE VIEW {name} AS SELECT * FROM "
                f"read_parquet('{files}', hive_partitioning = true, hive_types = {{'bucket': VARCHAR}})"
            )
        except duckdb.Error:  # it takes the columns from one file, which is damaged; others may be asked for
            connection.register(name, open_dataset(folder, schema))


def open_dataset(folder: str, schema: pa.Schema) -> ds.Dataset:
    """The files of one table as a pyarrow data set, with the column `bucket`.

    Args:
      folder: of the table.
      schema: of the table.
    """
    files, path = storage.resolve(folder)
    with storage.plain_errors(folder):
        whole = schema.append(pa.field("bucket", pa.string()))
        return ds.dataset(path, schema=whole, filesystem=files, format="parquet", partitioning=BUCKET)


def read_record(target: str) -> dict[str, Any] | None:
    """The record of a compact copy (`whole`, `source`, `tables` and more); None where there is no compact copy."""
    try:
        record = json.loads(storage.read_bytes(storage.join(target, RECORD)))
    except (FileNotFoundError, ValueError):
        return None
    return record if isinstance(record, dict) and "whole" in record else None


def _connect_copy(target: str, record: Mapping[str, Any]) -> duckdb.DuckDBPyConnection:
    if not record["whole"]:
        raise UsageError(
            f"{target} is a copy that is not whole: run `facelog compact {record['source']} {target}` again."
        )
    if record["schema_version"] != str(SCHEMA_VERSION):
        raise UsageError(
            f"{target} is a copy with schema version {record['schema_version']}, this facelog reads {SCHEMA_VERSION}: "
            f"make it anew, `facelog compact {record['source']} {target}`."
        )
    connection = duckdb.connect()
    connection.execute("SET timezone = 'UTC'")
    for name, schema in TABLES.items():
        folder = storage.join(target, name)
        if storage.is_local(folder):
            files = "read_parquet('" + glob.escape(folder).replace("'", "''") + "/*.parquet')"
        else:
            files, (system, path) = f"{name}_files", storage.resolve(folder)
            with storage.plain_errors(folder):
                connection.register(files, ds.dataset(path, schema=schema, filesystem=system, format="parquet"))
        columns = "*" if name == "videos" else "*, video_id[:2] AS bucket"
        connection.execute(f"CREATE VIEW {name} AS SELECT {columns} FROM {files}")
    connection.register("annotations", ANNOTATIONS.append(pa.field("bucket", pa.string())).empty_table())
    _register_persons(connection, target)
    return connection
