"""`facelog annotate`: all sound that the new file holds is copied whole; what it does not hold is refused at once."""

import sys
import zlib
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from typer.testing import Result

from pipelines.annotations.annotate import annotate
from pipelines.annotations.matroska import _elements, _find_tracks
from schemas.errors import UsageError
from tests.annotated import read, track, write, write_results
from tests.clips import Clip, portrait_clip

Facelog = Callable[..., Result]
FIELD = Path("../shared/field")

RATE = 16_000


def heard_clip(
    path: Path, codec: str, *, rate: int = RATE, packet: int = 1024, gap: tuple[float, float] = (9, 9), tracks: int = 1
) -> Path:
    """A second of video with a tone, which is away in a gap; in packets of so many samples where the codec allows."""
    seconds = 1.0 if gap[0] > 1 else gap[1] + 0.5
    with av.open(str(path), "w", options={"strict": "-2"}) as container:
        video = container.add_stream("flv" if path.suffix == ".flv" else "mpeg4", rate=25)
        video.width = video.height = 64
        sounds: list[Any] = []
        for _ in range(tracks):
            sound: Any = container.add_stream(codec, rate=rate)
            context = sound.codec_context
            context.layout, context.time_base, context.bit_rate = "mono", Fraction(1, rate), 64_000
            sounds.append(sound)
        for number in range(round(seconds * 25)):
            frame = av.VideoFrame.from_ndarray(np.full((64, 64, 3), number * 3, np.uint8), format="rgb24")
            frame.pts = number
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        for start in range(0, round(seconds * rate), packet):
            if gap[0] <= start / rate < gap[1]:
                continue
            tone = np.sin((start + np.arange(packet)) / rate * 2 * np.pi * 440) * 9000
            part = av.AudioFrame.from_ndarray(tone.astype(np.int16)[None], format="s16", layout="mono")
            part.sample_rate, part.pts = rate, start
            for sound in sounds:
                container.mux(sound.encode(part))
        for sound in sounds:
            container.mux(sound.encode(None))
    write_results(path, path.parent / "r", track(0, 0.0, 0.5, x=10, y=10, side=30))
    return path


def sound_of(path: Path, index: int = 0) -> tuple[str, list[bytes], list[float]]:
    """Codec, packets and their seconds."""
    with av.open(str(path)) as container:
        stream = container.streams.audio[index]
        packets = [packet for packet in container.demux(stream) if packet.size]
        times = [float((packet.pts or 0) * (packet.time_base or 0)) for packet in packets]
        return stream.codec_context.codec.canonical_name, [bytes(packet) for packet in packets], times


def loudness(path: Path, second: float) -> float:
    with av.open(str(path)) as container:
        for frame in container.decode(audio=0):
            if (frame.time or 0) <= second < (frame.time or 0) + frame.samples / frame.sample_rate:
                (plain,) = av.AudioResampler(format="flt").resample(frame)
                return float(np.abs(plain.to_ndarray()).max())
    return 0.0


# What Matroska knows by its name in WAV files, what has no length of its own, and what states the same time for many
# packets (FLAC in ASF).
@pytest.mark.parametrize(
    ("codec", "source", "target"),
    [
        ("wmav2", ".wmv", ".mkv"),
        ("adpcm_ms", ".avi", ".mkv"),
        ("adpcm_ima_wav", ".avi", ".mkv"),
        ("pcm_alaw", ".mov", ".mkv"),
        ("pcm_mulaw", ".flv", ".mkv"),
        ("pcm_alaw", ".flv", ".mov"),
        ("alac", ".mkv", ".mp4"),
        ("flac", ".wmv", ".mp4"),
        ("pcm_s16le", ".mkv", ".mp4"),
        ("libopus", ".flv", ".webm"),
        ("libmp3lame", ".avi", ".mkv"),
    ],
)
def test_sound_is_copied_whole(codec: str, source: str, target: str, tmp_path: Path) -> None:
    rate = {"wmav2": 44_100, "pcm_mulaw": 8_000, "libopus": 48_000}.get(codec, 8_000 if source == ".flv" else RATE)
    clip = heard_clip(tmp_path / f"clip{source}", codec, rate=rate)
    before, (_, film) = sound_of(clip), write(clip, tmp_path / "r", tmp_path / f"out{target}")
    after = sound_of(tmp_path / f"out{target}")
    assert after[:2] == before[:2]
    assert len(film.frames) == 25
    if (codec, source) != ("flac", ".wmv"):
        assert np.array(after[2]) - after[2][0] == pytest.approx(np.array(before[2]) - before[2][0], abs=0.003)
    with av.open(str(tmp_path / f"out{target}")) as container:
        assert sum(frame.samples for frame in container.decode(audio=0)) >= rate * 0.95


@pytest.mark.parametrize("target", [".mkv", ".mov"])
def test_packets_shorter_than_the_ticks_of_the_container(target: str, tmp_path: Path) -> None:
    clip = heard_clip(tmp_path / "clip.mkv", "pcm_s16le", packet=6)
    before = sound_of(clip)
    assert len(set(before[2])) < len(before[2]) / 2
    write(clip, tmp_path / "r", tmp_path / f"out{target}")
    assert b"".join(sound_of(tmp_path / f"out{target}")[1]) == b"".join(before[1])


def test_all_packets_of_truehd(tmp_path: Path) -> None:
    if not FIELD.is_dir():
        pytest.skip("needs ../shared/field")
    write_results(FIELD / "truehd.mkv", tmp_path / "r", track(0, 0.0, 0.5))
    write(FIELD / "truehd.mkv", tmp_path / "r", tmp_path / "out.mkv")
    assert len(sound_of(tmp_path / "out.mkv")[1]) == 2400
    with pytest.raises(UsageError, match=r"cannot hold the sound .*\(truehd\).*--audio aac"):
        annotate(str(FIELD / "truehd.mkv"), str(tmp_path / "r"), str(tmp_path / "out.mp4"))


def test_all_tracks_are_copied(tmp_path: Path) -> None:
    clip = heard_clip(tmp_path / "clip.mkv", "aac", tracks=3)
    write(clip, tmp_path / "r", tmp_path / "out.mp4")
    for index in range(3):
        assert sound_of(tmp_path / "out.mp4", index)[1] == sound_of(clip, index)[1]


@pytest.mark.parametrize(
    ("codec", "source", "target", "remedy"),
    [
        ("libopus", ".mkv", ".mov", "write to .mkv, encode it anew with --audio aac"),
        ("flac", ".mkv", ".mov", "write to .mkv, encode it anew with --audio aac"),
        ("wmav2", ".wmv", ".mp4", "write to .mkv, encode it anew with --audio aac"),
        ("aac", ".mkv", ".webm", "write to .mkv, encode it anew with --audio opus"),
        ("adpcm_ima_qt", ".mov", ".mkv", r"\): encode it anew with --audio aac, or"),
    ],
)
def test_what_cannot_be_held_is_refused_before_work_begins(
    codec: str, source: str, target: str, remedy: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, facelog: Facelog
) -> None:
    clip = heard_clip(tmp_path / f"clip{source}", codec, rate={"libopus": 48_000, "wmav2": 44_100}.get(codec, RATE))
    monkeypatch.setattr(sys.modules["pipelines.annotations.annotate"], "VideoReader", None)
    out = tmp_path / f"out{target}"
    result = facelog("annotate", clip, tmp_path / "r", "--out", out)
    assert result.exit_code == 2 and not out.exists()
    with pytest.raises(UsageError, match=remedy):
        annotate(str(clip), str(tmp_path / "r"), str(out))
    monkeypatch.undo()
    assert facelog("annotate", clip, tmp_path / "r", "--out", out, "--audio", "none").exit_code == 0
    wanted = "opus" if target == ".webm" else "aac"
    assert facelog("annotate", clip, tmp_path / "r", "--out", out, "--audio", wanted, "-y").exit_code == 0
    assert sound_of(out)[0] == wanted
    assert loudness(out, 0.5) > 0.1


def test_an_encoding_that_the_container_does_not_hold(tmp_path: Path) -> None:
    clip = heard_clip(tmp_path / "clip.mkv", "pcm_s16le")
    for target, audio in ((".webm", "aac"), (".mov", "opus")):
        with pytest.raises(UsageError, match=f"cannot hold sound of the codec {audio}"):
            annotate(str(clip), str(tmp_path / "r"), str(tmp_path / f"out{target}"), audio=audio)  # type: ignore[arg-type]


def test_encoded_sound_keeps_its_time(tmp_path: Path) -> None:
    clip = heard_clip(tmp_path / "clip.mkv", "pcm_s16le", gap=(0.5, 1.5))
    for audio, target in (("aac", ".mp4"), ("opus", ".webm"), ("aac", ".mkv")):
        write(clip, tmp_path / "r", tmp_path / f"{audio}{target}", audio=audio)
        heard = [loudness(tmp_path / f"{audio}{target}", second) > 0.1 for second in (0.3, 0.8, 1.2, 1.8)]
        assert heard == [True, False, False, True]
    # What is in that codec already is copied.
    copied = heard_clip(tmp_path / "aac.mkv", "aac")
    write(copied, tmp_path / "r", tmp_path / "copied.mp4", audio="aac")
    assert sound_of(tmp_path / "copied.mp4")[1] == sound_of(copied)[1]


@pytest.mark.parametrize("codec", ["pcm_s16le", "pcm_u8", "aac"])
def test_a_gap_in_the_sound_stays(codec: str, tmp_path: Path) -> None:
    """A mov file has no gaps in plain samples, so silence is written."""
    clip = heard_clip(tmp_path / "clip.mkv", codec, gap=(0.5, 2.5))
    write(clip, tmp_path / "r", tmp_path / "out.mov")
    assert sound_of(tmp_path / "out.mov")[2][-1] == pytest.approx(sound_of(clip)[2][-1], abs=0.01)
    if codec != "aac":
        assert loudness(tmp_path / "out.mov", 1.5) < 0.02 < loudness(tmp_path / "out.mov", 2.8)


def test_one_time_stamp_out_of_line(clip: Clip, results: Path, tmp_path: Path) -> None:
    from transforms.open_video import read_packets

    for wrong in (10**9, -(10**9)):

        def odd(*arguments: object, wrong: int = wrong) -> Iterator[object]:
            for number, packet in enumerate(read_packets(*arguments)):  # type: ignore[arg-type]
                if isinstance(packet, av.Packet) and packet.stream.type == "audio" and 20 <= number < 22:
                    packet.pts = packet.dts = wrong
                yield packet

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("pipelines.annotations.video_reader.read_packets", odd)
            _, film = write(clip, results, tmp_path / "out.mp4", overwrite=True)
        before = read(clip.path)
        assert [h for _, h in film.sound] == [h for _, h in before.sound]
        assert [t for t, _ in film.sound] == pytest.approx([t for t, _ in before.sound], abs=0.01)


def test_a_pause_keeps_its_length(tmp_path: Path) -> None:
    """Where pictures are reordered, mp4 states the length of a pause with another picture than the one it follows."""
    times = [*np.arange(20) / 25, *(30 + np.arange(20) / 25)]
    clip = portrait_clip(tmp_path / "clip.mp4", times=times, fps=25, b_frames=3, size=(64, 64))
    write_results(clip.path, tmp_path / "r", track(0, 0.0, 0.5, x=10, y=10, side=30))
    for target in (".mkv", ".webm", ".mp4"):
        written, film = write(clip, tmp_path / "r", tmp_path / f"out{target}")
        assert film.duration == pytest.approx(30.8, abs=0.05)
        assert film.times == pytest.approx(times, abs=0.002)
        assert written.seconds == pytest.approx(30.8, abs=0.05)


@pytest.mark.parametrize("target", [".webm", ".mkv"])
def test_matroska_says_the_shape_of_pixels(target: str, tmp_path: Path) -> None:
    clip = portrait_clip(tmp_path / "clip.mp4", sar=Fraction(16, 11), seconds=0.3)
    write_results(clip.path, tmp_path / "r", track(0, 0.0, 0.25))
    out = tmp_path / f"out{target}"
    _, film = write(clip, tmp_path / "r", out)
    assert film.stream["sar"] == Fraction(16, 11)
    with out.open("rb") as file:
        start, size = _find_tracks(file)
        file.seek(start)
        tracks = file.read(size)
    (_, checksum), *_ = _elements(tracks)
    assert checksum == zlib.crc32(tracks[6:]).to_bytes(4, "little")
    assert b"-----" not in out.read_bytes()


def test_long_pauses_fit_into_mp4(tmp_path: Path) -> None:
    """Ticks of a microsecond, and more of them between two pictures than mp4 can say."""
    source, seconds = tmp_path / "clip.nut", [*range(8), 3_000, 3_001]
    with av.open(str(source), "w") as container:
        stream = container.add_stream("mjpeg", rate=25)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuvj420p"
        stream.codec_context.time_base = Fraction(1, 1_000_000)
        for second in seconds:
            frame = av.VideoFrame.from_ndarray(np.full((64, 64, 3), 90, np.uint8), format="rgb24")
            frame.pts, frame.time_base = second * 1_000_000, Fraction(1, 1_000_000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    write_results(source, tmp_path / "r", track(0, 0.0, 0.5, x=10, y=10, side=30))
    _, film = write(source, tmp_path / "r", tmp_path / "out.mp4")
    assert film.times == pytest.approx(seconds, abs=0.001)
