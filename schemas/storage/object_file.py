"""Read an object by ranges: large ones where it is read from end to end, small ones where a reader jumps about."""

import bisect
import concurrent.futures
import io
from collections.abc import Callable, Sequence
from typing import SupportsIndex

from typing_extensions import Buffer

WHOLE = 8 << 20
"""Bytes up to which an object is fetched at once (see docs/object_storage.md for what was measured)."""

_MOST_AHEAD = 4 << 20
"""Most bytes of one read, unless more is asked for."""

_KEPT = 16 << 20
"""Most bytes that are kept in memory of what was read last."""

_FETCHERS = 16
"""Ranges that `prefetch` fetches at the same time."""

_last: tuple[object, bytes] | None = None
"""Identity and content of the small object that this process read last; a probe opens a file up to three times."""


class ObjectFile(io.RawIOBase):
    """An object to read and seek in.

    After a jump, only what is asked for is fetched. Each read that continues fetches twice as much, up to 4 MiB.

    Args:
      read_at: offset and number of bytes → these bytes.
      size: bytes of the object.
      identity: equal only for equal content; None if nothing tells that.
    """

    def __init__(self, read_at: Callable[[int, int], bytes], size: int, identity: object | None):
        super().__init__()
        self._read_at, self._size, self._identity = read_at, size, identity
        self._place = 0
        self._pieces: list[tuple[int, bytes]] = []  # sorted by offset; they do not overlap
        self._order: list[int] = []  # offsets of the pieces, oldest first
        self._window, self._expected = 0, -1

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._place

    def seek(self, offset: SupportsIndex, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._size}[whence]
        self._place = max(0, base + int(offset))
        return self._place

    def readall(self) -> bytes:
        return self.read(max(0, self._size - self._place)) or b""

    def readinto(self, buffer: Buffer) -> int:
        """Fills the buffer, or as much of it as the object still has."""
        view = memoryview(buffer).cast("B")
        length = min(len(view), max(0, self._size - self._place))
        done = 0
        while done < length:
            offset, piece = self._piece(self._place, length - done)
            part = piece[self._place - offset :][: length - done]
            view[done : done + len(part)] = part
            done += len(part)
            self._place += len(part)
        return length

    def prefetch(self, ranges: Sequence[tuple[int, int]]) -> None:
        """Fetches ranges that will be read, many at once; does nothing for small objects, which are fetched whole.

        Args:
          ranges: offsets and lengths, together no more than 8 MiB.
        """
        if self._size <= WHOLE:
            return
        with concurrent.futures.ThreadPoolExecutor(_FETCHERS) as pool:
            pieces = list(pool.map(lambda r: self._read_at(*r), ranges))
        for (offset, _), piece in zip(ranges, pieces, strict=True):
            self._keep(offset, piece)

    def _piece(self, offset: int, length: int) -> tuple[int, bytes]:
        """Offset and bytes of a piece of the object that contains this offset."""
        index = bisect.bisect_right(self._pieces, offset, key=lambda piece: piece[0])
        if index:
            start, piece = self._pieces[index - 1]
            if offset < start + len(piece):
                return start, piece
        if self._size <= WHOLE:
            return 0, self._keep(0, self._whole())
        self._window = min(2 * self._window, _MOST_AHEAD) if offset == self._expected else 0
        end = min(offset + max(length, self._window), self._size)
        if index < len(self._pieces):
            end = min(end, self._pieces[index][0])
        self._window = end - offset
        self._expected = end
        return offset, self._keep(offset, self._fetch(offset, end - offset))

    def _fetch(self, offset: int, length: int) -> bytes:
        piece = self._read_at(offset, length)
        if len(piece) != length:
            raise OSError(f"{length} bytes at {offset} are {len(piece)}: it was changed while it was read")
        return piece

    def _whole(self) -> bytes:
        global _last
        if self._identity is not None and _last is not None and _last[0] == self._identity:
            return _last[1]
        content = self._fetch(0, self._size)
        if self._identity is not None:
            _last = self._identity, content
        return content

    def _keep(self, offset: int, piece: bytes) -> bytes:
        bisect.insort(self._pieces, (offset, piece), key=lambda piece: piece[0])
        self._order.append(offset)
        while len(self._order) > 1 and sum(len(piece) for _, piece in self._pieces) > _KEPT:
            oldest = self._order.pop(0)
            self._pieces = [piece for piece in self._pieces if piece[0] != oldest]
        return piece
