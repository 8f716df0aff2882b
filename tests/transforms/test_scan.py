"""Scans: keyframes alone, each as it is in the whole video; and groups of frames that nobody needs, left out."""

import itertools
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from schemas.config import Config
from tests.clips import portrait_clip
from tests.odd_clips import animated_gif, damaged, joined, still
from tests.transforms.streams import tracked
from tests.transforms.test_decode_frames import key, open_gop, plan_of, read, read_whole

_SMALL: dict[str, Any] = {"size": (160, 120), "moving": True}
EVERY = Config().override(sample_fps=float("inf"))
SCAN = Config().override(keyframes=True)

STORED: dict[str, dict[str, Any]] = {
    "b_frames.mp4": {"b_frames": 3},
    "b_frames.mkv": {"b_frames": 3, "audio": 8.0},
    "b_frames.ts": {"b_frames": 3, "start": 3.7},
    "hevc.mov": {"b_frames": 2, "codec": "libx265"},
    "mpeg4.mp4": {"b_frames": 2, "codec": "mpeg4"},
    "mpeg4.avi": {"codec": "mpeg4"},
    "open.mpg": {"b_frames": 2, "codec": "mpeg2video", "fps": 25, "gop": 25},
    "vp9.webm": {"codec": "libvpx-vp9"},
    "turned.mp4": {"rotation": 90},
    "frames.h264": {"fps": 25, "gop": 25},
}


def keyframes_of(path: Path) -> list[int | None]:
    """Time stamps of the keyframes, by PyAV alone."""
    with av.open(path) as container:
        return [packet.pts for packet in container.demux(video=0) if packet.size and packet.is_keyframe]


def encoded(path: Path, source: Path, codec: str, parameters: str) -> Path:
    """The frames of a clip, encoded anew."""
    with av.open(source) as old, av.open(path, "w") as new:
        stream = new.add_stream(codec, rate=10, options={f"{codec.removeprefix('lib')}-params": parameters})
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = 160, 120, "yuv420p"
        stream.codec_context.thread_count = 1
        for frame in old.decode(video=0):
            frame.pict_type = 0
            new.mux(stream.encode(frame))
        new.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("name", STORED)
def test_samples_are_the_keyframes_as_they_are_in_the_whole_video(tmp_path: Path, name: str) -> None:
    path = portrait_clip(tmp_path / name, seconds=8, **(_SMALL | STORED[name])).path
    scanned, stats = read_whole(path, SCAN)
    every, keys = read_whole(path, EVERY)[0], keyframes_of(path)
    expected = every[::25] if name == "frames.h264" else [s for s in every if s.pts in keys]
    assert [key(s) for s in scanned] == [key(s) for s in expected] and len(scanned) == len(keys) > 5
    assert (stats.frames_decoded, stats.frames_corrupt, stats.errors) == (len(keys), 0, 0)
    assert [s.is_first for s in scanned] == [True] + [False] * (len(keys) - 1)


@pytest.mark.parametrize("ending", ["mp4", "mkv", "ts"])
def test_groups_that_are_open(tmp_path: Path, ending: str) -> None:
    source = portrait_clip(tmp_path / "x.mp4", seconds=8, **_SMALL).path
    path = open_gop(tmp_path / f"open.{ending}", source)
    scanned, _ = read_whole(path, SCAN)
    assert [s.pts for s in scanned] == keyframes_of(path) and len(scanned) == 8
    whole = {s.pts: key(s) for s in read_whole(path, EVERY)[0]}
    assert [key(s) for s in scanned] == [whole[s.pts] for s in scanned]


def test_a_picture_that_is_renewed_bit_by_bit_is_no_keyframe(tmp_path: Path) -> None:
    source = portrait_clip(tmp_path / "x.mp4", seconds=4, **_SMALL).path
    path = encoded(tmp_path / "refresh.ts", source, "libx264", "intra-refresh=1:keyint=10")
    scanned, stats = read_whole(path, SCAN)
    assert len(keyframes_of(path)) > 2
    assert [key(s) for s in scanned] == [key(read_whole(path, EVERY)[0][0])]
    assert stats.last_timestamp == pytest.approx(3.9, abs=0.01)


def test_segments_are_ten_times_as_long_and_give_what_one_piece_gives(tmp_path: Path) -> None:
    path = portrait_clip(tmp_path / "x.mp4", seconds=8, b_frames=2, **_SMALL).path
    config = SCAN.override(segment_seconds=0.2, lost_after=1.5)
    segments = plan_of(path, config).segments
    assert [(s.start, s.end, s.keyframes) for s in segments] == [
        (0, 2, True),
        (2, 4, True),
        (4, 6, True),
        (6, None, True),
    ]
    found = [read(segment, config)[0] for segment in segments]
    own = [
        [s for s in samples if s.timestamp < (segment.end or 9)]
        for samples, segment in zip(found, segments, strict=True)
    ]
    assert [key(s) for s in itertools.chain(*own)] == [key(s) for s in read_whole(path, SCAN)[0]]
    assert [[s.timestamp for s in samples] for samples in found] == [[0, 1, 2, 3], [2, 3, 4, 5], [4, 5, 6, 7], [6, 7]]


def test_what_has_only_keyframes_is_sampled_as_ever(tmp_path: Path) -> None:
    paths = [
        portrait_clip(tmp_path / "x.mov", seconds=3, codec="mjpeg", pix_fmt="yuvj420p", **_SMALL).path,
        animated_gif(tmp_path / "x.gif", **_SMALL).path,
        still(tmp_path / "x.png", **_SMALL).path,
    ]
    for path in paths:
        plan = plan_of(path, SCAN)
        assert plan == plan_of(path, Config()) and not plan.is_scan
        (segment,) = plan.segments
        assert [key(s) for s in read(segment, SCAN)[0]] == [key(s) for s in read(segment, Config())[0]]


def test_sample_fps_is_the_most_of_them(tmp_path: Path) -> None:
    path = portrait_clip(tmp_path / "x.mp4", seconds=8, gop=5, **_SMALL).path
    assert [s.timestamp for s in read_whole(path, SCAN.override(sample_fps=0.7))[0]] == [0, 1.5, 3, 4.5, 6, 7.5]
    assert len(read_whole(path, SCAN.override(sample_fps="all"))[0]) == 16


def test_a_picture_is_held_only_where_no_other_comes(tmp_path: Path) -> None:
    path = portrait_clip(tmp_path / "x.mp4", seconds=8, gop=40, **_SMALL).path
    assert [s.timestamp for s in read_whole(path, SCAN)[0]] == [0, 4]
    slow = portrait_clip(tmp_path / "slow.mp4", times=[0, 0.1, 0.2, 3, 6.5], gop=3, **_SMALL).path
    assert [s.timestamp for s in read_whole(slow, SCAN)[0]] == [0, 3, 4, 5]
    whole = read_whole(slow, Config())[0]
    assert [s.timestamp for s in whole] == pytest.approx([0, 1, 2, 3, 4, 5, 6.5])


def test_damage_costs_the_keyframe_that_it_hits(tmp_path: Path) -> None:
    path = portrait_clip(tmp_path / "x.mp4", seconds=8, **_SMALL).path
    bad = damaged(path, tmp_path / "bad.mp4", n_bytes=12_000)
    good = {key(s) for s in read_whole(path, SCAN)[0]}
    scanned, stats = read_whole(bad, SCAN)
    assert 4 <= len(good & {key(s) for s in scanned}) < 8
    assert stats.errors + stats.frames_corrupt > 0


def test_recordings_that_were_joined_are_on_one_clock(tmp_path: Path) -> None:
    one = portrait_clip(tmp_path / "one.ts", seconds=3, **_SMALL).path
    path = joined(tmp_path / "both.ts", one, one)
    assert [round(s.timestamp, 2) for s in read_whole(path, SCAN)[0]] == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize(("gop", "is_cut"), [(20, True), (19, False)])
def test_keyframes_far_apart_are_shots_of_their_own(tmp_path: Path, gop: int, is_cut: bool) -> None:
    path = portrait_clip(tmp_path / "x.mp4", seconds=4, gop=gop).path
    config = SCAN.override(detector="hog")
    (segment,) = plan_of(path, config).segments
    samples = list(tracked(segment, config).samples)
    assert [s.is_cut for s in samples] == [False, is_cut] + [False] * (len(samples) - 2)
    tracks = [s.faces.track.tolist() for s in samples if s.faces is not None]
    assert tracks[:2] == ([[0], [1]] if is_cut else [[0], [0]])


class TestGroupsWithoutASample:
    """At low rates, ordinary samples are often keyframes, or lie behind groups that no sample needs."""

    @pytest.mark.parametrize("name", ["h264.mp4", "h264.ts", "vp9.webm", "hevc.mp4", "hevc.ts"])
    def test_they_are_not_decoded(self, tmp_path: Path, name: str) -> None:
        codec = "libvpx-vp9" if name == "vp9.webm" else "libx264"
        path = portrait_clip(tmp_path / name.replace("hevc", "x"), seconds=9, gop=20, codec=codec, **_SMALL).path
        if name.startswith("hevc"):
            path = encoded(tmp_path / name, path, "libx265", "open-gop=0:keyint=20:scenecut=0:log-level=error")
        config = Config().override(sample_fps=0.5)
        samples, stats = read_whole(path, config)
        assert [s.timestamp for s in samples] == pytest.approx([0, 2, 4, 6, 8], abs=0.01)
        assert stats.frames_decoded == len(samples)
        assert stats.last_timestamp == pytest.approx(8.9, abs=0.01)
        whole = {s.pts: key(s) for s in read_whole(path, EVERY)[0]}
        assert [key(s) for s in samples] == [whole[s.pts] for s in samples]

    def test_packets_do_not_wait_without_end(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = portrait_clip(tmp_path / "x.mp4", seconds=9, gop=20, **_SMALL).path
        config = Config().override(sample_fps=0.3)
        samples, stats = read_whole(path, config)
        monkeypatch.setattr("transforms.decode_frames._LAZY_BYTES", 100)
        others, of_others = read_whole(path, config)
        assert [key(s) for s in samples] == [key(s) for s in others]
        assert stats.frames_decoded < of_others.frames_decoded

    def test_groups_that_are_open_are_decoded(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        source = portrait_clip(tmp_path / "x.mp4", seconds=8, **_SMALL).path
        path = open_gop(tmp_path / "open.mp4", source)
        config = Config().override(sample_fps=0.45)
        samples, _ = read_whole(path, config)
        whole = {s.pts: key(s) for s in read_whole(path, EVERY)[0]}
        assert [key(s) for s in samples] == [whole[s.pts] for s in samples]
        assert np.allclose([s.timestamp for s in samples], [0, 2.3, 4.5, 6.7])
