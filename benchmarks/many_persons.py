"""What `facelog persons` costs for very many tracks: CPU seconds, memory, and how many pairs of tracks are found.

    python -m benchmarks.many_persons [--tracks N] [--later N]

The embeddings are made up: persons of 20 tracks, of which two have a likeness of 0.74 in the mean, in videos of 20
tracks. A first call finds the persons of all; a second one joins later videos to them.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np

from models.embeddings.choose import with_embedding
from pipelines.results.persons import read_persons
from schemas import storage
from schemas.config import Config
from schemas.layout import Layout
from schemas.tables import parquet_bytes
from tests.embeddings import vectors_of
from transforms.group_persons import Persons, embeddings_table

_IN_A_VIDEO = _OF_A_PERSON = 20


def main() -> None:
    """Prints the figures of both calls."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tracks", type=int, default=100_000)
    parser.add_argument("--later", type=int, default=1_000)
    args = parser.parse_args()
    vectors, person = vectors_of((args.tracks + args.later) // _OF_A_PERSON, _OF_A_PERSON)
    config = with_embedding(Config().override(persons="archive"))
    with tempfile.TemporaryDirectory() as out:
        Path(Layout(out).folder("videos")).mkdir()
        for first, end in ((0, args.tracks), (args.tracks, len(vectors))):
            for begin in range(first, end, _IN_A_VIDEO):
                write_video(out, begin // _IN_A_VIDEO, vectors[begin : begin + _IN_A_VIDEO], config)
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            subprocess.run([sys.executable, "-m", "pipelines.cli", "persons", out], check=True)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
            precision, recall = compared(out, person)
            print(
                f"{end - first} new tracks: {used:.0f} CPU s, at most {after.ru_maxrss / 1024:.0f} MB; "
                f"of pairs of tracks that are said to be of one person {precision:.1%} are; "
                f"of those that are, {recall:.1%} are found",
                flush=True,
            )


def write_video(out: str, number: int, vectors: np.ndarray, config: Config) -> None:
    """The kept embeddings of a video whose tracks follow each other, all of different persons."""
    n = len(vectors)
    tracks, starts = np.arange(n, dtype=np.int32), 3.0 * np.arange(n)
    persons = Persons(tracks, tracks, vectors, np.ones(n, bool), np.stack([starts, starts + 2], 1), [[]] * n)
    video_id = f"{number:032x}"
    table = embeddings_table(persons, video_id, config)
    storage.write_bytes(Layout(out).embeddings(video_id), parquet_bytes(table, {}))


def compared(out: str, person: np.ndarray) -> tuple[float, float]:
    """Precision and recall over all pairs of tracks."""
    rows = read_persons(out, "appearances")
    videos = np.array([int(video_id, 16) for video_id in rows["video_id"].to_pylist()])
    true = person[videos * _IN_A_VIDEO + rows["track_id"].to_numpy()].tolist()
    found = rows["person_id"].to_pylist()
    both, is_one, said = (_pairs(keys) for keys in (zip(true, found, strict=True), true, found))
    return both / max(said, 1), both / max(is_one, 1)


def _pairs(keys: object) -> int:
    return sum(n * (n - 1) // 2 for n in Counter(keys).values())  # type: ignore[call-overload]


if __name__ == "__main__":
    main()
