"""Faults on purpose: thousands of damaged files, read by the real local runner, and what became of each.

usage: python -m benchmarks.fuzz [--variants N] [--seed S] [--out DIR] [FILE or FOLDER ...]

Variants are made of small clips of each container and of the files that are named (up to a megabyte each): bytes
flipped, cut off, zeroed, doubled or shuffled, in the head of the file or anywhere. Each batch of fifty runs beside a
whole clip. A finding is a file without a row, a row that speaks Python, an error of the storage or of the program, a
worker that died or took too long, a timeline that no file of that size can have, memory beyond a bound, and a neighbour
that was harmed. Files of findings stay in DIR; the same seed makes the same variants. The exit status is 1 if there are
findings.
"""

import argparse
import itertools
import logging
import random
import re
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow.dataset as ds

from benchmarks.clips import small_clips
from pipelines import analyze, make_config
from transforms.ledger import read_ledger
from transforms.media import is_named_as_media

_BATCH = 50
_LARGEST = 1 << 20
_HEAD = 2048
_MOST_MB = 1500.0
_PYTHON = re.compile(r"\b[A-Z]\w*(Error|Exception)\b|Traceback|object has no attribute")
_OURS = ("probe_error", "storage_error", "worker_died", "time_limit")
_GUARD = "guard.mp4"


def mutate(data: bytes, rng: random.Random) -> tuple[str, bytes]:
    """A damaged copy of a file, and what was done to it."""
    kind = rng.choice(list(_FAULTS))
    in_head = rng.random() < 0.4
    limit = min(_HEAD, len(data)) if in_head else len(data)
    return f"{kind}{'_head' if in_head else ''}", bytes(_FAULTS[kind](bytearray(data), limit, rng))


def _stretch(limit: int, rng: random.Random) -> slice:
    start = rng.randrange(max(1, limit))
    return slice(start, min(limit, start + rng.choice((1, 4, 16, 100, 1000, 20_000))))


def _flip(data: bytearray, limit: int, rng: random.Random) -> bytearray:
    for _ in range(rng.choice((1, 1, 3, 10, 100))):
        data[rng.randrange(limit)] = rng.choice((0, 0xFF, 0x7F, 0x80, rng.randrange(256)))
    return data


def _cut(data: bytearray, limit: int, rng: random.Random) -> bytearray:
    return data[: rng.randrange(1, limit + 1)]


def _zero(data: bytearray, limit: int, rng: random.Random) -> bytearray:
    where = _stretch(limit, rng)
    data[where] = bytes(len(data[where]))
    return data


def _remove(data: bytearray, limit: int, rng: random.Random) -> bytearray:
    del data[_stretch(limit, rng)]
    return data


def _double(data: bytearray, limit: int, rng: random.Random) -> bytearray:
    where = _stretch(limit, rng)
    data[where] = data[where] * 2
    return data


def _shuffle(data: bytearray, limit: int, rng: random.Random) -> bytearray:
    size = rng.choice((2, 188, 1000))
    blocks = [data[i : i + size] for i in range(0, limit, size)]
    for _ in range(rng.choice((1, 3, 30))):
        i, j = rng.randrange(len(blocks)), rng.randrange(len(blocks))
        blocks[i], blocks[j] = blocks[j], blocks[i]
    return bytearray(b"".join(blocks)) + data[limit:]


_FAULTS: dict[str, Callable[[bytearray, int, random.Random], bytearray]] = {
    "flip": _flip,
    "cut": _cut,
    "zero": _zero,
    "remove": _remove,
    "double": _double,
    "shuffle": _shuffle,
}


def variants(sources: list[Path], count: int, rng: random.Random) -> Iterator[tuple[str, bytes]]:
    """Names and contents of damaged copies; each source has its turn."""
    for number, source in zip(range(count), itertools.cycle(sources), strict=False):
        what, data = mutate(source.read_bytes(), rng)
        yield f"{number:05d}_{what}_{source.name}", data


def findings_of(folder: Path, out: Path, exit_status: int) -> Iterator[tuple[str, str]]:
    """What is wrong with the results of a batch: name of the file, and a sentence."""
    rows = {Path(uri).name: row for uri, row in read_ledger(str(out)).items()}
    seconds: Counter[str] = Counter(ds.dataset(out / "timeline").to_table(["video_id"])["video_id"].to_pylist())
    for path in sorted(folder.iterdir()):
        row = rows.get(path.name)
        if row is None:
            yield path.name, "has no row"
            continue
        if problem := _problem(row, path, seconds[row["video_id"]]):
            yield path.name, f"{row['status']}, {row['error_type']}: {problem}"
    bad = {"corrupt", "failed"} & {row["status"] for row in rows.values()}
    if exit_status != (3 if bad else 0):
        yield "", f"exit status {exit_status}"


def _problem(row: dict[str, Any], path: Path, seconds: int) -> str | None:
    message = row["error_message"] or ""
    if path.name == _GUARD and (row["status"], row["face_seconds"]) != ("ok", 2):
        return f"the whole file beside it has {row['face_seconds']} rows"
    if row["error_type"] in _OURS or _PYTHON.search(message):
        return message
    if (row["peak_rss_mb"] or 0) > _MOST_MB:
        return f"{row['peak_rss_mb']:.0f} MB"
    # A picture counts for an hour at most while no other comes, and no frame takes less than ten bytes.
    if seconds > 86_400 + path.stat().st_size // 10:
        return f"{seconds} rows of timeline for {path.stat().st_size} bytes"
    return None


def run_batch(folder: Path, out: Path, workers: int) -> list[tuple[str, str]]:
    """Analyzes a folder; returns what is wrong."""
    config = make_config(emotion_model=None, age_gender_model=None, sample_fps=2.0, detector="hog")
    summary = analyze(str(folder), str(out), config=config, workers=workers, max_attempts=1)
    return list(findings_of(folder, out, summary.exit_status))


def main(arguments: list[str] | None = None) -> int:
    """Runs the batches and prints what is wrong; returns the exit status."""
    logging.getLogger("pipelines").setLevel(logging.ERROR)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sources", nargs="*", type=Path)
    parser.add_argument("--variants", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("runs/fuzz"))
    options = parser.parse_args(arguments)
    found, statuses = 0, Counter[str]()
    with tempfile.TemporaryDirectory() as temporary:
        made = small_clips(Path(temporary, "sources"))
        guard = next(path for path in made if path.suffix == ".mp4")
        named = [p for source in options.sources for p in (sorted(source.rglob("*")) if source.is_dir() else [source])]
        sources = made + [
            path for path in named if is_named_as_media(str(path)) and 0 < path.stat().st_size <= _LARGEST
        ]
        every = variants(sources, options.variants, random.Random(options.seed))
        for number, batch in enumerate(iter(lambda: list(itertools.islice(every, _BATCH)), [])):
            folder, out = Path(temporary, f"batch{number}"), Path(temporary, f"out{number}")
            folder.mkdir()
            shutil.copy(guard, folder / _GUARD)
            for name, data in batch:
                (folder / name).write_bytes(data)
            for name, problem in run_batch(folder, out, options.workers):
                found += 1
                print(f"{name or 'the run'}: {problem}", flush=True)
                if name:
                    options.out.mkdir(parents=True, exist_ok=True)
                    shutil.copy(folder / name, options.out / name)
            statuses.update(row["status"] for row in read_ledger(str(out)).values())
            shutil.rmtree(folder)
            shutil.rmtree(out)
    print(f"{options.variants} variants of {len(sources)} files: {found} findings;", dict(statuses))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
