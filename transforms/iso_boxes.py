"""Boxes of files of the ISO base media format (ISO/IEC 14496-12): mp4, mov, HEIC and AVIF."""

import struct
from collections.abc import Iterator
from typing import BinaryIO

Box = tuple[bytes, bytes]
"""Type and content."""

_MOST = 4096
"""Boxes beside each other that are looked at."""


def box_head(data: bytes, rest: int) -> tuple[int, bytes, int]:
    """Length, type, and bytes of the head of a box.

    Args:
      data: the first 16 bytes of it, or all that are left.
      rest: bytes from its beginning to the end of what holds it; a length of 0 means all of them.
    """
    if len(data) < 8:
        return 0, b"", 0
    length, kind = struct.unpack(">I4s", data[:8])
    if length == 1 and len(data) >= 16:
        return struct.unpack(">Q", data[8:16])[0], kind, 16
    return (length or rest), kind, 8


def boxes_in(data: bytes) -> Iterator[Box]:
    """The boxes that follow each other in some bytes; they end with one that is damaged or cut off."""
    place = 0
    while place + 8 <= len(data):
        length, kind, skip = box_head(data[place : place + 16], len(data) - place)
        if length < skip or place + length > len(data):
            return
        yield kind, data[place + skip : place + length]
        place += length


def boxes_in_file(file: BinaryIO, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Type, and place of the content's first byte and of its end, of the boxes between two places of a file."""
    for _ in range(_MOST):
        if start + 8 > end:
            return
        file.seek(start)
        length, kind, skip = box_head(file.read(16), end - start)
        if length < max(skip, 8) or start + length > end:
            return
        yield kind, start + skip, start + length
        start += length


def find_boxes(file: BinaryIO, path: tuple[bytes, ...], start: int, end: int) -> Iterator[tuple[int, int]]:
    """Where the content of each box lies that a path of types leads to, in the order of the file."""
    for kind, content, stop in boxes_in_file(file, start, end):
        if kind == path[0]:
            if len(path) == 1:
                yield content, stop
            else:
                yield from find_boxes(file, path[1:], content, stop)
