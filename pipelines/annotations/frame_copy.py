"""Copies of frames to draw upon: upright, as the viewer sees them."""

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace

from pipelines.annotations.drawing import Canvas
from transforms.picture import Orientation, luma_weights


def upright_copy(picture: av.VideoFrame, pixel_aspect: float = 1.0) -> tuple[av.VideoFrame, Canvas]:
    """A copy of a frame as it is displayed, in 8-bit 4:2:0 and of even size, and its planes to draw upon.

    A copy, because the decoder may still make other frames from this one.

    Args:
      picture: as it was decoded.
      pixel_aspect: width of a displayed pixel over its height, of the upright picture.
    """
    orientation, source = Orientation.of(picture), _as_420(picture)
    width, height = orientation.display_size(source.width, source.height)
    frame = av.VideoFrame(width + width % 2, height + height % 2, "yuv420p")
    planes = []
    for index in range(3):
        upright, plane = orientation.apply(_plane(source, index)), _plane(frame, index)
        h, w = upright.shape
        plane[:h, :w] = upright
        plane[:, w:], plane[h:] = plane[:, w - 1 : w], plane[h - 1 : h]  # what an even size adds
        planes.append(plane[:h, :w])
    frame.color_range, frame.colorspace = source.color_range, source.colorspace
    frame.color_primaries, frame.color_trc = picture.color_primaries, picture.color_trc
    full_range = source.color_range == ColorRange.JPEG
    return frame, Canvas(tuple(planes), luma_weights(source), full_range, pixel_aspect)


def fitted(frame: av.VideoFrame, size: tuple[int, int], squeeze: float = 1.0) -> av.VideoFrame:
    """A frame in the shape of another, with black bars where that has to be; in 8-bit 4:2:0.

    Args:
      frame: of any even size.
      size: width and height that it gets, even.
      squeeze: width of its displayed pixels over that of the pixels that it gets.
    """
    scale = min(size[0] / (frame.width * squeeze), size[1] / frame.height)
    width, height = (max(2, round(n / 2) * 2) for n in (frame.width * squeeze * scale, frame.height * scale))
    width, height = min(width, size[0]), min(height, size[1])
    small, whole = frame.reformat(width, height), av.VideoFrame(*size, "yuv420p")
    left, top = ((size[0] - width) // 4 * 2, (size[1] - height) // 4 * 2)
    black = 0 if frame.color_range == ColorRange.JPEG else 16
    for index in range(3):
        step, plane, source = 2 if index else 1, _plane(whole, index), _plane(small, index)
        plane[:] = 128 if index else black
        plane[top // step : (top + height) // step, left // step : (left + width) // step] = source
    whole.color_range, whole.colorspace = frame.color_range, frame.colorspace
    whole.color_primaries, whole.color_trc = frame.color_primaries, frame.color_trc
    return whole


def _as_420(picture: av.VideoFrame) -> av.VideoFrame:
    name = picture.format.name
    if name == "yuvj420p":
        picture.color_range = ColorRange.JPEG
    if name in ("yuv420p", "yuvj420p"):
        return picture
    if picture.format.is_rgb or picture.format.has_palette:
        space = Colorspace.ITU709 if picture.height >= 720 else Colorspace.ITU601
        frame = picture.reformat(format="yuv420p", dst_colorspace=space, dst_color_range=ColorRange.MPEG)
        frame.colorspace, frame.color_range = space, ColorRange.MPEG
        return frame
    full = name.startswith(("yuvj", "gray")) and picture.color_range != ColorRange.MPEG
    kept = ColorRange.JPEG if full else picture.color_range
    frame = picture.reformat(format="yuv420p", src_color_range=kept, dst_color_range=kept)
    frame.colorspace, frame.color_range = picture.colorspace, kept
    return frame


def _plane(frame: av.VideoFrame, index: int) -> np.ndarray:
    """[h, w] uint8, the frame's own memory."""
    plane = frame.planes[index]
    return np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, plane.line_size)[:, : plane.width]


def upright_rgb(picture: av.VideoFrame) -> Canvas:
    """A copy of a still as it is displayed, in 8-bit RGB, or RGBA where it has transparency.

    Args:
      picture: as it was decoded.
    """
    has_alpha = any(component.is_alpha for component in picture.format.components) or picture.format.has_palette
    pixels = picture.reformat(format="rgba" if has_alpha else "rgb24").to_ndarray()
    upright = np.ascontiguousarray(Orientation.of(picture).apply(pixels))
    return Canvas(tuple(np.ascontiguousarray(plane) for plane in np.moveaxis(upright, -1, 0)))
