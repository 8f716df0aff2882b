"""Rows of `videos`: the ledger that says of every uri what became of it.

A row is one small Parquet file, written last of all that belongs to its video, so a row means "done".
"""

import dataclasses
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from schemas import storage
from schemas.config import ALGORITHM_VERSION, SCHEMA_VERSION, Config
from schemas.errors import StorageError, UsageError
from schemas.layout import ROW_TABLES, Layout
from schemas.storage import FileInfo
from schemas.tables import VIDEOS, code_version, footer, make_table, parquet_bytes
from schemas.video import Plan

Row = dict[str, Any]
"""One row of `videos`, by column; missing columns are null."""

HAS_TABLES = ("ok", "partial")
_READ_AT_ONCE = 4096


@dataclasses.dataclass(frozen=True)
class Run:
    """What rows and footers say of the run that wrote them.

    Attributes:
      run_id: of the run.
      config: its configuration.
      layout: where things lie.
    """

    run_id: str
    config: Config
    layout: Layout

    @property
    def footer(self) -> dict[str, str]:
        """Texts of a file's footer."""
        return footer(self.config, self.run_id)


def new_row(plan: Plan, run: Run, *, started_at: datetime, **figures: Any) -> Row:
    """A row from what the probe found out; `figures` are further columns and win over it."""
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
    return row | figures | _own_columns(run, started_at)


def copied_row(row: Row, file: FileInfo, run: Run) -> Row:
    """The row of a copy: the same figures under another uri; nothing was computed for it."""
    own = _own_columns(run, datetime.now(UTC)) | {"wall_seconds": 0.0, "peak_rss_mb": 0.0}
    message = row.get("error_message")
    if message is not None:
        message = message.replace(row["uri"], file.uri)
    return row | dataclasses.asdict(file) | own | {"error_message": message}


def _own_columns(run: Run, started_at: datetime) -> Row:
    return {
        "config_hash": run.config.hash,
        "algorithm_version": ALGORITHM_VERSION,
        "started_at": started_at,
        "finished_at": datetime.now(UTC),
        "run_id": run.run_id,
        "code_version": code_version(),
    }


def write_row(row: Row, run: Run) -> None:
    """Writes one row under its final name."""
    table = make_table(VIDEOS, {name: [row.get(name)] for name in VIDEOS.names})
    storage.write_bytes(run.layout.ledger(row["uri"]), parquet_bytes(table, run.footer))


def forget_row(uri: str, run: Run) -> None:
    """Removes a uri's row, if there is one: its video is about to be done again."""
    name = run.layout.ledger(uri)
    if storage.exists(name):
        storage.delete_file(name)


def remove_tables(video_id: str, run: Run) -> None:
    """Removes a video's files in `faces`, `tracks` and `timeline`, and its kept observations."""
    for table in ROW_TABLES:
        name = run.layout.table(table, video_id)
        if storage.exists(name):
            storage.delete_file(name)
    kept = run.layout.observations(video_id)
    if storage.exists(kept):
        storage.delete_tree(kept)


def read_ledger(out: str) -> dict[str, Row]:
    """All rows of DIR by uri.

    Raises:
      UsageError: DIR was written with another schema version.
      StorageError: a file in it is no ledger file.
    """
    folder = storage.join(out, "videos")
    if not storage.is_folder(folder):
        return {}
    names = [info.uri for info in storage.list_files(folder) if info.uri.endswith(".parquet")]
    names = [name for name in names if not name.rsplit("/", 1)[-1].startswith(".")]
    if not names:
        return {}
    _check_version(names[0], out)
    return {row["uri"]: row for row in _rows(names)}


def _rows(names: list[str]) -> Iterator[Row]:
    file_system, _ = storage.resolve(names[0])
    paths = [storage.resolve(name)[1] for name in names]
    try:
        table = ds.dataset(paths, schema=VIDEOS, format="parquet", filesystem=file_system)
        for batch in table.to_batches(batch_size=_READ_AT_ONCE):
            yield from batch.to_pylist()
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise StorageError(f"The ledger cannot be read: {error}") from error


def _check_version(name: str, out: str) -> None:
    metadata = pq.read_schema(pa.BufferReader(storage.read_bytes(name))).metadata or {}
    version = int(metadata.get(b"schema_version", b"0"))
    if version != SCHEMA_VERSION:
        raise UsageError(
            f"{out} was written with schema version {version}, this facelog writes {SCHEMA_VERSION}: "
            + ("run `facelog upgrade` on it." if version < SCHEMA_VERSION else "use a newer facelog.")
        )
