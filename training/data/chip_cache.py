"""Chips for training: cut once from a data set's pictures and kept on disk, or read from `facelog prepare`'s shards."""

from __future__ import annotations

import collections
import dataclasses
import hashlib
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow.parquet as pq
from rich.progress import track

from models.geometry import ChipGeometry, Geometry
from models.landmarks import landmark_sha256
from training.data.own_face import UNREADABLE, Dropped
from training.data.prepared import PreparedSet
from training.data.ready_chips import MARGIN, labelled_chip
from training.data.shards import shard_path
from training.data.surroundings import fill_surroundings
from training.datasets import DataError, DataSet, LabelledPicture
from training.datasets.duplicates import difference_hash

_LOG = logging.getLogger(__name__)

MIXED = 16
"""Number of row groups that are in memory at a time and shuffled together."""


class Chips(Protocol):
    """Chips by index: an array, or shards that are read on demand."""

    @property
    def shape(self) -> tuple[int, ...]:
        """[n, S, S] or [n, S, S, 3]."""

    def __getitem__(self, rows: Any) -> np.ndarray: ...


@dataclasses.dataclass(frozen=True, eq=False)
class Fingerprints:
    """Fingerprints of n pictures, which tell copies and near-copies.

    Attributes:
      pixels: [n] uint64, a hash of the pixels; 0 where the picture cannot be read or is not known.
      hashes: [n, 4] uint64, the `difference_hash` of each picture; zeros where there is room around the face.
      blank: [n] bool, whether the picture is of a single colour.
    """

    pixels: np.ndarray
    hashes: np.ndarray
    blank: np.ndarray


class ShardChips:
    """Chips of prepared data by index; the row groups that were read last are kept in memory."""

    def __init__(self, data: PreparedSet, channels: str):
        """Reads the number of rows of each row group.

        Args:
          data: the prepared data.
          channels: "grey", "rgb" or "bgr": order of the chips' channels.
        """
        self._data, self._channels = data, channels
        self._groups, rows = [], []
        for i in range(len(data.info.shards)):
            metadata = pq.read_metadata(shard_path(data.folder, i))
            self._groups += [(i, group) for group in range(metadata.num_row_groups)]
            rows += [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)]
        self.blocks = np.concatenate([[0], np.cumsum(rows)])
        self.shape = (data.count, *data.info.shape)
        self._read: collections.OrderedDict[int, np.ndarray] = collections.OrderedDict()

    def __getitem__(self, rows: Any) -> np.ndarray:
        rows = np.atleast_1d(np.arange(len(self))[rows])
        groups = np.searchsorted(self.blocks, rows, side="right") - 1
        found = np.empty((len(rows), *self.shape[1:]), np.uint8)
        for group in np.unique(groups):
            found[groups == group] = self._group(int(group))[rows[groups == group] - self.blocks[group]]
        return found

    def __len__(self) -> int:
        return self.shape[0]

    def _group(self, number: int) -> np.ndarray:
        if number not in self._read:
            shard, group = self._groups[number]
            with pq.ParquetFile(shard_path(self._data.folder, shard)) as file:
                batch = file.read_row_group(group, ["chip"]).combine_chunks().to_batches()[0]
            chips = self._data.chips(batch)
            self._read[number] = chips[..., ::-1] if self._channels == "bgr" else chips  # shards are in RGB
        self._read.move_to_end(number)
        if len(self._read) > MIXED:
            self._read.popitem(last=False)
        return self._read[number]


def cut_chips(
    data: DataSet, samples: Sequence[LabelledPicture], geometry: Geometry, cache: Path, *, fill: bool = False
) -> tuple[np.ndarray, Fingerprints]:
    """Chips with their margin and fingerprints of the pictures; both are made once and kept in the cache.

    Args:
      data: the data set.
      samples: its pictures.
      geometry: geometry of the chips.
      cache: folder of the cache.
      fill: whether uniform surroundings of cut-out faces are filled.
    """
    key = f"{geometry}|{MARGIN}|{landmark_sha256()}|{data.root}|{'|'.join(sample.name for sample in samples)}"
    rooms = sorted({str(sample.room) for sample in samples})
    if fill or rooms != ["0.0"]:
        key += f"|{rooms}|{fill}"
    folder = cache / f"chips-{hashlib.sha256(key.encode()).hexdigest()[:16]}"
    if not (folder / "looks.npz").exists():
        folder.mkdir(parents=True, exist_ok=True)
        border = round(geometry.size * MARGIN) if isinstance(geometry, ChipGeometry) else 0
        size = geometry.size + 2 * border
        shape = (len(samples), size, size, *(() if geometry.channels == "grey" else (3,)))
        chips = np.lib.format.open_memmap(folder / "chips.npy", mode="w+", dtype=np.uint8, shape=shape)
        pixels, hashes = np.zeros(len(samples), np.uint64), np.zeros((len(samples), 4), np.uint64)
        blank = np.zeros(len(samples), bool)
        without: collections.Counter[str] = collections.Counter()
        for i, sample in enumerate(track(samples, f"Cutting {data.kind}", transient=True)):
            try:
                picture = sample.picture(
                    grey=geometry.channels == "grey" and sample.room == 0
                )  # faces are found in colour
                chip = labelled_chip(sample, picture, geometry, MARGIN)
                chips[i] = fill_surroundings(chip) if fill else chip
            except (DataError, Dropped) as error:
                without[str(error) if isinstance(error, Dropped) else UNREADABLE] += 1
                continue
            pixels[i], blank[i] = _place(picture), picture.std() < 1
            if sample.room == 0:  # others are alike by what is around the face
                hashes[i] = difference_hash(sample.picture(grey=True))
        for reason, count in without.most_common():
            _LOG.warning("%s: %d of %d pictures are left out: %s", data.root, count, len(samples), reason)
        chips.flush()
        np.savez(folder / "looks.npz", pixels=pixels, hashes=hashes, blank=blank)
    with np.load(folder / "looks.npz") as saved:
        return np.load(folder / "chips.npy", mmap_mode="r"), Fingerprints(**saved)


def _place(picture: np.ndarray) -> int:
    """A hash of the pixels as 64 bits, at least 1."""
    return max(1, int.from_bytes(hashlib.blake2b(picture.tobytes(), digest_size=8).digest(), "big"))
