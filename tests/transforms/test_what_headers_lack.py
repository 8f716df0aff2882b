"""Headers that claim too little, edit lists of several parts, and files behind files."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from schemas import storage
from schemas.config import Config
from schemas.video import Plan
from tests.clips import Clip, add_silence, mux_silence, portrait_clip
from tests.odd_clips import joined, remuxed, with_edits
from transforms.decode_frames import decode_segment
from transforms.probe_video import probe_video
from transforms.samples import Sample

EVERY = Config().override(sample_fps=float("inf"))


def plan_of(path: Path) -> Plan:
    plan = probe_video(storage.stat(str(path)), EVERY)
    assert plan.status == "ok" and plan.info is not None, plan.error_message
    return plan


def duration(path: Path) -> float:
    info = plan_of(path).info
    assert info is not None and info.duration is not None
    return info.duration


def samples_of(path: Path) -> list[Sample]:
    (segment,) = plan_of(path).segments
    return list(decode_segment(segment, EVERY).samples)


@pytest.fixture(scope="module")
def short(tmp_path_factory) -> Clip:
    """Four seconds of 25 frames with B-frames; a keyframe in each second."""
    path = tmp_path_factory.mktemp("short") / "x.mp4"
    return portrait_clip(path, seconds=4, fps=25, b_frames=2, size=(160, 120), moving=True, gop=25)


class TestTooShort:
    def test_ivf_that_ffmpeg_wrote(self, tmp_path):
        """Its header says how many frames it has, and libav takes them for ticks."""
        source = portrait_clip(tmp_path / "x.webm", codec="libvpx", fps=25, size=(160, 120)).path
        path = remuxed(source, tmp_path / "x.ivf")
        assert duration(path) == pytest.approx(2.0, abs=0.05) and len(samples_of(path)) == 50

    def test_a_header_of_a_recording_that_went_on(self, short, tmp_path):
        path = remuxed(short.path, tmp_path / "x.mkv")
        data = bytearray(path.read_bytes())
        place = data.index(b"\x44\x89\x88") + 3
        data[place : place + 8] = np.array(1000.0, ">f8").tobytes()
        path.write_bytes(data)
        (note,) = plan_of(path).notes
        assert duration(path) == pytest.approx(4.0, abs=0.05)
        assert note.kind == "wrong_duration" and "claims 1.0 s, and it has 4.0 s" in note.sentence

    def test_joined_avi(self, tmp_path):
        part = portrait_clip(tmp_path / "x.avi", codec="mpeg4", fps=25, size=(160, 120)).path
        path = joined(tmp_path / "joined.avi", part, part)
        assert duration(path) == pytest.approx(4.0) and len(samples_of(path)) == 100

    def test_an_index_that_lists_half_of_the_frames(self, tmp_path):
        part = portrait_clip(tmp_path / "x.mxf", codec="mpeg2video", fps=25, size=(160, 120)).path
        path = joined(tmp_path / "joined.mxf", part, part)
        (note,) = plan_of(path).notes
        assert note.kind == "no_clock" and duration(path) == pytest.approx(4.0) and len(samples_of(path)) == 100


class TestEdits:
    @pytest.mark.parametrize("second", [3.0, 2.56, 0.4])
    def test_two_parts(self, short, tmp_path, second):
        path = with_edits(short.path, tmp_path / "edits.mp4", (1.0, 1.0), (0.8, second))
        with av.open(path) as container:
            shown = [frame.pts for frame in container.decode(video=0)]
        samples = samples_of(path)
        assert [sample.pts for sample in samples] == shown and len(shown) == 45
        assert [sample.frame for sample in samples] == list(range(45)) and not plan_of(path).notes
        assert duration(path) == pytest.approx(1.8, abs=0.05)

    def test_the_whole_twice(self, short, tmp_path):
        path = with_edits(short.path, tmp_path / "edits.mp4", (4.0, 0.0), (4.0, 0.0))
        assert duration(path) == pytest.approx(8.0, abs=0.05) and len(samples_of(path)) == 200


class TestBehindTheEnd:
    @pytest.mark.parametrize(("ending", "codec"), [("mp4", "libx264"), ("flv", "libx264"), ("wmv", "wmv2")])
    def test_another_file_that_is_not_read(self, tmp_path, ending, codec):
        part = portrait_clip(tmp_path / f"x.{ending}", codec=codec, fps=25, size=(160, 120)).path
        assert plan_of(joined(tmp_path / f"joined.{ending}", part, part)).has_unread_file
        assert not plan_of(part).has_unread_file

    def test_an_index_behind_the_packets_is_no_file(self, short, tmp_path):
        for ending in ("mkv", "mov", "nut"):
            assert not plan_of(remuxed(short.path, tmp_path / f"x.{ending}")).has_unread_file

    def test_a_transport_stream_of_few_large_packets(self, tmp_path):
        times = [0.0, 5.0, 10.0]
        path = portrait_clip(tmp_path / "x.ts", times=times, fps=Fraction(1, 5), size=(320, 240), gop=1).path
        assert not plan_of(path).has_unread_streams


class TestNotCutOff:
    def test_a_song_with_one_picture(self, tmp_path):
        path = tmp_path / "x.wmv"
        with av.open(path, "w") as container:
            stream = container.add_stream("mjpeg", rate=25)
            stream.width, stream.height, stream.pix_fmt = 160, 120, "yuvj420p"
            sound = add_silence(container)
            container.mux([*stream.encode(av.VideoFrame(160, 120, "yuvj420p")), *stream.encode(None)])
            mux_silence(container, sound, 5)
        plan = plan_of(path)
        assert plan.stated_end is None and plan.container_end is None

    def test_the_last_picture_of_a_slide_show(self, tmp_path):
        times = [0.0, 5.0, 10.0, 15.0]
        path = portrait_clip(tmp_path / "x.flv", times=times, fps=Fraction(1, 5), size=(160, 120)).path
        data = bytearray(path.read_bytes())
        place = data.index(b"duration") + 9
        data[place : place + 8] = np.array(24.0, ">f8").tobytes()
        path.write_bytes(data)
        plan = plan_of(path)
        assert plan.stated_end is None and plan.container_end is None
