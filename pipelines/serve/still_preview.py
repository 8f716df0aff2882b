"""Previews of pictures: a video of one frame, so that a still has the same page as a video."""

from __future__ import annotations

import os
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
from av.video.reformatter import ColorRange
from av.video.stream import VideoStream

from schemas.config import Config
from schemas.errors import MediaError
from transforms.heif import decode_grid, grid_of
from transforms.media import is_still
from transforms.open_video import open_video, read_frames


def copy_still(
    uri: str, target: Path, config: Config, upright: Callable[[av.VideoFrame, float, Fraction], av.VideoFrame]
) -> bool:
    """Writes a picture as a video of one frame.

    Args:
      uri: of the file.
      target: file to write, mp4 with H.264.
      config: that it was analyzed with.
      upright: gives the frame to write, of even size and in 8-bit 4:2:0.

    Returns:
      Whether the file is a picture; of anything else nothing is written.

    Raises:
      MediaError: it cannot be decoded.
      StorageError: it cannot be read.
    """
    with open_video(uri, config) as (container, stream):
        if not is_still(container):
            return False
        grid = grid_of(uri, container)
        picture = decode_grid(container, grid, []) if grid else next(read_frames(container, stream), None)
        if picture is None:
            raise MediaError(f"{uri} has no picture that can be decoded.")
        frame = upright(picture, 0.0, stream.sample_aspect_ratio or Fraction(1))
    frame = frame.reformat(format="yuv420p", src_color_range=frame.color_range, dst_color_range=ColorRange.MPEG)
    frame.color_range, frame.pts, frame.time_base = ColorRange.MPEG, 0, Fraction(1, 1)
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}")
    with av.open(str(partial), "w", format="mp4") as out:
        written = out.add_stream("libx264", rate=1, options={"crf": "18"})
        assert isinstance(written, VideoStream)
        written.width, written.height, written.pix_fmt = frame.width, frame.height, "yuv420p"
        out.mux(written.encode(frame))
        out.mux(written.encode())
    os.replace(partial, target)
    return True
