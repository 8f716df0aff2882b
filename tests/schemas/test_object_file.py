"""`ObjectFile` over bytes in memory, with a note of what is fetched."""

import io
from typing import BinaryIO, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import storage
from schemas.storage import object_file
from schemas.storage.object_file import ObjectFile


class TestRanges:
    @staticmethod
    def file(content: bytes, whole: int, monkeypatch: pytest.MonkeyPatch) -> tuple[ObjectFile, list[tuple[int, int]]]:
        monkeypatch.setattr(object_file, "WHOLE", whole)
        asked: list[tuple[int, int]] = []

        def read_at(offset: int, length: int) -> bytes:
            asked.append((offset, length))
            return content[offset : offset + length]

        return ObjectFile(read_at, len(content), None), asked

    @given(st.lists(st.tuples(st.integers(0, 12_000), st.integers(-1, 3_000)), max_size=30), st.booleans())
    def test_it_reads_like_any_file(self, steps, small):
        content = bytes(range(250)) * 40
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(object_file, "_KEPT", 4_000)
            patch.setattr(object_file, "_MOST_AHEAD", 2_000)
            ours, _ = self.file(content, len(content) if small else 0, patch)
            theirs = io.BytesIO(content)
            for place, length in steps:
                assert ours.seek(place) == theirs.seek(place)
                assert ours.read(length) == theirs.read(length)
                assert ours.tell() == theirs.tell()

    def test_a_jump_reads_what_is_asked_and_reading_on_reads_ahead(self, monkeypatch):
        file, asked = self.file(bytes(1_000_000), 0, monkeypatch)
        for _ in range(7):
            file.read(1000)
        assert asked == [(0, 1000), (1000, 2000), (3000, 4000)]
        file.seek(900_000)
        file.read(10)
        assert asked[3:] == [(900_000, 10)]
        file.seek(500)
        file.read(6000)  # is still there
        assert len(asked) == 4

    def test_a_small_object_is_fetched_once(self, monkeypatch):
        file, asked = self.file(bytes(1000), 1000, monkeypatch)
        file.seek(-10, io.SEEK_END)
        assert file.read() == bytes(10)
        file.seek(0)
        assert file.read(100) == bytes(100)
        assert asked == [(0, 1000)]

    def test_what_was_prefetched_is_not_fetched_again(self, monkeypatch):
        file, asked = self.file(bytes(range(256)) * 100, 0, monkeypatch)
        storage.prefetch(cast(BinaryIO, file), [(0, 100), (10_000, 100), (25_500, 100)])
        assert sorted(asked) == [(0, 100), (10_000, 100), (25_500, 100)]
        file.seek(10_000)
        assert file.read(100) == (bytes(range(256)) * 100)[10_000:10_100]
        assert len(asked) == 3

    def test_an_object_that_got_shorter_is_noticed(self, monkeypatch):
        monkeypatch.setattr(object_file, "WHOLE", 0)
        file = ObjectFile(lambda offset, length: b"short", 1000, None)
        with pytest.raises(OSError, match="changed while it was read"):
            file.read()
