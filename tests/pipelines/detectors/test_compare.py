"""`facelog detectors compare`: the same frames for all, what they agree on, and a page of what they do not."""

import csv
import dataclasses
import json
import re
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import Result

from models.detectors import mtcnn
from models.detectors.interface import NotInstalledError
from pipelines import compare_detectors
from schemas.errors import UsageError
from tests.clips import Clip, scene

Facelog = Callable[..., Result]


def mark(path: Path, clip: Clip, *more: tuple[float, float, float, float]) -> str:
    """A truth with the faces of a clip in each second, and some more in its first frame."""
    names = ("clip", "frame_w", "frame_h", "t", "x", "y", "width", "height", "label")
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(names)
        for second in range(round(clip.times[-1])):
            boxes = clip.boxes[np.searchsorted(clip.times, second - 1e-6)]
            for box in [*boxes.tolist(), *(more if second == 0 else ())]:
                writer.writerow([clip.path.stem, clip.width, clip.height, second, *box, "face"])
    return str(path)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A head, a head on its side, which HOG does not find, and a file that is no picture."""
    folder = tmp_path_factory.mktemp("pictures")
    rgb, _ = scene(0.0, size=(300, 270))
    cv2.imwrite(str(folder / "upright.png"), rgb[:, :, ::-1])
    cv2.imwrite(str(folder / "<b>& side.png"), np.rot90(rgb)[:, :, ::-1])
    (folder / "bad.mp4").write_bytes(b"")
    return folder


def test_all_look_at_the_same_frames(two_faces: Clip, tmp_path: Path) -> None:
    truth = mark(tmp_path / "truth.csv", two_faces)
    done = compare_detectors(str(two_faces.path), detectors=["yunet", "hog"], truth=truth)
    assert (done.videos, done.frames, done.judged_frames, done.marked) == (1, 4, 4, 8)
    for figures in done.detectors:
        assert (figures.faces, figures.alone, figures.recall, figures.false_boxes) == (8, 0, 1.0, 0)
        assert figures.cpu_ms is not None and figures.cpu_ms > 0
    assert done.shared == {"yunet": {"hog": 1.0}, "hog": {"yunet": 1.0}}
    assert not done.unreadable and not done.left_out


def test_faces_that_are_missed_and_boxes_that_are_none(two_faces: Clip, tmp_path: Path) -> None:
    only_left = dataclasses.replace(two_faces, boxes=two_faces.boxes[:, :1])
    truth = mark(tmp_path / "truth.csv", only_left, (0, 200, 30, 30))
    (figures,) = compare_detectors(str(two_faces.path), detectors=["yunet"], truth=truth).detectors
    assert figures.recall == 4 / 5 and figures.recall_large == 1.0 and figures.false_boxes == 4


def test_a_second_is_judged_once(two_faces: Clip, tmp_path: Path) -> None:
    truth = mark(tmp_path / "truth.csv", two_faces)
    done = compare_detectors(str(two_faces.path), detectors=["yunet"], truth=truth, sample_fps=20)
    assert (done.frames, done.judged_frames, done.marked) == (40, 4, 8)


def test_what_one_finds_alone_is_shown(pictures: Path, tmp_path: Path) -> None:
    out = tmp_path / "page.html"
    done = compare_detectors([str(pictures)], detectors=["yunet", "hog"], out=str(out))
    yunet, hog = done.detectors
    assert (done.frames, yunet.faces, yunet.alone, hog.faces, hog.alone) == (2, 2, 1, 1, 0)
    assert done.shared == {"yunet": {"hog": 0.5}, "hog": {"yunet": 1.0}}
    assert [Path(uri).name for uri in done.unreadable] == ["bad.mp4"]
    page = out.read_text("utf-8")
    assert page.count("data:image/jpeg") == 1  # all agree on the other picture
    assert page.count('<rect class="alone"') == 1 + 1  # in the legend, too
    assert "&lt;b&gt;&amp; side.png" in page and "<b>" not in page
    assert "bad.mp4 is empty" in page
    assert not re.search(r"<script|https?:|url\(", page)


def test_of_the_usual_ones_those_that_are_not_installed_are_left_out(
    pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing() -> Path:
        raise NotInstalledError("no mtcnn here")

    monkeypatch.setattr(mtcnn, "DETECTOR", dataclasses.replace(mtcnn.DETECTOR, weights=missing))
    done = compare_detectors(str(pictures / "upright.png"))
    assert [figures.name for figures in done.detectors] == ["yunet", "hog", "haar"]
    assert done.left_out == {"mtcnn": "no mtcnn here"}
    with pytest.raises(NotInstalledError, match="no mtcnn here"):
        compare_detectors(str(pictures / "upright.png"), detectors=["mtcnn"])


def test_a_truth_of_other_videos_is_refused(portrait: Clip, two_faces: Clip, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="marks faces in none of these videos"):
        compare_detectors(str(portrait.path), truth=mark(tmp_path / "truth.csv", two_faces))
    with pytest.raises(UsageError, match="no detector called 'eyes'"):
        compare_detectors(str(portrait.path), detectors=["eyes"])


def test_the_command(facelog: Facelog, pictures: Path, tmp_path: Path) -> None:
    out = tmp_path / "page.html"
    call = ("detectors", "compare", str(pictures), "--detectors", "yunet, hog", "--min-face", "40")
    shown = facelog(*call, "-o", str(out))
    assert shown.exit_code == 3 and out.exists()
    assert re.search(r"yunet +40 +2 +1 +\d", shown.stdout) and "2 frames of 2 videos" in shown.stdout
    assert "bad.mp4 is empty" in shown.stderr
    told = json.loads(facelog(*call, "--json").stdout)
    assert [figures["faces"] for figures in told["detectors"]] == [2, 1]
    names = [row["name"] for row in json.loads(facelog("detectors", "list", "--json").stdout)]
    assert names == ["haar", "hog", "mmod", "mtcnn", "yunet"]
    assert "facelog[mtcnn]" in facelog("detectors", "list").stdout
