"""Files whose time stamps jump, stray or claim too much: all frames are seen, on one clock."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest

from schemas import storage
from schemas.config import Config
from schemas.video import Plan
from tests.clips import Clip, add_silence, mux_silence, portrait_clip
from tests.odd_clips import joined, remuxed, truncated, with_thumbnail
from transforms import list_packets
from transforms.decode_frames import decode_segment
from transforms.probe_video import probe_video
from transforms.samples import Sample
from transforms.time_limits import segment_limit

EVERY = Config().override(sample_fps=float("inf"))
FRAGMENTS = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}


def plan_of(path: Path) -> Plan:
    plan = probe_video(storage.stat(str(path)), EVERY)
    assert plan.status == "ok" and plan.info is not None, plan.error_message
    return plan


def samples_of(plan: Plan) -> list[Sample]:
    return [sample for segment in plan.segments for sample in decode_segment(segment, EVERY).samples]


def numbers(samples: list[Sample]) -> list[int | None]:
    return [sample.frame for sample in samples]


def kinds(plan: Plan) -> list[str]:
    return [note.kind for note in plan.notes]


@pytest.fixture(scope="module")
def short(tmp_path_factory) -> Clip:
    """Two seconds of 25 frames with B-frames."""
    path = tmp_path_factory.mktemp("short") / "x.mp4"
    return portrait_clip(path, fps=25, b_frames=2, size=(160, 120), moving=True, gop=25)


class TestJoinedFiles:
    @pytest.mark.parametrize("starts", [(0, 0), (3 * 3600, 0), (0, 5 * 3600), (20 * 3600, 60)])
    @pytest.mark.parametrize("ending", ["ts", "mp4", "mpg"])
    def test_all_frames_are_seen_on_one_clock(self, short, tmp_path, ending, starts):
        if ending == "mpg":
            source = portrait_clip(tmp_path / "source.mpg", codec="mpeg2video", fps=25, size=(160, 120), gop=25).path
        else:
            source = short.path
        options = FRAGMENTS if ending == "mp4" else {}
        parts = [remuxed(source, tmp_path / f"{i}.{ending}", start=start, **options) for i, start in enumerate(starts)]
        plan = plan_of(joined(tmp_path / f"joined.{ending}", *parts))
        samples = samples_of(plan)
        np.testing.assert_allclose([s.timestamp for s in samples], np.arange(100) / 25, atol=2e-3)
        assert numbers(samples) == list(range(100))
        assert kinds(plan) == ["stamps_jump"] and "once, at 2.0 s" in plan.notes[0].sentence
        (cut,) = (i for i, sample in enumerate(samples) if sample.is_cut)
        assert cut in ((49, 50) if ending == "mpg" else (50,))  # libav makes up a PTS of MPEG-2 from the next DTS
        assert plan.info is not None and plan.info.duration == pytest.approx(4.0, abs=0.01)
        assert len(plan.segments) == 1

    def test_three_parts_of_other_sizes(self, short, tmp_path):
        large = portrait_clip(tmp_path / "large.mp4", fps=25, size=(320, 240), gop=25).path
        parts = [remuxed(path, tmp_path / f"{i}.ts") for i, path in enumerate((short.path, large, short.path))]
        plan = plan_of(joined(tmp_path / "joined.ts", *parts))
        samples = samples_of(plan)
        assert numbers(samples) == list(range(150))
        assert [samples[i].picture.size for i in (0, 60, 120)] == [(160, 120), (320, 240), (160, 120)]
        assert "2 times, at 2.0, 4.0 s" in plan.notes[0].sentence

    def test_streams_that_go_on_under_other_numbers(self, short, tmp_path):
        parts = [remuxed(short.path, tmp_path / f"{pid}.ts", mpegts_start_pid=pid) for pid in ("256", "600")]
        samples = samples_of(plan_of(joined(tmp_path / "joined.ts", *parts)))
        assert len(samples) >= 99 and samples[-1].timestamp > 3.9

    def test_streams_that_nobody_foresees_make_it_partial(self, short, tmp_path):
        """Another programme table with another kind of video: something is missing, and that is said."""
        first = remuxed(short.path, tmp_path / "a.ts")
        other = portrait_clip(tmp_path / "b.mp4", codec="mpeg2video", fps=25, size=(160, 120)).path
        tables: dict[str, Any] = {"mpegts_start_pid": "600", "mpegts_pmt_start_pid": "5000"}
        plan = plan_of(joined(tmp_path / "joined.ts", first, remuxed(other, tmp_path / "c.ts", **tables)))
        assert plan.has_unread_streams and len(samples_of(plan)) == 50
        assert not plan_of(first).has_unread_streams

    def test_sound_that_begins_late_is_no_damage(self, short, tmp_path):
        """Its programme table comes in the middle, as in television; the video is whole."""
        silent = remuxed(short.path, tmp_path / "silent.ts")
        heard = portrait_clip(tmp_path / "heard.ts", seconds=2, fps=25, b_frames=2, size=(160, 120), audio=2.0).path
        plan = plan_of(joined(tmp_path / "joined.ts", silent, heard))
        assert len(samples_of(plan)) == 100 and not plan.has_unread_streams


class TestOneStamp:
    @pytest.mark.parametrize("place", [0, 20, 49])
    @pytest.mark.parametrize("ending", ["mkv", "ts", "mp4"])
    def test_a_frame_far_out_of_line_is_left_out(self, tmp_path, place, ending):
        times = np.arange(50) / 25
        source = portrait_clip(tmp_path / "x.mp4", fps=25, size=(160, 120), gop=5, start=7200).path
        path = tmp_path / f"stray.{ending}"
        options = FRAGMENTS if ending == "mp4" else {}
        with av.open(source) as old, av.open(path, "w", options=options) as new:
            stream = new.add_stream_from_template(old.streams.video[0])
            for number, packet in enumerate(packet for packet in old.demux(video=0) if packet.size):
                assert packet.pts is not None and packet.dts is not None and packet.time_base is not None
                packet.dts -= 2 * 2400
                if number == place:
                    packet.pts += round(7 * 3600 / packet.time_base)
                packet.stream = stream
                new.mux_one(packet)
        plan = plan_of(path)
        samples = samples_of(plan)
        assert plan.info is not None and plan.info.duration is not None and plan.info.duration < 3
        assert plan.stated_end is None and plan.container_end is None  # it was not cut off
        seen = np.delete(times, place)
        np.testing.assert_allclose([s.timestamp for s in samples], seen - seen[0], atol=3e-3)


class TestFrameNumbers:
    def test_frames_that_an_edit_list_hides(self, short, tmp_path):
        path = tmp_path / "trim.mp4"
        with av.open(short.path) as old, av.open(path, "w") as new:
            stream = new.add_stream_from_template(old.streams.video[0])
            for packet in old.demux(video=0):
                if packet.dts is None or packet.pts is None or packet.time_base is None:
                    continue
                ticks = round(0.6 / packet.time_base)
                packet.pts, packet.dts, packet.stream = packet.pts - ticks, packet.dts - ticks, stream
                new.mux(packet)
        with av.open(path) as container:
            shown = [frame.pts for frame in container.decode(video=0)]
        samples = samples_of(plan_of(path))
        assert [s.pts for s in samples] == shown and numbers(samples) == list(range(35))

    def test_an_edit_list_and_segments(self, tmp_path):
        long = portrait_clip(tmp_path / "x.mp4", seconds=8, fps=25, b_frames=2, size=(160, 120), gop=25).path
        path = remuxed(long, tmp_path / "trim.mp4", start=-0.6)
        config = EVERY.override(segment_seconds=2, lost_after=1)
        plan = probe_video(storage.stat(str(path)), config)
        assert len(plan.segments) > 2
        for segment in plan.segments:
            samples = list(decode_segment(segment, config).samples)
            assert numbers(samples) == [round(sample.timestamp * 25) for sample in samples]

    def test_frames_that_nobody_sees(self, tmp_path):
        plain, path = tmp_path / "plain.webm", tmp_path / "x.webm"
        portrait_clip(plain, codec="libvpx", fps=25, size=(160, 120), gop=50)
        with av.open(plain) as old, av.open(path, "w") as new:
            stream = new.add_stream_from_template(old.streams.video[0])
            for number, packet in enumerate(packet for packet in old.demux(video=0) if packet.size):
                packet.stream = stream
                new.mux(packet)
                if number % 10 == 0:  # the next frames refer to this one, as to those that libvpx makes of many
                    hidden = av.Packet(bytes([bytes(packet)[0] & ~0x10]) + bytes(packet)[1:])
                    hidden.pts = hidden.dts = (packet.pts or 0) + 20
                    hidden.time_base, hidden.stream = packet.time_base, stream
                    new.mux(hidden)
        plan = plan_of(path)
        assert numbers(samples_of(plan)) == list(range(50))
        assert plan.info is not None and plan.info.is_vfr is False

    def test_hidden_frames_of_vp9(self):
        hides: Callable[[Any], bool] = list_packets.hides("vp9")
        assert [hides(data) for data in (b"\x82\x49", b"\x80\x49", b"\x88", b"\xa2", b"\xb1\x00", b"\xb0\x80")] == [
            *(False, True, False, False, False, True),
        ]


class TestClaims:
    def test_a_header_that_claims_a_month(self, short, tmp_path):
        path = remuxed(portrait_clip(tmp_path / "s.flv", fps=25, size=(160, 120)).path, tmp_path / "x.flv")
        data = bytearray(path.read_bytes())
        place = data.index(b"duration") + 9
        data[place : place + 8] = np.array(2_147_483.63, ">f8").tobytes()
        path.write_bytes(data)
        plan = plan_of(path)
        assert plan.info is not None and plan.info.duration == pytest.approx(2.0, abs=0.05)
        assert kinds(plan) == ["wrong_duration"] and segment_limit(plan.segments[0]) < 200
        assert plan.stated_end is None and plan.container_end is None

    @pytest.mark.parametrize("claim", [float("nan"), float("inf"), -5.0, 1e300])
    def test_headers_that_claim_no_number(self, tmp_path, claim):
        path = portrait_clip(tmp_path / "x.flv", fps=25, size=(160, 120)).path
        data = bytearray(path.read_bytes())
        for name in (b"duration", b"framerate", b"width", b"height", b"videodatarate"):
            place = data.index(name) + len(name) + 1
            data[place : place + 8] = np.array(claim, ">f8").tobytes()
        path.write_bytes(data)
        plan = plan_of(path)
        assert plan.info is not None and plan.info.duration == pytest.approx(2.0, abs=0.1)
        assert plan.info.avg_fps in (None, pytest.approx(25))

    def test_a_last_frame_that_lasts_two_days(self, tmp_path):
        path = portrait_clip(tmp_path / "x.mp4", fps=25, size=(160, 120)).path
        data = bytearray(path.read_bytes())
        stts = data.index(b"stts")
        assert np.frombuffer(bytes(data[stts + 12 : stts + 16]), ">u4") == 50
        for box in (b"mdhd", b"mvhd", b"tkhd"):
            place = data.index(box) + (24 if box == b"tkhd" else 20)
            data[place : place + 4] = np.array(0xFFFFFFF0, ">u4").tobytes()
        path.write_bytes(data)
        plan = plan_of(path)
        assert plan.info is not None and plan.info.duration is not None and plan.info.duration < 3
        assert segment_limit(plan.segments[0]) < 200

    @pytest.mark.parametrize("ending", ["mkv", "mp4", "mov"])
    @pytest.mark.parametrize(("lasts", "duration"), [(30.0, 32), (7200.0, 2), (30_000.0, 2)])
    def test_a_last_frame_is_believed_for_a_minute(self, tmp_path, ending, lasts, duration):
        source = portrait_clip(tmp_path / "x.mp4", fps=25, size=(160, 120)).path
        path = tmp_path / f"last.{ending}"
        with av.open(source) as old, av.open(path, "w") as new:
            stream = new.add_stream_from_template(old.streams.video[0])
            for number, packet in enumerate(packet for packet in old.demux(video=0) if packet.size):
                packet.duration = round(lasts / (packet.time_base or 1)) if number == 49 else packet.duration
                packet.stream = stream
                new.mux(packet)
        plan = plan_of(path)
        assert plan.info is not None and plan.info.duration == pytest.approx(duration, abs=0.1)
        assert kinds(plan) == ([] if lasts < 60 else ["wrong_duration"])
        config = Config()
        decoded = decode_segment(plan.segments[0], config)
        assert list(decoded.samples)[-1].timestamp == pytest.approx(duration - 1 if lasts < 60 else 1.76, abs=0.01)
        assert plan.stated_end is None or plan.stated_end < duration + 1

    def test_a_time_base_of_years(self, tmp_path):
        path = portrait_clip(tmp_path / "x.avi", codec="mpeg4", fps=25, size=(160, 120)).path
        data = bytearray(path.read_bytes())
        place = data.index(b"strh") + 8 + 20  # scale, rate
        data[place : place + 4] = np.array(1_174_405_121, "<u4").tobytes()
        path.write_bytes(data)
        plan = plan_of(path)
        assert kinds(plan) == ["no_clock"]
        assert plan.info is not None and plan.info.duration == pytest.approx(2.0) and plan.info.avg_fps == 25
        assert len(samples_of(plan)) == 50

    def test_no_limit_is_too_large_for_the_system(self):
        for length in (1e300, float("inf"), float("nan"), -1.0):
            segment: Any = SimpleNamespace(duration=length)
            assert 120 <= segment_limit(segment) <= 7 * 86_400

    def test_a_rate_that_the_frames_do_not_have(self, tmp_path):
        path = tmp_path / "x.dv"
        with av.open(path, "w") as container:
            stream = container.add_stream("dvvideo", rate=25)
            stream.width, stream.height, stream.pix_fmt = 720, 576, "yuv420p"
            for _ in range(5):
                container.mux(stream.encode(av.VideoFrame(720, 576, "yuv420p")))
            container.mux(stream.encode(None))
        info = plan_of(path).info
        assert info is not None and info.avg_fps == 25

    @pytest.mark.parametrize(
        "text", ["0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59-10:00", "0000-00-00T00:00:00Z", "\x00", "2" * 9000]
    )
    def test_dates_outside_of_the_calendar(self, tmp_path, text):
        path = tmp_path / "x.mkv"
        with av.open(path, "w") as container:
            container.metadata["creation_time"] = text
            stream = container.add_stream("mpeg4", rate=10)
            stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
            for _ in range(3):
                container.mux(stream.encode(av.VideoFrame(32, 32, "yuv420p")))
            container.mux(stream.encode(None))
        info = plan_of(path).info
        assert info is not None and info.recorded_at is None


class TestWhichStream:
    @pytest.mark.parametrize("ending", ["mkv", "mp4", "ts", "mov"])
    def test_a_thumbnail_before_the_video(self, short, tmp_path, ending):
        plan = plan_of(with_thumbnail(short.path, tmp_path / f"x.{ending}"))
        assert plan.info is not None and (plan.info.width, plan.info.height) == (160, 120)
        assert "other_streams" in kinds(plan)


class TestPauses:
    @pytest.mark.parametrize("ending", ["mp4", "mkv"])
    def test_a_picture_counts_while_it_is_on_the_screen(self, tmp_path, ending):
        times = [0.0, 5.0, 10.0, 15.0]
        path = portrait_clip(tmp_path / f"x.{ending}", times=times, fps=Fraction(1, 5), size=(160, 120)).path
        plan = plan_of(path)
        config = Config().override(sample_fps=4)
        stream = decode_segment(plan.segments[0], config)
        samples = list(stream.samples)
        assert [s.timestamp for s in samples] == pytest.approx(range(20))
        assert numbers(samples) == [i // 5 for i in range(20)]
        assert len({id(s.picture) for s in samples}) == 4
        assert stream.stats.last_timestamp == 19

    def test_a_pause_of_half_an_hour_shows_nothing(self, tmp_path):
        times = [*np.arange(25) / 25, *(1801 + np.arange(25) / 25)]
        path = portrait_clip(tmp_path / "x.mkv", times=times, fps=25, size=(160, 120)).path
        samples = samples_of(plan_of(path))
        np.testing.assert_allclose([s.timestamp for s in samples], times, atol=2e-3)

    @pytest.mark.parametrize("ending", ["mp4", "mkv"])
    def test_a_song_with_one_picture(self, tmp_path, ending):
        path = tmp_path / f"x.{ending}"
        with av.open(path, "w") as container:
            stream = container.add_stream("libx264", rate=1)
            stream.width, stream.height, stream.pix_fmt = 160, 120, "yuv420p"
            sound = add_silence(container)
            (packet,) = [*stream.encode(av.VideoFrame(160, 120, "yuv420p")), *stream.encode(None)]
            packet.duration = round(150 / (packet.time_base or 1))
            container.mux(packet)
            mux_silence(container, sound, 150)
        plan = plan_of(path)
        assert plan.info is not None and plan.info.duration == pytest.approx(150, abs=1)
        decoded = decode_segment(plan.segments[0], Config())
        times = [sample.timestamp for sample in decoded.samples]
        assert times == pytest.approx(range(len(times))) and len(times) in (150, 151)

    def test_segments_hold_what_one_piece_holds(self, tmp_path):
        times = [0.0, 0.5, 4.2, 4.4, 9.0, 9.1, 15.0, 19.5]
        path = portrait_clip(tmp_path / "x.mp4", times=times, gop=2, b_frames=0, size=(160, 120)).path
        config = Config().override(segment_seconds=4, lost_after=1)
        plan = probe_video(storage.stat(str(path)), config)
        assert len(plan.segments) > 2
        joined_times: list[float] = []
        for segment in plan.segments:
            end = np.inf if segment.end is None else segment.end
            joined_times += [s.timestamp for s in decode_segment(segment, config).samples if s.timestamp < end]
        (whole,) = probe_video(storage.stat(str(path)), config.override(segment_seconds=1e9)).segments
        expected = [s.timestamp for s in decode_segment(whole, config).samples]
        assert joined_times == expected
        assert {int(t) for t in expected} >= set(range(19))


def test_a_file_cut_off_before_its_last_frames(short, tmp_path):
    path = truncated(remuxed(short.path, tmp_path / "whole.ts"), tmp_path / "x.ts", share=0.5)
    assert 10 < len(samples_of(plan_of(path))) < 50


class TestFramesThatChange:
    @pytest.fixture(params=["mpeg2video", "libx264"])
    def television(self, request, tmp_path) -> Path:
        """A second in 4:3, then one in 16:9, with the same stored size."""
        parts = []
        for number, sar in enumerate((Fraction(16, 15), Fraction(64, 45))):
            size = (round(180 * sar), 144)
            part = portrait_clip(
                tmp_path / f"{number}.ts", seconds=1, fps=25, gop=25, size=size, sar=sar, codec=request.param
            )
            parts.append(part.path)
        return joined(tmp_path / "joined.ts", *parts)

    def test_the_pixel_aspect_is_that_of_the_frame(self, television):
        plan = plan_of(television)
        sizes = [sample.picture.luma.shape[::-1] for sample in samples_of(plan)]
        assert {size for size in sizes[:25]} == {(192, 144)} and {size for size in sizes[25:]} == {(256, 144)}
        assert len(sizes) == 50
        assert plan.info is not None and plan.info.sample_aspect_ratio == pytest.approx(16 / 15)

    def test_what_the_container_states_holds(self, tmp_path):
        path = portrait_clip(tmp_path / "x.mkv", fps=25, size=(160, 120), sar=Fraction(4, 3)).path
        assert {s.picture.luma.shape for s in samples_of(plan_of(path))} == {(120, 160)}

    def test_formats_and_ranges(self, tmp_path):
        options: list[dict[str, Any]] = [
            {"pix_fmt": "yuv420p"},
            {"pix_fmt": "yuv444p"},
            {"pix_fmt": "yuv420p", "full_range": True},  # last: libav keeps a range until another is stated
        ]
        parts = [
            portrait_clip(tmp_path / f"{i}.ts", seconds=1, fps=25, gop=25, size=(160, 120), **more).path
            for i, more in enumerate(options)
        ]
        samples = samples_of(plan_of(joined(tmp_path / "joined.ts", *parts)))
        assert len(samples) == 75
        first, *others = [samples[place].picture.bgr(1.0).astype(float) for place in (5, 30, 55)]
        assert [np.abs(other - first).mean() < 4 for other in others] == [True, True]
