"""Search results for embeddings, and vectors that are made up."""

import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq


def files_that_hold(folder: Path, vector: np.ndarray) -> list[str]:
    """Files below a folder that hold the bytes of a vector's first values, as they are or inside compressed Parquet."""
    needle = np.ascontiguousarray(vector[:4], np.float32).tobytes()
    return sorted(
        str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file() and needle in _bytes(path)
    )


def _bytes(path: Path) -> bytes:
    """A file's bytes, and those of its table without compression if it is Parquet."""
    raw = path.read_bytes()
    if raw[:4] != b"PAR1":
        return raw
    table, sink = pq.read_table(io.BytesIO(raw)), io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return raw + sink.getvalue()


def vectors_of(persons: int, each: int, *, spread: float = 0.6, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Vectors of made-up persons: [n, 128] float32 of length 1, and [n] the person of each, in random order.

    Two of one person have a likeness of about 1 / (1 + spread²), two of different ones of about 0.
    """
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((persons, 128))
    person = rng.permutation(np.repeat(np.arange(persons), each))
    vectors = centres[person] + spread * rng.standard_normal((len(person), 128))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32), person


def pairwise_f1(true: np.ndarray, found: np.ndarray) -> float:
    """F1 over all pairs: whether two are said to be one person, and whether they are."""
    upper = np.triu_indices(len(true), 1)
    is_one, said = (true[:, None] == true)[upper], (found[:, None] == found)[upper]
    both, pairs = int(np.sum(is_one & said)), int(np.sum(is_one)) + int(np.sum(said))
    return 2 * both / max(pairs, 1)
