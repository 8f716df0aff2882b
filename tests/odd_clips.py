"""Odd files that archives hold beside good videos: cut short, damaged, sideways, stills, sound only, disguised."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.stream import Disposition
from av.video.stream import VideoStream
from PIL import Image

from tests.clips import Clip, add_silence, mux_silence, portrait_clip, scene

# How a picture that is to be displayed upright is stored under each EXIF orientation.
_STORED = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def sideways_pair(
    folder: Path, *, rotation: int = 90, mirrored: bool = False, **scene_options: Any
) -> tuple[Clip, Clip]:
    """The same clip twice: stored upright, and stored turned with a display matrix that turns it back.

    Both are lossless, so that every displayed pixel of the luma plane is the same.

    Args:
      folder: where `upright.mp4` and `sideways.mp4` are written.
      rotation: as in `portrait_clip`.
      mirrored: as in `portrait_clip`.
      **scene_options: as in `portrait_clip`.
    """
    upright = portrait_clip(folder / "upright.mp4", lossless=True, **scene_options)
    turned = portrait_clip(
        folder / "sideways.mp4", rotation=rotation, mirrored=mirrored, lossless=True, **scene_options
    )
    return upright, turned


def truncated(source: Path, path: Path, *, share: float) -> Path:
    """The first `share` of a file's bytes. An mp4 opens then only if its index is in front (`faststart`)."""
    data = source.read_bytes()
    path.write_bytes(data[: round(len(data) * share)])
    return path


def damaged(source: Path, path: Path, *, at: float = 0.5, n_bytes: int = 2000) -> Path:
    """A copy with noise (always the same) in place of `n_bytes` bytes from share `at` on."""
    data = bytearray(source.read_bytes())
    start = round(len(data) * at)
    noise = np.random.default_rng(0).integers(0, 256, min(n_bytes, len(data) - start), dtype=np.uint8)
    data[start : start + len(noise)] = noise.tobytes()
    path.write_bytes(data)
    return path


def animated_gif(path: Path, *, times: Sequence[float] = (0.0, 0.1, 0.3, 0.6, 0.7), **scene_options: Any) -> Clip:
    """A GIF with a palette of 256 colours for each frame; it keeps times in hundredths of a second.

    Args:
      path: where to write.
      times: seconds of each frame from 0, at least 0.02 apart; the last one lasts 0.1.
      **scene_options: as in `scene`.
    """
    size = scene_options.pop("size", (320, 240))
    shots = [scene(t, size=size, **scene_options) for t in times]
    first, *rest = [Image.fromarray(picture).quantize(256) for picture, _ in shots]
    milliseconds = [round(1000 * d) for d in np.diff([*times, times[-1] + 0.1])]
    # Pillow joins frames that are equal: what is not moving has to differ somewhere.
    for i, frame in enumerate(rest):
        frame.putpixel((i, size[1] - 1), (i + 1) % 256)
    first.save(path, save_all=True, append_images=rest, duration=milliseconds, loop=0, disposal=1)
    return Clip(path, size[0], size[1], np.asarray(times, float), np.stack([boxes for _, boxes in shots]))


def still(path: Path, *, orientation: int = 1, **scene_options: Any) -> Clip:
    """One picture (jpg, png, webp, …), stored turned as its EXIF orientation (1 to 8) says, displayed upright."""
    size = scene_options.pop("size", (320, 240))
    picture, boxes = scene(0.0, size=size, **scene_options)
    image = Image.fromarray(picture)
    turn = _STORED[orientation]
    image = image.transpose(turn) if turn is not None else image
    exif = Image.Exif()
    exif[0x0112] = orientation
    image.save(path, exif=exif, quality=95)
    return Clip(path, size[0], size[1], np.zeros(1), boxes[None])


def audio_only(path: Path, *, seconds: float = 1.0) -> Path:
    """A second of silence (mp4, m4a, mkv); no video stream."""
    with av.open(path, "w") as container:
        mux_silence(container, add_silence(container), seconds)
    return path


def cover_art(path: Path, *, seconds: float = 1.0) -> Path:
    """Silence with a picture attached (m4a, mp4): libav shows it as a video stream of one frame, marked as such."""
    with av.open(path, "w", format="mp4") as container:
        sound = add_silence(container)
        cover = container.add_stream("mjpeg", rate=1)
        assert isinstance(cover, VideoStream)
        cover.width, cover.height, cover.pix_fmt = 320, 240, "yuvj420p"
        cover.disposition = Disposition.attached_pic
        picture, _ = scene(0.0, size=(320, 240))
        container.mux(cover.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(cover.encode(None))
        mux_silence(container, sound, seconds)
    return path


def disguised(target: Path) -> list[Path]:
    """Text files under video names beside `target`: a concat script and an HLS playlist of it, and plain prose.

    libav opens the concat script as the video that it names unless it is told not to.
    """
    texts = {
        "concat.mp4": f"ffconcat version 1.0\nfile {target.name}\n",
        "playlist.mp4": f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{target.name}\n#EXT-X-ENDLIST\n",
        "prose.mp4": "This is not a video.\n" * 50,
    }
    paths = [target.parent / name for name in texts]
    for path, text in zip(paths, texts.values(), strict=True):
        path.write_text(text)
    return paths


def remuxed(source: Path, path: Path, *, start: float = 0.0, **options: str) -> Path:
    """The packets of a clip's video in another container, `start` seconds later; `options` are the muxer's."""
    with av.open(source) as old, av.open(path, "w", options=options) as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        for packet in old.demux(video=0):
            if packet.pts is None or packet.dts is None or packet.time_base is None:
                continue
            ticks = round(start / packet.time_base)
            packet.pts, packet.dts, packet.stream = packet.pts + ticks, packet.dts + ticks, stream
            new.mux(packet)
    return path


def with_edits(source: Path, path: Path, *edits: tuple[float, float | None]) -> Path:
    """An mp4 with another edit list, whose index lies at the end.

    Args:
      source: an mp4 that has an edit list, as those with B-frames do.
      path: where to write.
      *edits: for each part, how long it is shown, and at which second of the media it begins; None: nothing is shown.
    """
    data = source.read_bytes()

    def number(box: bytes, skip: int) -> int:
        return int.from_bytes(data[(place := data.index(box) + skip) : place + 4])

    begin, movie, media = number(b"elst", 16), number(b"mvhd", 16), number(b"mdhd", 16)
    entries = b"".join(
        round(length * movie).to_bytes(4)
        + (-1 if start is None else begin + round(start * media)).to_bytes(4, signed=True)
        + (1 << 16).to_bytes(4)
        for length, start in edits
    )
    place = data.index(b"elst") - 4
    old, new = int.from_bytes(data[place : place + 4]), 16 + len(entries)
    box = new.to_bytes(4) + b"elst" + bytes(4) + len(edits).to_bytes(4) + entries
    data = data[:place] + box + data[place + old :]
    for kind in (b"moov", b"trak", b"edts"):
        place = data.index(kind) - 4
        size = int.from_bytes(data[place : place + 4]) + new - old
        data = data[:place] + size.to_bytes(4) + data[place + 4 :]
    path.write_bytes(data)
    return path


def joined(path: Path, *parts: Path) -> Path:
    """Files one behind the other, as recordings are joined by `cat`."""
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    return path


def with_thumbnail(source: Path, path: Path) -> Path:
    """The video of a clip behind a smaller stream of one frame a second."""
    with av.open(source) as old, av.open(path, "w") as new:
        thumbnail = new.add_stream("libx264" if path.suffix != ".avi" else "mpeg4", rate=1)
        assert isinstance(thumbnail, VideoStream)
        thumbnail.width, thumbnail.height, thumbnail.pix_fmt = 64, 64, "yuv420p"
        stream = new.add_stream_from_template(old.streams.video[0])
        picture = av.VideoFrame.from_ndarray(np.full((64, 64, 3), 90, np.uint8), format="rgb24")
        for second in range(2):
            picture.pts, picture.time_base = second, Fraction(1)
            new.mux(thumbnail.encode(picture))
        new.mux(thumbnail.encode(None))
        for packet in old.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                new.mux(packet)
    return path


def tiled_picture(
    path: Path, picture: np.ndarray, *, tile: int = 64, turns: int = 0, mirror: int | None = None, lost: bool = False
) -> Path:
    """A HEIC file as phones write it: a grid of tiles.

    Args:
      path: where to write.
      picture: [h, w, 3] uint8 RGB, as it is stored.
      tile: side of a tile.
      turns: quarter turns against the clock for display.
      mirror: axis of `imir`, applied after turning.
      lost: the last tile's data is noise.
    """
    height, width = picture.shape[:2]
    rows, columns = -(-height // tile), -(-width // tile)
    whole = np.zeros((rows * tile, columns * tile, 3), np.uint8)
    whole[:height, :width] = picture
    tiles, config = [], b""
    for i in range(rows * columns):
        y, x = i // columns * tile, i % columns * tile
        config, data = _hevc(whole[y : y + tile, x : x + tile], path.with_suffix(".tile.mp4"))
        tiles.append(data)
    if lost:
        tiles[-1] = bytes(len(tiles[-1]))

    def box(kind: bytes, *parts: bytes, full: int | None = None) -> bytes:
        data = (b"" if full is None else full.to_bytes(4)) + b"".join(parts)
        return (len(data) + 8).to_bytes(4) + kind + data

    def u16(*values: int) -> bytes:
        return b"".join(value.to_bytes(2) for value in values)

    ids = range(2, 2 + len(tiles))
    grid = bytes([0, 0, rows - 1, columns - 1]) + u16(width, height)
    kinds = {1: b"grid", **dict.fromkeys(ids, b"hvc1")}
    infos = [box(b"infe", u16(item, 0), kind, b"\0", full=2 << 24) for item, kind in kinds.items()]
    sizes = [box(b"ispe", w.to_bytes(4), h.to_bytes(4), full=0) for w, h in ((tile, tile), (width, height))]
    shown = [box(b"irot", bytes([turns]))] if turns else []
    shown += [box(b"imir", bytes([mirror]))] if mirror is not None else []
    uses = [u16(item) + bytes([2, 1, 2]) for item in ids]
    uses.append(u16(1) + bytes([1 + len(shown), 3, *(4 + i for i in range(len(shown)))]))
    properties = box(
        b"iprp",
        box(b"ipco", box(b"hvcC", config), *sizes, *shown),
        box(b"ipma", len(uses).to_bytes(4), *uses, full=0),
    )

    def meta(start: int) -> bytes:
        places, place = [u16(1, 1, 0, 1) + (0).to_bytes(4) + len(grid).to_bytes(4)], start
        for item, data in zip(ids, tiles, strict=True):
            places.append(u16(item, 0, 0, 1) + place.to_bytes(4) + len(data).to_bytes(4))
            place += len(data)
        return box(
            b"meta",
            box(b"hdlr", bytes(4), b"pict", bytes(13), full=0),
            box(b"pitm", u16(1), full=0),
            box(b"iloc", bytes([0x44, 0]), u16(len(places)), *places, full=1 << 24),
            box(b"iinf", u16(len(infos)), *infos, full=0),
            box(b"iref", box(b"dimg", u16(1, len(tiles), *ids)), full=0),
            properties,
            box(b"idat", grid),
            full=0,
        )

    head = box(b"ftyp", b"heic", bytes(4), b"mif1heic")
    start = len(head) + len(meta(0)) + 8
    path.write_bytes(head + meta(start) + box(b"mdat", *tiles))
    return path


def _hevc(picture: np.ndarray, path: Path) -> tuple[bytes, bytes]:
    """A picture in HEVC: the decoder's configuration and the data of one frame, as mp4 has them."""
    with av.open(path, "w") as container:
        options = {"x265-params": "log-level=error:bframes=0:frame-threads=1", "qp": "12", "preset": "ultrafast"}
        stream = container.add_stream("libx265", rate=1, options=options)
        assert isinstance(stream, VideoStream)
        stream.height, stream.width = picture.shape[:2]
        stream.pix_fmt = "yuv420p"
        stream.codec_context.thread_count = 1
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
        frame.pts, frame.time_base = 0, Fraction(1)
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    data = path.read_bytes()
    place = data.index(b"hvcC")
    config = data[place + 4 : place - 4 + int.from_bytes(data[place - 4 : place])]
    place = data.index(b"mdat")
    return config, data[place + 4 : place - 4 + int.from_bytes(data[place - 4 : place])]
