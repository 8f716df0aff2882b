"""Output folders made without looking at a picture: rows, tables and samples that are valid and small."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from schemas import storage
from schemas.config import Config
from schemas.layout import ROW_TABLES, Layout
from schemas.run import Run
from schemas.tables import OBSERVATIONS, TABLES, make_table, parquet_bytes
from tests.examples import example_row
from transforms.ledger import HAS_TABLES, index_ledger, write_row

A, B, C = "aa" * 16, "bb" * 16, "cc" * 16

_TEXTS = {"emotion": "happy", "gender": "female", "emotion_smooth": "sad", "end_reason": "lost"}


def example_run(out: str, run_id: str = "run-1", config: Config | None = None) -> Run:
    """A run that writes there."""
    config = config or Config()
    return Run(run_id, config, Layout(storage.normalize(out)))


def write_video(
    uri: str, video_id: str | None, run: Run, *, seconds: int = 3, samples: bool = False, **row: Any
) -> None:
    """A file's row; where it is ok or partial, its tables too: one face, in each second.

    Args:
      uri: of the file.
      video_id: of its content.
      run: that did it.
      seconds: rows of its tables.
      samples: whether observations were kept.
      **row: other columns of its row.
    """
    if row.get("status", "ok") in HAS_TABLES:
        for table in ROW_TABLES:
            rows = example_table(TABLES[table], video_id or "", 1 if table == "tracks" else seconds)
            storage.write_bytes(run.layout.table(table, video_id or ""), parquet_bytes(rows, run.footer))
        if samples:
            name = storage.join(run.layout.observations(video_id or ""), "00000.parquet")
            storage.write_bytes(name, parquet_bytes(example_table(OBSERVATIONS, video_id or "", seconds), run.footer))
    own = {"video_id": video_id, "config_hash": run.config.hash, "run_id": run.run_id}
    write_row(example_row(uri, **own | row), run)


def make_archive(out: str, contents: Mapping[str, str], **options: Any) -> Run:
    """A folder as a run leaves it, with the copy of its rows; options are those of `write_video`."""
    run = example_run(out)
    for uri, video_id in contents.items():
        write_video(uri, video_id, run, **options)
    index_ledger(run)
    return run


def example_table(schema: pa.Schema, video_id: str, length: int) -> pa.Table:
    """Rows with a value in every column, but embeddings."""
    columns: dict[str, Any] = {}
    for field in schema:
        kind = field.type
        if field.name == "video_id":
            columns[field.name] = [video_id] * length
        elif field.name == "second":
            columns[field.name] = range(length)
        elif field.name == "timestamp":
            columns[field.name] = np.arange(length) + 0.25
        elif pa.types.is_dictionary(kind):
            columns[field.name] = [_TEXTS[field.name]] * length
        elif pa.types.is_list(kind):
            columns[field.name] = [None] * length
        elif pa.types.is_boolean(kind):
            columns[field.name] = [True] * length
        elif field.name in ("track_id", "track", "segment", "shot_id", "quality_flags"):
            columns[field.name] = [0] * length
        else:
            columns[field.name] = _noise(video_id, field.name, length, kind)
    return make_table(schema, columns)


def _noise(video_id: str, column: str, length: int, kind: pa.DataType) -> Iterable[float]:
    """Values in [0, 1), or whole ones below 100."""
    seed = [*bytes.fromhex(video_id), *column.encode()]
    random = np.random.default_rng(seed)
    return random.random(length) if pa.types.is_floating(kind) else random.integers(0, 100, length)
