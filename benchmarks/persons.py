"""What `--persons` costs: CPU seconds of the same clips without and with it, in one process, one after the other.

    python -m benchmarks.persons [--embedding NAME] [--times N] [VIDEO...]

By default the clips are those of the sample archive, with the default models. Each run loads its networks, as a worker
does once in its life; so the cost is also given without that.
"""

import argparse
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import pyarrow.parquet as pq

from models.embeddings.choose import EMBEDDINGS, embedding_card
from pipelines.runs.analyze_archive import analyze
from pipelines.settings import make_config
from schemas.config import Config

_CLIPS = Path(__file__).parents[2] / "shared" / "videos" / "faces"


def run(videos: Sequence[str], config: Config) -> tuple[float, int]:
    """CPU seconds of a run of its own, and how many tracks it found."""
    with tempfile.TemporaryDirectory() as out:
        start = time.process_time()
        analyze(list(videos), out, config=config, runner="direct")
        used = time.process_time() - start
        tables = Path(out).glob("tracks/*/*.parquet")
        return used, sum(pq.ParquetFile(path).metadata.num_rows for path in tables)


def main() -> None:
    """Prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("videos", nargs="*", default=sorted(map(str, _CLIPS.iterdir())) if _CLIPS.is_dir() else [])
    parser.add_argument("--embedding", choices=EMBEDDINGS, default="sface")
    parser.add_argument("--times", type=int, default=2)
    args = parser.parse_args()
    configs = {persons: make_config(persons=persons, embedding=args.embedding) for persons in (None, "within")}
    start = time.process_time()
    card = embedding_card(args.embedding)
    card.load(card.weights())
    loading = time.process_time() - start
    for config in configs.values():
        run(args.videos[:1], config)
    costs: dict[str | None, list[float]] = {persons: [] for persons in configs}
    tracks = 0
    for _ in range(args.times):
        for persons, config in configs.items():
            used, tracks = run(args.videos, config)
            costs[persons].append(used)
    without, asked = (sum(costs[persons]) / args.times for persons in configs)
    print(f"{len(args.videos)} videos with {tracks} tracks, CPU seconds, mean of {args.times} runs:")
    print(f"without persons {without:.1f}, with persons {asked:.1f}, {asked / without - 1:+.1%}")
    print(f"loading {args.embedding} {loading:.2f}; without that {(asked - loading) / without - 1:+.1%}")


if __name__ == "__main__":
    main()
