"""Read the embeddings that `facelog analyze --persons archive` has kept, and those of enrolled persons."""

from __future__ import annotations

import dataclasses
import io
from collections import Counter
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from schemas import storage
from schemas.errors import UsageError
from schemas.layout import EMBEDDINGS, Layout
from schemas.table_files import list_table_files, read_table
from schemas.tables import parquet_bytes
from transforms.embeddings import OF_TRACKS, lists, matrix

Key = tuple[str, int]
"""A track: `video_id`, `track_id`."""

_ENROLLED = pa.schema(
    [
        pa.field("person_id", pa.int32(), nullable=False),
        pa.field("model", pa.string(), nullable=False),
        pa.field("model_sha256", pa.string(), nullable=False),
        pa.field("embedding", pa.list_(pa.float32()), nullable=False),
    ]
)
_REMEDY = "remove it, and analyze its video again with --persons archive"


@dataclasses.dataclass(frozen=True)
class Kept:
    """Kept embeddings of tracks, all of one model, by video and track.

    Attributes:
      model, sha256: name of the embedding, and checksum of its weights; empty where there are none.
      keys: [n] the tracks.
      within: [n] int32, person of each within its video.
      span: [n, 2] float64, first and last second.
      is_sure: [n] bool.
      seen_with: [n] tracks of the video that are in a picture together with each.
      vectors: [n, d] float32 of length 1.
    """

    model: str
    sha256: str
    keys: list[Key]
    within: np.ndarray
    span: np.ndarray
    is_sure: np.ndarray
    seen_with: list[list[int]]
    vectors: np.ndarray

    def __len__(self) -> int:
        """The number of tracks."""
        return len(self.keys)


def read_kept(out: str, embedding: str | None = None) -> Kept:
    """All kept embeddings of DIR.

    Args:
      out: DIR, normalized.
      embedding: name of the model; None: the one that there is.

    Raises:
      UsageError: there are embeddings of several models, and `embedding` names none of them.
      StorageError: a file cannot be read.
    """
    files = sorted(info.uri for info in list_table_files(Layout(out).folder(EMBEDDINGS)))
    tables = storage.at_once(lambda uri: read_table(uri, OF_TRACKS, remedy=_REMEDY), files)
    whole = pa.concat_tables([OF_TRACKS.empty_table(), *(table.replace_schema_metadata(None) for table in tables)])
    pairs = zip(whole["model"].to_pylist(), whole["model_sha256"].to_pylist(), strict=True)
    models = Counter(pair for pair in pairs if embedding in (None, pair[0]))
    if len(models) > 1:
        names = ", ".join(f"{name} ({count} tracks)" for (name, _), count in sorted(models.items()))
        raise UsageError(f"{out} has embeddings of several models, which cannot be compared: {names}. Say --embedding.")
    model, sha256 = next(iter(models), ("", ""))
    own = whole.filter(pa.compute.equal(whole["model_sha256"], sha256)).sort_by(
        [("video_id", "ascending"), ("track_id", "ascending")]
    )
    return Kept(
        model=model,
        sha256=sha256,
        keys=list(zip(own["video_id"].to_pylist(), own["track_id"].to_pylist(), strict=True)),
        within=own["person_id"].to_numpy(),
        span=np.stack([own["start_time"].to_numpy(), own["end_time"].to_numpy()], axis=1),
        is_sure=own["is_sure"].to_numpy(zero_copy_only=False),
        seen_with=own["seen_with"].to_pylist(),
        vectors=matrix(own["embedding"]),
    )


def remove_kept(out: str, keys: Sequence[Key]) -> None:
    """Removes the embeddings of some tracks: their videos' files are rewritten without them."""
    tracks: dict[str, set[int]] = {}
    for video_id, track_id in keys:
        tracks.setdefault(video_id, set()).add(track_id)
    for video_id, gone in sorted(tracks.items()):
        uri = Layout(out).embeddings(video_id)
        if storage.exists(uri):
            table = read_table(uri, OF_TRACKS, remedy=_REMEDY)
            texts = {key.decode(): value.decode() for key, value in (table.schema.metadata or {}).items()}
            left = table.filter(pa.array([track not in gone for track in table["track_id"].to_pylist()], pa.bool_()))
            storage.write_bytes(uri, parquet_bytes(left, texts))


def read_enrolled(out: str, sha256: str | None = None) -> dict[int, np.ndarray]:
    """Embeddings of pictures by person, [n, d] float32 each; of one model, or of all."""
    table = _read_enrolled(out)
    if sha256 is not None:
        table = table.filter(pa.compute.equal(table["model_sha256"], sha256))
    persons, vectors = table["person_id"].to_numpy(), matrix(table["embedding"])
    return {person: vectors[persons == person] for person in np.unique(persons).tolist()}


def add_enrolled(out: str, person_id: int, vectors: np.ndarray, model: str, sha256: str) -> None:
    """Adds the embeddings of pictures of a person, [n, d]."""
    n = len(vectors)
    columns = [[person_id] * n, [model] * n, [sha256] * n, lists(vectors)]
    _write_enrolled(out, pa.concat_tables([_read_enrolled(out), pa.table(columns, schema=_ENROLLED)]))


def change_enrolled(out: str, person_id: int, other: int | None) -> None:
    """Gives the pictures of a person to another one, or removes them (None)."""
    table = _read_enrolled(out)
    persons = table["person_id"].to_pylist()
    if person_id not in persons:
        return
    if other is None:
        _write_enrolled(out, table.filter(pa.array([person != person_id for person in persons])))
    else:
        changed = pa.array([other if person == person_id else person for person in persons], pa.int32())
        _write_enrolled(out, table.set_column(0, _ENROLLED.field(0), changed))


def _read_enrolled(out: str) -> pa.Table:
    try:
        return pq.read_table(io.BytesIO(storage.read_bytes(Layout(out).enrolled)))
    except FileNotFoundError:
        return _ENROLLED.empty_table()


def _write_enrolled(out: str, table: pa.Table) -> None:
    uri = Layout(out).enrolled
    if len(table):
        storage.write_bytes(uri, parquet_bytes(table, {}))
    elif storage.exists(uri):
        storage.delete_file(uri)
