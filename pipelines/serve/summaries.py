"""What a video's tables come to in one line of the list of videos: shares, ages, and a strip of expressions over time.

Tables of many videos are many small files, which take a minute to read. So the sums of each video are made once, and
kept in the cache under what they were made of.
"""

from __future__ import annotations

import glob
from collections.abc import Iterable, Mapping, Sequence

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.results.tables import read_video_table
from schemas import storage
from schemas.errors import StorageError
from schemas.layout import Layout
from schemas.tables import EMOTIONS, SMOOTH_COLUMNS
from transforms.ledger import Row

FORMAT = 1
"""Raised when sums change their meaning; kept ones of another format are made anew."""

STRIP = 60
"""Parts that the strip divides a video into; shorter ones have one for each second."""

NO_FACE, UNKNOWN_EMOTION = "-", "?"
"""Letters of a strip, besides the place of the likeliest emotion in `EMOTIONS`."""

SHARES = tuple(f"share_{emotion}" for emotion in EMOTIONS)
SUMS = pa.schema(
    [
        ("video_id", pa.string()),
        ("made_of", pa.string()),
        *((name, pa.float32()) for name in SHARES),
        ("share_female", pa.float32()),
        ("share_clear", pa.float32()),
        ("age_mean", pa.float32()),
        ("age_youngest", pa.float32()),
        ("age_oldest", pa.float32()),
        ("strip", pa.string()),
    ]
)
"""Sums of one video. `share_…`: of its face-seconds, by likeliest emotion and gender, and without any quality flag;
ages are those of its tracks."""

_BATCH = 250

_SHARES = ", ".join(f"(count(*) FILTER (emotion = '{e}') / count(emotion))::FLOAT AS share_{e}" for e in EMOTIONS)
_FACES = f"""
SELECT video_id, {_SHARES},
       (count(*) FILTER (gender = 'female') / count(gender))::FLOAT AS share_female,
       (count(*) FILTER (quality_flags = 0) / count(*))::FLOAT AS share_clear
FROM faces GROUP BY video_id"""
_TRACKS = """
SELECT video_id, (sum(age * n_samples) / sum(n_samples) FILTER (age IS NOT NULL))::FLOAT AS age_mean,
       min(age) AS age_youngest, max(age) AS age_oldest
FROM tracks GROUP BY video_id"""
_SUMS_OF_BIN = ", ".join(f"coalesce(sum({name}), -1)" for name in SMOOTH_COLUMNS)
_BINS = f"""
SELECT place, bin, CASE WHEN list_max(sums) < 0 THEN -1 ELSE list_position(sums, list_max(sums)) - 1 END AS emotion
FROM (SELECT place, least(second * bins // length, bins - 1) AS bin, [{_SUMS_OF_BIN}] AS sums
      FROM faces JOIN wanted USING (video_id) GROUP BY ALL)"""


def made_of(row: Row) -> str:
    """What tells whether the sums of a video are still right."""
    return f"{row['config_hash']}-{row['algorithm_version']}-{FORMAT}"


def sum_up(connection: duckdb.DuckDBPyConnection, rows: Sequence[Row]) -> pa.Table:
    """The sums of some videos, one line each.

    Args:
      connection: with the views `faces` and `tracks`, which may hold other videos too; it gets further views.
      rows: of `videos`, one of each content.
    """
    lengths = np.maximum([np.ceil(row["duration"] or 1) for row in rows], 1).astype(np.int64)
    bins = np.minimum(lengths, STRIP)
    ids = [row["video_id"] for row in rows]
    wanted = pa.table(
        {
            "place": np.arange(len(rows)),
            "video_id": ids,
            "made_of": [made_of(row) for row in rows],
            "length": lengths,
            "bins": bins,
        }
    )
    connection.register("wanted", wanted)
    place, index, emotion = connection.execute(_BINS).fetchnumpy().values()
    letters = np.full((len(rows), STRIP), NO_FACE)
    letters[place, index] = np.array([*map(str, range(len(EMOTIONS))), UNKNOWN_EMOTION])[emotion]
    strips = ["".join(line[:n]) for line, n in zip(letters, bins, strict=True)]
    connection.register("strips", pa.table({"video_id": ids, "strip": strips}))
    question = f"""SELECT {", ".join(SUMS.names)} FROM wanted JOIN strips USING (video_id)
        LEFT JOIN ({_FACES}) USING (video_id) LEFT JOIN ({_TRACKS}) USING (video_id) ORDER BY place"""
    return connection.sql(question).to_arrow_table().cast(SUMS)


def sum_up_files(out: str, rows: Sequence[Row]) -> Iterable[pa.Table]:
    """The sums of videos of DIR, batch by batch; those whose tables cannot be read have none."""
    for start in range(0, len(rows), _BATCH):
        batch = rows[start : start + _BATCH]
        try:
            yield _of_files(out, batch) if storage.is_local(out) else _of_tables(out, batch)
        except duckdb.Error:  # one of the files is not there, or damaged
            yield _of_tables(out, batch)


def _of_files(out: str, rows: Sequence[Row]) -> pa.Table:
    with duckdb.connect() as connection:
        for name in ("faces", "tracks"):
            files = [glob.escape(Layout(out).table(name, row["video_id"])) for row in rows]
            connection.read_parquet(files, hive_partitioning=False).create_view(name)
        return sum_up(connection, rows)


def _of_tables(out: str, rows: Sequence[Row]) -> pa.Table:
    def read(row: Row) -> tuple[Row, pa.Table, pa.Table] | None:
        try:
            return row, *(read_video_table(out, name, row["video_id"]) for name in ("faces", "tracks"))
        except StorageError:
            return None

    found = [each for each in storage.at_once(read, rows) if each is not None]
    if not found:
        return SUMS.empty_table()
    rows, faces, tracks = zip(*found, strict=True)
    with duckdb.connect() as connection:
        connection.register("faces", pa.concat_tables(_bare(faces)))
        connection.register("tracks", pa.concat_tables(_bare(tracks)))
        return sum_up(connection, rows)


def _bare(tables: Iterable[pa.Table]) -> list[pa.Table]:
    return [table.replace_schema_metadata(None).unify_dictionaries() for table in tables]


def read_kept(uri: str) -> pa.Table:
    """Sums that an earlier process kept; none where there are no such."""
    try:
        table = pq.read_table(pa.BufferReader(storage.read_bytes(uri)))
    except (FileNotFoundError, OSError, pa.ArrowException):
        return SUMS.empty_table()
    return table.replace_schema_metadata(None) if table.schema.equals(SUMS) else SUMS.empty_table()


def keep(uri: str, sums: pa.Table) -> None:
    """Keeps sums for the next process."""
    sink = pa.BufferOutputStream()
    pq.write_table(sums, sink, compression="zstd")
    storage.write_bytes(uri, sink.getvalue().to_pybytes())


def still_right(sums: pa.Table, rows: Mapping[str, Row]) -> pa.Table:
    """Of some sums, those that were made of the tables that are there now."""
    pairs = zip(sums["video_id"].to_pylist(), sums["made_of"].to_pylist(), strict=True)
    right = [video_id in rows and made_of(rows[video_id]) == of for video_id, of in pairs]
    return sums.filter(pa.array(right, pa.bool_()))
