"""Reads prepared data as a stream: the chips that `facelog prepare` wrote to Parquet shards (`training.data.shards`).

A reader holds at most 16 row groups of 128 rows, whatever the number of pictures: 40 MB of chips at 80 × 80 in colour.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from training.data.shards import GROUP_ROWS, INFO_FILE, SCHEMA, PreparedInfo, read_info, shard_path
from training.datasets.base import DataError


def fraction(key: str) -> float:
    """A place in [0, 1) for a key, by which data is split; the same on every machine."""
    return int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest(), "big") / 2**64


def is_prepared(path: Path) -> bool:
    """Whether a path is a folder of prepared data."""
    return (path / INFO_FILE).is_file()


def open_prepared(folder: Path) -> PreparedSet:
    """Open prepared data for streaming.

    Raises:
      DataError: the folder holds no prepared data, or it is not complete.
    """
    info = read_info(folder)
    if info is None:
        raise DataError(f"{folder} has no {INFO_FILE}: give the folder that facelog prepare wrote.")
    if not info.complete:
        raise DataError(f"{folder} is not complete: run the same facelog prepare again, it continues where it stopped.")
    return PreparedSet(folder, info)


@dataclasses.dataclass(frozen=True)
class PreparedSet:
    """Prepared data.

    Attributes:
      folder: the folder that holds it.
      info: its description, from `prepared.json`.
    """

    folder: Path
    info: PreparedInfo

    @property
    def count(self) -> int:
        """Number of rows."""
        return self.info.count

    def batches(self, size: int, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
        """The rows in the order of the data set.

        Args:
          size: rows per batch; the last batch may have fewer.
          columns: names of columns of `SCHEMA`; None: all.
        """
        columns = SCHEMA.names if columns is None else columns
        return _rebatch((self._row_group(shard, group, columns) for shard, group in self._row_groups()), size)

    def chips(self, batch: pa.RecordBatch) -> np.ndarray:
        """Chips of a batch with their margin, uint8: [n, S, S], or [n, S, S, 3] RGB."""
        return np.frombuffer(b"".join(batch["chip"].to_pylist()), np.uint8).reshape(-1, *self.info.shape)

    def _row_groups(self) -> list[tuple[int, int]]:
        """(shard, row group) of all row groups, in order."""
        return [(i, group) for i, rows in enumerate(self.info.shards) for group in range(-(-rows // GROUP_ROWS))]

    def _row_group(self, shard: int, group: int, columns: Sequence[str]) -> pa.Table:
        path = shard_path(self.folder, shard)
        try:
            with pq.ParquetFile(path) as file:
                return file.read_row_group(group, list(columns), use_threads=False).replace_schema_metadata(None)
        except (pa.ArrowException, OSError) as error:
            raise DataError(f"{path} cannot be read ({error}); run facelog prepare again.") from error


def _rebatch(tables: Iterable[pa.Table], size: int) -> Iterator[pa.RecordBatch]:
    """Batches of `size` rows from tables of any length; the last batch may have fewer."""
    rest: list[pa.Table] = []
    for table in tables:
        rest = [pa.concat_tables([*rest, table])]
        while rest[0].num_rows >= size:
            yield _one_batch(rest[0].slice(0, size))
            rest = [rest[0].slice(size)]
    if rest and rest[0].num_rows:
        yield _one_batch(rest[0])


def _one_batch(table: pa.Table) -> pa.RecordBatch:
    return table.combine_chunks().to_batches()[0]
