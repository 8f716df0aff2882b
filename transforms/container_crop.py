"""What a Matroska file leaves out of its picture for display, which libav's decoders do not apply."""

import dataclasses
from collections.abc import Iterator

import av
from av.container import InputContainer

from schemas import storage

_HEAD = 1 << 20
"""Bytes at the beginning of a file in which its tracks are described."""

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
    if not container.format.name.startswith("matroska"):
        return None
    with storage.open_input(uri) as file, storage.plain_errors(uri):
        crops = video_crops(file.read(_HEAD))
    number = [other.index for other in container.streams.video].index(stream.index)
    crop = crops[number] if number < len(crops) else Crop()
    has_rest = crop.left + crop.right < stream.width and crop.top + crop.bottom < stream.height
    return crop if crop != Crop() and has_rest else None


def video_crops(head: bytes) -> list[Crop]:
    """The crop of each video track, in the order of the file."""
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
