"""The same face is known by its place, and marked faces are judged as people mean them."""

from pathlib import Path

import numpy as np
import pytest

from pipelines.detectors.matching import Truth, same_faces, similarity
from schemas.errors import UsageError

HEADER = "set,clip,frame_w,frame_h,t,x,y,width,height,label\n"


def truth(folder: Path, *lines: str) -> Truth:
    """A truth of a few lines: clip, t, x, y, width, height, label, in frames of 100 × 100."""
    rows = [line.split(",") for line in lines]
    text = "".join(",".join(["made", row[0], "100", "100", *row[1:]]) + "\n" for row in rows)
    (folder / "truth.csv").write_text(HEADER + text)
    return Truth(str(folder / "truth.csv"))


def test_boxes_are_alike_by_overlap_or_by_their_centres() -> None:
    face = np.array([[0, 0, 20, 20.0]])
    inside = np.array([[5, 4, 12, 12.0]])
    small = np.array([[8, 8, 4, 4.0]])
    beside = np.array([[18, 0, 20, 20.0]])
    assert similarity(face, np.concatenate([face, inside, small, beside])).round(2).tolist() == [[1, 0.36, 0, 0]]


def test_centred_boxes_that_hardly_overlap_are_one_face() -> None:
    """The centre of each lies in the other one; one of a sixth of its area is another thing."""
    face = np.array([[0, 0, 30, 30.0]])
    assert 0 < similarity(face, np.array([[14, 14, 25, 25.0]]))[0, 0] < 0.3
    assert similarity(face, np.array([[9, 9, 12, 12.0]]))[0, 0] == 0


def test_no_box_is_two_faces() -> None:
    assert same_faces(np.array([[0.9, 0.8], [0.7, 0.0], [0.0, 0.0]])) == [(0, 0)]
    assert same_faces(np.array([[0.0, 0.8], [0.7, 0.9]])) == [(0, 1), (1, 0)]
    assert same_faces(np.zeros((2, 0))) == same_faces(np.zeros((0, 2))) == []


def test_faces_are_found_missed_or_invented(tmp_path: Path) -> None:
    marks = truth(tmp_path, "a,0.0,50,50,50,50,face", "a,0.04,0,0,20,20,blurred", "a,0.0,0,60,30,30,face")
    marked = marks.marked("a", 0.0, (200, 200))
    assert marked.boxes[0].tolist() == [100, 100, 100, 100]
    assert marked.counts.tolist() == [True, True, False] and marked.is_large.tolist() == [True, False, False]
    # The first face twice, what may be found or not, a mistake, and one too small to be counted.
    found = np.array([[100, 100, 90, 90], [105, 105, 95, 95], [0, 0, 40, 40], [160, 0, 40, 40], [90, 0, 15, 15.0]])
    hit, wrong = marked.judge(found)
    assert hit.tolist() == [True, False, True]
    assert wrong.tolist() == [False, False, False, True, False]
    assert marks.marked("a", 1.0, (200, 200)).judge(found)[1].sum() == 4
    assert "a" in marks and "b" not in marks


@pytest.mark.parametrize(("time", "second"), [(0.0, 0), (2.04, 2), (1.96, None), (2.12, None), (2.5, None)])
def test_a_second_is_judged_by_the_frame_that_shows_it(time: float, second: int | None) -> None:
    assert Truth.second(time) == second


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("clip,t,x,y\na,0,1,2\n", "no column width"),
        (HEADER + "made,a,100,100,0,1,2,3,4,face\nmade,a,100,100,zero,1,2,3,4,face\n", "line 3: could not convert"),
        (HEADER + "made,a,0,100,0,1,2,3,4,face\n", "line 2: frame_w and frame_h must be above 0"),
        (HEADER + "made,a,100,100,0,1\n", "line 2: "),
        (None, r"cannot be read \(No such file"),
    ],
)
def test_a_truth_that_is_none_is_refused(text: str | None, error: str, tmp_path: Path) -> None:
    path = tmp_path / "truth.csv"
    if text is not None:
        path.write_text(text)
    with pytest.raises(UsageError, match=error):
        Truth(str(path))
