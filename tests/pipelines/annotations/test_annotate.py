"""`facelog annotate`: time, sound and shape of the video stay, and parts of it."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from pipelines.annotations.annotate import annotate
from pipelines.annotations.frame_copy import fitted
from pipelines.cli.annotate import parse_seconds
from pipelines.colours import EMOTION_COLOURS
from schemas.errors import UsageError
from tests.annotated import happy, read, track, write, write_results
from tests.clips import Clip, portrait_clip


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


@pytest.mark.parametrize(("squeeze", "inside"), [(1.0, (40, 80)), (4 / 3, (50, 80)), (0.5, (20, 80))])
def test_a_frame_of_another_shape_keeps_its_own(squeeze: float, inside: tuple[int, int]) -> None:
    frame = av.VideoFrame.from_ndarray(np.full((120, 60), 200, np.uint8), format="gray").reformat(format="yuv420p")
    found = fitted(frame, (100, 80), squeeze).to_ndarray(format="gray") > 100
    assert (found.any(axis=0).sum(), found.any(axis=1).sum()) == pytest.approx(inside, abs=4)
    assert found.shape == (80, 100)
