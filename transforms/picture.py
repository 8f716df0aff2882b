"""A decoded frame as the later steps need it: upright luma on square pixels, and chips cut straight from its planes.

Detection, tracking and cropping measure in working pixels, the square pixels of the upright frame. `Picture.box_scale`
leads back to decoded pixels. A frame is never converted to RGB as a whole unless it is stored as RGB: a chip is cut
from each plane on its own, and only the 64 x 64 pixels of the chip become RGB.
"""

import dataclasses
import functools
import re
from fractions import Fraction
from typing import Any

import av
import cv2
import numpy as np

from models.detectors.interface import resized, scaled_size
from models.geometry import Channels, cut_chip

_LIMITED, _FULL = 1, 2
_NATIVE = re.compile(r"yuv(a|j)?4\d\dp(\d+le)?|gray(\d+le)?")
"""Formats whose planes are used as they are."""

_ODDEST_ASPECT = 4.0
"""A sample aspect ratio above this, or below its inverse, is taken for a mistake. Television goes up to 2.9 (352 x 576
shown as 16:9); with the ratios that some headers claim, the working pixels would not fit into memory."""

_BT709 = (0.2126, 0.0722)
_BT601 = (0.299, 0.114)
_BT2020 = (0.2627, 0.0593)
_LUMA_WEIGHTS = {1: _BT709, 5: _BT601, 6: _BT601, 9: _BT2020, 10: _BT2020}
"""Weights of red and blue by libav's number of the colour space."""


def luma_weights(frame: av.VideoFrame) -> tuple[float, float]:
    """Weights of red and blue in a frame's luma, as ITU-R BT.601, BT.709 or BT.2020 have them."""
    # Unlabelled: standard definition is BT.601, what is larger BT.709, as players assume.
    return _LUMA_WEIGHTS.get(frame.colorspace, _BT709 if frame.height >= 720 else _BT601)


@dataclasses.dataclass(frozen=True)
class Orientation:
    """How the stored picture becomes the displayed one: it is transposed first, then flipped.

    Attributes:
      transposed: rows become columns.
      flip_x: left and right change places (after transposing).
      flip_y: top and bottom change places (after transposing).
    """

    transposed: bool = False
    flip_x: bool = False
    flip_y: bool = False

    @classmethod
    def of(cls, frame: av.VideoFrame) -> "Orientation":
        """Orientation from a frame's display matrix (container rotation and EXIF both arrive there)."""
        side_data: Any = frame.side_data  # PyAV's stub knows of motion vectors only
        data = side_data.get("DISPLAYMATRIX")
        if data is None:
            return cls()
        # Row-major 3 x 3 fixed point matrix: (x, y) is shown at (a x + c y, b x + d y).
        a, b, _, c, d = (int(v) for v in np.frombuffer(data, np.int32)[:5])
        transposed = abs(b) > abs(a)
        return cls(transposed, flip_x=(c if transposed else a) < 0, flip_y=(b if transposed else d) < 0)

    @property
    def degrees(self) -> int:
        """Its rotation, clockwise: 0, 90, 180 or 270; for a mirrored picture, the rotation after mirroring."""
        if self.transposed:
            return 90 if self.flip_x else 270
        return 180 if self.flip_y else 0

    def apply(self, plane: np.ndarray) -> np.ndarray:
        """The plane [H, W, ...] as displayed; a view of the same memory."""
        if self.transposed:
            plane = plane.swapaxes(0, 1)
        return plane[:: -1 if self.flip_y else 1, :: -1 if self.flip_x else 1]

    def display_size(self, width: int, height: int) -> tuple[int, int]:
        """Width and height as displayed."""
        return (height, width) if self.transposed else (width, height)


class Aspects:
    """Sample aspect ratios of the frames of a stream, of stored pixels.

    What the container states holds for all frames. Where it states nothing, each frame has its own: television changes
    from 4:3 to 16:9 within a stream.
    """

    def __init__(self, stream: av.VideoStream):
        """Takes a stream that was just opened; nothing is decoded yet."""
        stated, own = stream.sample_aspect_ratio, stream.codec_context.sample_aspect_ratio
        self._context = stream.codec_context
        self._stated = stated or Fraction(1)
        self._is_fixed = bool(stated) and stated != own
        self._changes: list[tuple[int, Fraction]] = []

    def decoded(self, packet: av.Packet) -> None:
        """Notes that a packet was given to the decoder, which may have met another ratio in it."""
        if self._is_fixed or packet.pts is None:
            return
        now = self._context.sample_aspect_ratio or self._stated
        if now != (self._changes[-1][1] if self._changes else self._stated):
            self._changes.append((packet.pts, now))

    def of(self, frame: av.VideoFrame) -> Fraction:
        """The ratio of a frame, width over height of a pixel."""
        ratio = self._stated
        for pts, changed in reversed(self._changes):
            if frame.pts is None or frame.pts >= pts:
                ratio = changed
                break
        return ratio if ratio > 0 else Fraction(1)


class Picture:
    """One frame, upright; its planes are read when they are first needed.

    Attributes:
      frame: libav's frame; its memory is used as it is.
      box_scale: (x, y) decoded pixels per working pixel.
      size: (width, height) in decoded pixels, upright.
    """

    def __init__(self, frame: av.VideoFrame, sample_aspect_ratio: float = 1.0):
        """Wraps a frame; `sample_aspect_ratio` is that of the displayed (upright) picture."""
        self.frame = frame
        self.orientation = Orientation.of(frame)
        self.size = self.orientation.display_size(frame.width, frame.height)
        # One of the two sides is stretched, and none is shrunk, so all pixels are kept.
        aspect = sample_aspect_ratio if 1 / _ODDEST_ASPECT <= sample_aspect_ratio <= _ODDEST_ASPECT else 1.0
        stretch = (max(1.0, aspect), max(1.0, 1 / aspect))
        width, height = (max(1, round(n * s)) for n, s in zip(self.size, stretch, strict=True))
        self.box_scale = (self.size[0] / width, self.size[1] / height)
        self._working_size = (width, height)

    @functools.cached_property
    def luma(self) -> np.ndarray:
        """[H, W] uint8, upright, square pixels, contiguous; levels as stored."""
        luma = self._first_plane
        if luma.ndim == 3:
            luma = cv2.cvtColor(luma, cv2.COLOR_RGB2GRAY)
        if luma.shape[::-1] != self._working_size:
            luma = cv2.resize(luma, self._working_size, interpolation=cv2.INTER_LINEAR)
        return luma

    def bgr(self, scale: float) -> np.ndarray:
        """[h, w, 3] uint8 in full range, upright: the whole picture at `scale` times its working pixels.

        Each plane is scaled first, so that colours are computed for the pixels that are wanted alone.
        """
        size = scaled_size(self._working_size, scale)
        return self._bgr([resized(plane, size) for plane in self._planes])

    def thumbnail(self, size: tuple[int, int]) -> np.ndarray:
        """[h, w, 3] uint8, BGR in full range, upright: the whole picture at a width and height much below its own."""
        return self._bgr([_shrunk(plane, size) for plane in self._planes])

    def _bgr(self, planes: list[np.ndarray]) -> np.ndarray:
        """Planes of one size as [h, w, 3] uint8."""
        if planes[0].ndim == 3:
            return np.ascontiguousarray(planes[0][:, :, ::-1])
        if len(planes) == 1:
            return cv2.cvtColor(self._full_range(planes[0]), cv2.COLOR_GRAY2BGR)
        matrix = _yuv_to_rgb(limited=not self._is_full_range, weights=luma_weights(self.frame))
        return cv2.transform(cv2.merge(planes), matrix[::-1])

    def chip(self, transform: np.ndarray, size: int, channels: Channels) -> np.ndarray:
        """One chip, uint8 in full range.

        Args:
          transform: [2, 3], from working pixels to the chip.
          size: width and height of the chip.
          channels: "grey" gives [size, size], cut from the luma plane alone; "rgb" and "bgr" [size, size, 3].
        """
        if channels == "grey":
            return self._full_range(cut_chip(self.luma, transform, size))
        rgb = self._rgb_chip(transform, size)
        return rgb if channels == "rgb" else rgb[:, :, ::-1]

    def _rgb_chip(self, transform: np.ndarray, size: int) -> np.ndarray:
        planes = [cut_chip(plane, self._for_plane(transform, plane), size) for plane in self._planes]
        if planes[0].ndim == 3:
            return planes[0]
        if len(planes) == 1:
            return np.repeat(self._full_range(planes[0])[:, :, None], 3, axis=2)
        matrix = _yuv_to_rgb(limited=not self._is_full_range, weights=luma_weights(self.frame))
        rgb = cv2.transform(cv2.merge(planes).astype(np.float32), matrix)
        return np.clip(np.rint(rgb), 0, 255).astype(np.uint8)

    def _for_plane(self, transform: np.ndarray, plane: np.ndarray) -> np.ndarray:
        if plane.shape[1::-1] == self._working_size:
            return transform
        # The size of a chroma plane is rounded up, and its pixels are whole steps of luma pixels all the same.
        steps = (round(size / n) for size, n in zip(self.size, plane.shape[1::-1], strict=True))
        scale_x, scale_y = (step / scale for step, scale in zip(steps, self.box_scale, strict=True))
        matrix = transform.astype(np.float64, copy=True)
        matrix[:, 2] += matrix[:, :2] @ ((scale_x - 1) / 2, (scale_y - 1) / 2)  # pixel centres keep their places
        matrix[:, :2] *= (scale_x, scale_y)
        return matrix

    def _full_range(self, luma: np.ndarray) -> np.ndarray:
        return luma if self._is_full_range else cv2.convertScaleAbs(luma, alpha=255 / 219, beta=-16 * 255 / 219)

    @property
    def _is_full_range(self) -> bool:
        name, stated = self._source.format.name, self.frame.color_range
        if name.startswith("gray"):
            return stated != _LIMITED
        return name == "rgb24" or name.startswith("yuvj") or stated == _FULL

    @functools.cached_property
    def _source(self) -> av.VideoFrame:
        """The frame itself, or the frame that libav converts it to where its planes cannot be used as they are."""
        pixel_format = self.frame.format
        if _NATIVE.fullmatch(pixel_format.name):
            return self.frame
        if pixel_format.is_rgb or pixel_format.has_palette:
            return self.frame.reformat(format="rgb24")
        if len(pixel_format.components) < 3:  # grey with alpha, bits
            return self.frame.reformat(format="gray")
        # Packed, semi-planar and big-endian YUV: rare in files.
        return self.frame.reformat(format="yuv444p", dst_color_range=self.frame.color_range)

    @functools.cached_property
    def _first_plane(self) -> np.ndarray:
        """Luma [h, w] or, in RGB, all [h, w, 3]; uint8, upright, contiguous."""
        return self._upright(self._source.to_ndarray() if self._source.format.name == "rgb24" else self._plane(0))

    @functools.cached_property
    def _planes(self) -> list[np.ndarray]:
        """The first plane, and two planes of chroma [h, w] if the frame has them."""
        chroma = (1, 2) if self._source.format.name.startswith("yuv") else ()
        return [self._first_plane, *(self._upright(self._plane(i)) for i in chroma)]

    def _upright(self, plane: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(self.orientation.apply(plane))

    def _plane(self, index: int) -> np.ndarray:
        """One plane [h, w] as uint8: a view of libav's memory where it is 8-bit, shifted where it is deeper."""
        plane, depth = self._source.planes[index], self._source.format.components[index].bits
        data = memoryview(plane)
        if depth <= 8:
            return np.frombuffer(data, np.uint8).reshape(plane.height, -1)[:, : plane.width]
        deep = np.frombuffer(data, np.uint16).reshape(plane.height, -1)[:, : plane.width]
        return (deep >> (depth - 8)).astype(np.uint8)


def _shrunk(plane: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    # OpenCV averages 2 x 2 pixels by a fast path: 0.05 ms for 640 x 360, where one step to the end takes 0.6 ms.
    while plane.shape[1] >= 2 * size[0] and plane.shape[0] >= 2 * size[1]:
        height, width = plane.shape[0] // 2, plane.shape[1] // 2
        plane = cv2.resize(plane[: 2 * height, : 2 * width], (width, height), interpolation=cv2.INTER_AREA)
    return resized(plane, size)


@functools.cache
def _yuv_to_rgb(*, limited: bool, weights: tuple[float, float]) -> np.ndarray:
    """[3, 4] from (Y, Cb, Cr, 1) in stored levels to (R, G, B) in 0 to 255 (ITU-R BT.601, BT.709 or BT.2020)."""
    red, blue = weights
    green = 1 - red - blue
    luma, chroma = (255 / 219, 255 / 224) if limited else (1.0, 1.0)
    of_cr = np.array([2 * (1 - red), -2 * red * (1 - red) / green, 0.0])
    of_cb = np.array([0.0, -2 * blue * (1 - blue) / green, 2 * (1 - blue)])
    matrix = np.column_stack([np.full(3, luma), chroma * of_cb, chroma * of_cr, np.zeros(3)])
    matrix[:, 3] = -matrix[:, :3] @ (16.0 if limited else 0.0, 128.0, 128.0)
    return matrix
