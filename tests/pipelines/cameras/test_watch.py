"""`live`: rows appear while a source goes on, whole and in the shape of any archive."""

import functools
import io
import itertools
import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import Result

from pipelines.cameras.watch import live, remove_recordings
from pipelines.keeping.prune import prune
from pipelines.reports.report import report
from pipelines.results.database import connect
from pipelines.results.status import status
from pipelines.runs.analyze_archive import analyze
from runners.lock import hold
from schemas.config import Config, Identity, Sampling
from schemas.errors import FacelogError, UsageError
from schemas.run import read_run
from tests.clips import portrait_clip
from tests.rtsp import SERVERS, Server, free_port
from tests.runs import ROOT, command
from tests.tables import rows

Call = Callable[..., Result]


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory, swinging: Path, bare: Config) -> Path:
    """What a clip on standard input leaves."""
    out = tmp_path_factory.mktemp("watched")
    live("-", str(out), config=bare, name="door", stdin=io.BytesIO(swinging.read_bytes()))
    return out


def test_a_pipe_gives_one_video_with_its_time_of_day(watched: Path) -> None:
    (video,) = rows(watched, "videos")
    assert video["uri"].startswith("live://door/door-") and video["status"] == "ok"
    assert (video["width"], video["height"], video["codec"], video["avg_fps"]) == (480, 240, "h264", 10.0)
    assert timedelta() < datetime.now(UTC) - video["recorded_at"] < timedelta(minutes=10)
    assert video["duration"] == pytest.approx(2.9, abs=0.3) and video["frames_decoded"] >= 28
    assert video["n_tracks"] == 2 and len(video["video_id"]) == 32 and video["size_bytes"] is None


def test_its_rows_are_those_that_analyze_writes(watched: Path, swinging: Path, bare: Config, tmp_path: Path) -> None:
    """Times differ by the pace at which the pipe was read, and so does the choice of samples."""
    assert analyze(str(swinging), str(tmp_path), config=bare, runner="direct").exit_status == 0
    ours, theirs = rows(watched, "tracks"), rows(tmp_path, "tracks")
    assert [track["end_reason"] for track in ours] == [track["end_reason"] for track in theirs] == ["eof"] * 2
    for mine, other in zip(ours, theirs, strict=True):
        assert mine["duration"] == pytest.approx(other["duration"], abs=0.5)
    seen, known = (
        connect(str(out)).sql("SELECT track_id, second, timestamp, x, pts FROM faces").df()
        for out in (watched, tmp_path)
    )
    assert set(zip(seen.track_id, seen.second, strict=True)) == set(zip(known.track_id, known.second, strict=True))
    both = seen.merge(known, on=["track_id", "second"])
    near = both[np.abs(both.timestamp_x - both.timestamp_y) < 0.15]
    assert len(near) and np.abs(near.x_x - near.x_y).max() < 40  # the heads swing
    assert np.allclose(seen.pts / 90_000, seen.timestamp)


def test_every_command_reads_it_as_any_archive(watched: Path, facelog: Call) -> None:
    pages = report(str(watched))
    assert "door" in Path(pages.index).read_text("utf-8")
    assert status(str(watched)).state == "finished"
    said = facelog("status", watched)
    assert said.exit_code == 0 and "live, begun" in said.stdout and "0 files" not in said.stdout
    assert facelog("query", watched, "SELECT count(*) FROM timeline", "--format", "csv").stdout.split()[-1] == "3"


def test_the_documented_way_to_follow_new_rows(watched: Path) -> None:
    document = (ROOT / "docs" / "live.md").read_text("utf-8")
    (code,) = re.findall(r"```python\n(.*?)\nfor face in new_faces", document, re.DOTALL)
    names: dict[str, Any] = {}
    exec(code, names)
    faces = list(itertools.islice(names["new_faces"](str(watched)), 6))
    known = rows(watched, "faces")
    assert sorted((face["track_id"], face["second"]) for face in faces) == [(f["track_id"], f["second"]) for f in known]
    (video,) = rows(watched, "videos")
    assert faces[0]["seen_at"] == video["recorded_at"] and faces[-1]["emotion_entropy"] is None


def test_prune_leaves_what_never_was_a_file(watched: Path) -> None:
    found = prune(str(watched), even_if_folder_is_gone=True, dry_run=True)
    assert (found.gone, found.refused, found.here) == ([], [], 1)


def test_a_row_ends_at_each_full_hour(swinging: Path, bare: Config, tmp_path: Path) -> None:
    said = live("-", str(tmp_path), config=bare, video_seconds=1.0, stdin=io.BytesIO(swinging.read_bytes()))
    videos = sorted(rows(tmp_path, "videos"), key=lambda row: row["recorded_at"])
    assert len(videos) == said.videos >= 3 and len({row["uri"] for row in videos}) == len(videos)
    for before, after in itertools.pairwise(videos):
        assert after["recorded_at"].second == (before["recorded_at"].second + 1) % 60
        assert after["recorded_at"].microsecond < 300_000
        end = before["recorded_at"] + timedelta(seconds=before["duration"])
        assert end.replace(microsecond=0) == before["recorded_at"].replace(microsecond=0)
    assert sum(row["frames_sampled"] for row in videos) <= 13


def test_old_recordings_go_and_those_of_other_sources_stay(short: bytes, bare: Config, tmp_path: Path) -> None:
    for name in ("door", "door-2"):
        live("-", str(tmp_path), config=bare, name=name, stdin=io.BytesIO(short))
    now = datetime.now(UTC)
    assert remove_recordings(str(tmp_path), "door", now - timedelta(hours=1)) == 0
    assert remove_recordings(str(tmp_path), "door", now) == 1
    (left,) = rows(tmp_path, "videos")
    assert left["uri"].startswith("live://door-2/")
    kept = {row["video_id"] for table in ("faces", "tracks", "timeline") for row in rows(tmp_path, table)}
    assert kept == {left["video_id"]}
    said = live("-", str(tmp_path), config=bare, name="door-2", keep_days=0, stdin=io.BytesIO(b""))
    assert said.removed == 1 and not rows(tmp_path, "videos")


def test_rows_can_be_read_while_it_goes_on_and_silence_is_a_gap(short: bytes, bare: Config, tmp_path: Path) -> None:
    reading, writing = os.pipe()
    stop = threading.Event()
    with open(reading, "rb") as stdin, open(writing, "wb", buffering=0) as camera:
        call = functools.partial(live, "-", str(tmp_path), config=bare, stop=stop, stdin=stdin, timeout=1.0)
        thread = threading.Thread(target=call, kwargs={"write_every": 0.5})
        thread.start()
        camera.write(short)  # and then nothing more, while the pipe stays open
        until(lambda: (tmp_path / "timeline").exists() and len(rows(tmp_path, "timeline")) > 4)
        (video,) = rows(tmp_path, "videos")
        assert (video["error_type"], video["n_tracks"], video["face_seconds"]) == ("missing_stretch", 1, 1)
        assert connect(str(tmp_path)).sql("SELECT count(*) AS n FROM faces").df().n.tolist() == [1]
        assert (now := status(str(tmp_path))).state == "running" and now.holder
        assert Path(report(str(tmp_path)).index).is_file()
        stop.set()
        thread.join(30)
        assert not thread.is_alive()
    assert [row["decode_ok"] for row in rows(tmp_path, "timeline")[1:]] == [False] * (
        len(rows(tmp_path, "timeline")) - 1
    )
    assert status(str(tmp_path)).state == "finished"


def test_models_give_their_columns(swinging: Path, with_models: Config, tmp_path: Path) -> None:
    live("-", str(tmp_path), config=with_models, stdin=io.BytesIO(swinging.read_bytes()))
    for face in rows(tmp_path, "faces"):
        assert sum(
            face[name]
            for name in face
            if name.startswith("emotion_") and "smooth" not in name and name != "emotion_entropy"
        ) == pytest.approx(1.0, abs=1e-3)
        assert 20 < face["age"] < 60 and face["gender"] in ("female", "unknown")


def test_one_run_at_a_time(bare: Config, tmp_path: Path) -> None:
    with hold(str(tmp_path)), pytest.raises(FacelogError, match="is being written by"):
        live("-", str(tmp_path), config=bare, stdin=io.BytesIO(b""))


def test_a_wrong_source_says_so_at_once(facelog: Call, tmp_path: Path) -> None:
    said = facelog("live", "ftp://host/a", "--out", tmp_path / "out")
    assert said.exit_code == 2 and "is no live source" in said.output and not (tmp_path / "out").exists()
    with pytest.raises(UsageError, match="neither letters nor digits"):
        live("-", str(tmp_path), name="///", stdin=io.BytesIO(b""))
    for config in (Config(identity=Identity(persons="within")), Config(sampling=Sampling(keyframes=True))):
        with pytest.raises(UsageError, match="leave the setting (persons|keyframes) away"):
            live("-", str(tmp_path), config=config, stdin=io.BytesIO(b""))


def test_what_cannot_be_reached_is_tried_until_it_is_stopped(bare: Config, tmp_path: Path) -> None:
    stop, said = threading.Event(), list[str]()

    def hear(sentence: str) -> None:
        said.append(sentence)
        stop.set()

    done = live(f"http://127.0.0.1:{free_port()}/a", str(tmp_path), config=bare, stop=stop, say=hear)
    assert "Trying again" in said[0] and done.videos == 0
    assert read_run(str(tmp_path)).finished_at is not None  # type: ignore[union-attr]


@pytest.fixture(scope="module")
def two_cameras(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("clips")
    large = portrait_clip(folder / "large.mp4", seconds=30, fps=5, size=(480, 240), faces=2, gop=5)
    small = portrait_clip(folder / "small.mp4", seconds=30, fps=10, size=(320, 240), gop=10)
    return large.path, small.path


@pytest.mark.multiprocess
@pytest.mark.parametrize("kind", SERVERS)
def test_when_a_server_dies_and_comes_back_with_another_camera_nothing_is_lost_but_the_gap(
    kind: str, two_cameras: tuple[Path, Path], tmp_path: Path
) -> None:
    server: Server = SERVERS[kind]
    large, small = two_cameras
    port, out = free_port(), tmp_path / "out"
    source = f"rtsp://admin:s3cret@127.0.0.1:{port}/camera"
    options = ("--without", "emotion", "--without", "age", "--without", "gender", "--timeout", 5, "--name", "door")
    with (tmp_path / "said").open("w") as said:
        with server(large, port):
            process = subprocess.Popen(command("live", source, "--out", out, *options), cwd=ROOT, stderr=said)
            until(lambda: "480 × 240" in (tmp_path / "said").read_text())
            time.sleep(4)
        lost = datetime.now(UTC)
        time.sleep(3)
        with server(small, port):
            back = datetime.now(UTC)
            until(lambda: "320 × 240" in (tmp_path / "said").read_text())
            time.sleep(4)
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 0
    (video,) = rows(out, "videos")
    zero = video["recorded_at"]
    assert (video["status"], video["error_type"], video["n_tracks"]) == ("partial", "missing_stretch", 3)
    assert "480x240, 320x240" in video["error_message"]
    timeline = rows(out, "timeline")
    missing = [row["second"] for row in timeline if not row["decode_ok"]]
    assert missing == list(range(missing[0], missing[-1] + 1))
    assert missing[0] == pytest.approx((lost - zero).total_seconds(), abs=2)
    assert (back - zero).total_seconds() - 2 < missing[-1] < (back - zero).total_seconds() + 12
    for row in timeline:  # a server begins with pictures of the past, and ends with some that are not sent
        if row["decode_ok"] and 1 < row["second"] < timeline[-1]["second"]:
            assert row["n_faces"] == (2 if row["second"] < missing[0] else 1), row
    assert "s3cret" not in (tmp_path / "said").read_text()
    assert not [
        path
        for path in out.rglob("*")
        if path.is_file() and b"s3cret" in path.read_bytes() and path.name not in ("lock", "run.json")
    ]


def until(holds: Callable[[], bool], seconds: float = 90.0) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.05)
