import base64
import io
import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest
from rich.console import Console

from schemas.tables import EMOTIONS
from training.datasets import DataError, DataSet, LabelledPicture, read_dataset
from training.judging.overview import Overview, examine, page, print_summary


def noise(seed: int, side: int = 48) -> np.ndarray:
    coarse = np.random.default_rng(seed).integers(0, 256, (8, 8), dtype=np.uint8)
    return cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC)


def dataset(*samples: LabelledPicture) -> DataSet:
    return DataSet("folder", Path("set"), lambda dropped: iter(samples), len(samples))


def test_counts_of_emotions(fer2013: Path) -> None:
    overview = examine(read_dataset(fer2013))
    assert overview.kind == "fer2013" and overview.samples == overview.opened == 58
    assert overview.splits == {"train": 30, "Training": 30, "validation": 28, "PublicTest": 28}
    assert list(overview.emotions) == list(EMOTIONS)
    assert overview.emotions["angry"] == {"train": 5, "Training": 5, "validation": 4, "PublicTest": 4, "all": 9}
    assert overview.votes == 8 and overview.ages == overview.gender == {}
    assert overview.sizes == {"48 × 48": 58} and overview.blank == 1
    assert (overview.exact.groups, overview.exact.pictures, overview.exact.across_splits) == (1, 2, 1)
    assert overview.exact.conflicting == 0


def test_counts_of_faces(utkface: Path) -> None:
    overview = examine(read_dataset(utkface))
    assert overview.ages["0–4"] == 5 and overview.ages["50–54"] == 1 and sum(overview.ages.values()) == 40
    assert list(overview.ages) == [f"{low}–{low + 4}" for low in (*range(0, 40, 5), 50)]
    assert overview.gender == {"male": 21, "female": 19} and sum(overview.races.values()) == 39
    assert overview.exact.groups == 0
    assert (overview.near.groups, overview.near.pictures, overview.near.conflicting) == (1, 2, 1)
    assert {text.split(":")[0] for text in overview.near.examples[0]} == {
        "0_0_0_2017.jpg.chip.jpg",
        "50_0_0_2018.jpg.chip.jpg",
    }


def test_age_groups_are_bars_of_their_own(fairface: Path) -> None:
    overview = examine(read_dataset(fairface))
    assert overview.ages == {"0–2": 14, "30–39": 13, "70–100": 13}
    assert list(overview.sheet) == ["0–2 years", "30–39 years", "70–100 years"]


def test_the_zip_is_the_same(fer2013: Path, zipped: Callable[[Path], Path]) -> None:
    plain, packed = examine(read_dataset(fer2013)), examine(read_dataset(zipped(fer2013)))
    assert plain.sheet == packed.sheet
    assert plain.to_json() | {"path": ""} == packed.to_json() | {"path": ""}


@pytest.mark.parametrize(
    ("first", "second", "conflict"),
    [
        ({"emotion": "sad"}, {"emotion": "happy"}, True),
        ({"emotion": "sad"}, {"emotion": "sad"}, False),
        ({"emotion": "sad"}, {"age": (3, 3)}, False),
        ({"female": True}, {"female": False}, True),
        ({"age": (20, 20)}, {"age": (25, 25)}, False),
        ({"age": (20, 20)}, {"age": (26, 26)}, True),
        ({"age": (20, 29)}, {"age": (34, 34)}, False),
    ],
)
def test_labels_that_contradict_each_other(first: dict, second: dict, conflict: bool) -> None:
    overview = examine(
        dataset(
            LabelledPicture("a", noise(0), **first),
            LabelledPicture("b", noise(0), **second),
            LabelledPicture("c", noise(1)),
        )
    )
    assert (overview.exact.groups, overview.exact.conflicting) == (1, int(conflict))
    assert overview.near.groups == 0  # the same pixels are no near-duplicates


def test_unreadable_pictures_are_named(tmp_path: Path, fer2013: Path) -> None:
    (fer2013 / "train" / "sad" / "Training_40.jpg").write_bytes(b"no picture")
    overview = examine(read_dataset(fer2013))
    assert overview.unreadable == 1 and overview.opened == 57
    assert overview.unreadable_examples[0].startswith("train/sad/Training_40.jpg: the picture does not decode")
    assert "train/sad/Training_40.jpg: the picture does not decode" in page(overview)


def test_a_limit_opens_a_choice_that_is_always_the_same(fer2013: Path) -> None:
    overview = examine(read_dataset(fer2013), limit=14)
    assert overview.opened == 14 and overview.samples == 58
    assert {row: len(tiles) for row, tiles in overview.sheet.items()} == dict.fromkeys(EMOTIONS, 2)
    assert overview == examine(read_dataset(fer2013), limit=14)


def test_the_seed_decides_which_pictures_are_shown() -> None:
    samples = dataset(*(LabelledPicture(f"{i}", noise(i), emotion="sad") for i in range(60)))
    first, again, other = (examine(samples, limit=20, seed=seed) for seed in (0, 0, 1))
    assert first == again and len(first.sheet["sad"]) == 10
    assert first.sheet != other.sheet


def test_the_sheet_shows_the_pictures_with_their_labels() -> None:
    samples = [LabelledPicture(f"{i}", np.full((8, 4), i, np.uint8), age=(i, i), female=i % 2 == 0) for i in range(60)]
    overview = examine(dataset(*samples))
    assert list(overview.sheet) == [f"{low}–{low + 9} years" for low in range(0, 60, 10)]
    for tiles in overview.sheet.values():
        assert len(tiles) == 10
        for data, text in tiles:
            image = cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_GRAYSCALE)
            assert image is not None and image.shape == (96, 48)
            assert text == f"{round(image.mean())}, {('male', 'female')[round(image.mean()) % 2 == 0]}"


def test_a_set_without_pictures_says_why(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("file,emotion\na.png,contempt\n")
    with pytest.raises(DataError, match="no labelled pictures .left out: contempt is none of the seven emotions 1"):
        examine(read_dataset(tmp_path))


class _Tags(HTMLParser):
    """Collects what a page refers to, and whether its tags are closed."""

    _VOID = ("meta", "img", "br", "rect")

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.links += [value or "" for name, value in attrs if name in ("src", "href", "action")]
        if tag not in self._VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in self._VOID


def test_the_page_needs_nothing_else(fer2013: Path) -> None:
    html = page(examine(read_dataset(fer2013)))
    tags = _Tags()
    tags.feed(html)
    assert not tags.open
    assert len(tags.links) == 58 and all(link.startswith("data:image/jpeg;base64,") for link in tags.links)
    assert "url(" not in html and "@import" not in html and "<script" not in html


def test_the_page_escapes_what_the_set_says() -> None:
    html = page(examine(dataset(LabelledPicture("a", noise(0), age=(3, 3), race="<script>alert(1)</script>"))))
    assert "<script>" not in html and "&lt;script&gt;alert(1)" in html


def test_the_page_has_the_figures(fer2013: Path) -> None:
    html = page(examine(read_dataset(fer2013)))
    cells = re.search(r"<tr><th>angry</th>(.*?)</tr>", html, re.DOTALL)
    assert cells is not None and re.findall(r">(\d+)<", cells[1]) == ["5", "5", "4", "4", "9"]
    assert "1 groups of 2 pictures" in html and "58 labelled pictures, 8 with FER+ votes" in html


def test_json_leaves_the_pictures_out(utkface: Path) -> None:
    overview = examine(read_dataset(utkface))
    values = json.loads(json.dumps(overview.to_json()))
    assert "sheet" not in values and values["near"]["groups"] == 1 and values["samples"] == 40


def summary(overview: Overview) -> str:
    console = Console(file=io.StringIO(), width=200)
    print_summary(overview, console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_the_summary(fer2013: Path) -> None:
    text = summary(examine(read_dataset(fer2013)))
    assert re.search(r"angry +5 +5 +4 +4 +9", text)
    assert re.search(r"duplicates +1 groups of 2 pictures, 0 with conflicting labels, 1 across splits", text)
    assert "58; 0 unreadable, 1 blank" in text


def test_the_summary_takes_names_as_they_are() -> None:
    assert "[/red] 1" in summary(examine(dataset(LabelledPicture("a", noise(0), age=(3, 3), race="[/red]"))))


def test_real_fer2013(real: Path) -> None:
    overview = examine(read_dataset(real / "fer2013.zip"), limit=500)
    assert overview.samples == 32_298 and overview.opened == 500
    assert overview.emotions["disgust"]["train"] == 436
    assert {row: len(tiles) for row, tiles in overview.sheet.items()} == dict.fromkeys(EMOTIONS, 10)
