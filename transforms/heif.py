"""Pictures that phones store as a grid of tiles (HEIC, AVIF): libav decodes each tile as a stream of its own.

What belongs together stands in the boxes of the file's `meta` box (ISO/IEC 23008-12): the primary item, a grid with its
rows, columns and size; the tiles that it is derived from, in order; and how it is turned and mirrored for display.
"""

import dataclasses
import io
import struct
from collections.abc import Iterator
from typing import BinaryIO

import av
import numpy as np
from av.container import InputContainer

from schemas import storage
from schemas.errors import MediaError
from transforms import media
from transforms.iso_boxes import box_head, boxes_in
from transforms.open_video import read_packets

_LARGEST_META = 16 << 20
_MOST_TILES = 4096


@dataclasses.dataclass(frozen=True)
class Grid:
    """A picture made of tiles.

    Attributes:
      rows: of tiles.
      columns: of tiles.
      width: pixels of the whole picture as stored; the last tiles may reach beyond.
      height: likewise.
      tiles: ids of the tiles, row by row.
      turns: quarter turns against the clock and mirrorings, in the order in which they are applied: "turn", "flip_x"
        (left and right change places) or "flip_y".
    """

    rows: int
    columns: int
    width: int
    height: int
    tiles: tuple[int, ...]
    turns: tuple[str, ...] = ()

    @property
    def degrees(self) -> int:
        """How far the stored picture is turned clockwise."""
        return -90 * self.turns.count("turn") % 360

    def place(self, number: int, width: int, height: int) -> tuple[int, int]:
        """Where a tile's top left corner lies, x and y, given the size of the tiles."""
        return number % self.columns * width, number // self.columns * height

    def upright(self, plane: np.ndarray) -> np.ndarray:
        """A plane [h, w, ...] of the whole picture as it is displayed."""
        for turn in self.turns:
            plane = np.rot90(plane) if turn == "turn" else plane[:, ::-1] if turn == "flip_x" else plane[::-1]
        return np.ascontiguousarray(plane)


def grid_of(uri: str, container: InputContainer) -> Grid | None:
    """The grid of tiles that an open file's picture is; None where it is of one piece, or a film."""
    if not media.has_tiles(container):
        return None
    with storage.open_input(uri) as file, storage.plain_errors(uri):
        return read_grid(file, file.seek(0, io.SEEK_END))


def read_grid(file: BinaryIO, size: int) -> Grid | None:
    """The grid that a file's primary item is; None where it is a picture of one piece, or no such file.

    Args:
      file: at any place.
      size: its bytes.
    """
    file.seek(0)
    place = 0
    while place + 8 <= size:
        file.seek(place)
        head = file.read(16)
        length, kind, skip = box_head(head, size - place)
        if length < 8:
            return None
        if kind == b"meta":
            if length > _LARGEST_META:
                return None
            file.seek(place + skip)
            data = file.read(length - skip)
            try:
                return _grid(data, file)
            except (struct.error, IndexError, KeyError, ValueError):  # damage; libav gives the tiles alone
                return None
        if place == 0 and kind != b"ftyp":
            return None
        place += length
    return None


def _grid(meta: bytes, file: BinaryIO) -> Grid | None:
    boxes = dict(boxes_in(meta[4:]))
    version = boxes[b"pitm"][0]
    primary = int.from_bytes(boxes[b"pitm"][4 : 6 if version == 0 else 8])
    if _item_types(boxes[b"iinf"]).get(primary) != b"grid":
        return None
    tiles = _derived_from(boxes[b"iref"], primary)
    data = _item_data(boxes[b"iloc"], primary, boxes.get(b"idat", b""), file)
    rows, columns = data[2] + 1, data[3] + 1
    width, height = struct.unpack(">II" if data[1] & 1 else ">HH", data[4 : 12 if data[1] & 1 else 8])
    if len(tiles) != rows * columns or len(tiles) > _MOST_TILES or not width or not height:
        return None
    return Grid(rows, columns, width, height, tiles, tuple(_turns(boxes[b"iprp"], primary)))


def _item_types(iinf: bytes) -> dict[int, bytes]:
    types = {}
    for kind, data in boxes_in(iinf[6 if iinf[0] == 0 else 8 :]):
        if kind == b"infe" and data[0] >= 2:
            wide = data[0] > 2
            types[int.from_bytes(data[4 : 8 if wide else 6])] = data[10 if wide else 8 :][:4]
    return types


def _derived_from(iref: bytes, item: int) -> tuple[int, ...]:
    width = 2 if iref[0] == 0 else 4
    for kind, data in boxes_in(iref[4:]):
        if kind == b"dimg" and int.from_bytes(data[:width]) == item:
            count = int.from_bytes(data[width : width + 2])
            start = width + 2
            return tuple(int.from_bytes(data[start + width * i :][:width]) for i in range(count))
    return ()


def _item_data(iloc: bytes, item: int, idat: bytes, file: BinaryIO) -> bytes:
    """The bytes of an item: for a grid, its rows, columns and size."""
    version = iloc[0]
    sizes = iloc[4] >> 4, iloc[4] & 15, iloc[5] >> 4, iloc[5] & 15 if version else 0
    place = 6
    wide = 4 if version == 2 else 2

    def take(length: int) -> int:
        nonlocal place
        value = int.from_bytes(iloc[place : place + length])
        if place + length > len(iloc):
            raise IndexError
        place += length
        return value

    for _ in range(take(wide)):
        number = take(wide)
        method = take(2) & 15 if version else 0
        take(2)  # of which file
        base = take(sizes[2])
        data = b""
        for _ in range(take(2)):
            take(sizes[3])
            offset, length = base + take(sizes[0]), take(sizes[1])
            if number == item and length <= 64:
                if method == 1:
                    data += idat[offset : offset + length]
                else:
                    file.seek(offset)
                    data += file.read(length)
        if number == item:
            return data
    raise KeyError(item)


def _turns(iprp: bytes, item: int) -> Iterator[str]:
    """How an item is turned and mirrored, in order."""
    boxes = list(boxes_in(iprp))
    properties = next((list(boxes_in(data)) for kind, data in boxes if kind == b"ipco"), [])
    for data in (data for kind, data in boxes if kind == b"ipma"):
        wide_item, wide_index, place = data[0] > 0, data[3] & 1, 8
        for _ in range(int.from_bytes(data[4:8])):
            length = 4 if wide_item else 2
            number, count = int.from_bytes(data[place : place + length]), data[place + length]
            place += length + 1
            for _ in range(count):
                index = int.from_bytes(data[place : place + 1 + wide_index]) & (0x7FFF if wide_index else 0x7F)
                place += 1 + wide_index
                if number != item or not 0 < index <= len(properties):
                    continue
                kind, value = properties[index - 1]
                if kind == b"irot":
                    yield from ["turn"] * (value[0] & 3)
                elif kind == b"imir":
                    yield "flip_x" if value[0] & 1 else "flip_y"


def decode_grid(container: InputContainer, grid: Grid, errors: list[av.error.FFmpegError]) -> av.VideoFrame:
    """The whole picture, upright; tiles that are lost are black, and their errors are added to `errors`.

    Raises:
      MediaError: not one tile decodes, or they do not fit together.
    """
    streams = {stream.id: stream for stream in container.streams.video}
    wanted = {streams[tile].index: tile for tile in grid.tiles if tile in streams}
    frames: dict[int, av.VideoFrame] = {}
    for packet in read_packets(container, *(streams[tile] for tile in wanted.values())):
        try:
            if isinstance(packet, av.error.FFmpegError):
                raise packet
            context = streams[wanted[packet.stream_index]].codec_context
            for frame in (*context.decode(packet), *context.decode(None)):
                frames.setdefault(wanted[packet.stream_index], frame)
        except av.error.EOFError:
            continue
        except av.error.FFmpegError as error:
            errors.append(error)
    if not frames:
        raise MediaError("not one tile of the picture decodes")
    lost = len(set(grid.tiles)) - len(frames)
    if lost and not errors:
        errors.append(av.error.InvalidDataError(0, "tiles of the picture are missing"))
    return _joined(grid, [frames.get(tile) for tile in grid.tiles])


def _joined(grid: Grid, tiles: list[av.VideoFrame | None]) -> av.VideoFrame:
    there = [tile for tile in tiles if tile is not None]
    first = there[0]
    if any(_kind(tile) != _kind(first) for tile in there):
        raise MediaError("tiles of the picture differ in size or format")
    if grid.columns * first.width < grid.width or grid.rows * first.height < grid.height:
        raise MediaError("tiles do not cover the picture")
    width, height = (grid.height, grid.width) if grid.degrees % 180 else (grid.width, grid.height)
    whole = av.VideoFrame(width, height, first.format.name)
    for i, plane in enumerate(whole.planes):
        of_tile = first.planes[i]
        deep = 2 if first.format.components[min(i, len(first.format.components) - 1)].bits > 8 else 1
        step_x, step_y = round(first.width / of_tile.width), round(first.height / of_tile.height)
        canvas = np.zeros((-(-grid.height // step_y), -(-grid.width // step_x)), np.uint16 if deep == 2 else np.uint8)
        for number, tile in enumerate(tiles):
            if tile is None:
                continue
            pixels = np.frombuffer(memoryview(tile.planes[i]), canvas.dtype).reshape(of_tile.height, -1)[
                :, : of_tile.width
            ]
            x, y = grid.place(number, of_tile.width, of_tile.height)
            part = canvas[y : y + of_tile.height, x : x + of_tile.width]
            part[:] = pixels[: part.shape[0], : part.shape[1]]
        upright = grid.upright(canvas)
        lines = np.zeros((plane.height, plane.line_size // deep), canvas.dtype)
        lines[:, : plane.width] = upright[: plane.height, : plane.width]
        plane.update(lines.tobytes())
    whole.pts = 0
    whole.color_range, whole.colorspace = first.color_range, first.colorspace
    return whole


def _kind(frame: av.VideoFrame) -> tuple[str, int, int]:
    return frame.format.name, frame.width, frame.height
