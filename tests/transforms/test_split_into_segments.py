"""Bounds of segments: keyframes that depend on file and configuration only, in every container."""

import itertools
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import storage
from schemas.config import Config
from schemas.storage import FileInfo
from schemas.video import Clock, Segment
from tests.clips import portrait_clip
from transforms.probe_video import probe_video
from transforms.split_into_segments import Keyframes, split_into_segments

_FILE = FileInfo("/x.mp4", 1, None)


def segments(path: Path, segment_seconds: float) -> tuple[Segment, ...]:
    return probe_video(storage.stat(str(path)), Config().override(segment_seconds=segment_seconds)).segments


def keyframe_times(path: Path) -> list[int]:
    with av.open(path) as container:
        return [p.pts for p in container.demux(video=0) if p.is_keyframe and p.pts is not None and p.size]


def remuxed(source: Path, target: Path) -> Path:
    """The same packets in another container."""
    with av.open(source) as old, av.open(target, "w") as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        for packet in old.demux(video=0):
            if packet.size:
                packet.stream = stream
                new.mux(packet)
    return target


@pytest.fixture(scope="module", params=[0, 3])
def ten_seconds(request, tmp_path_factory) -> Path:
    """A keyframe every second."""
    path = tmp_path_factory.mktemp("split") / "x.mp4"
    return portrait_clip(path, seconds=10, size=(160, 120), start=0.4, b_frames=request.param).path


@pytest.mark.parametrize("length", [1, 1.5, 2, 3, 4.5, 5])
def test_bounds_are_keyframes_and_cover_the_whole(ten_seconds, length):
    found = segments(ten_seconds, length)
    assert [segment.index for segment in found] == list(range(len(found)))
    assert found[0].start == 0 and found[0].first_pts is None and found[-1].end is None
    times = keyframe_times(ten_seconds)
    with av.open(ten_seconds) as container:
        packets = [p.pts for p in container.demux(video=0) if p.size]
    for before, after in itertools.pairwise(found):
        assert before.end == after.start
        assert after.first_pts in times
        assert after.start == after.clock.seconds(after.first_pts)
        assert after.packets_before == packets.index(after.first_pts)
    lengths = [segment.duration for segment in found]
    assert sum(lengths) == pytest.approx(10)
    assert min(lengths) >= length
    assert max(lengths[:-1], default=0) <= np.ceil(length)  # a keyframe comes every second
    assert len(found) == int(10 // np.ceil(length))


def test_shorter_than_two_is_one(ten_seconds):
    assert len(segments(ten_seconds, 5)) == 2
    assert len(segments(ten_seconds, 5.01)) == 1


@pytest.mark.parametrize("ending", ["mkv", "mov", "ts"])
@pytest.mark.parametrize("length", [1, 2, 3])
def test_index_and_walk_agree(ten_seconds, tmp_path, ending, length):
    other = remuxed(ten_seconds, tmp_path / f"x.{ending}")
    a, b = segments(ten_seconds, length), segments(other, length)
    assert [s.packets_before for s in a] == [s.packets_before for s in b]
    np.testing.assert_allclose([s.start for s in a], [s.start for s in b], atol=1e-3)


def test_the_same_twice(ten_seconds):
    assert segments(ten_seconds, 2) == segments(ten_seconds, 2)


def test_a_long_gap_between_keyframes_makes_a_long_segment(tmp_path):
    path = portrait_clip(tmp_path / "x.mp4", seconds=10, size=(160, 120), gop=40).path
    assert [(s.start, s.end) for s in segments(path, 1)] == [(0, 4), (4, 8), (8, None)]


def test_a_file_without_keyframes_to_seek_is_one():
    (segment,) = split_into_segments(_FILE, "id", Clock(None, 1, 25), 1000.0, None, 60.0)
    assert (segment.start, segment.end, segment.duration) == (0, None, 1000)


@given(
    steps=st.lists(st.integers(1, 400), min_size=1, max_size=60),
    length=st.integers(1, 100),
    last=st.integers(1, 300),
)
def test_any_keyframes(steps, length, last):
    pts = np.cumsum([0, *steps])
    duration = float(pts[-1] + last)
    keyframes = Keyframes(pts, pts, np.arange(len(pts)))
    found = split_into_segments(_FILE, "id", Clock(0, 1, 1), duration, keyframes, float(length))
    assert found[0].start == 0 and found[-1].end is None
    assert all(a.end == b.start for a, b in itertools.pairwise(found))
    assert {s.start for s in found} <= set(pts.tolist())
    assert len(found) == 1 or min(s.duration for s in found) >= length
    for segment in found[:-1]:  # no keyframe that would have done was passed over
        assert segment.end is not None
        assert not [t for t in pts if segment.start + length <= t < segment.end]
