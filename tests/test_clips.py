"""The clips contain what their docstrings say; checked with PyAV and dlib alone, without facelog's own code."""

import itertools
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import dlib
import numpy as np
import pytest
from av.sidedata.sidedata import SideData
from PIL import Image, ImageOps

from tests.clips import Clip, portrait_clip
from tests.odd_clips import animated_gif, audio_only, cover_art, damaged, disguised, sideways_pair, still, truncated

_DETECTOR = dlib.get_frontal_face_detector()


def decode(path: Path) -> list[av.VideoFrame]:
    """All that can be read; damaged packets are passed over."""
    frames: list[av.VideoFrame] = []
    with av.open(path) as container:
        stream = container.streams.video[0]
        for packet in container.demux(stream):
            try:
                frames += packet.decode()
            except av.InvalidDataError:
                continue
    return frames


def displayed(frame: av.VideoFrame) -> np.ndarray:
    """[H, W, 3] RGB, turned and mirrored as the display matrix says."""
    picture = frame.to_ndarray(format="rgb24")
    matrix = frame.side_data.get("DISPLAYMATRIX")
    if matrix is None:
        return picture
    assert isinstance(matrix, SideData)
    # Columns of the stored picture go (a, b) right and down, its rows (c, d).
    a, b, _, c, d = (np.frombuffer(bytes(matrix), np.int32) // 65536)[:5]
    if a == d == 0:
        picture, (a, d) = picture.swapaxes(0, 1), (c, b)
    return np.ascontiguousarray(picture[:: int(d), :: int(a)])


def seconds(frames: list[av.VideoFrame]) -> np.ndarray:
    times = np.array([float(frame.pts * frame.time_base) for frame in frames])  # type: ignore[operator]
    return times - times[0]


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    """Intersection over union of two x, y, width, height boxes."""
    sides = np.minimum(a[:2] + a[2:], b[:2] + b[2:]) - np.maximum(a[:2], b[:2])
    inner = float(np.prod(np.maximum(sides, 0)))
    return inner / float(np.prod(a[2:]) + np.prod(b[2:]) - inner)


def assert_faces(clip: Clip, frames: list[av.VideoFrame], sar: float = 1.0) -> None:
    """What dlib finds in every third frame is what the clip says, neither more nor less."""
    for frame, expected in list(zip(frames, clip.boxes, strict=True))[::3]:
        picture = displayed(frame)
        assert picture.shape[:2] == (clip.height, clip.width)
        found = _DETECTOR(cv2.resize(picture, None, fx=sar, fy=1) if sar != 1 else picture)
        boxes = np.array([(r.left() / sar, r.top(), r.width() / sar, r.height()) for r in found])
        expected = expected[~np.isnan(expected[:, 0])]
        assert len(boxes) == len(expected)
        for box, other in zip(boxes[np.argsort(boxes[:, 0])] if len(boxes) else boxes, expected, strict=True):
            assert overlap(box, other) > 0.6


@pytest.mark.parametrize(
    ("name", "options", "pix_fmt"),
    [
        ("plain.mp4", {"moving": True}, "yuv420p"),
        ("two.mp4", {"faces": 2, "size": (480, 240), "moving": True}, "yuv420p"),
        ("cut.mp4", {"cut_at": 1.0}, "yuv420p"),
        ("away.mp4", {"away": (0.5, 1.5)}, "yuv420p"),
        ("b.mp4", {"b_frames": 2}, "yuv420p"),
        ("b.mkv", {"b_frames": 2}, "yuv420p"),
        ("ntsc.mp4", {"fps": Fraction(30000, 1001)}, "yuv420p"),
        ("variable.mp4", {"times": [0, 0.04, 0.1, 0.5, 2, 2.02]}, "yuv420p"),
        ("variable.mkv", {"times": [0, 0.04, 0.1, 0.5, 2, 2.02]}, "yuv420p"),
        ("late.mp4", {"start": 0.852, "b_frames": 2}, "yuv420p"),
        ("mpeg4.mp4", {"codec": "mpeg4"}, "yuv420p"),
        ("mpeg4.avi", {"codec": "mpeg4"}, "yuv420p"),
        ("hevc.mov", {"codec": "libx265"}, "yuv420p"),
        ("vp9.webm", {"codec": "libvpx-vp9"}, "yuv420p"),
        ("motion.avi", {"codec": "mjpeg", "pix_fmt": "yuvj420p"}, "yuvj420p"),
        ("ten.mp4", {"pix_fmt": "yuv420p10le"}, "yuv420p10le"),
        ("ten.mov", {"codec": "libx265", "pix_fmt": "yuv420p10le"}, "yuv420p10le"),
        ("full.mp4", {"full_range": True}, "yuvj420p"),
        ("full444.mp4", {"pix_fmt": "yuv444p"}, "yuv444p"),
        ("grey.mkv", {"codec": "ffv1", "pix_fmt": "gray"}, "gray"),
        ("rgb.mkv", {"codec": "ffv1", "pix_fmt": "bgr0"}, "bgr0"),
        ("alpha.mov", {"codec": "qtrle", "pix_fmt": "argb"}, "argb"),
        ("sound.mp4", {"audio": 3.0}, "yuv420p"),
    ],
)
def test_portrait_clip(tmp_path: Path, name: str, options: dict[str, Any], pix_fmt: str) -> None:
    clip = portrait_clip(tmp_path / name, **options)
    frames = decode(clip.path)
    assert frames[0].format.name == pix_fmt
    np.testing.assert_allclose(seconds(frames), clip.times, atol=1e-3)
    assert_faces(clip, frames)


def test_first_frame_is_late_and_keyframes_are_where_gop_says(tmp_path: Path) -> None:
    frames = decode(portrait_clip(tmp_path / "x.mp4", start=0.852, gop=5, cut_at=0.7).path)
    assert frames[0].pts * frames[0].time_base == Fraction(852, 1000)  # type: ignore[operator]
    assert [i for i, frame in enumerate(frames) if frame.key_frame] == [0, 5, 10, 15]


def test_cut_changes_the_picture(cut_clip: Clip) -> None:
    pictures = [frame.to_ndarray(format="gray").astype(float) for frame in decode(cut_clip.path)]
    jumps = [np.abs(a - b).mean() for a, b in itertools.pairwise(pictures)]
    assert np.argmax(jumps) == 19  # from 1.9 s to 2.0 s
    assert jumps[19] > 50 > 5 > np.delete(jumps, 19).max()


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_sideways_pair_displays_the_same(tmp_path: Path, rotation: int, mirrored: bool) -> None:
    upright, turned = sideways_pair(tmp_path, rotation=rotation, mirrored=mirrored, seconds=0.5, moving=True)
    frames, turned_frames = decode(upright.path), decode(turned.path)
    assert (turned_frames[0].width, turned_frames[0].height) == ((240, 320) if rotation % 180 else (320, 240))
    assert_faces(turned, turned_frames)
    for frame, other in zip(frames, turned_frames, strict=True):
        # Each chroma sample covers four pixels, and conversion to RGB interpolates it: not quite the same when turned.
        assert np.abs(displayed(frame).astype(int) - displayed(other)).mean() < 2


def test_pixels_that_are_not_square(tmp_path: Path) -> None:
    clip = portrait_clip(tmp_path / "x.mp4", sar=Fraction(4, 3))
    with av.open(clip.path) as container:
        assert container.streams.video[0].sample_aspect_ratio == Fraction(4, 3)
    assert (clip.width, clip.height) == (240, 240)
    assert_faces(clip, decode(clip.path), sar=4 / 3)


def test_interlaced(tmp_path: Path) -> None:
    for name, options in [("x.mp4", {}), ("x.mpg", {"codec": "mpeg2video", "fps": 25})]:
        clip = portrait_clip(tmp_path / name, interlaced=True, **options)  # type: ignore[arg-type]
        frames = decode(clip.path)
        assert all(frame.interlaced_frame for frame in frames)
        assert_faces(clip, frames)


def test_raw_stream_has_no_times(tmp_path: Path) -> None:
    frames = decode(portrait_clip(tmp_path / "x.h264", b_frames=2).path)
    assert [frame.pts for frame in frames] == [None] * 20


def test_b_frames_in_avi_have_wrong_times(tmp_path: Path) -> None:
    clip = portrait_clip(tmp_path / "x.avi", b_frames=2, moving=True)
    frames = decode(clip.path)
    assert (np.diff(seconds(frames)) < 0).any()
    assert_faces(clip, frames)  # the order is right all the same


def test_animated_gif(tmp_path: Path) -> None:
    clip = animated_gif(tmp_path / "x.gif")
    frames = decode(clip.path)
    np.testing.assert_allclose(seconds(frames), clip.times, atol=1e-3)
    assert_faces(clip, frames)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_still(tmp_path: Path, orientation: int) -> None:
    clip = still(tmp_path / "x.jpg", orientation=orientation)
    with Image.open(clip.path) as image:
        assert image.getexif()[0x0112] == orientation
        picture = np.asarray(ImageOps.exif_transpose(image))
    (found,) = _DETECTOR(picture)
    box = np.array([found.left(), found.top(), found.width(), found.height()])
    assert overlap(box, clip.boxes[0, 0]) > 0.6


def test_truncated(tmp_path: Path) -> None:
    for name, options in [("x.mp4", {"faststart": True}), ("x.mkv", {})]:
        clip = portrait_clip(tmp_path / name, moving=True, **options)  # type: ignore[arg-type]
        frames = decode(truncated(clip.path, tmp_path / f"cut_{name}", share=0.6))
        assert 5 <= len(frames) <= 15
        np.testing.assert_allclose(seconds(frames), clip.times[: len(frames)], atol=1e-3)
    with pytest.raises(av.InvalidDataError):
        decode(truncated(portrait_clip(tmp_path / "y.mp4").path, tmp_path / "cut_y.mp4", share=0.6))


def test_damaged(tmp_path: Path) -> None:
    clip = portrait_clip(tmp_path / "x.mp4", moving=True)
    bad = damaged(clip.path, tmp_path / "bad.mp4")
    assert bad.stat().st_size == clip.path.stat().st_size
    with av.open(bad) as container, pytest.raises(av.InvalidDataError):
        list(container.decode(video=0))
    assert 10 <= len(decode(bad)) < 20


def test_without_video(tmp_path: Path) -> None:
    with av.open(audio_only(tmp_path / "x.m4a")) as container:
        assert [stream.type for stream in container.streams] == ["audio"]
    with av.open(cover_art(tmp_path / "y.m4a")) as container:
        (picture,) = container.streams.video
        assert picture.disposition == av.stream.Disposition.attached_pic


def test_disguised(tmp_path: Path) -> None:
    paths = disguised(portrait_clip(tmp_path / "x.mkv").path)
    opened = []
    for path in paths:
        try:
            with av.open(path) as container:
                opened.append((path.name, container.format.name))
        except av.FFmpegError:
            continue
    # That is the trap: with libav's own settings the script is a video.
    assert opened == [("concat.mp4", "concat")]
