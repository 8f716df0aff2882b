"""The four tables as CSV files for spreadsheets: `faces.csv`, `tracks.csv`, `timeline.csv`, `videos.csv`.

Where `facelog persons` found persons, `persons.csv` and `appearances.csv` follow.

RFC 4180 in UTF-8: comma, carriage return and line feed, double quotes; null is nothing. Names of files are other
people's, and a spreadsheet takes a text that begins with = + - @ (or a tab) as a formula: such a text gets an
apostrophe in front.
"""

from collections.abc import Callable, Iterator, Sequence

import duckdb
import pyarrow as pa

from pipelines.exports.videos import Video
from pipelines.queries.query import write_csv
from pipelines.results.database import connect
from pipelines.results.persons import TABLES as PERSON_TABLES
from pipelines.results.persons import VIEWS, read_persons
from schemas import storage
from schemas.errors import FacelogError, StorageError, StorageFullError
from schemas.tables import TABLES

_FORMULA = r"^[=+\-@\t\r\n]"


def export_csv(
    videos: Sequence[Video], folder: str, left_out: Callable[[Video, Exception], None], *, whole: bool
) -> Iterator[str]:
    """Writes the rows of all videos, and yields what was written.

    Args:
      videos: which.
      folder: where to.
      left_out: called with each video one of whose tables cannot be read, and why.
      whole: whether these are all videos with tables; then `videos.csv` also has rows of files that could not be read.
    """
    connection = connect(videos[0].out)
    connection.execute("CREATE TEMP TABLE chosen (uri VARCHAR, video_id VARCHAR)")
    connection.executemany("INSERT INTO chosen VALUES (?, ?)", [(v.row["uri"], v.video_id) for v in videos])
    buckets = ", ".join(f"'{bucket}'" for bucket in sorted({video.video_id[:2] for video in videos}))
    for table, schema in TABLES.items():
        columns = ", ".join(map(_cell, schema))
        key, pruned = ("uri", "") if table == "videos" else ("video_id", f" AND bucket IN ({buckets})")
        where = "" if whole else f" WHERE {key} IN (SELECT {key} FROM chosen){pruned}"
        name = storage.join(folder, f"{table}.csv")
        try:
            _write(connection.sql(f"SELECT {columns} FROM {table}{where}"), name)
        except StorageFullError:
            raise
        except (FacelogError, duckdb.Error):
            if table == "videos":
                raise
            # DuckDB does not say which file is damaged, so each is read by itself.
            good = pa.RecordBatchReader.from_batches(schema, _readable(videos, table, left_out))
            _write(connection.from_arrow(good).project(columns), name)
        yield name
    for table in VIEWS if read_persons(videos[0].out, "persons").num_rows else ():
        columns = ", ".join(map(_cell, PERSON_TABLES[table]))
        where = "" if whole or table == "persons" else " WHERE video_id IN (SELECT video_id FROM chosen)"
        name = storage.join(folder, f"{table}.csv")
        _write(connection.sql(f"SELECT {columns} FROM {table}{where}"), name)
        yield name
    connection.close()


def _write(rows: duckdb.DuckDBPyRelation, name: str) -> None:
    with storage.open_output(name) as file:
        write_csv(rows, file, line_end="\r\n")


def _readable(
    videos: Sequence[Video], table: str, left_out: Callable[[Video, Exception], None]
) -> Iterator[pa.RecordBatch]:
    for video in {video.video_id: video for video in videos}.values():
        try:
            rows = video.table(table)
        except StorageError as error:
            left_out(video, error)
            continue
        yield from rows.replace_schema_metadata(None).to_batches()


def _cell(field: pa.Field) -> str:
    name = field.name
    if not (pa.types.is_string(field.type) or pa.types.is_dictionary(field.type)):
        return name
    return f"CASE WHEN regexp_matches({name}, '{_FORMULA}') THEN '''' || {name} ELSE {name} END AS {name}"
