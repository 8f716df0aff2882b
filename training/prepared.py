"""Prepared data, streamed: the chips that `facelog prepare` cut once, in Parquet shards (`training.shards`).

Whatever the number of pictures, a reader holds 16 row groups of 128 at most: 40 MB of chips at 80 × 80 in colour.
"""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from schemas.tables import EMOTIONS
from training.datasets.base import DataError
from training.shards import GROUP_ROWS, INFO_FILE, SCHEMA, PreparedInfo, read_info, shard_path

EVERYTHING = (0.0, 1.0)

_MIXED = 16  # row groups that are shuffled together


def fraction(key: str) -> float:
    """A key's place in [0, 1), the same everywhere: what splits go by."""
    return int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest(), "big") / 2**64


def is_prepared(path: Path) -> bool:
    """Whether a path is a folder of prepared data."""
    return (path / INFO_FILE).is_file()


def open_prepared(folder: Path) -> PreparedSet:
    """Prepared data, to be streamed.

    Raises:
      DataError: there is none, or it is not complete.
    """
    info = read_info(folder)
    if info is None:
        raise DataError(f"{folder} has no {INFO_FILE}: give the folder that facelog prepare wrote.")
    if not info.complete:
        raise DataError(f"{folder} is not complete: run the same facelog prepare again, it goes on where it was.")
    return PreparedSet(folder, info)


@dataclasses.dataclass(frozen=True)
class PreparedSet:
    """Prepared data.

    Methods that go through it take `splits`, names of splits of which a row must be in one, any case (None: all rows);
    and `places`, the half-open interval of `fraction` of its group (or of its name, if it is in none) that a row must
    lie in: (0, 0.15) for a test part of 15 %, (0.15, 0.2) for calibration, (0.2, 1) for training.

    Attributes:
      folder: where it lies.
      info: what it is.
    """

    folder: Path
    info: PreparedInfo

    @property
    def count(self) -> int:
        """Number of rows."""
        return self.info.count

    def batches(
        self,
        size: int,
        columns: Sequence[str] | None = None,
        splits: Collection[str] | None = None,
        places: tuple[float, float] = EVERYTHING,
    ) -> Iterator[pa.RecordBatch]:
        """The rows in the set's own order.

        Args:
          size: rows of each batch; the last may have fewer.
          columns: of `SCHEMA`; None: all.
          splits: see the class.
          places: see the class.
        """
        columns = SCHEMA.names if columns is None else columns
        groups = (self._read([group], columns, splits, places) for group in self._row_groups())
        return _rebatch(groups, size)

    def shuffled(
        self,
        size: int,
        *,
        seed: int,
        epoch: int = 0,
        columns: Sequence[str] | None = None,
        splits: Collection[str] | None = None,
        places: tuple[float, float] = EVERYTHING,
    ) -> Iterator[pa.RecordBatch]:
        """The rows in an order by chance, which seed and epoch fix.

        Row groups come in a random order over all shards, and the rows of 16 of them are mixed: a set that is sorted by
        age or by person gives batches of all ages and persons.

        Args:
          size: rows of each batch; the last may have fewer.
          seed: of the order.
          epoch: each has its own order.
          columns: of `SCHEMA`; None: all.
          splits: see the class.
          places: see the class.
        """
        chance = np.random.default_rng([seed, epoch])
        columns = SCHEMA.names if columns is None else columns
        order = chance.permutation(np.array(self._row_groups()).reshape(-1, 2)).tolist()

        def mixed() -> Iterator[pa.Table]:
            for start in range(0, len(order), _MIXED):
                table = self._read(order[start : start + _MIXED], columns, splits, places)
                yield table.take(chance.permutation(table.num_rows))

        return _rebatch(mixed(), size)

    def dataset(
        self,
        size: int,
        *,
        seed: int,
        first_epoch: int = 0,
        splits: Collection[str] | None = None,
        places: tuple[float, float] = EVERYTHING,
    ) -> Any:
        """A `tf.data.Dataset` over the batches of `shuffled`, as `arrays` gives them; each pass is the next epoch.

        Args:
          size: rows of each batch; the last may have fewer.
          seed: of the order.
          first_epoch: whose order the first pass has, for a training that goes on.
          splits: see the class.
          places: see the class.
        """
        import tensorflow as tf

        epochs = itertools.count(first_epoch)

        def batches() -> Iterator[dict[str, np.ndarray]]:
            shuffled = self.shuffled(size, seed=seed, epoch=next(epochs), splits=splits, places=places)
            return map(self.arrays, shuffled)

        signature = {
            "chip": tf.TensorSpec((None, *self.info.shape), tf.uint8),
            "emotion": tf.TensorSpec((None,), tf.int32),
            "votes": tf.TensorSpec((None, len(EMOTIONS)), tf.float32),
            "age": tf.TensorSpec((None, 2), tf.float32),
            "female": tf.TensorSpec((None,), tf.float32),
        }
        return tf.data.Dataset.from_generator(batches, output_signature=signature).prefetch(2)

    def chips(self, batch: pa.RecordBatch) -> np.ndarray:
        """Chips of a batch with their margin, uint8: [n, S, S], or [n, S, S, 3] in the geometry's order of channels."""
        return np.frombuffer(b"".join(batch["chip"].to_pylist()), np.uint8).reshape(-1, *self.info.shape)

    def arrays(self, batch: pa.RecordBatch) -> dict[str, np.ndarray]:
        """Chips and labels of a batch with all columns.

        Returns:
          chip: as `chips`; emotion: [n] int32, index into EMOTIONS, -1 where there is none; votes: [n, 7] float32;
          age: [n, 2] float32, lowest and highest; female: [n] float32, 0 or 1. NaN where there is none.
        """
        none = [np.nan] * len(EMOTIONS)
        return {
            "chip": self.chips(batch),
            "emotion": np.array([EMOTIONS.index(e) if e else -1 for e in batch["emotion"].to_pylist()], np.int32),
            "votes": np.array([v or none for v in batch["votes"].to_pylist()], np.float32).reshape(-1, len(EMOTIONS)),
            "age": np.stack([np.array(batch[name].to_pylist(), np.float32) for name in ("age_low", "age_high")], 1),
            "female": np.array(batch["female"].to_pylist(), np.float32),
        }

    def _row_groups(self) -> list[tuple[int, int]]:
        """(shard, row group) of all, in order."""
        return [(i, group) for i, rows in enumerate(self.info.shards) for group in range(-(-rows // GROUP_ROWS))]

    def _read(
        self,
        groups: Sequence[Sequence[int]],
        columns: Sequence[str],
        splits: Collection[str] | None,
        places: tuple[float, float],
    ) -> pa.Table:
        wanted = dict.fromkeys(columns)  # in their order, each once
        if splits is not None:
            wanted |= {"splits": None}
        if places != EVERYTHING:
            wanted |= {"group": None, "name": None}
        tables = [self._row_group(shard, group, list(wanted)) for shard, group in groups]
        table = pa.concat_tables(tables) if tables else SCHEMA.empty_table().select(list(wanted))
        keep = np.ones(table.num_rows, bool)
        if splits is not None:
            names = {split.lower() for split in splits}
            keep &= [not names.isdisjoint(split.lower() for split in row) for row in table["splits"].to_pylist()]
        if places != EVERYTHING:
            keys = zip(table["group"].to_pylist(), table["name"].to_pylist(), strict=True)
            place = np.array([fraction(name if group is None else group) for group, name in keys])
            keep &= (place >= places[0]) & (place < places[1])
        return table.filter(pa.array(keep)).select(list(columns))

    def _row_group(self, shard: int, group: int, columns: list[str]) -> pa.Table:
        path = shard_path(self.folder, shard)
        try:
            with pq.ParquetFile(path) as file:
                return file.read_row_group(group, columns, use_threads=False).replace_schema_metadata(None)
        except (pa.ArrowException, OSError) as error:
            raise DataError(f"{path} cannot be read ({error}); run facelog prepare again.") from error


def _rebatch(tables: Iterable[pa.Table], size: int) -> Iterator[pa.RecordBatch]:
    """Batches of `size` rows out of tables of any; the last may have fewer."""
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
