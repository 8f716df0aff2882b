"""What a Matroska, mp4 or mov file leaves out of its picture for display, which PyAV does not apply."""

import dataclasses
import io
import struct
from collections.abc import Iterator
from typing import BinaryIO

import av
from av.container import InputContainer

from schemas import storage
from transforms.iso_boxes import boxes_in, find_boxes

_HEAD = 1 << 20
"""Bytes at the beginning of a Matroska file in which its tracks are described."""

_SAMPLE_ENTRY = 78
"""Bytes of the description of an mp4 track's pictures before its boxes."""

_LARGEST_DESCRIPTION = 1 << 20

_SEGMENT, _TRACKS, _ENTRY, _TYPE, _VIDEO = 0x18538067, 0x1654AE6B, 0xAE, 0x83, 0xE0
_CROPS = {0x54BB: "top", 0x54AA: "bottom", 0x54CC: "left", 0x54DD: "right"}


@dataclasses.dataclass(frozen=True)
class Crop:
    """Pixels at each side that are not shown."""

    left: int = 0
    top: int = 0
    right: int = 0
    bottom: int = 0


def container_crop(uri: str, container: InputContainer, stream: av.VideoStream) -> Crop | None:
    """What the container leaves out of a stream's picture; None: nothing."""
    is_matroska = container.format.name.startswith("matroska")
    if not is_matroska and "mp4" not in container.format.name:
        return None
    with storage.open_input(uri) as file, storage.plain_errors(uri):
        crops = video_crops(file.read(_HEAD)) if is_matroska else apertures(file, file.seek(0, io.SEEK_END))
    number = [other.index for other in container.streams.video].index(stream.index)
    crop = crops[number] if number < len(crops) else Crop()
    has_rest = crop.left + crop.right < stream.width and crop.top + crop.bottom < stream.height
    return crop if crop != Crop() and has_rest else None


def apertures(file: BinaryIO, size: int) -> list[Crop]:
    """What the clean aperture (`clap`, ISO/IEC 14496-12) of each video track of an mp4 file leaves out, in order.

    Args:
      file: at any place.
      size: its bytes.
    """
    crops = []
    for track in find_boxes(file, (b"moov", b"trak"), 0, size):
        for start, end in find_boxes(file, (b"mdia", b"minf", b"stbl", b"stsd"), *track):
            file.seek(start)
            description = file.read(min(end - start, _LARGEST_DESCRIPTION))
            if next(find_boxes(file, (b"mdia", b"minf", b"vmhd"), *track), None) is not None:
                crops.append(_aperture(description))
    return crops


def _aperture(description: bytes) -> Crop:
    entry = next((content for _, content in boxes_in(description[8:])), b"")
    data = dict(boxes_in(entry[_SAMPLE_ENTRY:])).get(b"clap", b"")
    if len(data) < 32:
        return Crop()
    width, height = struct.unpack(">HH", entry[24:28])
    numbers = struct.unpack(">IIIIiIiI", data[:32])
    if 0 in numbers[1::2]:
        return Crop()
    wide, high, right, down = (numbers[i] / numbers[i + 1] for i in (0, 2, 4, 6))  # the last two: of the centre
    left, top = round((width - wide) / 2 + right), round((height - high) / 2 + down)
    sides = (left, top, width - left - round(wide), height - top - round(high))
    return Crop(*sides) if min(sides) >= 0 else Crop()


def video_crops(head: bytes) -> list[Crop]:
    """The crop of each video track of a Matroska file, in order."""
    crops = []
    for kind, entry in _inside(head, (_SEGMENT, _TRACKS)):
        fields = dict(_elements(entry)) if kind == _ENTRY else {}
        if fields.get(_TYPE) == b"\x01":
            sides = {_CROPS[k]: int.from_bytes(v[:8]) for k, v in _elements(fields.get(_VIDEO, b"")) if k in _CROPS}
            crops.append(Crop(**sides))
    return crops


def _inside(data: bytes, path: tuple[int, ...]) -> Iterator[tuple[int, bytes]]:
    for kind, content in _elements(data):
        if path and kind == path[0]:
            yield from _inside(content, path[1:])
        elif not path:
            yield kind, content


def _elements(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Elements of EBML, id and content; one that reaches beyond the data is cut."""
    place = 0
    while place < len(data):
        wide = 9 - data[place].bit_length()
        if wide > 4:
            return
        kind = int.from_bytes(data[place : place + wide])
        place += wide
        if place >= len(data) or data[place] == 0:
            return
        wide = 9 - data[place].bit_length()
        length = int.from_bytes(data[place : place + wide]) & ((1 << 7 * wide) - 1)
        place += wide
        yield kind, data[place : place + length]
        place += length
