"""`facelog annotate`: what is drawn where, and that times, sound and shape of the video do not change."""

import dataclasses
import errno
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from typer.testing import Result

from pipelines.annotations.annotate import AnnotatedVideo, annotate
from pipelines.annotations.face_paths import caption, read_paths
from pipelines.cli.annotate import parse_seconds
from pipelines.colours import EMOTION_COLOURS
from schemas import storage
from schemas.config import Config
from schemas.errors import MediaError, StorageError, StorageFullError, UsageError
from schemas.layout import Layout
from schemas.run import Run
from schemas.video import DecodeStats
from tests.clips import Clip, portrait_clip
from tests.examples import example_batch, example_row, example_track, join_tracks
from tests.odd_clips import damaged, still, truncated
from tests.runs import ROOT, command
from transforms.ledger import write_row
from transforms.open_video import read_packets
from transforms.probe_video import probe_video
from transforms.write_fragment import write_fragment
from transforms.write_tables import assemble_video

Facelog = Callable[..., Result]
CONFIG = Config()


def write_results(
    clip: Path, out: Path, *tracks: dict[str, np.ndarray], keep: bool = True, ended: dict[int, str] | None = None
) -> str:
    """The tables of a clip with these tracks, as the pipeline's own last steps write them; its id."""
    run = Run("run-1", CONFIG, Layout(str(out)))
    plan = probe_video(storage.stat(str(clip)), CONFIG)
    assert plan.info is not None and plan.video_id is not None
    end = plan.info.duration or 0.0
    times = np.arange(0, end, 0.25)
    stats = DecodeStats(len(times), 0, 0, set(), times[-1] if len(times) else 0.0, end)
    log = {
        "timestamp": times.tolist() or [0.0],
        "is_cut": [False] * max(len(times), 1),
        "ended": ended or {},
        "stats": stats,
        "started": time.monotonic(),
    }
    for segment in plan.segments:
        list(write_fragment(example_batch(segment, join_tracks(*tracks), log=log), CONFIG, run.work, "run-1"))
    assemble_video(plan, run, keep_observations=keep)
    return plan.video_id


def track(
    number: int, start: float, end: float, *, x: Any = 110.0, y: float = 75.0, side: float = 90.0, **more: Any
) -> dict[str, np.ndarray]:
    """A face from one second to another, at four samples a second; by default where `tests.clips` has it."""
    times = np.arange(start, end + 1e-6, 0.25)
    features = {"width": side, "height": side, "y": y, "face_px": side} | more
    return example_track(number, times, x=x, **features)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Clip:
    """Two seconds with sound."""
    return portrait_clip(tmp_path_factory.mktemp("annotate") / "clip.mp4", audio=2.0, b_frames=2)


@pytest.fixture(scope="module")
def results(clip: Clip, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """DIR with one face in the second half second and after it."""
    out = tmp_path_factory.mktemp("results")
    write_results(clip.path, out, track(0, 0.5, 1.25))
    return out


@dataclasses.dataclass
class Film:
    """A video, read back."""

    times: list[float]
    frames: list[np.ndarray]
    sound: list[tuple[float, int]]
    stream: dict[str, Any]
    duration: float


def read(path: Path) -> Film:
    """Times and RGB frames, and the packets of sound as time and checksum."""
    with av.open(str(path)) as container:
        (stream,) = container.streams.video
        sound, frames = [], list[av.VideoFrame]()
        for packet in container.demux():
            if packet.stream is stream:
                frames += stream.decode(packet)
            elif packet.size:
                sound.append((float((packet.pts or 0) * (packet.time_base or 0)), hash(bytes(packet))))
        context = stream.codec_context
        return Film(
            [float(frame.time or 0) for frame in frames],
            [frame.to_ndarray(format="rgb24") for frame in frames],
            sound,
            {
                **{"codec": context.name, "pix_fmt": context.pix_fmt, "range": context.color_range},
                **{"space": context.colorspace, "sar": stream.sample_aspect_ratio},
                **{"size": (stream.width, stream.height)},
            },
            float((container.duration or 0) / av.time_base),
        )


def has_colour(frame: np.ndarray, colour: tuple[int, int, int]) -> int:
    """Pixels of about this colour."""
    return int((np.abs(frame.astype(int) - colour).max(axis=-1) < 40).sum())


def happy(frame: np.ndarray) -> int:
    return has_colour(frame, EMOTION_COLOURS["happy"])


def write(clip: Clip | Path, out: Path, target: Path, **options: Any) -> tuple[AnnotatedVideo, Film]:
    path = clip.path if isinstance(clip, Clip) else clip
    return annotate(str(path), str(out), str(target), **options), read(target)


def test_boxes_while_the_face_is_there(clip: Clip, results: Path, tmp_path: Path) -> None:
    written, film = write(clip, results, tmp_path / "out.mp4")
    shown = [happy(frame) > 200 for frame in film.frames]
    # From the first sample (0.5 s) to a sample behind the last (1.25 s).
    assert shown == [0.5 <= t <= 1.5 + 1e-6 for t in clip.times]
    assert (written.frames, written.n_tracks, written.from_observations) == (20, 1, True)
    assert (written.dropped, written.damaged) == (0, 0)


def test_frames_times_and_sound_stay(clip: Clip, results: Path, tmp_path: Path) -> None:
    before = read(clip.path)
    for name in ("out.mp4", "out.mov", "out.mkv"):
        _, film = write(clip, results, tmp_path / name)
        # Matroska has no times below 0, and AAC begins there: it moves all by the same.
        assert np.array(film.times) - film.times[0] == pytest.approx(before.times, abs=0.001)
        assert name == "out.mkv" or film.times[0] == 0
        assert [h for _, h in film.sound] == [h for _, h in before.sound]
        offset = film.sound[0][0] - before.sound[0][0] - (film.times[0] - before.times[0])
        assert abs(offset) < 0.002
        assert film.duration == pytest.approx(before.duration, abs=0.08)
        assert (film.stream["codec"], film.stream["pix_fmt"]) == ("h264", "yuv420p")


def test_what_is_not_drawn_upon_looks_as_before(clip: Clip, results: Path, tmp_path: Path) -> None:
    before, (_, film) = read(clip.path), write(clip, results, tmp_path / "out.mp4")
    for one, other in zip(before.frames, film.frames, strict=True):
        difference = np.abs(one[200:].astype(int) - other[200:])
        assert difference.mean() < 3


def test_without_sound(clip: Clip, results: Path, tmp_path: Path) -> None:
    assert not write(clip, results, tmp_path / "out.mp4", audio=False)[1].sound


def test_variable_rate_and_a_late_start(tmp_path: Path) -> None:
    times = [0.0, 0.1, 0.15, 0.4, 0.45, 0.9, 1.0, 1.6]
    clip = portrait_clip(tmp_path / "vfr.mp4", times=times, start=0.8, audio=2.4)
    write_results(clip.path, tmp_path / "r", track(0, 0.25, 0.75))
    before, (_, film) = read(clip.path), write(clip, tmp_path / "r", tmp_path / "out.mp4")
    assert film.times == pytest.approx(before.times, abs=1e-4)
    assert film.times[0] == pytest.approx(0.8, abs=0.01)
    assert [t for t, _ in film.sound] == pytest.approx([t for t, _ in before.sound], abs=1e-3)
    assert [happy(frame) > 200 for frame in film.frames] == [False, False, False, True, True, True, True, False]


def test_a_clock_that_begins_late_is_set_back(tmp_path: Path) -> None:
    clip = portrait_clip(tmp_path / "clip.ts", start=40.0)
    write_results(clip.path, tmp_path / "r", track(0, 0.0, 0.75))
    before, (_, film) = read(clip.path), write(clip, tmp_path / "r", tmp_path / "out.mkv")
    assert before.times[0] >= 40
    assert film.times == pytest.approx(clip.times, abs=2e-3)
    assert [happy(frame) > 200 for frame in film.frames] == [t <= 1.0 for t in clip.times]


@pytest.mark.parametrize("rotation", [90, 180, 270])
@pytest.mark.parametrize("mirrored", [False, True])
def test_sideways_clips_come_out_upright(rotation: int, mirrored: bool, tmp_path: Path) -> None:
    clip = portrait_clip(tmp_path / "turned.mp4", rotation=rotation, mirrored=mirrored, seconds=0.5)
    upright = portrait_clip(tmp_path / "upright.mp4", seconds=0.5)
    write_results(clip.path, tmp_path / "r", track(0, 0.0, 0.25))
    _, film = write(clip, tmp_path / "r", tmp_path / "out.mp4")
    assert film.stream["size"] == (320, 240)
    outside = np.abs(film.frames[0][200:].astype(int) - read(upright.path).frames[0][200:])
    assert outside.mean() < 4
    rows, columns = np.nonzero(np.abs(film.frames[0].astype(int) - EMOTION_COLOURS["happy"]).max(axis=-1) < 40)
    assert abs(columns.min() - 110) <= 2 and abs(rows.max() - 165) <= 2


def test_pixels_keep_their_shape(tmp_path: Path) -> None:
    clip = portrait_clip(tmp_path / "wide.mp4", sar=Fraction(16, 11), seconds=0.5)
    write_results(clip.path, tmp_path / "r", track(0, 0.0, 0.25))
    _, film = write(clip, tmp_path / "r", tmp_path / "out.mp4")
    assert film.stream["sar"] == Fraction(16, 11)
    assert film.stream["size"] == (220, 240)


def test_odd_sizes_get_an_edge(tmp_path: Path) -> None:
    clip = portrait_clip(tmp_path / "odd.mkv", size=(321, 241), codec="libvpx-vp9", seconds=0.3)
    write_results(clip.path, tmp_path / "r", track(0, 0.0, 0.25))
    assert write(clip, tmp_path / "r", tmp_path / "out.mp4")[1].stream["size"] == (322, 242)


def test_full_range_and_colours_stay(tmp_path: Path) -> None:
    clip = portrait_clip(tmp_path / "full.mp4", full_range=True, seconds=0.5)
    write_results(clip.path, tmp_path / "r", track(0, 0.0, 0.25))
    before, (_, film) = read(clip.path), write(clip, tmp_path / "r", tmp_path / "out.mp4")
    assert film.stream["range"] == before.stream["range"] == 2
    assert np.abs(before.frames[0][200:].astype(int) - film.frames[0][200:]).mean() < 3
    assert happy(film.frames[0]) > 200


@pytest.mark.parametrize("pix_fmt", ["yuv422p10le", "yuv444p", "gray"])
def test_other_pixel_formats(pix_fmt: str, tmp_path: Path) -> None:
    codec = "ffv1" if pix_fmt == "gray" else "libx264"
    clip = portrait_clip(tmp_path / "deep.mkv", codec=codec, pix_fmt=pix_fmt, seconds=0.3)
    write_results(clip.path, tmp_path / "r", track(0, 0.0, 0.25))
    before, (_, film) = read(clip.path), write(clip, tmp_path / "r", tmp_path / "out.mp4")
    assert np.abs(before.frames[0][200:].astype(int) - film.frames[0][200:]).mean() < 4
    assert happy(film.frames[0]) > 200


@pytest.mark.parametrize(("start", "end"), [(0.5, 1.2), (0.73, None), (None, 0.9)])
def test_a_part(start: float | None, end: float | None, clip: Clip, results: Path, tmp_path: Path) -> None:
    before = read(clip.path)
    written, film = write(clip, results, tmp_path / "out.mp4", start=start, end=end)
    wanted = [t for t in clip.times if (start or 0) - 1e-6 <= t < (end or 9) - 1e-6]
    assert film.times == pytest.approx(np.array(wanted) - (wanted[0] if start else 0), abs=1e-3)
    assert written.frames == len(wanted)
    # Sound is cut to the packet, and lies where it lay.
    base = wanted[0] if start else 0.0
    heard = np.array([t for t, _ in before.sound])
    assert all(np.abs(heard - t - base).min() < 2e-3 for t, _ in film.sound)
    length = (end or 2.0) - base
    assert len(film.sound) == pytest.approx(length * 16_000 / 1024, abs=1.6)


def test_a_part_of_a_long_video_is_sought(tmp_path: Path) -> None:
    clip = portrait_clip(tmp_path / "long.mp4", seconds=135, fps=4, size=(160, 120), gop=8, audio=135)
    write_results(clip.path, tmp_path / "r", track(0, 0.0, 130.0, x=50, y=30, side=45))
    written, film = write(clip, tmp_path / "r", tmp_path / "out.mp4", start=100.3, end=103.0)
    assert film.times == pytest.approx(np.arange(0, 2.5, 0.25), abs=1e-3)
    assert written.frames == 10
    assert film.sound[0][0] == pytest.approx(0, abs=0.05)


@pytest.mark.parametrize(
    ("times", "text"),
    [
        ((5.0, None), "ends at 2.0 s"),
        ((-1.0, None), "--from and --to"),
        ((1.0, 0.5), "--from and --to"),
        ((0.95, 0.96), "no frame"),
    ],
)
def test_times_that_are_wrong(
    times: tuple[float, float | None], text: str, clip: Clip, results: Path, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=text):
        annotate(str(clip.path), str(results), str(tmp_path / "out.mp4"), start=times[0], end=times[1])
    assert not list(tmp_path.iterdir())


def test_times_as_they_are_typed() -> None:
    assert [parse_seconds("--from", t) for t in ("95.5", "1:35.5", "1:02:03", "0")] == [95.5, 95.5, 3723, 0]
    for wrong in ("", "1:75", "a", "1:2:3:4", "-3", "1:60:00"):
        with pytest.raises(UsageError, match="--from"):
            parse_seconds("--from", wrong)


def test_blur_hides_the_face_and_nothing_else(clip: Clip, results: Path, tmp_path: Path) -> None:
    before, (_, film) = read(clip.path), write(clip, results, tmp_path / "out.mp4", blur=True)
    for t, one, other in zip(clip.times, before.frames, film.frames, strict=True):
        change = np.abs(one.astype(int) - other).mean(axis=-1)
        assert (change[90:150, 125:185].mean() > 8) == (t <= 1.25 + 0.75 + 1e-6), t
        assert change[:, :60].mean() < 3 and change[:, 260:].mean() < 3
        assert not happy(other)


def test_blur_with_labels(clip: Clip, results: Path, tmp_path: Path) -> None:
    _, film = write(clip, results, tmp_path / "out.mp4", blur=True, labels=True)
    assert happy(film.frames[8]) > 200


def test_blur_reaches_before_and_behind_a_track(tmp_path: Path) -> None:
    clip = portrait_clip(tmp_path / "clip.mp4", seconds=4)
    write_results(clip.path, tmp_path / "r", track(0, 1.5, 2.0), ended={0: "cut"})
    before, (_, film) = read(clip.path), write(clip, tmp_path / "r", tmp_path / "out.mp4", blur=True)
    blurred = [
        np.abs(a[90:150, 125:185].astype(int) - b[90:150, 125:185]).mean() > 8
        for a, b in zip(before.frames, film.frames, strict=True)
    ]
    assert blurred == [0.75 <= t <= 2.75 for t in clip.times]


def test_boxes_move_evenly_between_samples(tmp_path: Path) -> None:
    clip = portrait_clip(tmp_path / "clip.mp4")
    times = np.arange(0, 1.76, 0.25)
    video_id = write_results(clip.path, tmp_path / "r", track(0, 0.0, 1.75, x=100 * times))
    paths = read_paths(str(tmp_path / "r"), video_id, CONFIG)
    assert paths.from_observations
    for t in (0.0, 0.1, 0.33, 1.6):
        (face,) = paths.at(t)
        assert face.box[0] == pytest.approx(100 * t, abs=1e-3)


def test_without_observations_boxes_are_coarser(tmp_path: Path) -> None:
    clip = portrait_clip(tmp_path / "clip.mp4", seconds=3)
    times = np.arange(0, 2.76, 0.25)
    quality = np.where(times % 1 == 0.5, 0.9, 0.5)
    write_results(clip.path, tmp_path / "r", track(0, 0.0, 2.75, x=40 * times, quality=quality), keep=False)
    plan = probe_video(storage.stat(str(clip.path)), CONFIG)
    paths = read_paths(str(tmp_path / "r"), plan.video_id or "", CONFIG)
    assert not paths.from_observations
    assert [next(iter(paths.at(t))).box[0] for t in (0.0, 0.5, 1.0, 1.5, 2.0, 2.75)] == pytest.approx(
        [20, 20, 40, 60, 80, 100]
    )
    assert not annotate(str(clip.path), str(tmp_path / "r"), str(tmp_path / "o.mp4")).from_observations


def test_numbers_are_those_of_the_table(tmp_path: Path) -> None:
    clip = portrait_clip(tmp_path / "clip.mp4")
    # The fragment's own numbers are 5 and 3; in the table they count by time and place.
    write_results(clip.path, tmp_path / "r", track(5, 0.0, 1.75, x=10.0), track(3, 0.0, 1.75, x=200.0))
    plan = probe_video(storage.stat(str(clip.path)), CONFIG)
    paths = read_paths(str(tmp_path / "r"), plan.video_id or "", CONFIG)
    assert {face.caption.lines[0][0]: face.box[0] for face in paths.at(1.1)} == {"0": 10, "1": 200}


FACE = {
    **{"track_id": 3, "emotion_smooth": "happy", "emotion_smooth_happy": 0.714, "quality_flags": 0},
    **{"age": 34.2, "age_low": 26.6, "age_high": 41.2, "gender": "female", "gender_female": 0.93},
}


@pytest.mark.parametrize(
    ("changes", "lines"),
    [
        ({}, ("3  happy 71 %", "34 (27–41)  female 93 %")),
        ({"gender": "male", "gender_female": 0.1}, ("3  happy 71 %", "34 (27–41)  male 90 %")),
        ({"gender": "unknown"}, ("3  happy 71 %", "34 (27–41)  gender ?")),
        ({"age": None, "gender": None, "gender_female": None}, ("3  happy 71 %", "age ?  gender ?")),
        ({"emotion_smooth": None}, ("3  ?", "34 (27–41)  female 93 %")),
    ],
)
def test_captions(changes: dict[str, Any], lines: tuple[str, ...]) -> None:
    row = FACE | changes
    assert caption(row, row).lines == lines


def test_captions_of_weak_faces_and_of_few_models() -> None:
    assert not caption(FACE, FACE).weak and caption(FACE | {"quality_flags": 4}, FACE).weak
    assert caption(FACE, FACE, frozenset({"emotion"})).lines == ("3  happy 71 %",)
    assert caption(FACE, FACE, frozenset()).lines == ("3",)


def test_a_video_is_known_by_its_content(clip: Clip, results: Path, tmp_path: Path) -> None:
    copy = tmp_path / "another name.bin"
    copy.write_bytes(clip.path.read_bytes())
    assert annotate(str(copy), str(results), str(tmp_path / "out.mp4")).frames == 20


def test_videos_that_are_not_known(clip: Clip, results: Path, tmp_path: Path, facelog: Facelog) -> None:
    other = portrait_clip(tmp_path / "other.mp4", seconds=0.3)
    result = facelog("annotate", other.path, results, "--out", tmp_path / "out.mp4")
    assert result.exit_code == 2
    assert f"run `facelog analyze {other.path} --out {results} --keep-observations` first" in result.stderr
    for video, out, text in (
        (clip.path, tmp_path / "empty", "holds no results"),
        (tmp_path / "none.mp4", results, "no such file"),
        (tmp_path, results, "is a folder"),
    ):
        with pytest.raises(UsageError, match=text):
            annotate(str(video), str(out), str(tmp_path / "out.mp4"))


def test_a_video_that_failed(tmp_path: Path) -> None:
    bad = tmp_path / "bad.mp4"
    bad.write_bytes(b"nothing")
    plan = probe_video(storage.stat(str(bad)), CONFIG)
    row = example_row(str(bad), video_id=plan.video_id, status="corrupt", error_message="it is no video")
    write_row(row, Run("run-1", CONFIG, Layout(str(tmp_path / "r"))))
    with pytest.raises(UsageError, match="it is no video"):
        annotate(str(bad), str(tmp_path / "r"), str(tmp_path / "out.mp4"))


def test_what_is_there_is_not_replaced(clip: Clip, results: Path, tmp_path: Path, facelog: Facelog) -> None:
    target = tmp_path / "out.mp4"
    target.write_text("precious")
    result = facelog("annotate", clip.path, results, "--out", target)
    assert result.exit_code == 2 and "--overwrite" in result.stderr and target.read_text() == "precious"
    assert facelog("annotate", clip.path, results, "--out", target, "-y").exit_code == 0
    assert len(read(target).frames) == 20
    link = tmp_path / "link.mp4"
    link.symlink_to(clip.path)
    for itself in (clip.path, link):
        with pytest.raises(UsageError, match="the video itself"):
            annotate(str(clip.path), str(results), str(itself), overwrite=True)


@pytest.mark.parametrize(
    ("name", "text"), [("out.avi", "give one of .mp4"), ("out", "give one of"), ("s3://b/out.mp4", "written to disk")]
)
def test_names_that_cannot_be_written(name: str, text: str, clip: Clip, results: Path) -> None:
    with pytest.raises(UsageError, match=text):
        annotate(str(clip.path), str(results), name)


def test_places_that_cannot_be_written(clip: Clip, results: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for folder in ("/proc/none", str(tmp_path / "file")):
        with pytest.raises(StorageError, match=folder):
            annotate(str(clip.path), str(results), f"{folder}/out.mp4")


def test_a_full_disk(clip: Clip, results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageFullError, match=f"no space left in {tmp_path}"):
        annotate(str(clip.path), str(results), str(tmp_path / "out.mp4"))
    assert not list(tmp_path.iterdir())


def test_sound_that_the_container_cannot_hold(clip: Clip, results: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot hold the sound .*\(aac\).*--no-audio"):
        annotate(str(clip.path), str(results), str(tmp_path / "out.webm"))
    assert not list(tmp_path.iterdir())
    _, film = write(clip, results, tmp_path / "out.webm", audio=False)
    assert len(film.frames) == 20 and happy(film.frames[8]) > 100


def test_damaged_and_truncated_videos(tmp_path: Path) -> None:
    whole = portrait_clip(tmp_path / "whole.mp4", seconds=4, faststart=True, moving=True)
    bad = damaged(whole.path, tmp_path / "bad.mp4", at=0.4, n_bytes=3000)
    heard = portrait_clip(tmp_path / "heard.ts", seconds=4, audio=4.0, moving=True)
    noise = damaged(heard.path, tmp_path / "noise.ts", at=0.3, n_bytes=6000)
    cut = truncated(whole.path, tmp_path / "cut.mp4", share=0.6)
    for path in (bad, cut, noise):
        write_results(path, tmp_path / "r", track(0, 0.0, 1.0))
        written, film = write(path, tmp_path / "r", tmp_path / f"out-{path.stem}.mp4")
        assert 15 <= len(film.frames) == written.frames <= 40
        assert happy(film.frames[0]) > 200


def test_sound_whose_times_go_back(clip: Clip, results: Path, tmp_path: Path) -> None:
    def twice(*arguments: Any) -> Iterator[Any]:
        for packet in read_packets(*arguments):
            yield packet
            if not isinstance(packet, av.error.FFmpegError) and packet.stream.type == "audio":
                yield packet

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pipelines.annotations.video_reader.read_packets", twice)
        _, film = write(clip, results, tmp_path / "out.mp4")
    assert len(film.sound) == len(read(clip.path).sound)


def test_a_still_is_sent_to_image(tmp_path: Path) -> None:
    picture = still(tmp_path / "one.jpg")
    write_results(picture.path, tmp_path / "r", track(0, 0.0, 0.0))
    with pytest.raises(UsageError, match="facelog image"):
        annotate(str(picture.path), str(tmp_path / "r"), str(tmp_path / "out.mp4"))


def test_a_file_that_cannot_be_read_any_more(
    clip: Clip, results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> object:
        return dataclasses.replace(
            probe_video(storage.stat(str(clip.path)), CONFIG), info=None, error_message="no disk"
        )

    monkeypatch.setattr(sys.modules["pipelines.annotations.annotate"], "probe_video", broken)
    with pytest.raises(MediaError, match="no disk"):
        annotate(str(clip.path), str(results), str(tmp_path / "out.mp4"))


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_whatever_ends_it_leaves_nothing(error: type[BaseException], clip: Clip, results: Path, tmp_path: Path) -> None:
    def stop(done: float, _: float | None) -> None:
        if done > 0.5:
            raise error

    with pytest.raises(error):
        annotate(str(clip.path), str(results), str(tmp_path / "out.mp4"), on_progress=stop)
    assert not list(tmp_path.iterdir())


@pytest.mark.multiprocess
def test_a_kill_leaves_no_file_under_its_name(tmp_path: Path) -> None:
    clip = portrait_clip(tmp_path / "clip.mp4", seconds=20, fps=25)
    write_results(clip.path, tmp_path / "r", track(0, 0.0, 15.0))
    target = tmp_path / "new" / "out.mp4"
    process = subprocess.Popen(
        command("annotate", clip.path, tmp_path / "r", "--out", target, "--quiet"), cwd=ROOT, env=os.environ
    )
    deadline = time.monotonic() + 60
    while not (target.parent.is_dir() and list(target.parent.iterdir())) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.kill()
    process.wait()
    names = [path.name for path in target.parent.iterdir()]
    assert len(names) == 1 and names[0].startswith(".")


def test_progress_and_the_summary(clip: Clip, results: Path, tmp_path: Path, facelog: Facelog) -> None:
    seen: list[tuple[float, float | None]] = []
    annotate(str(clip.path), str(results), str(tmp_path / "a.mp4"), on_progress=lambda d, t: seen.append((d, t)))
    assert seen[-1][0] == pytest.approx(1.9) and seen[-1][1] == pytest.approx(2.0)
    result = facelog("annotate", clip.path, results, "--out", tmp_path / "b.mp4", "--from", "0:00.5", "--blur")
    assert result.exit_code == 0
    for text in ("15 frames, 0:00:01", "1 track", "did not find are not blurred"):
        assert text in result.stdout
    assert facelog("annotate", clip.path, results, "--out", tmp_path / "c.mp4", "-q").stdout == ""


def test_frames_of_another_size(tmp_path: Path) -> None:
    """Two clips of different sizes joined, as a recorder does that changes its mode."""
    parts = [
        portrait_clip(tmp_path / f"{w}.mpg", size=(w, 240), codec="mpeg2video", fps=25, seconds=1) for w in (320, 160)
    ]
    joined = tmp_path / "joined.m2v"
    with joined.open("wb") as file:
        for part in parts:
            with av.open(str(part.path)) as container:
                for packet in container.demux(video=0):
                    file.write(bytes(packet))
    write_results(joined, tmp_path / "r", track(0, 0.0, 0.5))
    written, film = write(joined, tmp_path / "r", tmp_path / "out.mp4")
    assert film.stream["size"] == (320, 240) and written.frames > 40


def test_on_an_object_store(clip: Clip, results: Path, s3_bucket: str, tmp_path: Path) -> None:
    for path in [p for p in results.rglob("*") if p.is_file()]:
        storage.write_bytes(f"{s3_bucket}/annotate/r/{path.relative_to(results).as_posix()}", path.read_bytes())
    video = f"{s3_bucket}/annotate/clip.mp4"
    storage.write_bytes(video, clip.path.read_bytes())
    written = annotate(video, f"{s3_bucket}/annotate/r", str(tmp_path / "out.mp4"))
    assert written.frames == 20 and written.from_observations
