"""Samples by time stamp: on the grid, and the same for any segments and with or without skipping."""

import dataclasses
import itertools
import os
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from schemas import storage
from schemas.config import Config
from schemas.errors import FacelogError
from schemas.video import DecodeStats, Plan, Segment
from tests.clips import portrait_clip
from tests.odd_clips import animated_gif, damaged, truncated
from transforms import decode_frames
from transforms.decode_frames import FileChangedError, decode_segment
from transforms.probe_video import probe_video
from transforms.samples import Sample, SampleGrid

_SMALL: dict[str, Any] = {"size": (160, 120), "moving": True}


def plan_of(path: Path, config: Config) -> Plan:
    return probe_video(storage.stat(str(path)), config)


def read(segment: Segment, config: Config) -> tuple[list[Sample], DecodeStats]:
    stream = decode_segment(segment, config)
    samples = []
    for sample in stream.samples:
        _ = sample.picture.luma
        samples.append(sample)
    return samples, stream.stats


def read_whole(path: Path, config: Config) -> tuple[list[Sample], DecodeStats]:
    whole = config.override(segment_seconds=1e9)
    (segment,) = plan_of(path, whole).segments
    return read(segment, whole)


def key(sample: Sample) -> tuple[float, int | None, int | None, bytes]:
    return sample.timestamp, sample.pts, sample.frame, sample.picture.luma.tobytes()


def frame_times(path: Path) -> list[int]:
    """PTS of all frames by PyAV alone, in the decoder's order."""
    with av.open(path) as container:
        return [frame.pts for frame in container.decode(video=0) if frame.pts is not None]


def packet_times(path: Path) -> list[int]:
    with av.open(path) as container:
        return sorted(p.pts for p in container.demux(video=0) if p.size and p.pts is not None)


# Every way to store the same eight seconds: with frames that others refer to and frames that none does, groups that are
# closed and open, containers with an index and without.
ENCODINGS: dict[str, dict[str, Any]] = {
    "plain.mp4": {},
    "b_frames.mp4": {"b_frames": 3},
    "b_frames.mkv": {"b_frames": 3},
    "b_frames.ts": {"b_frames": 3},
    "b_frames.mov": {"b_frames": 2, "codec": "libx265"},
    "hevc.mkv": {"b_frames": 2, "codec": "libx265"},
    "mpeg4.mp4": {"b_frames": 2, "codec": "mpeg4"},
    "mpeg4.avi": {"b_frames": 2, "codec": "mpeg4"},
    "h264.avi": {"b_frames": 2},
    "open.mpg": {"b_frames": 2, "codec": "mpeg2video", "fps": 25, "gop": 25},
    "open.ts": {"b_frames": 2, "codec": "mpeg2video", "fps": 25, "gop": 25},
    "vp9.webm": {"codec": "libvpx-vp9"},
    "ntsc.mp4": {"b_frames": 2, "fps": Fraction(30000, 1001), "gop": 30},
    "late.mp4": {"b_frames": 2, "start": 3.7},
    "sound.mkv": {"b_frames": 2, "audio": 8.0},
}


@pytest.fixture(scope="module", params=ENCODINGS)
def encoded(request, tmp_path_factory) -> Path:
    """Eight seconds with a keyframe every second."""
    path = tmp_path_factory.mktemp("encoded") / request.param
    return portrait_clip(path, seconds=8, **(_SMALL | ENCODINGS[request.param])).path


def open_gop(path: Path, source: Path) -> Path:
    """H.264 whose groups begin with recovery points that pictures before them refer to."""
    with av.open(source) as old, av.open(path, "w") as new:
        stream = new.add_stream("libx264", rate=10, options={"x264-params": "open-gop=1:keyint=10:scenecut=0"})
        stream.width, stream.height, stream.pix_fmt = 160, 120, "yuv420p"
        stream.codec_context.max_b_frames, stream.codec_context.thread_count = 3, 1
        for frame in old.decode(video=0):
            frame.pict_type = 0
            new.mux(stream.encode(frame))
        new.mux(stream.encode(None))
    return path


class TestSegments:
    config = Config().override(segment_seconds=2, lost_after=1)

    def test_they_give_what_one_piece_gives(self, encoded):
        self.check(encoded)

    @pytest.mark.parametrize("ending", ["mp4", "mkv", "ts"])
    def test_open_groups(self, tmp_path, ending):
        source = portrait_clip(tmp_path / "x.mp4", seconds=8, **_SMALL).path
        self.check(open_gop(tmp_path / f"open.{ending}", source))

    def test_variable_rate(self, tmp_path):
        rng = np.random.default_rng(1)
        times = np.cumsum([0, *rng.uniform(0.02, 0.4, 60)]).tolist()
        clip = portrait_clip(tmp_path / "x.mp4", times=times, start=0.5, gop=5, b_frames=2, **_SMALL)
        self.check(clip.path)
        samples, _ = read_whole(clip.path, Config().override(sample_fps=float("inf")))
        np.testing.assert_allclose([s.timestamp for s in samples], clip.times, atol=1e-4)

    def check(self, path: Path) -> None:
        whole, whole_stats = read_whole(path, self.config)
        segments = plan_of(path, self.config).segments
        assert len(segments) >= (3 if path.name != "h264.avi" else 1)
        starts = {segment.start for segment in segments}
        tail: list[Sample] = []
        joined, decoded, last = [], 0, 0.0
        for segment in segments:
            samples, stats = read(segment, self.config)
            assert stats.errors == 0
            assert [sample.is_first for sample in samples] == [sample.timestamp in starts for sample in samples]
            assert samples[0].timestamp == segment.start
            end = np.inf if segment.end is None else segment.end
            mine = [sample for sample in samples if sample.timestamp < end]
            assert [key(s) for s in tail] == [key(s) for s in mine[: len(tail)]]
            tail = samples[len(mine) :]
            assert not tail or tail[-1].timestamp < end + self.config.tracking.lost_after
            joined += mine
            decoded += stats.frames_decoded
            assert stats.last_timestamp is not None
            last = max(last, stats.last_timestamp)
        extra = {s.timestamp for s in joined} - {s.timestamp for s in whole}
        assert extra <= starts
        assert [key(s) for s in joined if s.timestamp not in extra] == [key(s) for s in whole]
        assert last == whole_stats.last_timestamp


class TestSkipping:
    @pytest.mark.parametrize("fps", [1.0, 4.0, 7.3])
    def test_it_changes_nothing(self, encoded, fps, monkeypatch):
        config = Config().override(sample_fps=fps)
        samples, stats = read_whole(encoded, config)
        monkeypatch.setattr(decode_frames._Reader, "_is_needed", lambda self, packet, start: True)
        all_samples, all_stats = read_whole(encoded, config)
        assert [key(s) for s in samples] == [key(s) for s in all_samples]
        assert stats.last_timestamp == all_stats.last_timestamp
        assert stats.frames_decoded <= all_stats.frames_decoded

    def test_it_spares_frames(self, tmp_path):
        clip = portrait_clip(tmp_path / "x.mp4", seconds=8, fps=30, gop=60, b_frames=3, **_SMALL)
        _, stats = read_whole(clip.path, Config().override(sample_fps=1))
        assert stats.frames_decoded < 0.7 * 240
        intra = portrait_clip(tmp_path / "x.mov", seconds=4, codec="mjpeg", pix_fmt="yuvj420p", **_SMALL)
        _, stats = read_whole(intra.path, Config().override(sample_fps=1))
        assert stats.frames_decoded == 4

    @pytest.mark.slow
    def test_it_changes_nothing_in_the_sample_archive(self, shared_videos, monkeypatch):
        config = Config()
        paths = [p for p in sorted(shared_videos.glob("*/*")) if plan_of(p, config).status == "ok"]
        assert len(paths) == 25
        skipping = [read_whole(path, config)[0] for path in paths]
        monkeypatch.setattr(decode_frames._Reader, "_is_needed", lambda self, packet, start: True)
        for path, samples in zip(paths, skipping, strict=True):
            all_samples, stats = read_whole(path, config)
            assert [s.timestamp for s in samples] == [s.timestamp for s in all_samples], path.name
            # Behind damage, decoders paint over what is lost with what they decoded last, skipped or not.
            good = [s.timestamp < min(stats.damaged_seconds, default=np.inf) for s in samples]
            assert any(good)
            for sample, other in zip(itertools.compress(samples, good), all_samples, strict=False):
                assert key(sample) == key(other), path.name


class TestGrid:
    @pytest.mark.parametrize("fps", [0.5, 1.0, 4.0, 10.0, 24.0])
    def test_sample_k_is_the_first_frame_at_or_after_its_point(self, encoded, fps):
        if encoded.name == "h264.avi":
            pytest.skip("its times go backwards")
        every = [s.timestamp for s in read_whole(encoded, Config().override(sample_fps=float("inf")))[0]]
        points = np.arange(0, every[-1] + 1 / fps, 1 / fps)
        firsts = [next((t for t in every if t >= point - 1e-6), None) for point in points]
        expected = sorted({t for t in firsts if t is not None})
        assert [s.timestamp for s in read_whole(encoded, Config().override(sample_fps=fps))[0]] == expected

    def test_no_fps_takes_every_frame(self, encoded):
        samples, _ = read_whole(encoded, Config().override(sample_fps=float("inf")))
        times = frame_times(encoded)
        assert len(times) > 75
        if encoded.name != "h264.avi":
            assert [s.pts for s in samples] == times
            assert [s.frame for s in samples] == list(range(len(times)))

    def test_frame_is_the_rank_of_its_pts_among_the_packets(self, encoded):
        times = packet_times(encoded)
        config = Config().override(segment_seconds=2, lost_after=1)
        for segment in plan_of(encoded, config).segments:
            for sample in read(segment, config)[0]:
                assert sample.pts is not None and sample.frame == times.index(sample.pts)

    def test_points_are_taken_once(self):
        grid = SampleGrid(4)
        assert [t for t in (0.0, 0.1, 0.3, 0.9, 0.95, 1.0, 1.2) if grid.takes(t)] == [0.0, 0.3, 0.9, 1.0]
        assert SampleGrid(None).takes(0.0)

    def test_thirds_lie_on_their_points(self):
        grid = SampleGrid(3)
        assert all(grid.takes(k / 3) for k in range(1000))
        assert not any(grid.between(k / 3, k / 3 + 0.333) for k in range(1000))


class TestClock:
    def test_time_starts_at_the_first_displayed_frame(self, variable_rate):
        samples, _ = read_whole(variable_rate.path, Config().override(sample_fps=float("inf")))
        with_held = [*variable_rate.times[:5], 1.0, *variable_rate.times[5:]]  # what is shown from 0.5 to 2.0 s
        np.testing.assert_allclose([s.timestamp for s in samples], with_held, atol=1e-4)
        assert samples[0].timestamp == 0

    def test_without_time_stamps_frames_are_counted(self, tmp_path):
        clip = portrait_clip(tmp_path / "x.h264", seconds=4, fps=25, b_frames=2, **_SMALL)
        samples, stats = read_whole(clip.path, Config())
        assert [s.frame for s in samples] == [min(99, -(-25 * k // 4)) for k in range(16)]
        assert {s.pts for s in samples} == {None}
        assert [s.timestamp for s in samples] == pytest.approx([(s.frame or 0) / 25 for s in samples])
        assert stats.frames_decoded == 100

    def test_frames_out_of_order_are_dropped_and_counted(self, tmp_path):
        clip = portrait_clip(tmp_path / "x.avi", seconds=4, b_frames=2, **_SMALL)  # libav guesses their times
        given = frame_times(clip.path)
        kept = [pts for i, pts in enumerate(given) if i == 0 or pts > max(given[:i])]
        assert 0 < len(kept) < len(given)
        samples, stats = read_whole(clip.path, Config().override(sample_fps=float("inf")))
        assert [s.pts for s in samples] == kept
        assert stats.frames_corrupt == len(given) - len(kept)
        assert (stats.errors, stats.damaged_seconds) == (0, set())


class TestDamage:
    def test_a_truncated_file_keeps_its_readable_frames(self, tmp_path):
        clip = portrait_clip(tmp_path / "x.mp4", seconds=8, faststart=True, **_SMALL)
        config = Config().override(segment_seconds=2, lost_after=1)
        path = truncated(clip.path, tmp_path / "cut.mp4", share=0.6)
        whole, intact = read_whole(path, config)[0], read_whole(clip.path, config)[0]
        assert 10 < len(whole) < len(intact)
        assert [key(s) for s in whole[:-1]] == [key(s) for s in intact[: len(whole) - 1]]
        plan = plan_of(path, config)
        assert plan.status == "ok" and plan.info is not None and plan.info.duration == 8
        found = [read(segment, config) for segment in plan.segments]
        ends = [stats.packet_end for _, stats in found if stats.packet_end is not None]
        assert whole[-1].timestamp - 0.3 < max(ends) < 8 - 1  # what tells that it is truncated
        timestamps = {s.timestamp for samples, _ in found for s in samples}
        assert {s.timestamp for s in whole} <= timestamps

    def test_what_lies_around_damage_is_kept(self, tmp_path):
        clip = portrait_clip(tmp_path / "x.mp4", seconds=8, **_SMALL)
        path = damaged(clip.path, tmp_path / "bad.mp4", at=0.5, n_bytes=8000)
        samples, stats = read_whole(path, Config())
        intact, _ = read_whole(clip.path, Config())
        assert stats.errors > 0 and stats.frames_corrupt >= stats.errors
        assert all(0 < second < 7 for second in stats.damaged_seconds)
        far = [t for t in (s.timestamp for s in intact) if t < min(stats.damaged_seconds)]
        assert [key(s) for s in samples[: len(far)]] == [key(s) for s in intact[: len(far)]]
        assert samples[-1].timestamp == intact[-1].timestamp

    def test_damage_in_the_tail_is_the_next_segments(self, tmp_path):
        clip = portrait_clip(tmp_path / "x.mp4", seconds=8, **_SMALL)
        path = damaged(clip.path, tmp_path / "bad.mp4", at=0.5, n_bytes=8000)
        config = Config().override(segment_seconds=2, lost_after=1)
        whole = read_whole(path, config)[1]
        stats = [read(segment, config)[1] for segment in plan_of(path, config).segments]
        assert sum(s.errors for s in stats) == whole.errors
        assert set().union(*(s.damaged_seconds for s in stats)) == whole.damaged_seconds

    def test_noise_anywhere_ends_in_samples_or_an_error_of_ours(self, tmp_path):
        config = Config().override(segment_seconds=2, lost_after=1)
        for ending, share in itertools.product(("mp4", "mkv", "ts", "avi"), (0.02, 0.3, 0.7, 0.98)):
            clip = portrait_clip(tmp_path / f"x.{ending}", seconds=6, **_SMALL)
            path = damaged(clip.path, tmp_path / f"bad.{ending}", at=share, n_bytes=400)
            for segment in plan_of(path, config).segments:
                try:
                    read(segment, config)
                except FacelogError as error:
                    assert str(path) in str(error)

    def test_corrupt_midstream_of_the_archive(self, shared_videos):
        samples, stats = read_whole(shared_videos / "odd/corrupt_midstream.mp4", Config())
        assert stats.errors > 0 and stats.damaged_seconds
        assert samples[0].timestamp == 0 and samples[-1].timestamp > 2


class TestFileChanged:
    def test_before_it_is_opened(self, tmp_path):
        clip = portrait_clip(tmp_path / "x.mp4", **_SMALL)
        (segment,) = plan_of(clip.path, Config()).segments
        clip.path.write_bytes(clip.path.read_bytes() + b"x")
        with pytest.raises(FileChangedError, match=r"x\.mp4 was changed"):
            next(decode_segment(segment, Config()).samples)

    def test_while_it_is_read(self, tmp_path):
        clip = portrait_clip(tmp_path / "x.mp4", **_SMALL)
        (segment,) = plan_of(clip.path, Config()).segments
        samples = decode_segment(segment, Config()).samples
        next(samples)
        clip.path.write_bytes(clip.path.read_bytes()[:-100])
        with pytest.raises(FileChangedError, match=r"x\.mp4 was changed"):
            list(samples)

    def test_gone(self, tmp_path):
        clip = portrait_clip(tmp_path / "x.mp4", **_SMALL)
        (segment,) = plan_of(clip.path, Config()).segments
        samples = decode_segment(segment, Config()).samples
        next(samples)
        clip.path.unlink()
        with pytest.raises(FileChangedError, match=r"x\.mp4 went away"):
            list(samples)


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads the memory in use from Linux's /proc")
def test_packets_are_not_kept(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (360, 480, 3), np.uint8)
    frame = av.VideoFrame.from_ndarray(noise, format="rgb24").reformat(format="yuvj420p")
    with av.open(tmp_path / "x.mkv", "w") as container:
        stream = container.add_stream("mjpeg", rate=10, options={"qmin": "1", "qmax": "1"})
        stream.width, stream.height, stream.pix_fmt = 480, 360, "yuvj420p"
        (packet,) = [*stream.encode(frame), *stream.encode(None)]
        for pts in range(600):
            packet.pts = packet.dts = pts
            packet.time_base = Fraction(1, 10)
            container.mux(packet)
    assert (tmp_path / "x.mkv").stat().st_size > 80e6
    (segment,) = plan_of(tmp_path / "x.mkv", Config().override(segment_seconds=1e9)).segments
    samples = decode_segment(segment, Config().override(sample_fps=0.5)).samples
    next(samples)
    before, most = resident(), 0
    for _ in samples:
        most = max(most, resident())
    assert most - before < 20e6


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_a_gif_and_a_still(tmp_path):
    gif = animated_gif(tmp_path / "x.gif", moving=True)
    samples, _ = read_whole(gif.path, Config().override(sample_fps=float("inf")))
    np.testing.assert_allclose([s.timestamp for s in samples], gif.times, atol=0.011)
    assert plan_of(gif.path, Config().override(segment_seconds=0.1)).segments[0].end is None


def test_segment_streams_are_values_until_they_are_read(portrait):
    (segment,) = plan_of(portrait.path, Config()).segments
    gone = dataclasses.replace(segment, file=dataclasses.replace(segment.file, uri="/nowhere/x.mp4"))
    stream = decode_segment(gone, Config())
    with pytest.raises(FileChangedError):
        next(stream.samples)
