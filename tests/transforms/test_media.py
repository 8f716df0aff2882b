import io
import os
import random
import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from schemas import storage
from schemas.errors import MediaError, StorageError
from tests.clips import portrait_clip
from tests.odd_clips import animated_gif, audio_only, cover_art, disguised, still, truncated
from transforms import media

# What each file of the archive that is not simply one decodable video stream is.
_WITHOUT_VIDEO = {"audio_only.mp4", "no_streams.mp4"}
_UNOPENABLE = {"empty.webm", "truncated.flv"}


def frames(path: Path) -> int:
    with media.open_media(str(path)) as container:
        return sum(1 for _ in container.decode(video=0))


class TestFormats:
    def test_libav_has_every_format_on_the_list(self):
        known = {name for names in av.formats_available for name in names.split(",")}
        listed = media.VIDEO_FORMATS | media.STILL_FORMATS | media.ANIMATED_FORMATS | media.SOUND_FORMATS
        assert listed <= known

    def test_what_opens_other_files_or_is_made_up_is_not_on_it(self):
        refused = {"concat", "hls", "dash", "imf", "image2", "tty", "lavfi", "sdp", "rtsp", "mpjpeg", "svg_pipe", "mlv"}
        listed = media.VIDEO_FORMATS | media.STILL_FORMATS | media.ANIMATED_FORMATS | media.SOUND_FORMATS
        assert refused.isdisjoint(listed)


class TestDisguises:
    @pytest.fixture
    def readers(self, tmp_path) -> Iterator[list[str]]:
        """`target.mp4` is a pipe; its readers are noted here, and get an empty file."""
        pipe, seen, over = tmp_path / "target.mp4", [], threading.Event()
        os.mkfifo(pipe)

        def watch() -> None:
            while not over.wait(0.005):
                try:
                    os.close(os.open(pipe, os.O_WRONLY | os.O_NONBLOCK))  # ENXIO as long as nobody reads
                    seen.append("read")
                except OSError:
                    continue

        thread = threading.Thread(target=watch)
        thread.start()
        yield seen
        time.sleep(0.05)
        over.set()
        thread.join()

    def test_the_bait_works(self, tmp_path, readers):
        concat = disguised(tmp_path / "target.mp4")[0]
        with pytest.raises(av.error.FFmpegError):
            av.open(str(concat))
        time.sleep(0.05)
        assert readers

    def test_scripts_playlists_and_text_do_not_open_and_read_nothing(self, tmp_path, readers):
        paths = disguised(tmp_path / "target.mp4")
        segments = tmp_path / "segments.mp4"
        segments.write_text("#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nfile:target.mp4\n#EXT-X-ENDLIST\n")
        manifest = tmp_path / "manifest.mp4"
        manifest.write_text(
            '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" '
            'profiles="urn:mpeg:dash:profile:isoff-on-demand:2011"><Period><AdaptationSet mimeType="video/mp4">'
            '<Representation id="1"><BaseURL>target.mp4</BaseURL></Representation></AdaptationSet></Period></MPD>'
        )
        session = tmp_path / "session.mp4"
        session.write_text("v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n")
        for path in [*paths, segments, manifest, session]:
            with pytest.raises(MediaError, match=re.escape(str(path))):
                media.open_media(str(path)).__enter__()
            assert not media.sniff(str(path))
        time.sleep(0.05)
        assert not readers

    def test_text_is_no_film_even_by_its_own_name(self, tmp_path):
        (tmp_path / "art.txt").write_text("+-----+ text art\n" * 100)
        with av.open(f"{tmp_path}/art.txt") as film:  # libav's terminal: a film of a text that scrolls
            assert film.format.name == "tty" and film.streams.video
        with pytest.raises(MediaError):
            media.open_media(f"{tmp_path}/art.txt").__enter__()

    def test_a_format_that_is_not_on_the_list(self, tmp_path):
        (tmp_path / "subtitles.mp4").write_text("1\n00:00:01,000 --> 00:00:02,000\nhello\n\n" * 20)
        with av.open(f"{tmp_path}/subtitles.mp4") as container:
            assert container.format.name == "srt"
        with pytest.raises(MediaError, match=r"subtitles.mp4 is no container of video or picture that facelog opens"):
            media.open_media(f"{tmp_path}/subtitles.mp4").__enter__()

    def test_a_pattern_in_a_name_is_no_pattern(self, tmp_path):
        Image.new("L", (32, 16)).save(tmp_path / "x_%d.jpg")
        for number in (1, 2, 3):
            Image.new("L", (64, 48)).save(tmp_path / f"x_{number}.jpg")
        with av.open(str(tmp_path / "x_%d.jpg")) as sequence:
            assert sequence.streams.video[0].width == 64
        with media.open_media(f"{tmp_path}/x_%d.jpg") as container:
            assert [(frame.width, frame.height) for frame in container.decode(video=0)] == [(32, 16)]
            assert media.is_still(container)

    @pytest.mark.parametrize("name", ["%03d.mp4", "pipe:0", "concat:a.mp4|b.mp4", "-x.mp4", "file:a.mp4", "a\nb ü.mp4"])
    def test_names_that_mean_something_to_libav_or_a_shell(self, tmp_path, monkeypatch, portrait, name):
        monkeypatch.chdir(tmp_path)
        (tmp_path / name).write_bytes(portrait.path.read_bytes())
        with media.open_media(name) as container:
            assert media.video_stream(container) is not None


class TestErrors:
    def test_an_empty_file(self, tmp_path):
        (tmp_path / "x.mp4").touch()
        with pytest.raises(MediaError, match=r"x.mp4 is empty \(0 bytes\)"):
            media.open_media(f"{tmp_path}/x.mp4").__enter__()

    @pytest.mark.parametrize("data", [bytes(100_000), random.Random(0).randbytes(100_000), b"GIF89a"])
    def test_what_is_no_media_file(self, tmp_path, data):
        (tmp_path / "x.mp4").write_bytes(data)
        with pytest.raises(MediaError, match=r"x.mp4 does not open as video or picture \(libav: .+\)"):
            media.open_media(f"{tmp_path}/x.mp4").__enter__()
        assert not media.sniff(f"{tmp_path}/x.mp4")

    def test_a_file_cut_off_before_its_index(self, tmp_path, portrait):
        path = truncated(portrait.path, tmp_path / "cut.mp4", share=0.5)
        with pytest.raises(MediaError, match=r"cut.mp4"):
            media.open_media(str(path)).__enter__()

    def test_what_is_not_there_or_no_file_is_no_media_error(self, tmp_path):
        with pytest.raises(FileNotFoundError):
            media.open_media(f"{tmp_path}/nothing.mp4").__enter__()
        with pytest.raises(StorageError):
            media.open_media(str(tmp_path)).__enter__()

    def test_a_disk_that_fails_is_no_media_error(self, portrait):
        class Failing(io.BytesIO):
            name = "failing.mp4"

            def read(self, size=-1):
                if self.tell():
                    raise OSError(5, "Input/output error")
                return super().read(min(size, 1000))

        with pytest.raises(StorageError, match=r"failing.mp4: Input/output error"):
            media.open_media(Failing(portrait.path.read_bytes())).__enter__()

    def test_an_error_inside_with_is_the_callers_own_and_all_is_closed(self, portrait, monkeypatch):
        file = storage.open_input(str(portrait.path))
        monkeypatch.setattr(storage, "open_input", lambda uri: file)
        with pytest.raises(ZeroDivisionError), media.open_media(str(portrait.path)):
            raise ZeroDivisionError
        assert file.closed

    def test_libav_prints_nothing(self, tmp_path, portrait, capfd):
        damaged = bytearray(portrait.path.read_bytes())
        damaged[len(damaged) // 3 : len(damaged) // 2] = bytes(len(damaged) // 2 - len(damaged) // 3)
        (tmp_path / "x.mp4").write_bytes(damaged)
        with media.open_media(f"{tmp_path}/x.mp4") as container:
            for packet in container.demux(video=0):
                try:
                    packet.decode()
                except av.error.FFmpegError:
                    continue
        assert capfd.readouterr() == ("", "")

    def test_a_bomb_does_not_go_off_while_it_is_opened(self, tmp_path):
        path = tmp_path / "bomb.png"
        Image.new("L", (8000, 8000)).save(path)
        with media.open_media(str(path), max_pixels=8000 * 8000 + 1) as container:
            assert container.streams.video[0].width == 8000
        with media.open_media(str(path), max_pixels=8000 * 8000 - 1) as container:
            assert container.streams.video[0].width == 0  # libav did not decode it to find out


class TestStreams:
    def test_a_video(self, portrait):
        with media.open_media(str(portrait.path)) as container:
            stream = media.video_stream(container)
            assert stream is not None and (stream.width, stream.height) == (320, 240)
            assert not media.is_still(container)

    def test_a_file_object_stays_open(self, portrait):
        with open(portrait.path, "rb") as file:
            with media.open_media(file) as container:
                assert media.video_stream(container) is not None
            assert not file.closed

    def test_cover_art_is_no_video(self, tmp_path):
        with media.open_media(str(cover_art(tmp_path / "x.m4a"))) as container:
            assert len(container.streams.video) == 1
            assert media.video_stream(container) is None

    def test_sound_opens_and_has_no_video(self, tmp_path):
        with media.open_media(str(audio_only(tmp_path / "x.mkv"))) as container:
            assert media.video_stream(container) is None
            assert not media.is_still(container)

    def test_video_without_a_decoder(self, tmp_path):
        clip = portrait_clip(tmp_path / "x.mkv", seconds=0.5)
        data = clip.path.read_bytes()
        assert data.count(b"V_MPEG4/ISO/AVC") == 1
        clip.path.write_bytes(data.replace(b"V_MPEG4/ISO/AVC", b"V_MPEGX/ISO/AVC"))
        with media.open_media(str(clip.path)) as container, pytest.raises(MediaError, match="no decoder"):
            media.video_stream(container)

    @pytest.mark.parametrize("ending", ["jpg", "png", "webp", "bmp", "tiff", "gif", "avif", "ppm"])
    def test_stills(self, tmp_path, ending):
        clip = still(tmp_path / f"x.{ending}")
        with media.open_media(str(clip.path)) as container:
            assert media.is_still(container)
            assert media.video_stream(container) is not None
            assert sum(1 for _ in container.decode(video=0)) == 1  # stands at its start again

    def test_a_picture_larger_than_libavs_first_look(self, tmp_path):
        noise = np.random.default_rng(0).integers(0, 256, (2000, 4000, 3), np.uint8)
        Image.fromarray(noise).save(tmp_path / "x.png", compress_level=0)
        assert (tmp_path / "x.png").stat().st_size > 17 << 20
        assert frames(tmp_path / "x.png") == 1

    def test_more_than_one_frame_is_a_film(self, tmp_path):
        gif = animated_gif(tmp_path / "x.gif").path
        pictures = [Image.new("RGB", (32, 32), (shade, 0, 0)) for shade in (0, 99, 200)]
        pictures[0].save(tmp_path / "x.png", save_all=True, append_images=pictures[1:], duration=100)
        for path, n_frames in [(gif, 5), (tmp_path / "x.png", 3)]:
            with media.open_media(str(path)) as container:
                assert len(list(container.decode(video=0))) == n_frames
                assert not media.is_still(container)
                assert len(list(container.decode(video=0))) == n_frames


class TestSniff:
    def test_media_of_any_name(self, tmp_path, portrait):
        (tmp_path / "VID_0001").write_bytes(portrait.path.read_bytes())
        still(tmp_path / "y.png").path.rename(tmp_path / "picture.dat")
        audio_only(tmp_path / "z.mkv").rename(tmp_path / "sound")
        for name in ("VID_0001", "picture.dat", "sound"):
            assert media.sniff(f"{tmp_path}/{name}")

    def test_this_projects_own_files_are_no_media(self):
        sources = [*Path(__file__).parents[2].glob("schemas/*.py"), Path(__file__), Path("/bin/sh")]
        assert [path for path in sources if media.sniff(str(path))] == []

    def test_what_cannot_be_read_is_no_media(self, tmp_path):
        os.mkfifo(tmp_path / "pipe")
        assert not media.sniff(f"{tmp_path}/pipe")
        assert not media.sniff(f"{tmp_path}/nothing")

    def test_endings(self):
        assert {".mp4", ".mkv", ".jpg", ".gif"} <= media.MEDIA_SUFFIXES
        assert all(suffix == suffix.lower() and suffix.startswith(".") for suffix in media.MEDIA_SUFFIXES)
        assert media.MEDIA_SUFFIXES.isdisjoint({".txt", ".srt", ".parquet", ".m3u8", ".mpd", ".zip", ".dat"})


def test_the_sample_archive(shared_videos):
    opened, without_video, refused = 0, set(), set()
    for path in sorted(shared_videos.glob("*/*")):
        try:
            with media.open_media(str(path)) as container:
                opened += 1
                assert not media.is_still(container)
                if media.video_stream(container) is None:
                    without_video.add(path.name)
        except MediaError as error:
            assert str(path) in str(error)
            refused.add(path.name)
    assert refused == _UNOPENABLE
    assert without_video == _WITHOUT_VIDEO
    assert opened == 28
    assert not media.sniff(str(shared_videos / "MANIFEST.tsv"))
