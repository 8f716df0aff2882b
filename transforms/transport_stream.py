"""Transport streams that go on under another programme table, read as one (ISO/IEC 13818-1, 2.4.4).

A recorder that changes its channel, and files that were joined, name the same kinds of streams anew, under other
numbers. libav makes new streams of these, and gives none of their packets to whoever opened the file before. So the
numbers (PIDs) of the later programme are replaced by those of the first one while the file is read.
"""

import bisect
import dataclasses
import io
import itertools
import struct
from collections.abc import Iterator, Mapping
from typing import BinaryIO

_SYNC, _PAT, _NULL = 0x47, 0, 0x1FFF
_SIZES = (188, 192, 204)
_Name = tuple[int, int]

_LOOKED_AT = 1 << 20
"""Bytes within which a table is repeated: it has to come every half second."""

_AT_ONCE = 512
"""Packets that are read at once: a table mostly comes sooner than it has to."""

_SHARES = 8
"""Parts of the file at whose beginnings the table is looked at."""

_MOST_PROGRAMMES = 64

_VIDEO = frozenset({0x01, 0x02, 0x10, 0x1B, 0x1E, 0x20, 0x21, 0x24, 0x33, 0x42, 0xD1, 0xEA})
"""Kinds of streams that are video."""


@dataclasses.dataclass(frozen=True)
class Programme:
    """What the tables say from some place in the file on.

    Attributes:
      begin: byte of the packet that names it first.
      name: number of the programme, and PID of its table.
      streams: kind and PID of each of its streams.
    """

    begin: int
    name: _Name
    streams: tuple[tuple[int, int], ...]


class JoinedProgrammes(io.RawIOBase):
    """A transport stream in which later programmes have the numbers of the first one.

    Args:
      file: the stream itself.
      layout: bytes of a packet, and where its sync byte lies in it.
      numbers: for each place from which other numbers hold, by which PID a PID is replaced.
    """

    def __init__(self, file: BinaryIO, layout: tuple[int, int], numbers: Mapping[int, Mapping[int, int]]):
        self._file, (self._size, self._sync) = file, layout
        self._places = sorted(numbers)
        self._numbers = [numbers[place] for place in self._places]
        self._place = 0

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._place

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._place = self._file.seek(offset) if whence == io.SEEK_SET else self._file.seek(offset, whence)
        return self._place

    def read(self, size: int = -1) -> bytes:
        begin = self._place - self._place % self._size
        self._file.seek(begin)
        ahead = self._place - begin
        data = bytearray(self._file.read(-1 if size < 0 else -(-(ahead + size) // self._size) * self._size))
        for at in range(self._sync, len(data) - 2, self._size):
            which = bisect.bisect_right(self._places, begin + at - self._sync) - 1
            if which < 0 or data[at] != _SYNC:
                continue
            pid = int.from_bytes(data[at + 1 : at + 3])
            new = self._numbers[which].get(pid & 0x1FFF)
            if new is not None:
                data[at + 1 : at + 3] = (pid & 0xE000 | new).to_bytes(2)
        found = bytes(data[ahead : None if size < 0 else ahead + size])
        self._place += len(found)
        return found


def join_programmes(file: BinaryIO, size: int) -> JoinedProgrammes | None:
    """The same stream under the numbers of its first programme; None where it has one table, or no other one fits.

    It looks at the table in nine places, and where these differ in as many more as it takes to find the change.

    Args:
      file: a transport stream, at any place.
      size: its bytes.
    """
    layout = _layout(file)
    if layout is None:
        return None
    changes = _changes(file, layout, size)
    programmes = [_programme(file, layout, place) for place in changes]
    first = programmes[0] if programmes else None
    numbers: dict[int, dict[int, int]] = {}
    for place, later in zip(changes[1:], programmes[1:], strict=True):
        if first is None or later is None or (new := _fitting(first, later)) is None:
            return None
        numbers[place] = new
    return JoinedProgrammes(file, layout, numbers) if numbers else None


def _layout(file: BinaryIO) -> tuple[int, int] | None:
    file.seek(0)
    head = file.read(5 * max(_SIZES))
    for size in _SIZES:
        sync = 4 if size == 192 else 0  # Blu-ray and cameras put a time before each packet
        if len(head) > 4 * size and all(head[sync + i * size] == _SYNC for i in range(4)):
            return size, sync
    return None


def _packets(file: BinaryIO, layout: tuple[int, int], begin: int) -> Iterator[tuple[int, int, bytes]]:
    """Place, PID and payload of the packets that begin a table or a frame, as far as a table is looked for."""
    size, sync = layout
    begin -= begin % size
    for piece in range(begin, begin + _LOOKED_AT, _AT_ONCE * size):
        file.seek(piece)
        data = file.read(_AT_ONCE * size)
        for at in range(sync, len(data) - size + sync + 1, size):
            if data[at] != _SYNC or not data[at + 1] & 0x40 or not data[at + 3] & 0x10:
                continue
            start = at + 4 + (1 + data[at + 4] if data[at + 3] & 0x20 else 0)
            yield piece + at - sync, int.from_bytes(data[at + 1 : at + 3]) & 0x1FFF, data[start : at + 188]


def _section(payload: bytes, kind: int) -> bytes:
    """The data of a table's section that fits into one packet, without its checksum; empty: it is another one."""
    start = 1 + payload[0] if payload else 0
    section = payload[start:]
    if len(section) < 8 or section[0] != kind:
        return b""
    length = int.from_bytes(section[1:3]) & 0xFFF
    return section[3 : 3 + length - 4] if 3 + length <= len(section) else b""


def _named(file: BinaryIO, layout: tuple[int, int], begin: int) -> Iterator[tuple[int, _Name | None]]:
    """What is named from some place on, packet by packet: number and table's PID; None: several at a time."""
    for place, pid, payload in _packets(file, layout, begin):
        if pid == _PAT and len(section := _section(payload, 0)) >= 9:
            words = struct.unpack_from(f">{(len(section) - 5) // 2}H", section, 5)
            entries = [(n, pid & 0x1FFF) for n, pid in zip(words[::2], words[1::2], strict=False) if n]
            yield place, entries[0] if len(entries) == 1 else None


def _programme(file: BinaryIO, layout: tuple[int, int], begin: int) -> Programme | None:
    """The programme that is named first from some place on; None where there is none, or several at a time."""
    place, name = next(_named(file, layout, begin), (0, None))
    if name is None:
        return None
    for _, pid, payload in _packets(file, layout, place):
        section = _section(payload, 2) if pid == name[1] else b""
        if len(section) >= 9 and int.from_bytes(section[:2]) == name[0]:
            return Programme(place, name, tuple(_streams(section)))
    return None


def _streams(section: bytes) -> Iterator[tuple[int, int]]:
    at = 9 + (int.from_bytes(section[7:9]) & 0xFFF)
    while at + 5 <= len(section):
        yield section[at], int.from_bytes(section[at + 1 : at + 3]) & 0x1FFF
        at += 5 + (int.from_bytes(section[at + 3 : at + 5]) & 0xFFF)


def _changes(file: BinaryIO, layout: tuple[int, int], size: int) -> list[int]:
    """The packets that name another programme than was named before, the first one included, by halves of the file."""
    step = max(_LOOKED_AT, size // _SHARES)
    starts = [*range(0, max(1, size - _LOOKED_AT), step), max(0, size - _LOOKED_AT)]
    marks = [mark for start in starts[:-1] for mark in itertools.islice(_named(file, layout, start), 1)]
    marks += list(_named(file, layout, starts[-1]))
    changes = [place for place, _ in marks[:1]]
    for (low, name), (high, other) in itertools.pairwise(marks):
        while name != other and len(changes) < _MOST_PROGRAMMES:
            low, name = _next_change(file, layout, (low, name), (high, other))
            changes.append(low)
    return changes


def _next_change(
    file: BinaryIO, layout: tuple[int, int], known: tuple[int, _Name | None], last: tuple[int, _Name | None]
) -> tuple[int, _Name | None]:
    """The first packet behind a place that names another programme, and which; the last one to be looked at does."""
    (low, name), high = known, last[0]
    first = low
    while high - low > _LOOKED_AT // 2:
        middle = (low + high) // 2
        _, found = next(_named(file, layout, middle), (0, None))
        low, high = (middle, high) if found == name else (low, middle)
    everything = itertools.chain(_named(file, layout, low), _named(file, layout, high))
    return next(((place, found) for place, found in everything if place > first and found != name), last)


def _fitting(first: Programme, later: Programme) -> dict[int, int] | None:
    """By which PIDs those of a later programme are replaced; None where its video is of another kind.

    Its tables are left out, and so are streams of which the first programme has none.
    """
    free = list(first.streams)
    numbers = {_PAT: _NULL, later.name[1]: _NULL}
    for kind, pid in later.streams:
        match = next((stream for stream in free if stream[0] == kind), None)
        if match is not None:
            free.remove(match)
        elif kind in _VIDEO:
            return None
        numbers[pid] = match[1] if match is not None else _NULL
    return numbers
