"""`facelog annotate`: which video is meant, and files that are damaged, in the way, or cannot be written."""

import dataclasses
import errno
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import pytest
from typer.testing import Result

from pipelines.annotations.annotate import annotate
from schemas import storage
from schemas.errors import MediaError, StorageError, StorageFullError, UsageError
from schemas.layout import Layout
from schemas.run import Run
from tests.annotated import CONFIG, happy, read, track, write, write_results
from tests.clips import Clip, portrait_clip
from tests.examples import example_row
from tests.odd_clips import damaged, joined, still, truncated
from tests.runs import ROOT, command
from transforms.ledger import write_row
from transforms.open_video import read_packets
from transforms.probe_video import probe_video

Facelog = Callable[..., Result]


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


def test_a_recording_of_two_parts_whose_times_begin_anew(tmp_path: Path) -> None:
    part = portrait_clip(tmp_path / "part.ts", seconds=2, audio=2.0, moving=True)
    path = joined(tmp_path / "joined.ts", part.path, part.path)
    write_results(path, tmp_path / "r", track(0, 0.0, 3.5))
    written, film = write(path, tmp_path / "r", tmp_path / "out.mkv")
    assert written.frames == len(film.frames) == 40 and written.dropped == 0
    assert written.seconds == pytest.approx(4.0, abs=0.1)
    with av.open(str(tmp_path / "out.mkv")) as container:
        ends = [float(p.pts * p.time_base) for p in container.demux(audio=0) if p.size and p.pts is not None]
    assert ends == sorted(ends) and 3.8 < ends[-1] < 4.3


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
    for text in ("15 frames, 0:00:01", "1 track", "blurred: 15 faces in 15 frames", "did not find are not blurred"):
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
