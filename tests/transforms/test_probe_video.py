"""Facts, clock and status of every kind of file; no file makes the probe raise."""

import os
import random
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path
from typing import Any

import apache_beam as beam
import av
import pytest
from apache_beam.testing.test_pipeline import TestPipeline
from apache_beam.testing.util import assert_that, equal_to
from PIL import Image

from schemas import storage
from schemas.config import Config
from schemas.errors import StorageError
from schemas.storage import FileInfo
from schemas.video import Clock, Plan, VideoInfo
from tests.clips import portrait_clip
from tests.odd_clips import animated_gif, audio_only, cover_art, damaged, disguised, still, truncated
from transforms import media, open_video
from transforms.probe_video import ProbeVideo
from transforms.probe_video import probe_video as probe

_SMALL: dict[str, Any] = {"size": (160, 120)}


def plan_of(path: Path | str, **settings: float) -> Plan:
    return probe(FileInfo(str(path), None, None), Config().override(**settings))


def info_of(path: Path) -> VideoInfo:
    plan = plan_of(path)
    assert (plan.status, plan.error_type, plan.error_message) == ("ok", None, None)
    assert plan.info is not None and len(plan.segments) == 1
    return plan.info


class TestFacts:
    def test_a_plain_clip(self, portrait):
        info = info_of(portrait.path)
        assert info.container.split(",")[0] == "mov" and info.codec == "h264" and info.pix_fmt == "yuv420p"
        assert (info.width, info.height, info.rotation, info.sample_aspect_ratio) == (320, 240, 0, 1)
        assert (info.duration, info.start_offset, info.avg_fps, info.is_vfr) == (2.0, 0.0, 10.0, False)
        assert (info.start_pts, info.time_base, info.recorded_at) == (0, "1/60000", None)

    def test_the_file_as_it_is_now(self, portrait):
        plan = plan_of(portrait.path)
        assert plan.file == storage.stat(str(portrait.path))
        assert plan.segments[0].file == plan.file and plan.segments[0].video_id == plan.video_id

    @pytest.mark.parametrize("ending", ["mp4", "mov", "mkv", "avi", "ts", "flv", "webm", "mpg"])
    def test_containers_agree(self, tmp_path, ending):
        options: dict[str, dict[str, Any]] = {"webm": {"codec": "libvpx-vp9"}, "mpg": {"codec": "mpeg2video"}}
        clip = portrait_clip(tmp_path / f"x.{ending}", seconds=3, fps=25, **_SMALL, **options.get(ending, {}))
        plan = plan_of(clip.path)
        info = plan.info
        assert info is not None
        assert (info.width, info.height, info.is_vfr) == (160, 120, False)
        assert info.duration == pytest.approx(3, abs=0.1) and info.avg_fps == pytest.approx(25)
        ends = [plan.end, plan.stated_end, plan.container_end]
        assert [end for end in ends if end is not None]
        assert all(end is None or end == pytest.approx(3, abs=0.1) for end in ends)

    @pytest.mark.parametrize("ending", ["mp4", "mkv"])
    @pytest.mark.parametrize("b_frames", [0, 3])
    def test_variable_rate(self, tmp_path, ending, b_frames):
        times = [0.0, 0.04, 0.1, 0.25, 0.5, 2.0, 2.02, 2.3, 2.35]
        clip = portrait_clip(tmp_path / f"x.{ending}", times=times, b_frames=b_frames, **_SMALL)
        assert info_of(clip.path).is_vfr is True

    @pytest.mark.parametrize("fps", [Fraction(30000, 1001), 24, 25, 60])
    @pytest.mark.parametrize("ending", ["mp4", "mkv", "ts"])
    def test_a_constant_rate_whose_times_are_rounded_does_not_vary(self, tmp_path, fps, ending):
        info = info_of(portrait_clip(tmp_path / f"x.{ending}", fps=fps, b_frames=2, **_SMALL).path)
        assert info.is_vfr is False
        assert info.avg_fps == pytest.approx(float(fps), rel=2e-3)

    def test_start_offset(self, variable_rate):
        info = info_of(variable_rate.path)
        assert info.start_pts is not None
        assert info.start_pts * Fraction(info.time_base) == pytest.approx(0.852, abs=1e-3)

    def test_start_offset_is_counted_from_the_first_sound(self, tmp_path):
        info = info_of(portrait_clip(tmp_path / "x.mkv", start=0.5, audio=3.0, **_SMALL).path)
        assert info.start_offset == pytest.approx(0.5, abs=0.03)

    @pytest.mark.parametrize("rotation", [90, 180, 270])
    def test_rotation(self, tmp_path, rotation):
        info = info_of(portrait_clip(tmp_path / "x.mov", rotation=rotation, size=(160, 96)).path)
        assert (info.width, info.height) == (160, 96)
        assert info.rotation == 360 - rotation  # stored turned clockwise, shown turned back

    def test_mirrored(self, tmp_path):
        info = info_of(portrait_clip(tmp_path / "x.mov", mirrored=True, **_SMALL).path)
        assert (info.width, info.height, info.rotation) == (160, 120, 0)

    @pytest.mark.parametrize(("orientation", "degrees"), [(1, 0), (3, 180), (6, 90), (8, 270), (2, 0)])
    def test_exif_orientation(self, tmp_path, orientation, degrees):
        info = info_of(still(tmp_path / "x.jpg", orientation=orientation, size=(160, 96)).path)
        assert (info.width, info.height, info.rotation) == (160, 96, degrees)

    def test_pixels_that_are_not_square(self, tmp_path):
        info = info_of(portrait_clip(tmp_path / "x.mp4", sar=Fraction(16, 11), **_SMALL).path)
        assert info.sample_aspect_ratio == pytest.approx(16 / 11)
        assert (info.width, info.height) == (110, 120)

    @pytest.mark.parametrize("pix_fmt", ["yuv420p10le", "gray", "yuv444p", "yuva420p", "bgr0"])
    def test_pixel_formats(self, tmp_path, pix_fmt):
        info = info_of(portrait_clip(tmp_path / "x.mkv", codec="ffv1", pix_fmt=pix_fmt, **_SMALL).path)
        assert info.pix_fmt == pix_fmt

    def test_creation_time(self, tmp_path):
        for text, expected in [
            ("2023-02-03T21:48:14.000000Z", datetime(2023, 2, 3, 21, 48, 14, tzinfo=UTC)),
            ("2023-02-03T21:48:14+02:00", datetime(2023, 2, 3, 19, 48, 14, tzinfo=UTC)),
            ("1970-01-01T00:00:00Z", None),
            ("yesterday", None),
        ]:
            with av.open(tmp_path / "x.mkv", "w") as container:
                container.metadata["creation_time"] = text
                stream = container.add_stream("mpeg4", rate=10)
                stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
                for _ in range(3):
                    container.mux(stream.encode(av.VideoFrame(32, 32, "yuv420p")))
                container.mux(stream.encode(None))
            info = plan_of(tmp_path / "x.mkv").info
            assert info is not None and info.recorded_at == expected, text

    def test_no_time_stamps(self, tmp_path):
        clip = portrait_clip(tmp_path / "x.h264", seconds=8, fps=25, b_frames=2, **_SMALL)
        plan = plan_of(clip.path, segment_seconds=1)
        (segment,) = plan.segments
        assert segment.clock == Clock(None, 1, 25)
        assert plan.info is not None
        assert plan.info.start_pts is None
        assert plan.info.duration == pytest.approx(8)

    def test_raw_streams_are_one_segment(self, tmp_path):
        clip = portrait_clip(tmp_path / "x.mjpeg", seconds=8, codec="mjpeg", pix_fmt="yuvj420p", **_SMALL)
        (segment,) = plan_of(clip.path, segment_seconds=1).segments
        assert segment.end is None

    def test_gifs_and_stills(self, tmp_path):
        gif = info_of(animated_gif(tmp_path / "x.gif", **_SMALL).path)
        assert gif.duration == pytest.approx(0.8, abs=0.02) and gif.is_vfr
        assert len(plan_of(tmp_path / "x.gif", segment_seconds=0.1).segments) == 1
        for ending in ("png", "jpg", "webp", "gif", "bmp", "tiff"):
            picture = info_of(still(tmp_path / f"still.{ending}", **_SMALL).path)
            assert (picture.width, picture.height, picture.duration) == (160, 120, None)

    def test_plans_survive_their_journey(self, portrait):
        plan = plan_of(portrait.path)
        assert Plan.from_json(plan.to_json()) == plan


class TestStatus:
    def check(self, path: Path | str, status: str, error_type: str, *, has_id: bool = True, **settings: float) -> Plan:
        plan = plan_of(path, **settings)
        assert (plan.status, plan.error_type) == (status, error_type), plan.error_message
        assert plan.error_message is not None and str(path) in plan.error_message
        assert "\n" not in plan.error_message
        assert (plan.video_id is not None) == has_id
        assert plan.segments == () and plan.info is None
        return plan

    def test_no_video(self, tmp_path):
        self.check(audio_only(tmp_path / "x.mp4"), "no_video", "no_video")
        self.check(cover_art(tmp_path / "x.m4a"), "no_video", "no_video")

    def test_empty(self, tmp_path):
        (tmp_path / "x.mp4").touch()
        self.check(tmp_path / "x.mp4", "corrupt", "empty_file")

    def test_no_media(self, tmp_path, portrait):
        (tmp_path / "x.mp4").write_bytes(random.Random(0).randbytes(10_000))
        self.check(tmp_path / "x.mp4", "corrupt", "unreadable")
        for path in disguised(tmp_path / "target.mp4"):
            self.check(path, "corrupt", "unreadable")
        self.check(truncated(portrait.path, tmp_path / "cut.mp4", share=0.5), "corrupt", "unreadable")

    def test_not_one_frame(self, tmp_path):
        clip = portrait_clip(tmp_path / "x.mp4", codec="mjpeg", pix_fmt="yuvj420p", faststart=True, **_SMALL)
        with av.open(clip.path) as container:
            start = min(p.pos or 0 for p in container.demux(video=0) if p.size)
        size = clip.path.stat().st_size
        self.check(damaged(clip.path, tmp_path / "bad.mp4", at=start / size, n_bytes=size), "corrupt", "unreadable")

    def test_no_decoder_for_it(self, tmp_path):
        clip = portrait_clip(tmp_path / "x.mkv", **_SMALL)
        clip.path.write_bytes(clip.path.read_bytes().replace(b"V_MPEG4/ISO/AVC", b"V_MPEGX/ISO/AVC"))
        plan = self.check(clip.path, "corrupt", "unreadable")
        assert "no decoder" in str(plan.error_message)

    @pytest.mark.parametrize("ending", ["png", "jpg", "webp", "gif"])
    def test_a_picture_that_is_too_large(self, tmp_path, ending):
        Image.new("RGB", (600, 500)).save(tmp_path / f"x.{ending}")
        plan = self.check(tmp_path / f"x.{ending}", "failed", "frame_too_large", max_pixels=299_999)
        assert "max_pixels = 299999" in str(plan.error_message)
        assert plan_of(tmp_path / f"x.{ending}", max_pixels=300_000 + 64 * 600).status == "ok"  # decoders round up

    @pytest.mark.parametrize("ending", ["mp4", "mkv", "ts", "webm"])
    def test_a_video_that_is_too_large(self, tmp_path, ending):
        codec = "libvpx-vp9" if ending == "webm" else "libx264"
        clip = portrait_clip(tmp_path / f"x.{ending}", codec=codec)
        self.check(clip.path, "failed", "frame_too_large", max_pixels=320 * 240 - 1)

    def test_a_damaged_picture_is_not_too_large(self, tmp_path):
        Image.new("RGB", (600, 500)).save(tmp_path / "x.png")
        self.check(truncated(tmp_path / "x.png", tmp_path / "cut.png", share=0.02), "corrupt", "unreadable")

    def test_not_there(self, tmp_path):
        self.check(tmp_path / "x.mp4", "failed", "not_found", has_id=False)

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
    def test_no_permission(self, portrait, tmp_path):
        (tmp_path / "x.mp4").write_bytes(portrait.path.read_bytes())
        (tmp_path / "x.mp4").chmod(0)
        self.check(tmp_path / "x.mp4", "failed", "permission_denied", has_id=False)

    def test_no_permission_as_storage_says_it(self, portrait, monkeypatch):
        def refuse(uri: str) -> None:
            raise StorageError(f"{uri}: Permission denied") from PermissionError(13, "Permission denied")

        monkeypatch.setattr(storage, "open_input", refuse)
        self.check(portrait.path, "failed", "permission_denied", has_id=False)

    def test_storage(self, tmp_path):
        self.check(tmp_path, "failed", "storage_error", has_id=False)
        os.mkfifo(tmp_path / "pipe.mp4")
        self.check(tmp_path / "pipe.mp4", "failed", "storage_error", has_id=False)

    @pytest.mark.parametrize("after", [0, 3000])
    def test_a_disk_that_fails_is_no_damage_of_the_file(self, portrait, monkeypatch, after):
        class Failing:
            def __init__(self, uri):
                self._file = open(uri, "rb")  # noqa: SIM115
                self.tell, self.close = self._file.tell, self._file.close

            def seek(self, *args):
                return self._file.seek(*args)

            def read(self, size=-1):
                if self._file.tell() >= after:
                    raise OSError(5, "Input/output error")
                return self._file.read(min(size, 1000) if size > 0 else size)

            def __enter__(self):
                return self

            def __exit__(self, *args):
                self.close()

        real, opened = storage.open_input, []

        def open_input(uri):
            opened.append(uri)
            return (
                real(uri) if len(opened) == 1 and after else Failing(uri)
            )  # the identity can be read, later parts not

        monkeypatch.setattr(storage, "open_input", open_input)
        self.check(portrait.path, "failed", "storage_error", has_id=bool(after))

    def test_what_nobody_thought_of_is_a_row_too(self, portrait, monkeypatch):
        monkeypatch.setattr(media, "is_still", lambda container: 1 // 0)
        plan = self.check(portrait.path, "failed", "probe_error")
        assert "ZeroDivisionError" in str(plan.error_message)

    @pytest.mark.parametrize("ending", ["mp4", "mkv", "ts", "avi", "gif", "jpg"])
    def test_noise_anywhere(self, tmp_path, ending, monkeypatch):
        monkeypatch.setattr(open_video, "_MAX_READ_ERRORS", 50)
        if ending == "jpg":
            source = still(tmp_path / f"x.{ending}", size=(64, 48)).path
        elif ending == "gif":
            source = animated_gif(tmp_path / f"x.{ending}", size=(64, 48)).path
        else:
            source = portrait_clip(tmp_path / f"x.{ending}", size=(64, 48), b_frames=2).path
        rng = random.Random(ending)
        for _ in range(25):
            path = damaged(source, tmp_path / f"bad.{ending}", at=rng.choice([rng.random(), 0.0, 0.98]), n_bytes=12)
            plan = plan_of(path, segment_seconds=0.5)
            assert plan.error_type != "probe_error", plan.error_message
            assert (plan.status == "ok") == bool(plan.segments)


def test_the_archive(shared_videos):
    statuses = {path.name: plan_of(path).status for path in sorted(shared_videos.glob("*/*"))}
    assert {name: status for name, status in statuses.items() if status != "ok"} == {
        "audio_only.mp4": "no_video",
        "no_streams.mp4": "no_video",
        "empty.webm": "corrupt",
        "truncated.flv": "corrupt",
        "zero_frames.avi": "corrupt",
    }
    talk_show = plan_of(shared_videos / "faces/talk_show_cuts.mp4").info
    assert talk_show is not None and talk_show.start_pts is not None
    assert talk_show.start_pts * Fraction(talk_show.time_base) == pytest.approx(0.852, abs=1e-3)
    for degrees in (90, 180, 270):
        rotated = plan_of(shared_videos / f"odd/rotated_{degrees}.mov").info
        assert rotated is not None and rotated.rotation == degrees
        assert (rotated.width, rotated.height) == ((568, 320) if degrees == 180 else (320, 568))
    assert {name for name in ("face_then_none", "none_then_face", "no_face") if _varies(shared_videos, name)} == {
        "face_then_none",
        "none_then_face",
    }


def _varies(folder: Path, name: str) -> bool | None:
    (path,) = folder.glob(f"faces/{name}.*")
    info = plan_of(path).info
    return info.is_vfr if info else None


def test_the_transform(portrait, tmp_path):
    files = [FileInfo(str(portrait.path), None, None), FileInfo(f"{tmp_path}/none.mp4", None, None)]
    with TestPipeline(runner="FnApiRunner") as pipeline:
        plans = pipeline | beam.Create(files) | ProbeVideo(Config())
        assert_that(plans | beam.Map(lambda plan: plan.status), equal_to(["ok", "failed"]))
