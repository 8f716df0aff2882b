"""Shards of prepared data: what `facelog prepare` writes.

A folder holds `part-00000.parquet`, `part-00001.parquet` … and `prepared.json`, which describes them. Each row is one
face: its chip with a margin, as raw bytes, and the labels that the data set has for it.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pydantic

from models.geometry import Geometry
from schemas import storage
from schemas.errors import UsageError
from training.datasets.base import DataError, LabelledPicture

INFO_FILE = "prepared.json"

SCHEMA = pa.schema(
    [
        ("name", pa.string()),
        ("chip", pa.binary()),
        ("size", pa.int32()),
        ("channels", pa.int32()),
        ("splits", pa.list_(pa.string())),
        ("group", pa.string()),
        ("emotion", pa.string()),
        ("votes", pa.list_(pa.float32())),
        ("age_low", pa.float32()),
        ("age_high", pa.float32()),
        ("female", pa.bool_()),
        ("race", pa.string()),
    ]
)
"""Columns of a shard; labels that a data set does not have are null."""

_DETAILS = b"facelog"
GROUP_ROWS = 128
"""Rows in a row group, which is read at once."""


class PreparedInfo(pydantic.BaseModel):
    """`prepared.json`.

    Attributes:
      kind: kind of the data set.
      geometry: geometry of the chips without their margin.
      margin: margin on each side, as a share of the chip's size.
      split: the only split that was taken; None: all.
      whole_picture: whether the face was taken to fill its picture; otherwise it was detected.
      detector: name of the detector that searched, in `models.detectors`.
      min_face: side in pixels of the smallest face that was searched for.
      landmarks_sha256: checksum of the landmark predictor.
      shard_size: pictures per shard, including those that were dropped.
      complete: whether every picture was processed; False while `facelog prepare` runs, and after it was stopped.
      pictures: number of pictures in the data set (or split); 0 before `complete`.
      dropped: number of pictures without a chip, by reason.
      shards: number of rows in each shard.
    """

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)

    kind: str
    geometry: Annotated[Geometry, pydantic.Field(discriminator="kind")]
    margin: Annotated[float, pydantic.Field(ge=0, le=1)]
    split: str | None = None
    whole_picture: bool
    detector: str = "hog"
    min_face: int
    landmarks_sha256: str
    shard_size: int
    complete: bool = False
    pictures: int = 0
    dropped: dict[str, int] = {}
    shards: tuple[int, ...] = ()

    @property
    def border(self) -> int:
        """Margin on each side in pixels; 0 for the detector's box, with nothing added around it."""
        return 0 if self.geometry.kind == "box" else round(self.geometry.size * self.margin)

    @property
    def size(self) -> int:
        """Width and height of the stored chips."""
        return self.geometry.size + 2 * self.border

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of a chip: (size, size), or (size, size, 3) RGB."""
        return (self.size, self.size) if self.geometry.channels == "grey" else (self.size, self.size, 3)

    @property
    def count(self) -> int:
        """Number of chips."""
        return sum(self.shards)

    @property
    def settings(self) -> dict[str, Any]:
        """The fields that the chips depend on; runs that differ in one of them cannot share a folder."""
        return self.model_dump(exclude={"complete", "pictures", "dropped", "shards"})


@dataclasses.dataclass(frozen=True)
class ShardDone:
    """A shard that is on disk.

    Attributes:
      index: number of the shard.
      digest: checksum of its samples, from `samples_digest`.
      rows: number of chips in it.
      dropped: number of its pictures without a chip, by reason.
    """

    index: int
    digest: str
    rows: int
    dropped: Counter[str]

    @property
    def pictures(self) -> int:
        """Number of pictures that the shard was made from."""
        return self.rows + self.dropped.total()


def samples_digest(samples: Iterable[LabelledPicture]) -> str:
    """Checksum of names and labels, 64 hex digits; tells whether a shard was made from these samples."""
    digest = hashlib.sha256()
    for sample in samples:
        row = _labels(sample)
        digest.update(json.dumps(row, sort_keys=True).encode())
    return digest.hexdigest()


def shard_path(folder: Path, index: int) -> Path:
    """Path of a shard."""
    return folder / f"part-{index:05d}.parquet"


def write_shard(
    folder: Path,
    info: PreparedInfo,
    index: int,
    samples: Sequence[LabelledPicture],
    chips: Sequence[np.ndarray | None],
    dropped: Counter[str],
) -> ShardDone:
    """Write a shard. The file gets its name only when it is complete.

    Args:
      folder: folder of the prepared data.
      info: description of the chips.
      index: number of the shard.
      samples: all samples of the shard.
      chips: chip of each sample, `info.shape` uint8; None for a sample that was dropped.
      dropped: number of dropped samples by reason.

    Raises:
      StorageError: the file cannot be written.
    """
    rows = [
        {**_labels(sample), "chip": chip.tobytes(), "size": info.size, "channels": 1 if chip.ndim == 2 else 3}
        for sample, chip in zip(samples, chips, strict=True)
        if chip is not None
    ]
    done = ShardDone(index, samples_digest(samples), len(rows), dropped)
    details = json.dumps({"digest": done.digest, "dropped": dict(dropped)})
    table = pa.Table.from_pylist(rows, SCHEMA).replace_schema_metadata({_DETAILS: details})
    sink = pa.BufferOutputStream()
    # Chips hardly ever repeat, so a dictionary of them would only take memory.
    words = [field.name for field in SCHEMA if field.type == pa.string()]
    pq.write_table(table, sink, row_group_size=GROUP_ROWS, use_dictionary=words, compression="zstd")
    storage.write_bytes(str(shard_path(folder, index)), sink.getvalue())
    return done


def read_shard_done(folder: Path, index: int) -> ShardDone | None:
    """Read the description of a shard from its file; None if there is no such file.

    Raises:
      DataError: the file is not a shard.
    """
    path = shard_path(folder, index)
    if not path.exists():
        return None
    try:
        metadata = pq.read_metadata(path)
        details = json.loads(metadata.metadata[_DETAILS])
    except (pa.ArrowException, OSError, KeyError, TypeError) as error:
        raise DataError(f"{path} is damaged ({error}); remove it and run the same facelog prepare again.") from error
    return ShardDone(index, details["digest"], metadata.num_rows, Counter(details["dropped"]))


def write_info(folder: Path, info: PreparedInfo) -> None:
    """Write `prepared.json`."""
    storage.write_bytes(str(folder / INFO_FILE), (info.model_dump_json(indent=2) + "\n").encode())


def read_info(folder: Path) -> PreparedInfo | None:
    """Read `prepared.json`; None if there is no such file.

    Raises:
      DataError: the file is not valid.
    """
    path = folder / INFO_FILE
    if not path.exists():
        return None
    try:
        return PreparedInfo.model_validate_json(path.read_bytes())
    except (OSError, pydantic.ValidationError) as error:
        raise DataError(f"{path} does not say what this folder holds: {error}") from error


def check_settings(folder: Path, there: PreparedInfo, wanted: PreparedInfo) -> None:
    """Check that a run may continue in a folder.

    Raises:
      UsageError: the data in the folder was prepared with other settings; the message says which.
    """
    ours, theirs = wanted.settings, there.settings
    for name in ours:
        if ours[name] != theirs[name]:
            raise UsageError(
                f"{folder} holds data prepared with another {name.replace('_', ' ')} ({_short(theirs[name])}, "
                f"now {_short(ours[name])}): give another --out, or remove that folder."
            )


def _short(value: Any) -> str:
    if isinstance(value, dict):
        return f"{value['kind']} {value['size']} × {value['size']} {value['channels']}"
    return "all" if value is None else str(value)


def _labels(sample: LabelledPicture) -> dict[str, Any]:
    low, high = sample.age or (None, None)
    return {
        "name": sample.name,
        "splits": list(sample.splits),
        "group": sample.group,
        "emotion": sample.emotion,
        "votes": None if sample.votes is None else sample.votes.tolist(),
        "age_low": low,
        "age_high": high,
        "female": sample.female,
        "race": sample.race,
    }
