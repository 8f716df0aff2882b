"""Files that lost their end, of every kind that tells; whole ones are whole."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from schemas import storage
from schemas.config import Config
from schemas.video import Plan
from tests.clips import portrait_clip
from tests.odd_clips import animated_gif, truncated
from transforms.cut_off import what_is_missing
from transforms.probe_video import probe_video


def missing(path: Path) -> str | None:
    data = path.read_bytes()
    return what_is_missing(io.BytesIO(data), len(data))


def plan_of(path: Path) -> Plan:
    return probe_video(storage.stat(str(path)), Config())


def noise(path: Path, **options: Any) -> Path:
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 255, (120, 160, 3), np.uint8)).save(path, **options)
    return path


PICTURES: dict[str, dict[str, Any]] = {
    "plain.jpg": {},
    "progressive.jpg": {"progressive": True},
    "thumbnail.jpg": {"exif": b"Exif\0\0" + b"\xff\xd8\xff\xd9" * 20, "restart_marker_blocks": 2},
    "x.png": {},
    "x.gif": {},
    "x.webp": {},
}


@pytest.mark.parametrize("name", PICTURES)
@pytest.mark.parametrize("share", [0.5, 0.9, 0.99])
def test_pictures(tmp_path, name, share):
    whole = noise(tmp_path / name, **PICTURES[name])
    assert missing(whole) is None
    cut = truncated(whole, tmp_path / f"cut_{name}", share=share)
    assert missing(cut)
    plan = plan_of(cut)
    assert plan.cut_off if plan.segments else plan.status == "corrupt"
    assert plan.segments or not name.endswith(("jpg", "gif"))


def test_a_picture_with_more_behind_it(tmp_path):
    path = noise(tmp_path / "x.jpg")
    path.write_bytes(path.read_bytes() + b"\x00" * 1000 + b"\xff\xd8\xff\xe0")
    assert missing(path) is None


def test_a_film_in_gif(tmp_path):
    whole = animated_gif(tmp_path / "x.gif", size=(160, 120), moving=True).path
    assert missing(whole) is None
    assert missing(truncated(whole, tmp_path / "cut.gif", share=0.6))


@pytest.mark.parametrize("ending", ["avi", "mp4", "mkv", "ts", "wmv"])
@pytest.mark.parametrize("share", [0.55, 0.97])
def test_videos(tmp_path, ending, share):
    codec = {"avi": "mpeg4", "wmv": "wmv2"}.get(ending, "libx264")
    whole = portrait_clip(
        tmp_path / f"x.{ending}", codec=codec, fps=25, size=(160, 120), moving=True, faststart=ending == "mp4"
    ).path
    assert missing(whole) is None and plan_of(whole).cut_off is None
    cut = truncated(whole, tmp_path / f"cut.{ending}", share=share)
    assert missing(cut)
    assert plan_of(cut).cut_off


def test_sizes_that_were_never_written_say_nothing(tmp_path):
    path = portrait_clip(tmp_path / "x.avi", codec="mpeg4", fps=25, size=(160, 120)).path
    data = bytearray(path.read_bytes())
    for size in (0, 0xFFFFFFFF):
        data[4:8] = size.to_bytes(4, "little")
        assert what_is_missing(io.BytesIO(data), len(data)) is None


def test_heads_cut_anywhere_break_nothing(tmp_path):
    for ending in ("avi", "mp4", "mkv", "ts", "wmv", "gif", "jpg", "png"):
        if ending in ("gif", "jpg", "png"):
            path = noise(tmp_path / f"x.{ending}")
        else:
            codec = {"avi": "mpeg4", "wmv": "wmv2"}.get(ending, "libx264")
            path = portrait_clip(tmp_path / f"x.{ending}", codec=codec, fps=25, size=(160, 120)).path
        data = path.read_bytes()
        for end in range(0, min(len(data), 700), 3):
            what_is_missing(io.BytesIO(data[:end]), end)


@pytest.mark.parametrize(("ending", "codec"), [("ogv", "libvpx"), ("mjpeg", "mjpeg")])
@pytest.mark.parametrize("share", [0.55, 0.97])
def test_streams_that_state_no_size(tmp_path, ending, codec, share):
    pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    whole = portrait_clip(tmp_path / f"x.{ending}", codec=codec, pix_fmt=pix_fmt, fps=25, size=(160, 120)).path
    assert missing(whole) is None
    assert missing(truncated(whole, tmp_path / f"cut.{ending}", share=share))


def test_ogg_that_ends_between_two_pages(tmp_path):
    whole = portrait_clip(tmp_path / "x.ogv", codec="libvpx", fps=25, size=(160, 120)).path
    data = whole.read_bytes()
    (tmp_path / "cut.ogv").write_bytes(data[: data.rindex(b"OggS")])
    assert missing(tmp_path / "cut.ogv") == "its last page is not marked as the last"


def test_a_transport_stream_of_a_camera(tmp_path):
    data = portrait_clip(tmp_path / "x.ts", fps=25, size=(160, 120)).path.read_bytes()
    whole = tmp_path / "x.m2ts"
    whole.write_bytes(b"".join(bytes(4) + data[i : i + 188] for i in range(0, len(data), 188)))
    assert missing(whole) is None and plan_of(whole).status == "ok"
    assert missing(truncated(whole, tmp_path / "cut.m2ts", share=0.77))


def test_a_description_of_streams_that_is_cut_off(tmp_path):
    """It opens, and has no stream at all; that is damage, and not a file without video."""
    whole = portrait_clip(tmp_path / "x.mp4", fps=25, size=(160, 120)).path
    data = whole.read_bytes()
    (tmp_path / "cut.mp4").write_bytes(data[: data.index(b"hdlr") + 8])
    plan = plan_of(tmp_path / "cut.mp4")
    assert plan.status == "corrupt" and "cut off" in (plan.error_message or "")
