"""Thumbnails of tracks: right file, time and place, and nothing recognizable in pixelated ones."""

import base64
import dataclasses
import json
import os
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import Result

from pipelines.reports.content import VideoReport
from pipelines.reports.report import report
from schemas import storage
from schemas.config import Config
from tests.clips import Clip, portrait_clip, scene
from tests.made_tables import feeling, write_video
from tests.odd_clips import joined
from transforms.probe_video import probe_video

SIZE = (480, 240)
BEST = 1.5


def write_tables(out: Path, clip: Clip, faces: int = 1, later: float = 0.0) -> None:
    """Tables as if a clip had been analyzed; the best sample of each track is at BEST, with the box it has there.

    Where the clip is joined behind another, it is so many seconds `later`.
    """
    plan = probe_video(storage.stat(str(clip.path)), Config())
    assert plan.info is not None
    tracks = []
    for face in range(faces):
        track = feeling(face, later, ["happy"] * 2)
        boxes = clip.boxes[np.searchsorted(clip.times, track["timestamp"] - later - 1e-6), face]
        track |= dict(zip(("x", "y", "width", "height"), boxes.T, strict=True))
        track["quality"] = np.where(track["timestamp"] == BEST + later, 1.0, 0.1).astype(np.float32)
        tracks.append(track)
    facts = dataclasses.asdict(plan.info) | {"video_id": plan.video_id}
    facts["error_message"] = " ".join(note.sentence for note in plan.notes) or None
    write_video(out, str(clip.path), tracks, seconds=2.0 + later, **facts)


def read_report(out: Path) -> VideoReport:
    (path,) = [path for path in (out / "reports").glob("*-*.json")]
    return VideoReport.from_json(path.read_bytes())


def pictures(out: Path) -> list[np.ndarray]:
    """Thumbnails [112, 112, 3] uint8 BGR by track."""
    tracks = sorted(read_report(out).tracks, key=lambda track: track.track_id)
    urls = [track.thumbnail or "" for track in tracks]
    assert all(url.startswith("data:image/jpeg;base64,") for url in urls)
    data = [np.frombuffer(base64.b64decode(url.partition(",")[2]), np.uint8) for url in urls]
    return [np.asarray(cv2.imdecode(each, cv2.IMREAD_COLOR)) for each in data]


def expected(time: float, face: int = 0, faces: int = 1) -> np.ndarray:
    """What is around a face of the scene at a time, as a thumbnail would show it."""
    picture, boxes = scene(time, size=SIZE, faces=faces, moving=True)
    x, y, width, height = boxes[face]
    side = 1.5 * max(width, height)
    corner = (x + width / 2 - side / 2, y + height / 2 - side / 2)
    scale = 112 / side
    matrix = np.array([[scale, 0, -corner[0] * scale], [0, scale, -corner[1] * scale]])
    return cv2.warpAffine(picture[:, :, ::-1].copy(), matrix, (112, 112), borderMode=cv2.BORDER_REPLICATE)


def difference(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.abs(one.astype(float) - other.astype(float)).mean())


@pytest.mark.parametrize(
    "options",
    [{}, {"rotation": 90}, {"start": 0.852, "b_frames": 2, "gop": 30}, {"sar": Fraction(4, 3)}],
    ids=["plain", "sideways", "late", "wide_pixels"],
)
def test_shows_the_face_at_the_best_time(tmp_path: Path, options: dict[str, object]) -> None:
    path = tmp_path / ("clip.mkv" if "start" in options else "clip.mp4")
    clip = portrait_clip(path, seconds=2, size=SIZE, moving=True, fps=20, **options)  # type: ignore[arg-type]
    out = tmp_path / "out"
    write_tables(out, clip)
    done = report(str(out), as_json=True, thumbnails=True)
    assert done.without_thumbnails == {}
    (shown,) = pictures(out)
    assert difference(shown, expected(BEST)) < 10
    page = next((out / "reports").glob("clip-*.html")).read_text("utf-8")
    assert page.count("<img") == 1 and 'class="sketch"' not in page


def test_of_a_recording_whose_time_stamps_begin_anew(tmp_path: Path) -> None:
    empty = portrait_clip(tmp_path / "empty.ts", seconds=2, size=SIZE, fps=20, away=(0.0, 9.0))
    clip = portrait_clip(tmp_path / "clip.ts", seconds=2, size=SIZE, moving=True, fps=20)
    path = joined(tmp_path / "joined.ts", empty.path, clip.path)
    write_tables(tmp_path / "out", dataclasses.replace(clip, path=path), later=2.0)
    assert report(str(tmp_path / "out"), as_json=True, thumbnails=True).without_thumbnails == {}
    (shown,) = pictures(tmp_path / "out")
    assert difference(shown, expected(BEST)) < 10
    # The video is fine, and its page says what there is to know.
    reports = tmp_path / "out" / "reports"
    assert "time stamps jump once" in next(reports.glob("joined-*.html")).read_text("utf-8")
    assert [video["reason"] for video in json.loads((reports / "index.json").read_text())["videos"]] == [None]


def test_each_track_has_its_own_face(tmp_path: Path) -> None:
    clip = portrait_clip(tmp_path / "clip.mp4", seconds=2, size=SIZE, moving=True, faces=2, fps=20)
    write_tables(tmp_path / "out", clip, faces=2)
    report(str(tmp_path / "out"), as_json=True, thumbnails=True)
    left, right = pictures(tmp_path / "out")
    assert difference(left, expected(BEST, 0, 2)) < 10 and difference(right, expected(BEST, 1, 2)) < 10
    assert difference(left, right) > 20


def test_pixelated_pictures_hold_no_face_and_no_clear_one_is_left(
    facelog: Callable[..., Result], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    clip = portrait_clip(tmp_path / "clip.mp4", seconds=2, size=SIZE, moving=True, fps=20)
    write_tables(out, clip)
    assert facelog("report", out, "--thumbnails", "--json").exit_code == 0
    (clear,) = pictures(out)
    assert facelog("report", out, "--thumbnails", "--blur", "--json").exit_code == 0
    (blurred,) = pictures(out)
    blocks = blurred.reshape(8, 14, 8, 14, 3).astype(float)
    assert np.abs(blocks - blocks.mean(axis=(1, 3), keepdims=True)).mean() < 4  # but for JPEG's own noise
    assert difference(clear, blurred) > 10
    assert facelog("report", out).exit_code == 0
    assert not [path for path in (out / "reports").iterdir() if path.is_file() and b"data:image" in path.read_bytes()]


def test_another_file_of_that_name_is_not_shown(facelog: Callable[..., Result], tmp_path: Path) -> None:
    out = tmp_path / "out"
    clip = portrait_clip(tmp_path / "clip.mp4", seconds=2, size=SIZE, moving=True, fps=20)
    write_tables(out, clip)
    data = clip.path.read_bytes()
    clip.path.write_bytes(data + b"x")
    said = facelog("report", out, "--thumbnails", "--json")
    assert said.exit_code == 0
    assert f"no thumbnails: {clip.path} is another file than the one that was analyzed." in said.stdout.splitlines()
    assert read_report(out).tracks[0].thumbnail is None
    assert "is another file than" in next((out / "reports").glob("clip-*.html")).read_text("utf-8")
    os.unlink(clip.path)
    assert list(report(str(out), thumbnails=True).without_thumbnails.values()) == [
        f"{clip.path} is not there any more."
    ]
    clip.path.write_bytes(data)  # found again: pages without pictures are tried again
    assert report(str(out), thumbnails=True, as_json=True).written == 1
    assert pictures(out)
