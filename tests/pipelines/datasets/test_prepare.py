"""`facelog prepare`: which face is cut and how, what a bad picture costs, and that a stopped run continues."""

import dataclasses
import importlib
import os
import signal
import zipfile
from collections import Counter
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest
import typer
from rich.console import Console
from typer.testing import CliRunner

from models.detectors.choose import make_detector
from models.detectors.interface import StillPicture
from models.geometry import AGE_GENDER, EMOTION, align, cut_chip
from models.landmarks import find_landmarks, predict_landmarks
from models.zoo import ZOO
from pipelines.cli import prepare as cli_prepare
from pipelines.datasets import cut_shards
from pipelines.datasets.cut_shards import (
    FAILED,
    MISSING,
    UNREADABLE,
    Shard,
    cut_sample,
    cut_shard,
)
from pipelines.datasets.prepare import _Run, in_rgb, prepare, print_report, shards_of
from schemas.config import Detection
from schemas.errors import FacelogError, UsageError
from schemas.faces import Boxes
from tests.clips import FACE_IN_HEAD, head, scene
from tests.training.data.test_prepared import make_info
from training.data.own_face import NO_FACE, SEVERAL_FACES, Dropped, find_own_face
from training.data.prepared import open_prepared
from training.data.ready_chips import training_chip
from training.datasets import DataSet, LabelledPicture

_BLANK = np.full((90, 90, 3), 128, np.uint8)

# `pipelines.datasets.prepare` is the function.
_MODULE = importlib.import_module("pipelines.datasets.prepare")


def save(path: Path, image: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 98])


def one_head(side: int = 240) -> np.ndarray:
    return scene(0.0, size=(side + side // 3, side))[0]


def three_heads() -> np.ndarray:
    return scene(0.0, size=(720, 240), faces=3)[0]


@pytest.fixture
def album(tmp_path: Path) -> Path:
    """Ten pictures with ages: six of one head, and one each of three heads, two heads, nobody, and no picture at all.

    An eleventh is listed and not there.
    """
    folder = tmp_path / "album"
    for i in range(6):
        save(folder / f"{i}.jpg", one_head(200 + 10 * i))
    save(folder / "6 three.jpg", three_heads())
    save(folder / "7 two.jpg", scene(0.0, size=(480, 240), faces=2)[0])
    save(folder / "8 nobody.jpg", _BLANK)
    (folder / "9 broken.jpg").write_bytes((folder / "1.jpg").read_bytes()[:40])
    names = [*sorted(path.name for path in folder.iterdir()), "gone.jpg"]
    rows = [f"{name},{20 + i},{i % 2},person {i // 2}" for i, name in enumerate(names)]
    (folder / "labels.csv").write_text("file,age,female,group\n" + "\n".join(rows) + "\n")
    return folder


_REASONS = {SEVERAL_FACES: 1, NO_FACE: 1, UNREADABLE: 1, MISSING: 1}


def shards(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.glob("part-*.parquet"))}


def box_of(image: np.ndarray, min_face: int = 40) -> np.ndarray:
    return find_own_face(StillPicture(image), make_detector(Detection(min_face=min_face))).xywh


@pytest.mark.parametrize("side", [120, 300, 1500])
def test_the_head_is_found_at_any_size(side: int) -> None:
    image = head(side)
    x, y, width, height = box_of(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY))[0] / side
    left, top, w, h = FACE_IN_HEAD
    overlap = (min(x + width, left + w) - max(x, left)) * (min(y + height, top + h) - max(y, top))
    assert overlap / (width * height + w * h - overlap) > 0.6


def test_a_small_face_in_a_large_picture_is_looked_for_second() -> None:
    image = np.full((900, 900), 200, np.uint8)
    image[600:760, 40:200] = cv2.cvtColor(head(160), cv2.COLOR_RGB2GRAY)
    x, y, width, _ = box_of(image)[0]
    assert 60 < x < 130 and 630 < y < 690 and 50 < width < 100
    with pytest.raises(Dropped, match=NO_FACE):
        box_of(image, 120)


def test_of_three_heads_the_one_in_the_middle_is_cut() -> None:
    image = three_heads()
    x, _, width, _ = box_of(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY))[0]
    assert x > 240 and x + width < 480


@pytest.mark.parametrize("geometry", [AGE_GENDER, EMOTION])
def test_the_chip_is_the_pipelines_with_a_margin(geometry: Any) -> None:
    image = one_head()
    info = make_info(geometry, detector=Detection().detector)
    chip = cut_sample(LabelledPicture("a", image), info)
    assert chip.shape == info.shape

    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    landmarks = predict_landmarks(grey, box_of(image, info.min_face))
    picture = grey if geometry.channels == "grey" else image
    padded = geometry.padded(info.margin)
    wanted = cut_chip(picture, align(landmarks, padded)[0], padded.size)
    assert np.abs(chip.astype(int) - wanted).max() <= 1  # float32 of the shift
    border = info.border
    inner = cut_chip(picture, align(landmarks, geometry)[0], geometry.size)
    assert np.abs(chip[border:-border, border:-border].astype(int) - inner).max() <= 1


def test_the_chip_of_a_turned_head_follows_the_detectors_points(monkeypatch: pytest.MonkeyPatch) -> None:
    image, info = one_head(), make_info(EMOTION, detector=Detection().detector)
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    box = box_of(image, info.min_face)
    looks_left = np.array([(0.2, 0.4), (0.3, 0.4), (0.05, 0.6), (0.2, 0.8), (0.25, 0.8)])
    found = Boxes(box, np.ones(1, np.float32), (box[:, None, :2] + looks_left * box[:, None, 2:]).astype(np.float32))
    monkeypatch.setattr("pipelines.datasets.cut_shards.find_own_face", lambda picture, detector: found)
    landmarks = find_landmarks(grey, found.xywh, found.points)
    assert landmarks.is_turned[0]
    padded = EMOTION.padded(info.margin)
    wanted = cut_chip(grey, align(landmarks.points, padded)[0], padded.size)
    assert np.abs(cut_sample(LabelledPicture("a", image), info).astype(int) - wanted).max() <= 1


def test_chips_for_networks_of_bgr_are_kept_in_rgb() -> None:
    geometry = in_rgb(ZOO["age-gender-wrn"].geometry)
    assert ZOO["age-gender-wrn"].geometry.channels == "bgr" and geometry.channels == "rgb"
    image = one_head()
    chip = cut_sample(LabelledPicture("a", image), make_info(geometry, detector=Detection().detector))
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    box = box_of(image)
    transform = geometry.transforms(np.empty((1, 5, 2), np.float32), box, grey.shape[::-1])[0]
    assert np.array_equal(chip, cut_chip(image, transform, geometry.size))
    assert in_rgb(EMOTION) == EMOTION


def test_a_whole_picture_is_a_ready_made_crop() -> None:
    image = head(120)[25:95, 25:95]
    chip = cut_sample(LabelledPicture("a", image), make_info(whole_picture=True))
    assert np.array_equal(chip, training_chip(image, AGE_GENDER, 0.125))


def test_shards_hold_all_samples_in_order() -> None:
    samples = [LabelledPicture(str(i), _BLANK) for i in range(7)]
    found = list(shards_of(iter(samples), 3))
    assert [shard.index for shard in found] == [0, 1, 2]
    assert [[s.name for s in shard.samples] for shard in found] == [["0", "1", "2"], ["3", "4", "5"], ["6"]]
    assert [len(shard.samples) for shard in shards_of(samples, 7)] == [7]
    assert list(shards_of([], 3)) == []


def test_a_run_keeps_what_it_can_and_says_what_it_dropped(album: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    info = prepare(album, out, runner="direct", shard_size=4)
    data = open_prepared(out)
    assert data.info == info
    assert (info.kind, info.pictures, info.count, info.complete) == ("folder", 11, 7, True)
    assert info.dropped == _REASONS
    assert info.shards == (4, 3, 0)

    (batch,) = data.batches(100)
    names = [f"{i}.jpg" for i in range(6)]
    assert batch["name"].to_pylist() == [*names, "6 three.jpg"]
    assert batch["age_low"].to_pylist() == list(range(20, 27))
    assert batch["female"].to_pylist() == [False, True] * 3 + [False]
    assert batch["group"].to_pylist() == [f"person {i // 2}" for i in range(7)]
    chips = data.chips(batch)
    assert chips.shape == (7, 80, 80, 3)
    # All show the same head at the same place and size; the one among three is its mirror image.
    middle = chips[:, 8:-8, 8:-8].astype(float)
    middle[6] = middle[6, :, ::-1]
    assert np.abs(middle - middle[0]).mean(axis=(1, 2, 3)).max() < 25

    printed = Console(file=StringIO(), width=200)
    print_report(info, printed)
    text = printed.file.getvalue()  # type: ignore[attr-defined]
    for said in ("11", "7", "80 × 80", *(f"left out: {reason}" for reason in _REASONS)):
        assert said in text


def test_done_twice_it_does_nothing(album: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out"
    first = prepare(album, out, runner="direct", shard_size=4)
    files = {path: path.stat().st_mtime_ns for path in out.glob("*.*")}
    monkeypatch.delattr("runners.local.supervisor.WorkerProcess")
    assert prepare(album, out, shard_size=4) == first
    assert {path: path.stat().st_mtime_ns for path in out.glob("*.*")} == files


@pytest.mark.multiprocess
def test_interrupted_it_goes_on_and_ends_as_if_it_had_not_been(
    album: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packed = tmp_path / "album.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        for file in sorted(album.iterdir()):
            archive.write(file, file.name)
    out = tmp_path / "out"

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(_Run, "_add", interrupted)
        with pytest.raises(KeyboardInterrupt):
            prepare(packed, out, workers=2, shard_size=3)
    before = {path.name: path.stat().st_mtime_ns for path in out.glob("part-*.parquet")}
    assert 1 <= len(before) < 4
    with pytest.raises(UsageError, match="not complete"):
        open_prepared(out)

    info = prepare(packed, out, runner="direct", shard_size=3)
    assert {name: (out / name).stat().st_mtime_ns for name in before} == before
    whole = tmp_path / "whole"
    assert prepare(album, whole, runner="direct", shard_size=3) == info
    assert shards(out) == shards(whole)
    assert len(shards(out)) == 4
    assert info.dropped == _REASONS


class Kills:
    """Stands for a picture that makes a decoder crash."""

    def read_bytes(self) -> bytes:
        os.kill(os.getpid(), signal.SIGKILL)
        return b""


class Raises:
    """Stands for a picture over which a library raises what nobody thought of."""

    def read_bytes(self) -> bytes:
        raise ZeroDivisionError("of a library")


@pytest.mark.multiprocess
def test_pictures_that_end_their_process_cost_themselves_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image = one_head()
    bad: dict[int, Any] = {1: Kills(), 3: Raises()}
    samples = [LabelledPicture(str(i), bad.get(i, image), age=(30.0, 30.0)) for i in range(5)]

    def read(_: Counter[str]) -> Iterator[LabelledPicture]:
        return iter(samples)

    made = DataSet("made", tmp_path, read, 5)
    monkeypatch.setattr(_MODULE, "read_dataset", lambda *_, **__: made)
    info = prepare("made", tmp_path / "out", workers=1)
    assert info.dropped == {FAILED: 2}
    (batch,) = open_prepared(tmp_path / "out").batches(10, ["name"])
    assert batch["name"].to_pylist() == ["0", "2", "4"]


def test_notes_of_a_stopped_run_cost_no_picture(album: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    info, broken = make_info(), Shard(0, (LabelledPicture("a", one_head()), LabelledPicture("b", Raises())))  # type: ignore[arg-type]
    (out / "_work").mkdir(parents=True)
    with pytest.raises(ZeroDivisionError):
        cut_shard(broken, info, out)
    assert cut_shard(broken, info, out).dropped == {FAILED: 1}
    with pytest.raises(ZeroDivisionError):
        cut_shard(dataclasses.replace(broken, index=1), info, out)
    cut_shards.forget_notes(out)
    assert [path.name for path in (out / "_work").iterdir()] == []


def test_a_shard_that_cannot_be_written_fails_the_run(
    album: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def give_up(*args: Any, on_outcome: Any, **_: Any) -> None:
        from runners.local.supervisor import Failure, Outcome

        for task in args[1]:
            on_outcome(Outcome(task, [], Failure("worker_died", "the worker process was killed", 10), 1.0, 0.0))

    monkeypatch.setattr(_MODULE, "run_local", give_up)
    with pytest.raises(FacelogError, match="shard 0: the worker process was killed; the same command"):
        prepare(album, tmp_path / "out")
    with pytest.raises(UsageError, match="not complete"):
        open_prepared(tmp_path / "out")


def test_a_folder_of_other_data_is_refused(album: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    prepare(album, out, runner="direct", shard_size=4)
    before = shards(out)
    with pytest.raises(UsageError, match="another geometry"):
        prepare(album, out, runner="direct", shard_size=4, geometry="emotion")
    labels = album / "labels.csv"
    labels.write_text(labels.read_text().replace("0.jpg,20", "0.jpg,80"))
    with pytest.raises(UsageError, match="part-00000.parquet was made of other pictures or labels"):
        prepare(album, out, runner="direct", shard_size=4)
    assert shards(out) == before


def test_close_crops_are_taken_whole_by_themselves(tmp_path: Path) -> None:
    for i in range(3):
        save(tmp_path / "UTKFace" / f"{20 + i}_1_0_2017010{i}.jpg.chip.jpg", np.roll(head(200)[40:160, 40:160], i))
    info = prepare(tmp_path / "UTKFace", tmp_path / "out", runner="direct")
    assert (info.whole_picture, info.count) == (True, 3)
    (batch,) = open_prepared(tmp_path / "out").batches(10, ["group"])
    assert len(set(batch["group"].to_pylist())) == 1  # near-duplicates stay on one side of a split
    info = prepare(tmp_path / "UTKFace", tmp_path / "detected", runner="direct", whole_picture=False)
    assert info.whole_picture is False


def test_only_a_split_is_taken(tmp_path: Path) -> None:
    for split, count in (("train", 2), ("test", 1)):
        for i in range(count):
            save(tmp_path / "set" / split / "happy" / f"{i}.jpg", one_head(200 + i))
    info = prepare(tmp_path / "set", tmp_path / "out", runner="direct", split="test", geometry="emotion")
    assert (info.count, info.split) == (1, "test")
    table = pq.read_table(tmp_path / "out" / "part-00000.parquet")
    assert table["emotion"].to_pylist() == ["happy"]
    assert table["channels"].to_pylist() == [1]
    with pytest.raises(UsageError, match="no split"):
        prepare(tmp_path / "set", tmp_path / "other", runner="direct", split="validation")


@pytest.fixture
def command() -> typer.Typer:
    app = typer.Typer()
    app.command()(cli_prepare.prepare)
    return app


def test_the_command_prints_a_report(command: typer.Typer, album: Path, tmp_path: Path) -> None:
    arguments = [str(album), "--out", str(tmp_path / "out"), "--runner", "direct", "--geometry", "mini-xception"]
    result = CliRunner().invoke(command, arguments)
    assert result.exit_code == 0, result.output
    assert "11 pictures of folder" in " ".join(result.output.split())
    assert f"left out: {NO_FACE}" in result.output
    assert open_prepared(tmp_path / "out").info.shape == (64, 64)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere"], "neither a folder nor a zip"),
        (["ALBUM", "--geometry", "no-such"], "--geometry no-such"),
        (["ALBUM", "--set", "imdb"], "imdb"),
        (["ALBUM", "--runner", "flink"], "--runner flink"),
    ],
)
def test_mistakes_are_one_sentence(
    command: typer.Typer, album: Path, tmp_path: Path, arguments: list[str], said: str
) -> None:
    given = [str(album) if argument == "ALBUM" else argument for argument in arguments]
    result = CliRunner().invoke(command, [*given, "--out", str(tmp_path / "out")])
    assert result.exit_code == 2
    assert said in result.output and "Traceback" not in result.output
