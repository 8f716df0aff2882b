"""Files with embeddings: beside a segment's fragment until its video is done, and of tracks where they are kept.

They are biometric data, so they lie in files of their own: nothing else that facelog writes holds an embedding.
"""

import dataclasses

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from schemas import storage
from schemas.config import Config
from schemas.faces import EMBEDDING, FaceBatch
from schemas.layout import EMBEDDINGS, Work
from schemas.tables import make_table, parquet_bytes

_OF_FACES = pa.schema([("track", pa.int32()), ("timestamp", pa.float64()), ("embedding", pa.list_(pa.float32()))])

OF_TRACKS = pa.schema(
    [
        pa.field("video_id", pa.string(), nullable=False),
        pa.field("track_id", pa.int32(), nullable=False),
        pa.field("person_id", pa.int32(), nullable=False),
        pa.field("start_time", pa.float64(), nullable=False),
        pa.field("end_time", pa.float64(), nullable=False),
        pa.field("is_sure", pa.bool_(), nullable=False),
        pa.field("seen_with", pa.list_(pa.int32()), nullable=False),
        pa.field("model", pa.string(), nullable=False),
        pa.field("model_sha256", pa.string(), nullable=False),
        pa.field("embedding", pa.list_(pa.float32()), nullable=False),
    ]
)
"""Kept embeddings: a row for each track that has one. `person_id` counts within the video, as in `tracks`; `is_sure`
is false of tracks that are short, or have none but small, blurred, dark or turned faces; `seen_with` names the tracks
that are in a picture together with it."""


def write_embeddings(batch: FaceBatch, config: Config, work: Work) -> None:
    """Writes the embeddings of a part of a segment, if the run asks for persons; before its fragment."""
    if batch.embeddings is None:
        return
    columns = {name: batch.columns[name][batch.rows[EMBEDDING]] for name in ("track", "timestamp")}
    table = make_table(_OF_FACES, columns | {"embedding": lists(batch.embeddings)})
    data = parquet_bytes(table, {"model_sha256": config.embedding_sha256})
    storage.write_bytes(work.embeddings(batch.segment.video_id, batch.segment.index, batch.part), data)


@dataclasses.dataclass(frozen=True)
class FaceEmbeddings:
    """Embeddings of faces of one segment.

    Attributes:
      track: [m] int32, counting within the segment.
      timestamp: [m] float64.
      vectors: [m, d] float32 of length 1.
    """

    track: np.ndarray
    timestamp: np.ndarray
    vectors: np.ndarray


def embeddings_of(batch: FaceBatch) -> dict[int, FaceEmbeddings]:
    """The embeddings of a segment that has one part, as `read_embeddings` gives them, without writing them."""
    if batch.embeddings is None or not len(batch.embeddings):
        return {}
    track, timestamp = (batch.columns[name][batch.rows[EMBEDDING]] for name in ("track", "timestamp"))
    return {batch.segment.index: FaceEmbeddings(track, timestamp, batch.embeddings)}


def read_embeddings(work: Work, video_id: str) -> dict[int, FaceEmbeddings]:
    """The embeddings of a video's faces, by segment; segments without a face are left out."""
    tables: dict[int, list[pa.Table]] = {}
    for uri in sorted(info.uri for info in storage.list_files(work.video(video_id))):
        if uri.endswith(f".{EMBEDDINGS}"):
            table = pq.read_table(pa.BufferReader(storage.read_bytes(uri)))
            if len(table):
                tables.setdefault(int(uri.rsplit("/", 1)[-1].partition(".")[0]), []).append(table)
    whole = {segment: pa.concat_tables(parts) for segment, parts in tables.items()}
    return {
        segment: FaceEmbeddings(table["track"].to_numpy(), table["timestamp"].to_numpy(), matrix(table["embedding"]))
        for segment, table in whole.items()
    }


def remove_fragments(work: Work, video_id: str) -> None:
    """Removes a video's fragments with their embeddings; what says why the video failed stays."""
    for info in list(storage.list_files(work.video(video_id))):
        if info.uri.endswith((f".{EMBEDDINGS}", ".parquet")):
            storage.delete_file(info.uri)


def lists(vectors: np.ndarray) -> pa.ListArray:
    """[n, d] float32 as a column of lists."""
    offsets = np.arange(len(vectors) + 1, dtype=np.int32) * vectors.shape[1]
    return pa.ListArray.from_arrays(offsets, pa.array(vectors.reshape(-1), pa.float32()))


def matrix(column: pa.ChunkedArray) -> np.ndarray:
    """A column of lists of one length as [n, d] float32."""
    flat = column.combine_chunks().flatten() if len(column) else pa.array([], pa.float32())
    return np.asarray(flat, np.float32).reshape(len(column), -1) if len(column) else np.zeros((0, 0), np.float32)
