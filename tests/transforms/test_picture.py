"""Upright luma and chips of every pixel format and orientation, compared with libav's conversion of the whole frame."""

import dataclasses
import itertools
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from av.video.reformatter import ColorRange, Colorspace
from PIL import Image

from tests.clips import portrait_clip, scene
from tests.odd_clips import sideways_pair, still
from transforms.media import open_media
from transforms.picture import Orientation, Picture

_SIZE = (160, 120)
_CHIP = 64


def first_frame(path: Path) -> av.VideoFrame:
    with open_media(str(path)) as container:
        return next(container.decode(video=0))


def transform(picture: Picture, *, scale: float = 1.0, shift: tuple[float, float] = (0, 0)) -> np.ndarray:
    """From the middle of the picture to a chip."""
    height, width = picture.luma.shape
    corner = np.array([(width - _CHIP / scale) / 2 + shift[0], (height - _CHIP / scale) / 2 + shift[1]])
    return np.array([[scale, 0, -scale * corner[0]], [0, scale, -scale * corner[1]]], np.float32)


def reference_chip(frame: av.VideoFrame, colorspace: Colorspace = Colorspace.ITU601) -> np.ndarray:
    """The 64 × 64 pixels in the middle, as libav converts the whole frame to RGB."""
    options: dict[str, Any] = {} if frame.format.is_rgb else {"src_colorspace": colorspace}
    if frame.color_range == ColorRange.JPEG:
        options["src_color_range"] = ColorRange.JPEG
    rgb = frame.reformat(format="rgb24", interpolation="BICUBIC", **options).to_ndarray()
    y, x = (rgb.shape[0] - _CHIP) // 2, (rgb.shape[1] - _CHIP) // 2
    return rgb[y : y + _CHIP, x : x + _CHIP]


def shown(picture: np.ndarray) -> np.ndarray:
    """Full-range luma (BT.601) of an RGB picture."""
    return picture @ np.array([0.299, 0.587, 0.114])


def assert_close(found: np.ndarray, expected: np.ndarray, *, mean: float) -> None:
    assert found.shape == expected.shape and found.dtype == np.uint8
    assert np.abs(found.astype(float) - expected.astype(float)).mean() < mean


FORMATS = [
    *("yuv420p", "yuv422p", "yuv444p", "yuv411p", "yuv410p", "yuva420p", "yuv420p10le", "yuv422p12le", "yuv444p16le"),
    *("gray", "gray10le", "gray16le", "bgr0", "gbrp10le", "yuva444p10le"),
]
IN_MEMORY = [
    *("nv12", "nv21", "p010le", "yuyv422", "uyvy422", "yuv420p10be", "y210le", "xv30le", "xyz12le"),
    *("rgb24", "bgra", "argb", "rgb565le", "rgb48be", "gbrp", "ya8", "ya16be", "gray16be", "monow"),
]


class TestFormats:
    @pytest.mark.parametrize("pix_fmt", FORMATS)
    def test_stored_losslessly(self, tmp_path, pix_fmt):
        frame = first_frame(portrait_clip(tmp_path / "x.mkv", codec="ffv1", pix_fmt=pix_fmt, size=_SIZE).path)
        assert frame.format.name == pix_fmt
        self.check(frame)

    @pytest.mark.parametrize("pix_fmt", IN_MEMORY)
    def test_in_memory(self, pix_fmt):
        picture, _ = scene(0.0, size=_SIZE)
        frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format=pix_fmt)
        if pix_fmt not in ("xyz12le", "monow"):  # of another gamma, dithered
            self.check(frame)
        assert Picture(frame).luma.shape == (120, 160)

    def check(self, frame: av.VideoFrame) -> None:
        picture = Picture(frame)
        expected = reference_chip(frame)
        grey = picture.chip(transform(picture), _CHIP, "grey")
        assert_close(grey, shown(expected), mean=2.5)
        assert_close(picture.chip(transform(picture), _CHIP, "rgb"), expected, mean=4)
        assert expected.std() > 30  # there is something to be seen
        assert picture.luma.flags.c_contiguous and picture.luma.dtype == np.uint8

    @pytest.mark.parametrize("codec", ["libx264", "libx265", "mpeg4", "libvpx-vp9"])
    def test_video_codecs(self, tmp_path, codec):
        ending = "webm" if "vp9" in codec else "mkv"
        self.check(first_frame(portrait_clip(tmp_path / f"x.{ending}", codec=codec, size=_SIZE).path))

    def test_full_range(self, tmp_path):
        frame = first_frame(portrait_clip(tmp_path / "x.mkv", full_range=True, size=_SIZE).path)
        assert frame.color_range == ColorRange.JPEG
        self.check(frame)
        limited = first_frame(portrait_clip(tmp_path / "y.mkv", size=_SIZE).path)
        assert int(Picture(frame).luma.min()) < int(Picture(limited).luma.min())  # as stored
        chips = [Picture(f).chip(transform(Picture(f)), _CHIP, "grey") for f in (frame, limited)]
        assert_close(chips[0], chips[1], mean=2)  # but chips agree

    def test_grey_of_limited_range_is_stretched(self):
        grey = av.VideoFrame.from_ndarray(np.full((120, 160), 16, np.uint8), format="gray")
        assert Picture(grey).chip(transform(Picture(grey)), _CHIP, "grey").max() == 16
        grey.color_range = ColorRange.MPEG
        assert Picture(grey).chip(transform(Picture(grey)), _CHIP, "grey").max() == 0

    def test_interlaced(self, tmp_path):
        frame = first_frame(portrait_clip(tmp_path / "x.mkv", interlaced=True, size=_SIZE).path)
        assert frame.interlaced_frame
        self.check(frame)

    def test_palette(self, tmp_path):
        self.check(first_frame(still(tmp_path / "x.gif", size=_SIZE).path))
        picture, _ = scene(0.0, size=_SIZE)
        Image.fromarray(picture).quantize(256).save(tmp_path / "x.png")
        frame = first_frame(tmp_path / "x.png")
        assert frame.format.name == "pal8"
        self.check(frame)

    @pytest.mark.parametrize(("height", "colorspace"), [(480, Colorspace.ITU601), (720, Colorspace.ITU709)])
    def test_colours_of_unlabelled_video_go_by_its_height(self, height, colorspace):
        picture = np.zeros((height, 960, 3), np.uint8)
        picture[...] = (200, 60, 40)
        frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(
            format="yuv420p", dst_colorspace=colorspace
        )
        plain = av.VideoFrame(960, height, "yuv420p")  # without a label
        for old, new in zip(frame.planes, plain.planes, strict=True):
            new.update(bytes(old))
        chip = Picture(plain).chip(transform(Picture(plain)), _CHIP, "rgb")
        np.testing.assert_allclose(chip.reshape(-1, 3).mean(axis=0), (200, 60, 40), atol=3)

    def test_bit_depths_agree(self, tmp_path):
        lumas = [
            Picture(first_frame(portrait_clip(tmp_path / f"{f}.mkv", codec="ffv1", pix_fmt=f, size=_SIZE).path)).luma
            for f in ("yuv420p", "yuv420p10le", "yuv420p12le")
        ]
        for a, b in itertools.pairwise(lumas):
            assert np.abs(a.astype(int) - b).max() <= 2

    def test_odd_sizes(self):
        picture, _ = scene(0.0, size=(161, 121))
        frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format="yuv420p")
        wrapped = Picture(frame)
        assert wrapped.luma.shape == (121, 161)
        matrix = np.array([[1, 0, -48], [0, 1, -28]], np.float32)
        expected = frame.reformat(format="rgb24", interpolation="BICUBIC").to_ndarray()[28:92, 48:112]
        assert_close(wrapped.chip(matrix, _CHIP, "rgb"), expected, mean=4)

    def test_one_pixel(self):
        frame = av.VideoFrame.from_ndarray(np.full((1, 1, 3), 99, np.uint8), format="rgb24").reformat(format="yuv444p")
        assert Picture(frame).luma.shape == (1, 1)


class TestPlanes:
    def test_chroma_is_not_touched_for_luma(self, portrait, monkeypatch):
        asked, plane = [], Picture._plane

        def spy(self: Picture, index: int) -> np.ndarray:
            asked.append(index)
            return plane(self, index)

        monkeypatch.setattr(Picture, "_plane", spy)
        picture = Picture(first_frame(portrait.path))
        assert picture.luma is picture.luma
        picture.chip(transform(picture), _CHIP, "grey")
        assert asked == [0]
        picture.chip(transform(picture), _CHIP, "rgb")
        picture.chip(transform(picture), _CHIP, "rgb")
        assert asked == [0, 1, 2]

    def test_nothing_is_converted_where_planes_are_native(self, portrait):
        frame = first_frame(portrait.path)
        assert Picture(frame)._source is frame

    def test_the_memory_outlives_the_frame(self, portrait):
        luma = Picture(first_frame(portrait.path)).luma
        before = luma.copy()
        others = [first_frame(portrait.path) for _ in range(5)]
        assert others and np.array_equal(luma, before)


class TestOrientation:
    @pytest.mark.parametrize("rotation", [0, 90, 180, 270])
    @pytest.mark.parametrize("mirrored", [False, True])
    def test_clips_are_shown_upright(self, tmp_path, rotation, mirrored):
        upright, sideways = sideways_pair(tmp_path, rotation=rotation, mirrored=mirrored, size=(160, 96), seconds=0.3)
        expected, picture = Picture(first_frame(upright.path)), Picture(first_frame(sideways.path))
        assert picture.size == (160, 96) and picture.luma.flags.c_contiguous
        assert np.array_equal(picture.luma, expected.luma)
        chips = [p.chip(transform(p), _CHIP, "rgb") for p in (picture, expected)]
        assert_close(chips[0], chips[1], mean=2)  # chroma was averaged over other neighbours
        if not mirrored:
            assert picture.orientation.degrees == -rotation % 360

    @pytest.mark.parametrize("ending", ["jpg", "png", "webp", "tiff", "avif"])
    @pytest.mark.parametrize("orientation", range(1, 9))
    def test_stills_are_shown_upright(self, tmp_path, ending, orientation):
        expected = Picture(first_frame(still(tmp_path / f"upright.{ending}", size=(160, 96)).path)).luma
        frame = first_frame(still(tmp_path / f"x.{ending}", orientation=orientation, size=(160, 96)).path)
        assert (frame.width < frame.height) == (orientation >= 5)
        assert_close(Picture(frame).luma, expected, mean=1.5)

    def test_the_eight_are_different(self):
        grid = np.arange(6).reshape(2, 3)
        kinds = [Orientation(*flags) for flags in itertools.product((False, True), repeat=3)]
        shown = {(o.apply(grid).shape, o.apply(grid).tobytes()) for o in kinds}
        assert len(shown) == 8
        assert all(o.apply(grid).shape[::-1] == o.display_size(3, 2) for o in kinds)
        assert Orientation().apply(grid) is not None and np.shares_memory(Orientation().apply(grid), grid)


class TestSquarePixels:
    @pytest.mark.parametrize("sar", [Fraction(16, 11), Fraction(8, 9), Fraction(1)])
    def test_working_pixels_are_square_and_none_is_lost(self, tmp_path, sar):
        clip = portrait_clip(tmp_path / "x.mp4", sar=sar, size=(320, 240), lossless=True)
        picture = Picture(first_frame(clip.path), float(sar))
        height, width = picture.luma.shape
        assert width / height == pytest.approx(320 / 240, rel=0.01)
        assert width >= clip.width and height >= clip.height
        assert picture.box_scale == pytest.approx((clip.width / width, clip.height / height))

    def test_chips_of_wide_pixels(self, tmp_path):
        square = Picture(first_frame(portrait_clip(tmp_path / "x.mp4", size=(320, 240)).path))
        clip = portrait_clip(tmp_path / "y.mp4", sar=Fraction(16, 11), size=(320, 240))
        wide = Picture(first_frame(clip.path), 16 / 11)
        matrix = transform(square, scale=0.5)
        for channels in ("grey", "rgb"):
            assert_close(wide.chip(matrix, _CHIP, channels), square.chip(matrix, _CHIP, channels), mean=4)

    @pytest.mark.parametrize("name", FORMATS)
    @pytest.mark.parametrize("scale", [1.0, 0.5])
    def test_the_whole_picture_in_bgr_has_the_colours_of_libav(self, name, scale):
        rgb, _ = scene(0.0, size=(161, 120))
        frame = av.VideoFrame.from_ndarray(rgb, format="rgb24").reformat(format=name)
        expected = frame.reformat(format="rgb24", interpolation="BICUBIC").to_ndarray()
        size = (round(161 * scale), round(120 * scale))
        assert_close(
            Picture(frame).bgr(scale), cv2.resize(expected, size, interpolation=cv2.INTER_AREA)[:, :, ::-1], mean=4
        )

    def test_bgr_is_rgb_backwards(self, portrait):
        picture = Picture(first_frame(portrait.path))
        rgb, bgr = (picture.chip(transform(picture), _CHIP, channels) for channels in ("rgb", "bgr"))
        np.testing.assert_array_equal(bgr, rgb[:, :, ::-1])
        assert not np.array_equal(bgr, rgb)

    @pytest.mark.parametrize("sar", [1e-4, 0.2, 5.0, 1e4])
    def test_an_aspect_beyond_reason_is_none(self, portrait, sar):
        assert Picture(first_frame(portrait.path), sar).luma.shape == (240, 320)


def test_orientations_are_values():
    assert dataclasses.replace(Orientation(), transposed=True) == Orientation(transposed=True)
