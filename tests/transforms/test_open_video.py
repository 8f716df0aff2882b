"""A video opens for one thread, its decoder is freed when it is closed, and damage does not stop the reading."""

import gc

import av
import pytest

from schemas.config import Config
from tests.clips import portrait_clip
from tests.odd_clips import audio_only, damaged
from transforms import open_video
from transforms.open_video import NoVideoError, read_frames, read_packets


def test_a_video_is_decoded_by_one_thread(portrait):
    with open_video.open_video(str(portrait.path), Config()) as (container, stream):
        assert stream.codec_context.thread_count == 1
        frames = list(read_frames(container, stream))
    assert [frame.time for frame in frames] == portrait.times.tolist()


def test_a_file_without_video(tmp_path):
    path = audio_only(tmp_path / "x.mp4")
    with pytest.raises(NoVideoError, match="has no video stream"), open_video.open_video(str(path), Config()):
        pass


def test_damage_is_passed_over(tmp_path):
    clip = portrait_clip(tmp_path / "x.mkv", codec="ffv1")
    path = damaged(clip.path, tmp_path / "bad.mkv", at=0.5, n_bytes=400)
    errors: list[av.error.FFmpegError] = []
    with open_video.open_video(str(path), Config()) as (container, stream):
        frames = list(read_frames(container, stream, errors))
    assert errors and 0 < len(frames) < len(clip.times)


def test_reading_stops_after_too_many_errors(monkeypatch):
    class Broken:
        def demux(self, *streams):
            raise av.error.InvalidDataError(0, "broken")

    monkeypatch.setattr(open_video, "_MAX_READ_ERRORS", 3)
    packets = list(read_packets(Broken()))  # type: ignore[arg-type]
    assert len(packets) == 3 and all(isinstance(packet, av.error.InvalidDataError) for packet in packets)


def test_closed_files_are_freed_when_the_next_is_opened(portrait):
    def containers() -> int:
        return sum(isinstance(found, av.container.InputContainer) for found in gc.get_objects())

    for _ in range(3):
        with open_video.open_video(str(portrait.path), Config()):
            assert containers() == 1
