"""Draw on pictures: boxes, labels, and blur.

A picture is a `Canvas`: upright planes of uint8, drawn on in place. A frame is never converted as a whole, so pixels
that are not drawn on stay exactly the same. Boxes are (x, y, width, height) in the canvas' pixels; colours are RGB,
0 to 255. What lies outside of the picture is cut off.
"""

import dataclasses
import functools
import os
from collections.abc import Sequence

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from pipelines.colours import Colour

Box = Sequence[float] | np.ndarray

BLACK: Colour = (0, 0, 0)
WHITE: Colour = (255, 255, 255)

CELLS_A_FACE = 5
"""Squares across a blurred face: too few for people and face recognition to tell who it is."""

_MARGIN_X, _MARGIN_UP, _MARGIN_DOWN = 0.35, 0.7, 0.4
"""Blurred margins around a box, as shares of it: dlib's boxes end at brows and chin; hair and ears identify, too."""

_LINES_A_PICTURE = 30
_SMALLEST_TEXT = 11
_LARGEST_SHARE = 0.22
"""Greatest height of a label's line, as a share of the face's height, so that labels of small faces stay small."""
_PADDING = 0.3
_DASH = 5
_MIDDLE_LUMINANCE = 0.179
"""Where black and white letters read equally well."""


@dataclasses.dataclass(frozen=True)
class Canvas:
    """A picture to draw upon.

    Attributes:
      planes: [h, w] uint8 each, writable: R, G, B (and alpha), or Y, Cb, Cr with chroma of any subsampling.
      luma_weights: of red and blue, as in ITU-R BT.601, BT.709 or BT.2020; None: the planes are R, G, B.
      full_range: whether Y goes from 0 to 255 instead of 16 to 235.
      pixel_aspect: width of a displayed pixel over its height, so that letters are shown in their shape.
    """

    planes: tuple[np.ndarray, ...]
    luma_weights: tuple[float, float] | None = None
    full_range: bool = False
    pixel_aspect: float = 1.0

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        return self.planes[0].shape[1], self.planes[0].shape[0]

    @property
    def text_height(self) -> int:
        """Pixels of a line of a label, and what the width of lines goes with."""
        return max(_SMALLEST_TEXT, round(min(self.size) / _LINES_A_PICTURE))

    def step(self, index: int) -> tuple[int, int]:
        """Pixels of the canvas in one of a plane, across and down: 2, 2 for chroma of 4:2:0."""
        across, down = (round(n / m) for n, m in zip(self.size, self.planes[index].shape[::-1], strict=True))
        return max(1, across), max(1, down)

    def values(self, rgb: np.ndarray) -> list[np.ndarray]:
        """What the planes hold of colours [..., 3] uint8: [...] uint8 each, not subsampled."""
        if self.luma_weights is None:
            opaque = np.full(rgb.shape[:-1], 255, np.uint8)
            return [*np.moveaxis(rgb, -1, 0), opaque][: len(self.planes)]
        red, blue = self.luma_weights
        r, g, b = np.moveaxis(rgb.astype(np.float32), -1, 0)
        y = red * r + (1 - red - blue) * g + blue * b
        cb, cr = (b - y) / (2 * (1 - blue)), (r - y) / (2 * (1 - red))
        luma, chroma = (1.0, 1.0) if self.full_range else (219 / 255, 224 / 255)
        planes = [y * luma + (0 if self.full_range else 16), cb * chroma + 128, cr * chroma + 128]
        return [np.clip(np.rint(plane), 0, 255).astype(np.uint8) for plane in planes]


def fill(canvas: Canvas, box: Box, colour: Colour) -> None:
    """A full rectangle."""
    left, top, right, bottom = _edges(canvas, box)
    if right <= left or bottom <= top:
        return
    values = _colour_values(canvas, colour)
    for index, (plane, value) in enumerate(zip(canvas.planes, values, strict=True)):
        across, down = canvas.step(index)
        plane[top // down : -(-bottom // down), left // across : -(-right // across)] = value


def outline(canvas: Canvas, box: Box, colour: Colour, *, weak: bool = False) -> None:
    """Draws the four sides of a box with a dark rim, so that they are visible on any background.

    Args:
      canvas: drawn upon.
      box: x, y, width, height.
      colour: of the line.
      weak: thinner and dashed.
    """
    width = max(1, round(canvas.text_height / (14 if weak else 8)))
    x, y, w, h = (round(float(value)) for value in box)
    across = [(x, w, y), (x, w, y + h - width)]
    down = [(y, h, x), (y, h, x + w - width)]
    pieces = [(start, at, length, width) for a, n, at in across for start, length in _dashes(a, n, width, weak)]
    pieces += [(at, start, width, length) for a, n, at in down for start, length in _dashes(a, n, width, weak)]
    rim = max(1, width // 3)
    for left, top, w, h in pieces:
        fill(canvas, (left - rim, top - rim, w + 2 * rim, h + 2 * rim), BLACK)
    for piece in pieces:
        fill(canvas, piece, colour)


def _dashes(start: int, length: int, width: int, weak: bool) -> list[tuple[int, int]]:
    if not weak:
        return [(start, length)]
    step = max(1, min(_DASH * width, length // 3))
    return [(start + at, min(step, length - at)) for at in range(0, length, 2 * step)]


def label(
    canvas: Canvas,
    box: Box,
    texts: Sequence[Sequence[str]],
    colour: Colour,
    taken: Sequence[Box] = (),
) -> tuple[int, int, int, int]:
    """Lines of text on a ground of the box's colour, above or below the box.

    Args:
      canvas: drawn upon.
      box: x, y, width, height of what it belongs to.
      texts: what it may say, each as lines, best first: where there is no room for one, the next is tried.
      colour: of the ground; the text is black or white, whichever reads better.
      taken: boxes to keep off. Where nothing is free, the last text is drawn above the box all the same.

    Returns:
      Its place: x, y, width, height.
    """
    x, y, _, h = (round(float(value)) for value in box)
    text_height = max(_SMALLEST_TEXT, min(canvas.text_height, round(h * _LARGEST_SHARE)))
    rim = max(2, text_height // 6)
    for lines in texts:
        sprite = _sprite(tuple(lines), colour, text_height, round(canvas.pixel_aspect, 2))
        height, width = sprite.shape[:2]
        left = _within(x, width, canvas.size[0])
        tops = [y - height - rim, y + h + rim]
        room = [top for top in tops if 0 <= top <= canvas.size[1] - height]
        inside = () if room else (y + rim, y + h - height - rim)
        places = [(left, _within(top, height, canvas.size[1]), width, height) for top in (*room, *inside)]
        free = [place for place in places if not any(_touch(place, other) for other in taken)]
        if free:
            break
    place = (free or places)[0]
    _paste(canvas, place[0], place[1], sprite)
    return place


def blur_face(canvas: Canvas, box: Box, *, grow: float = 1.0) -> None:
    """Makes a face unrecognizable: an ellipse around it is left with a few large squares.

    Args:
      canvas: drawn upon.
      box: x, y, width, height of the face.
      grow: factor on the margin, where a box is not exact.
    """
    x, y, w, h = (float(value) for value in box)
    left, right = x - w * _MARGIN_X * grow, x + w * (1 + _MARGIN_X * grow)
    top, bottom = y - h * _MARGIN_UP * grow, y + h * (1 + _MARGIN_DOWN * grow)
    cells = max(2, round(CELLS_A_FACE * (right - left) / max(w, 1)))
    for index, plane in enumerate(canvas.planes):
        across, down = canvas.step(index)
        _mosaic(plane, left / across, top / down, right / across, bottom / down, cells)


def _mosaic(plane: np.ndarray, left: float, top: float, right: float, bottom: float, cells: int) -> None:
    """An ellipse of a plane in `cells` squares across; the plane's own edge cuts it off."""
    height, width = plane.shape
    x0, x1 = max(0, int(np.floor(left))), min(width, int(np.ceil(right)))
    y0, y1 = max(0, int(np.floor(top))), min(height, int(np.ceil(bottom)))
    if x1 <= x0 or y1 <= y0:
        return
    part = np.ascontiguousarray(plane[y0:y1, x0:x1])
    cell = max(2.0, (right - left) / cells)
    small = (max(1, round((x1 - x0) / cell)), max(1, round((y1 - y0) / cell)))
    coarse = cv2.resize(part, small, interpolation=cv2.INTER_AREA)
    coarse = cv2.resize(coarse, (x1 - x0, y1 - y0), interpolation=cv2.INTER_NEAREST)
    across = (np.arange(x0, x1) + 0.5 - (left + right) / 2) / ((right - left) / 2)
    down = (np.arange(y0, y1) + 0.5 - (top + bottom) / 2) / ((bottom - top) / 2)
    inside = across[None] ** 2 + down[:, None] ** 2 <= 1
    plane[y0:y1, x0:x1] = np.where(inside, coarse.reshape(part.shape), part)


def _edges(canvas: Canvas, box: Box) -> tuple[int, int, int, int]:
    x, y, w, h = (round(float(value)) for value in box)
    width, height = canvas.size
    return max(0, x), max(0, y), min(width, x + w), min(height, y + h)


def _colour_values(canvas: Canvas, colour: Colour) -> list[np.ndarray]:
    return canvas.values(np.array(colour, np.uint8))


def _even(value: int) -> int:
    return value - value % 2


def _within(start: int, length: int, size: int) -> int:
    """A start from which a length lies in the picture, even so that chroma lies with it."""
    return _even(max(0, min(start, size - length)))


def _touch(a: Box, b: Box) -> bool:
    return bool(a[0] < b[0] + b[2] and b[0] < a[0] + a[2] and a[1] < b[1] + b[3] and b[1] < a[1] + a[3])


def _paste(canvas: Canvas, x: int, y: int, rgb: np.ndarray) -> None:
    width, height = canvas.size
    rgb = rgb[: max(0, height - y), : max(0, width - x)]
    for index, (plane, values) in enumerate(zip(canvas.planes, canvas.values(rgb), strict=True)):
        across, down = canvas.step(index)
        part = plane[y // down : -(-(y + len(rgb)) // down), x // across : -(-(x + rgb.shape[1]) // across)]
        if part.size:
            part[:] = (
                cv2.resize(values, part.shape[::-1], interpolation=cv2.INTER_AREA) if across * down > 1 else values
            )


@functools.cache
def _font(size: float) -> ImageFont.FreeTypeFont:
    """DejaVu Sans, which comes with matplotlib: Pillow's own letters have no dash for "27–41"."""
    import matplotlib

    return ImageFont.truetype(os.path.join(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf"), size)


def _luminance(colour: Colour) -> float:
    """Relative luminance as WCAG 2.2 has it, in [0, 1]."""
    shares = np.array(colour) / 255
    linear = np.where(shares <= 0.04045, shares / 12.92, ((shares + 0.055) / 1.055) ** 2.4)
    return float(linear @ (0.2126, 0.7152, 0.0722))


@functools.lru_cache(maxsize=512)
def _sprite(lines: tuple[str, ...], colour: Colour, text_height: int, pixel_aspect: float) -> np.ndarray:
    """A label as a picture [h, w, 3] uint8 of even size."""
    font = _font(text_height * 0.74)
    padding = round(text_height * _PADDING)
    width = max(round(font.getlength(line)) for line in lines) + 2 * padding
    height = len(lines) * text_height + padding
    text_colour = BLACK if _luminance(colour) > _MIDDLE_LUMINANCE else WHITE
    picture = Image.new("RGB", (width, height), colour)
    draw = ImageDraw.Draw(picture)
    for number, line in enumerate(lines):
        place = (padding, padding // 2 + (number + 0.5) * text_height)
        draw.text(place, line, text_colour, font, anchor="lm")
    shown = (_even(max(2, round(width / pixel_aspect)) + 1), _even(height + 1))
    return np.asarray(picture.resize(shown, Image.Resampling.BICUBIC))
