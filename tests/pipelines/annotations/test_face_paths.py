"""`facelog annotate`: what is drawn where, what is blurred, and what labels say."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.annotations.annotate import annotate
from pipelines.annotations.face_paths import caption, read_paths
from schemas import storage
from schemas.errors import UsageError
from tests.annotated import CONFIG, happy, read, track, write, write_results
from tests.clips import Clip, portrait_clip
from transforms.probe_video import probe_video


def test_blur_hides_the_face_and_nothing_else(clip: Clip, results: Path, tmp_path: Path) -> None:
    before, (_, film) = read(clip.path), write(clip, results, tmp_path / "out.mp4", blur=True)
    for t, one, other in zip(clip.times, before.frames, film.frames, strict=True):
        change = np.abs(one.astype(int) - other).mean(axis=-1)
        assert (change[90:150, 125:185].mean() > 8) == (t <= 1.25 + 0.75 + 1e-6), t
        assert change[:, :60].mean() < 3 and change[:, 260:].mean() < 3
        assert not happy(other)


def test_a_face_of_a_scan_is_shown_for_half_a_second_and_never_blurred(tmp_path: Path) -> None:
    clip = portrait_clip(tmp_path / "clip.mp4", seconds=4, gop=20)
    config = CONFIG.override(keyframes=True)
    faces = (track(0, 0.0, 0.0), track(1, 2.0, 2.0))
    write_results(clip.path, tmp_path / "r", *faces, ended={0: "cut"}, config=config)
    written, film = write(clip, tmp_path / "r", tmp_path / "out.mp4")
    shown = [t for t, frame in zip(clip.times, film.frames, strict=True) if happy(frame) > 200]
    assert shown == pytest.approx([0, 0.1, 0.2, 0.3, 0.4, 0.5, 2, 2.1, 2.2, 2.3, 2.4, 2.5])
    assert written.by_keyframes
    with pytest.raises(UsageError, match="run analyze without --keyframes first"):
        write(clip, tmp_path / "r", tmp_path / "blurred.mp4", blur=True)


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
