"""Whether a file was cut off, as far as its own structure tells: by sizes that it states, or by an end that is missing.

And whether another one was put behind it, which libav does not read in most formats.

It is asked for the bytes alone, by their first few, so it needs no decoder. Formats that state nothing about their end,
such as program streams, never count as cut off here.
"""

import io
import re
import struct
from typing import BinaryIO

_LARGEST_PICTURE = 256 << 20
"""Bytes of a picture that are looked through."""

_LARGEST_INDEX_SHARE, _LARGEST_INDEX = 0.05, 4 << 20
"""Share of a file behind its last packet that is not looked at, and bytes that are: an index may lie there."""

_HEAD = 8
"""Bytes by which files of a kind begin alike: FLV's and ASF's heads, an mp4's first box and its length."""

_LARGEST_PAGE = 27 + 255 + 255 * 255
"""Bytes of a page of Ogg (RFC 3533)."""

_MOST_BOXES = 64
"""Boxes of an mp4 file that are looked at; a fragmented one has thousands, and its packets tell."""

_SEGMENT, _EBML = b"\x18\x53\x80\x67", b"\x1a\x45\xdf\xa3"
_ASF = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
_ASF_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
_JPEG_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]", re.DOTALL)
_BOXES = frozenset(b"ftyp moov mdat moof free skip wide meta sidx styp pnot udta uuid pdin mfra".split())


def what_is_missing(file: BinaryIO, size: int) -> str | None:
    """What shows that the end of a file is missing, in words that fit into brackets; None: nothing does.

    Args:
      file: at any place.
      size: its bytes.
    """
    file.seek(0)
    head = file.read(512)
    try:
        if head[:3] == b"\xff\xd8\xff":
            return None if size > _LARGEST_PICTURE or _jpeg_ends(_all(file)) else "its picture has no end"
        if head[:8] == b"\x89PNG\r\n\x1a\n":
            return None if size > _LARGEST_PICTURE or _png_ends(_all(file)) else "its picture has no end"
        if head[:6] in (b"GIF87a", b"GIF89a"):
            return None if size > _LARGEST_PICTURE or _gif_ends(_all(file)) else "its last picture has no end"
        for packet, sync in ((188, 0), (192, 4)):  # cameras and Blu-ray put a time before each packet
            if all(head[sync + i * packet : sync + i * packet + 1] == b"\x47" for i in range(3)):
                return "its last packet is not whole" if size % packet else None
        if head[:4] == b"OggS":
            return _ogg_lacks(file, size)
        stated = _stated_size(file, head, size)
    except (struct.error, IndexError):  # cut off within its head, of which libav says more
        return None
    return f"it states {stated:,} bytes and has {size:,}" if stated is not None and stated > size else None


def has_another_behind(file: BinaryIO, size: int, read_to: int) -> bool:
    """Whether behind what was read another file of the kind begins, as where recordings were joined by `cat`.

    Args:
      file: at any place.
      size: its bytes.
      read_to: byte at which its last packet ends.
    """
    if size - read_to <= _LARGEST_INDEX_SHARE * size:
        return False
    file.seek(0)
    head = file.read(_HEAD)
    file.seek(read_to)
    return head in file.read(_LARGEST_INDEX)


def is_animated_webp(file: BinaryIO) -> bool:
    """Whether a file is a WebP of several pictures."""
    file.seek(0)
    head = file.read(32)
    return head[:4] == b"RIFF" and head[8:16] == b"WEBPVP8X" and bool(head[20:21] and head[20] & 2)


def _all(file: BinaryIO) -> bytes:
    file.seek(0)
    return file.read()


def _stated_size(file: BinaryIO, head: bytes, size: int) -> int | None:
    """Bytes that the file has to have, by what it states; None: it states nothing."""
    if head[:4] in (b"RIFF", b"RF64") and head[8:12] in (b"AVI ", b"WEBP", b"WAVE"):
        return _riff_size(file, size)
    if head[4:8] in _BOXES:
        return _boxes_size(file, size)
    if head[:4] == _EBML:
        return _matroska_size(head)
    if head[:16] == _ASF:
        return _asf_size(file)
    return None


def _riff_size(file: BinaryIO, size: int) -> int | None:
    place = 0
    for _ in range(_MOST_BOXES):
        file.seek(place)
        head = file.read(12)
        if len(head) < 12 or head[:4] != b"RIFF":
            break
        length = struct.unpack("<I", head[4:8])[0]
        if length in (0, 0xFFFFFFFF):  # a recorder that never came to writing it
            return None
        # Writers disagree about the byte that makes a length even.
        if place + 8 + length - 1 > size:
            return place + 8 + length
        place += 8 + length + length % 2
    return None


def _boxes_size(file: BinaryIO, size: int) -> int | None:
    place = 0
    for _ in range(_MOST_BOXES):
        file.seek(place)
        head = file.read(16)
        if len(head) < 8 or head[4:8] not in _BOXES:
            break
        length = struct.unpack(">I", head[:4])[0]
        if length == 0:
            break
        if length == 1:
            length = struct.unpack(">Q", head[8:16])[0]
        if length < 8 or length >= 1 << 62:
            break
        place += length
        if place > size:
            return place
    return None


def _matroska_size(head: bytes) -> int | None:
    place = head.find(_SEGMENT)
    if place < 0:
        return None
    place += 4
    first = head[place]
    if first == 0:
        return None
    length = 9 - first.bit_length()
    value = int.from_bytes(head[place : place + length]) & ((1 << 7 * length) - 1)
    is_unknown = value == (1 << 7 * length) - 1  # as in a live recording
    return None if is_unknown or len(head) < place + length else place + length + value


def _asf_size(file: BinaryIO) -> int | None:
    file.seek(0)
    head = file.read(64 << 10)
    place = head.find(_ASF_PROPERTIES)
    if place < 0:
        return None
    stated, flags = struct.unpack("<Q", head[place + 40 : place + 48])[0], head[place + 88]
    return None if flags & 1 or not 0 < stated < 1 << 62 else stated  # 1: it was broadcast, and the size is void


def _ogg_lacks(file: BinaryIO, size: int) -> str | None:
    file.seek(max(0, size - 2 * _LARGEST_PAGE))
    data = file.read()
    place = data.rfind(b"OggS\0")
    if place < 0:
        return None
    lengths = data[place + 27 : place + 27 + data[place + 26]] if place + 26 < len(data) else b""
    is_whole = place + 26 < len(data) and len(lengths) == data[place + 26]
    if not is_whole or place + 27 + len(lengths) + sum(lengths) > len(data):
        return "its last page is not whole"
    return None if data[place + 5] & 4 else "its last page is not marked as the last"


def _jpeg_ends(data: bytes) -> bool:
    """Whether a picture has its end, and so have those that follow it at once, as in a film of JPEGs."""
    place = 2
    while marker := _JPEG_MARKER.search(data, place):
        kind, place = data[marker.start() + 1], marker.end()
        if kind == 0xD9:
            if data[place : place + 3] != b"\xff\xd8\xff":
                return True
            place += 2
            continue
        if kind not in (0x01, 0xD8):
            place += struct.unpack(">H", data[place : place + 2])[0] if place + 2 <= len(data) else 2
    return False


def _png_ends(data: bytes) -> bool:
    place = 8
    while place + 12 <= len(data):
        length, kind = struct.unpack(">I4s", data[place : place + 8])
        place += 12 + length
        if kind == b"IEND":
            return place <= len(data)
    return False


def _gif_ends(data: bytes) -> bool:
    """Whether it ends between two blocks; many writers leave the last byte out."""
    stream = io.BytesIO(data)
    stream.seek(10)
    flags = stream.read(1)[0]
    stream.seek(13 + (3 << (flags & 7) + 1 if flags & 0x80 else 0))
    while (kind := stream.read(1)) not in (b"", b"\x3b"):
        if kind == b"\x2c":
            block = stream.read(9)
            if len(block) < 9:
                return False
            stream.seek((3 << (block[8] & 7) + 1 if block[8] & 0x80 else 0) + 1, io.SEEK_CUR)
        elif kind == b"\x21":
            stream.seek(1, io.SEEK_CUR)
        else:
            return True  # no GIF any more; what decodes is all there is
        while (length := stream.read(1)) not in (b"", b"\x00"):
            stream.seek(length[0], io.SEEK_CUR)
        if length == b"":
            return False
    return stream.tell() <= len(data)
