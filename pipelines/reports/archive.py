"""The content of the index page: what was processed, what failed, and distributions over the whole archive."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import duckdb
import pyarrow as pa

from pipelines.reports.archive_content import ArchiveReport, Distribution, Figures, LastRun, VideoLine
from pipelines.reports.content import Model
from pipelines.reports.video import absent
from pipelines.reports.words import advice
from pipelines.words import UNKNOWN
from schemas.run import read_run
from schemas.tables import EMOTION_COLUMNS, EMOTIONS, GENDERS, STATUSES, UNKNOWN_GENDER, code_version
from transforms.ledger import HAS_TABLES, Row

_WORST_FIRST = ("failed", "corrupt", "partial", "no_video", "ok")
_MOST_FACES = 5

# Each table is read once: opening a thousand files takes longer than adding up what is in them. Tables of videos that
# no row names are leftovers of a run that was killed.
_NAMED = f"video_id IN (SELECT video_id FROM videos WHERE status IN {HAS_TABLES!r})"
_DECADE = "CAST(floor(age / 10) * 10 AS INTEGER) AS age"
_SUMS = ", ".join(f"sum({column}) AS {column}" for column in EMOTION_COLUMNS)
_COUNTED = {
    "counted_faces": f"SELECT video_id, emotion, {_DECADE}, gender, count(*) AS n, {_SUMS} FROM faces",
    "counted_tracks": f"SELECT {_DECADE}, gender, list(age_high - age_low) AS widths, count(*) AS n FROM tracks",
    # Not `least`, which passes over null and would count seconds without a sample as full of faces.
    "counted_seconds": f"SELECT CASE WHEN n_faces > {_MOST_FACES} THEN {_MOST_FACES} ELSE n_faces END AS n_faces, "
    "count(*) AS n FROM timeline",
}


def archive_report(
    out: str,
    rows: Sequence[Row],
    connection: duckdb.DuckDBPyConnection,
    *,
    pages: Mapping[str, str],
    without_tables: Mapping[str, str],
    models: Sequence[Model],
    n_persons: int | None,
) -> ArchiveReport:
    """Everything that the index page says.

    Args:
      out: DIR.
      rows: of `videos`.
      connection: with the tables as views.
      pages: names of pages by video_id.
      without_tables: videos whose tables could not be read, with the reason.
      models: of all configurations.
      n_persons: of the archive, if they have a page.
    """
    statuses = Counter(row["status"] for row in rows)
    contents = list({row["video_id"]: row for row in rows if row["status"] in HAS_TABLES}.values())
    no_figures = _count_all(connection)
    emotions: dict[str, dict[str, int]] = {}
    asked = "SELECT video_id, emotion, CAST(sum(n) AS BIGINT) FROM counted_faces GROUP BY ALL"
    for video_id, emotion, count in [] if no_figures else connection.sql(asked).fetchall():
        emotions.setdefault(video_id, {})[emotion or UNKNOWN] = count
    lines = [_line(row, pages, without_tables, emotions) for row in rows]
    return ArchiveReport(
        out=out,
        code_version=code_version(),
        last_run=_last_run(out),
        statuses={name: statuses[name] for name in STATUSES if statuses[name]},
        video_seconds=sum(row["duration"] or 0.0 for row in contents),
        wall_seconds=sum(row["wall_seconds"] for row in rows),
        n_videos=len(contents),
        n_tracks=sum(row["n_tracks"] or 0 for row in contents),
        face_seconds=sum(row["face_seconds"] or 0 for row in contents),
        configurations=len({row["config_hash"] for row in rows}),
        by_keyframes=sum(row["keyframe_seconds"] is not None for row in contents),
        models=tuple(models),
        absent=absent(models),
        by_persons=sum(row["n_persons"] is not None for row in contents),
        n_persons=n_persons,
        figures=None if no_figures else _figures(connection),
        no_figures=no_figures,
        videos=tuple(sorted(lines, key=lambda line: (_rank(line), line.uri))),
    )


def _last_run(out: str) -> LastRun | None:
    record = read_run(out)
    if record is None:
        return None
    return LastRun(record.run_id, record.runner, record.command, record.started_at, record.finished_at)


def _rank(line: VideoLine) -> int:
    """The order of lines: failures first; a video whose tables are missing counts as read in part."""
    return _WORST_FIRST.index("partial" if line.status == "ok" and line.reason else line.status)


def _line(
    row: Row, pages: Mapping[str, str], without_tables: Mapping[str, str], emotions: Mapping[str, dict[str, int]]
) -> VideoLine:
    video_id = row["video_id"] or ""
    lacking = without_tables.get(video_id) if row["status"] in HAS_TABLES else None
    told = None if row["status"] == "ok" else row["error_message"] or row["error_type"]  # an ok row may have a note
    counted = emotions.get(video_id, {}) if row["status"] in HAS_TABLES else {}
    return VideoLine(
        uri=row["uri"],
        page=pages.get(video_id),
        reason=lacking or told,
        advice=advice("partial", "no_tables") if lacking else advice(row["status"], row["error_type"]),
        emotions={name: counted[name] for name in (*EMOTIONS, UNKNOWN) if name in counted},
        # mypy cannot see through a dict of columns.
        **{name: row[name] for name in _COLUMNS},
    )


_COLUMNS = (
    *("status", "duration", "width", "height", "codec", "n_tracks", "max_faces", "face_seconds", "wall_seconds"),
    "finished_at",
)


def _count_all(connection: duckdb.DuckDBPyConnection) -> str | None:
    """Adds up the tables. Returns why that failed, if it did: one damaged file must not cost the whole page."""
    try:
        for name, query in _COUNTED.items():
            connection.execute(f"CREATE OR REPLACE TEMP TABLE {name} AS {query} WHERE {_NAMED} GROUP BY ALL")
    except (duckdb.Error, pa.ArrowException, OSError) as error:
        return f"a table cannot be read ({str(error).splitlines()[0]})."
    return None


def _figures(connection: duckdb.DuckDBPyConnection) -> Figures:
    return Figures(
        emotions=_emotions(connection),
        ages=_classes(connection, "age", _decades),
        genders=_classes(connection, "gender", _genders),
        faces=_faces(connection),
        age_interval=_median_width(connection),
    )


def _count(connection: duckdb.DuckDBPyConnection, column: str, table: str) -> dict[Any, int]:
    """Rows by the value of a column, None included."""
    return dict(connection.sql(f"SELECT {column}, CAST(sum(n) AS BIGINT) FROM {table} GROUP BY 1").fetchall())


def _median_width(connection: duckdb.DuckDBPyConnection) -> float | None:
    widths = "SELECT unnest(widths) AS width FROM counted_tracks"
    ((median,),) = connection.sql(f"SELECT median(width) FROM ({widths})").fetchall()
    return median


def _emotions(connection: duckdb.DuckDBPyConnection) -> Distribution:
    """Face-seconds by the likeliest emotion, and by the sum of its probabilities."""
    sums = ", ".join(f"sum({column})" for column in EMOTION_COLUMNS)
    (expected,) = connection.sql(f"SELECT {sums} FROM counted_faces").fetchall()
    return Distribution(
        seconds=_in_order(_count(connection, "emotion", "counted_faces"), EMOTIONS),
        expected={name: round(total, 2) for name, total in zip(EMOTIONS, expected, strict=True) if total is not None},
    )


def _classes(connection: duckdb.DuckDBPyConnection, column: str, order: Any) -> Distribution:
    """Face-seconds and tracks by an attribute."""
    found = [_count(connection, column, table) for table in ("counted_faces", "counted_tracks")]
    keys = order({key for counts in found for key in counts if key is not None})
    seconds, tracks = (_in_order(counts, keys) for counts in found)
    return Distribution(seconds, tracks)


def _genders(found: set[str]) -> list[str]:
    return [name for name in (*GENDERS, UNKNOWN_GENDER) if name in found]


def _decades(found: set[int]) -> list[int]:
    return list(range(min(found), max(found) + 1, 10)) if found else []


def _in_order(found: Mapping[Any, int], keys: Sequence[Any]) -> dict[str, int]:
    """Counts by name; where nothing has a value, only how much is unknown. "unknown" itself may be a value, too."""
    has_value = any(key is not None for key in found)
    counts = {_name(key): found.get(key, 0) for key in keys} if has_value else {}
    if None in found:
        counts[UNKNOWN] = counts.get(UNKNOWN, 0) + found[None]
    return counts


def _name(key: Any) -> str:
    return f"{key}–{key + 9}" if isinstance(key, int) else str(key)


def _faces(connection: duckdb.DuckDBPyConnection) -> Distribution:
    """Seconds by the number of faces in them; without a sample: unknown."""
    found = _count(connection, "n_faces", "counted_seconds")
    known = [key for key in found if key is not None]
    names = {n: f"{n} or more" if n == _MOST_FACES else str(n) for n in range(max(known, default=-1) + 1)}
    counts = {name: found.get(n, 0) for n, name in names.items()}
    return Distribution(counts | ({UNKNOWN: found[None]} if None in found else {}))
