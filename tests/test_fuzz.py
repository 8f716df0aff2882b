"""The harness that damages files on purpose, and a small part of what it runs."""

import random
from pathlib import Path

import pytest

from benchmarks import fuzz
from benchmarks.clips import small_clips


def test_the_same_seed_makes_the_same_variants(tmp_path):
    (tmp_path / "x.bin").write_bytes(bytes(range(256)) * 40)
    first, again = (list(fuzz.variants([tmp_path / "x.bin"], 60, random.Random(3))) for _ in range(2))
    assert first == again
    assert len({data for _, data in first}) > 50
    assert {name.split("_")[1] for name, _ in first} == {"flip", "cut", "zero", "remove", "double", "shuffle"}


@pytest.mark.slow
@pytest.mark.multiprocess
def test_damaged_files_end_in_rows_and_harm_no_other(tmp_path):
    sources = small_clips(tmp_path / "sources")
    folder = tmp_path / "batch"
    folder.mkdir()
    (folder / "guard.mp4").write_bytes(Path(sources[0]).read_bytes())
    for name, data in fuzz.variants(sources, 40, random.Random(7)):
        (folder / name).write_bytes(data)
    assert fuzz.run_batch(folder, tmp_path / "out", workers=1) == []
