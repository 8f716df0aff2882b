"""A file's identity is BLAKE2b-128 over its size and content; the test computes it independently."""

import hashlib
import random
from pathlib import Path

import pytest

from transforms.video_id import video_id


def identity(path: Path) -> str:
    with path.open("rb") as file:
        return video_id(file, path.stat().st_size)


@pytest.mark.parametrize("size", [0, 1, 4 * 2**20 - 1, 4 * 2**20, 4 * 2**20 + 1, 5_000_011, 9_999_999])
def test_by_the_letter(tmp_path, size):
    content = random.Random(size).randbytes(size)
    (tmp_path / "x").write_bytes(content)
    if size > 4 * 1024 * 1024:
        starts = [k * (size - 65536) // 63 for k in range(64)]
        assert starts[0] == 0 and starts[-1] + 65536 == size
        content = b"".join(content[start : start + 65536] for start in starts)
    expected = hashlib.blake2b(size.to_bytes(8, "little") + content, digest_size=16).hexdigest()
    with open(tmp_path / "x", "rb") as file:
        assert video_id(file, size) == expected
    assert len(expected) == 32


def test_a_renamed_copy_has_the_same(tmp_path, portrait):
    copy = tmp_path / "copy.mov"
    copy.write_bytes(portrait.path.read_bytes())
    assert identity(copy) == identity(portrait.path)
    copy.write_bytes(portrait.path.read_bytes() + b"\0")
    assert identity(copy) != identity(portrait.path)
