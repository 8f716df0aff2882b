"""Rows of `videos`, the ledger: for each uri, what became of it.

A row is one small Parquet file. It is written after all other files of its video, so a row means "done".
"""

import dataclasses
import json
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from schemas import storage
from schemas.config import ALGORITHM_VERSION, SCHEMA_VERSION, Config
from schemas.errors import StorageError, UsageError
from schemas.layout import EMBEDDINGS, ROW_TABLES, WORK, Layout, row_name
from schemas.run import Run
from schemas.storage import FileInfo
from schemas.table_files import in_columns, list_table_files, read_footer
from schemas.tables import VIDEOS, code_version, make_table, parquet_bytes
from schemas.video import Plan

Row = dict[str, Any]
"""One row of `videos`, by column; missing columns are null. Where the video was computed, the row has `figures`, too, a
dict of `segments`, `detections` and `step_seconds`, which stands in the footer of the row's file."""

RowFile = tuple[str, int | None, datetime | None]
"""Name without ending, size and time of the file of a row."""

HAS_TABLES = ("ok", "partial")
_FIGURES = "figures"


def new_row(plan: Plan, run: Run, *, started_at: datetime, **figures: Any) -> Row:
    """A row made of a plan; `figures` are further columns, and replace those of the plan."""
    row: Row = {
        "uri": plan.file.uri,
        "video_id": plan.video_id,
        "size_bytes": plan.file.size_bytes,
        "modified_at": plan.file.modified_at,
        "etag": plan.file.etag,
        "status": plan.status,
        "error_type": plan.error_type,
        "error_message": plan.error_message,
        "sample_fps": run.config.sampling.sample_fps,
        "wall_seconds": 0.0,
        "peak_rss_mb": 0.0,
    }
    if plan.info:
        row |= dataclasses.asdict(plan.info)
    made = {"config_hash": run.config.hash, "algorithm_version": ALGORITHM_VERSION}
    return row | figures | made | _own_columns(run, started_at)


def copied_row(row: Row, file: FileInfo, run: Run) -> Row:
    """The row of a copy: the same figures under another uri; nothing was computed for it."""
    own = _own_columns(run, datetime.now(UTC)) | {"wall_seconds": 0.0, "peak_rss_mb": 0.0}
    message = row.get("error_message")
    if message is not None:
        message = message.replace(row["uri"], file.uri)
    computed = {name: value for name, value in row.items() if name != _FIGURES}
    return computed | dataclasses.asdict(file) | own | {"error_message": message}


def _own_columns(run: Run, started_at: datetime) -> Row:
    return {
        "started_at": started_at,
        "finished_at": datetime.now(UTC),
        "run_id": run.run_id,
        "code_version": code_version(),
    }


def suffices(row: Row, config: Config) -> bool:
    """Whether a row says what a run with a configuration wants to know.

    It was made with that configuration, or the run is a scan and the row has more than a scan can tell: a scan never
    replaces the tables of a run that looked at more than keyframes, whatever its settings were.
    """
    if row["config_hash"] in (config.hash, config.without_keyframes.hash):
        return True
    return config.sampling.keyframes and row["status"] in HAS_TABLES and row.get("keyframe_seconds") is None


def write_row(row: Row, run: Run) -> None:
    """Writes one row under its final name."""
    table = make_table(VIDEOS, {name: [row.get(name)] for name in VIDEOS.names})
    figures = {_FIGURES: json.dumps(row[_FIGURES])} if _FIGURES in row else {}
    storage.write_bytes(run.layout.ledger(row["uri"]), parquet_bytes(table, _footer(row, run) | figures))


def _footer(row: Row, run: Run) -> dict[str, str]:
    """The footer of a row's file, with the configuration that made the row."""
    if row["config_hash"] == run.config.hash or not run.config.sampling.keyframes:
        return run.footer
    if row["config_hash"] == run.without_keyframes.config.hash or row["status"] not in HAS_TABLES:
        return run.without_keyframes.footer
    # The row of a copy, whose tables an earlier run has made with other settings.
    return read_footer(run.layout.table("faces", row["video_id"])) | {"run_id": run.run_id}


def forget_row(uri: str, run: Run) -> None:
    """Removes the row of a uri, if there is one, before its video is analyzed again."""
    name = run.layout.ledger(uri)
    if storage.exists(name):
        storage.delete_file(name)


def remove_tables(video_id: str, run: Run) -> None:
    """Removes a video's files in `faces`, `tracks` and `timeline`, its kept observations and embeddings."""
    remove_embeddings(video_id, run)
    for table in ROW_TABLES:
        name = run.layout.table(table, video_id)
        if storage.exists(name):
            storage.delete_file(name)
    kept = run.layout.observations(video_id)
    if storage.exists(kept):
        storage.delete_tree(kept)


def remove_embeddings(video_id: str, run: Run) -> None:
    """Removes a video's kept embeddings."""
    if storage.exists(name := run.layout.embeddings(video_id)):
        storage.delete_file(name)


def videos_with_tables(run: Run) -> set[str]:
    """Ids of all videos with a file of rows or embeddings or with kept observations, with a row or not."""
    layout = run.layout
    ids = {_stem(info.uri) for table in (*ROW_TABLES, EMBEDDINGS) for info in list_table_files(layout.folder(table))}
    return ids | {info.uri.rsplit("/", 2)[-2] for info in list_table_files(layout.folder("observations"))}


def read_ledger(out: str) -> dict[str, Row]:
    """All rows of DIR by uri.

    Raises:
      UsageError: DIR was written with another schema version.
      StorageError: a file in it is no ledger file.
    """
    return {row["uri"]: row for row in read_rows(out).values()}


def read_rows(
    out: str, known: Mapping[RowFile, Row] | None = None, *, held: Mapping[str, Row] | None = None
) -> dict[RowFile, Row]:
    """All rows of DIR, each by its file.

    Args:
      out: DIR.
      known: an earlier answer, from which the rows of files that have not changed are taken; None: they are taken from
        the copy of all rows.
      held: rows by uri that the caller, who holds DIR, knows to be those on disk; they are not read either.

    Raises:
      UsageError, StorageError: as `read_ledger`.
    """
    files = {
        (_stem(info.uri), info.size_bytes, info.modified_at): info
        for info in list_table_files(Layout(out).folder("videos"))
    }
    known = _read_index(out) if known is None else known
    by_name = {row_name(uri): row for uri, row in (held or {}).items()}
    found = {key: known.get(key) or by_name.get(key[0]) for key in files}
    new = [key for key, row in found.items() if row is None]
    found |= zip(new, storage.at_once(lambda key: _read_if_there(files[key].uri, out), new), strict=True)
    return {key: row for key, row in found.items() if row is not None}


def read_row(uri: str, run: Run) -> Row:
    """The row of one uri.

    Raises:
      FileNotFoundError: it has none.
      UsageError, StorageError: as `read_ledger`.
    """
    return _read_row(run.layout.ledger(uri), run.layout.out)


def close_ledger(run: Run, rows: Mapping[str, Row] | None = None, *, changed: bool = True) -> None:
    """Removes what no row needs, also that of killed runs, and renews the copy of all rows.

    That is tables, fragments, and files that were under construction when a process was killed.

    Args:
      run: that ends.
      rows: all rows by uri; None: they are read.
      changed: whether a row was written since the copy was made.
    """
    rows = read_ledger(run.layout.out) if rows is None else rows
    work = run.work
    named = {row["video_id"] for row in rows.values() if row["status"] in HAS_TABLES}
    for video_id in sorted(videos_with_tables(run) - named):
        remove_tables(video_id, run)
    # Fragments of failed videos and of videos without a row stay, since another run may still finish them.
    ours = [row for row in rows.values() if suffices(row, run.config)]
    done = {row["video_id"] for row in ours if row["status"] != "failed"}
    for video_id in sorted(done & work.video_ids()):
        storage.delete_tree(work.video(video_id))
    storage.delete_tree(work.plans)
    if storage.is_local(run.layout.out):
        # A run that left such a file among the tables had more to do, so this one has changed something.
        for folder in (*ROW_TABLES, "videos", "observations", EMBEDDINGS, WORK) if changed else (WORK,):
            for info in list(storage.list_files(run.layout.folder(folder))):
                if storage.is_unfinished(info.uri):
                    storage.delete_file(info.uri)
    if changed:
        index_ledger(run, rows)


def index_ledger(run: Run, rows: Mapping[str, Row] | None = None) -> None:
    """Writes a copy of all rows to one file; `read_ledger` takes a row from it if the row's file has not changed.

    Reading 20,000 one-row files took 69 s of CPU and 240 MB (100 s and 2.6 GB as one pyarrow data set), and 2 s with
    the copy. The copy may be removed at any time.

    Args:
      run: that has DIR.
      rows: all rows by uri, as they are on disk; None: they are read.
    """
    found = read_rows(run.layout.out, held=rows)
    if found:
        _write_index(run.layout.out, found, run.footer)


def renew_index(out: str, without: Collection[str] = ()) -> None:
    """Renews the copy outside of a run: after rows were rewritten, or before the rows of some uris are removed.

    Args:
      out: DIR.
      without: uris whose rows are left out.
    """
    rows = {key: row for key, row in read_rows(out).items() if row["uri"] not in without}
    if rows:
        _write_index(out, rows, {"schema_version": str(SCHEMA_VERSION)})
    elif storage.exists(copy := Layout(out).ledger_copy):
        storage.delete_file(copy)


_KEY = pa.schema(
    [("file_name", pa.string()), ("file_size", pa.int64()), ("file_modified_at", pa.timestamp("us", "UTC"))]
)
_INDEXED = pa.schema([*_KEY, *VIDEOS, (_FIGURES, pa.string())])


def _write_index(out: str, rows: Mapping[RowFile, Row], footer_texts: Mapping[str, str]) -> None:
    columns: dict[str, Any] = {name: [row.get(name) for row in rows.values()] for name in VIDEOS.names}
    columns |= dict(zip(_KEY.names, zip(*rows, strict=True), strict=True))
    columns[_FIGURES] = [json.dumps(row[_FIGURES]) if _FIGURES in row else None for row in rows.values()]
    storage.write_bytes(Layout(out).ledger_copy, parquet_bytes(make_table(_INDEXED, columns), footer_texts))


def _read_if_there(uri: str, out: str) -> Row | None:
    try:
        return _read_row(uri, out)
    except FileNotFoundError:  # a run under way has begun this video again since it was listed
        return None


def _read_index(out: str) -> dict[RowFile, Row]:
    try:
        table = pq.read_table(pa.BufferReader(storage.read_bytes(Layout(out).ledger_copy)))
    except (FileNotFoundError, OSError, pa.ArrowException):  # only a copy
        return {}
    if _version(table.schema) != SCHEMA_VERSION or not table.schema.equals(_INDEXED):
        return {}
    rows = [_with_figures(row, row.pop(_FIGURES)) for row in table.to_pylist()]
    return {(row.pop("file_name"), row.pop("file_size"), row.pop("file_modified_at")): row for row in rows}


def _read_row(uri: str, out: str) -> Row:
    try:
        file = pq.ParquetFile(pa.BufferReader(storage.read_bytes(uri)))
        version = _version(file.schema_arrow)
        rows = []
        if version == SCHEMA_VERSION:
            rows = in_columns(file.read(use_threads=False), VIDEOS).to_pylist()
            if len(rows) != 1:
                raise pa.ArrowInvalid("not one row of videos")
    except FileNotFoundError:
        raise
    except (OSError, pa.ArrowException) as error:
        raise StorageError(f"{uri} is no row of the ledger; remove it, and its video is analyzed again.") from error
    if version == SCHEMA_VERSION:
        return _with_figures(rows[0], file.schema_arrow.metadata.get(_FIGURES.encode()))
    raise UsageError(
        f"{out} was written with schema version {version}, this facelog writes {SCHEMA_VERSION}: "
        + (f"run `facelog upgrade {out}`." if version < SCHEMA_VERSION else "use a newer facelog.")
    )


def _with_figures(row: Row, figures: str | bytes | None) -> Row:
    return row if figures is None else row | {_FIGURES: json.loads(figures)}


def _version(schema: pa.Schema) -> int:
    return int((schema.metadata or {}).get(b"schema_version", b"0"))


def _stem(uri: str) -> str:
    return uri.rsplit("/", 1)[-1].removesuffix(".parquet")
