from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from schemas.tables import EMOTIONS
from training.datasets import DataError, detect_kind, read_dataset
from training.datasets.fer2013 import CSV_EMOTIONS

Table = Callable[[str, Sequence[str]], Path]

HEADER = "emotion,pixels,Usage"
VOTE_HEADER = "Usage,Image name,neutral,happiness,surprise,sadness,anger,disgust,fear,contempt,unknown,NF"


def pixels(value: int) -> str:
    return " ".join([str(value)] * 48 * 48)


def test_the_csv_counts_as_our_tables_do_and_folders_sort_otherwise() -> None:
    assert CSV_EMOTIONS == EMOTIONS
    assert tuple(sorted(EMOTIONS)) != EMOTIONS


def test_every_class_of_the_csv(tmp_path: Path, table: Table) -> None:
    table("fer2013.csv", [HEADER, *(f"{i},{pixels(i + 1)},Training" for i in range(7))])
    samples = list(read_dataset(tmp_path).samples())
    assert tuple(sample.emotion for sample in samples) == EMOTIONS
    assert [int(sample.picture(grey=True).mean()) for sample in samples] == [1, 2, 3, 4, 5, 6, 7]
    assert samples[0].picture(grey=True).shape == (48, 48) and samples[0].picture(grey=True).dtype == np.uint8


def test_every_class_of_the_folders(fer2013: Path) -> None:
    for sample in read_dataset(fer2013).samples(split="validation"):
        folder, file = sample.name.split("/")[1:]
        assert sample.emotion == folder == EMOTIONS[int(file.removeprefix("PublicTest_")[0])]


def test_csv_by_usage_and_by_its_own_path(tmp_path: Path, table: Table) -> None:
    usages = ("Training", "PublicTest", "PrivateTest")
    path = table("fer2013.csv", [HEADER, *(f"3,{pixels(9)},{usage}" for usage in usages)])
    for place in (path, tmp_path):
        names = {usage: [s.name for s in read_dataset(place).samples(split=usage.lower())] for usage in usages}
        assert names == {
            "Training": ["fer2013.csv:2"],
            "PublicTest": ["fer2013.csv:3"],
            "PrivateTest": ["fer2013.csv:4"],
        }


def test_a_csv_with_other_spacing_and_order_of_columns(tmp_path: Path, table: Table) -> None:
    table("icml_face_data.csv", ["emotion, Usage, pixels", f"0,Training,{pixels(1)}"])
    (sample,) = read_dataset(tmp_path).samples()
    assert sample.splits == ("Training",) and sample.emotion == "angry"


def test_blanks_after_commas_make_no_other_split(tmp_path: Path, table: Table) -> None:
    table("fer2013.csv", ["emotion, pixels, Usage", f"0, {pixels(1)}, PublicTest ", f'1, {pixels(2)}, "PrivateTest"'])
    samples = list(read_dataset(tmp_path).samples())
    assert [sample.splits for sample in samples] == [("PublicTest",), ("PrivateTest",)]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (f"7,{pixels(0)},Training", "row 3: emotion is '7', expected a number from 0 to 6"),
        (f"happy,{pixels(0)},Training", "row 3: emotion is 'happy'"),
        ("3,1 2 3,Training", "row 3: 3 pixels, expected 2,304"),
        (f"3,{pixels(256)},Training", "row 3: pixels are not all between 0 and 255"),
        (f"3,{pixels(1)} x,Training", "row 3: pixels are not all whole numbers"),
        (f"3,{pixels(1)}", "row 3: 2 values where the header has 3"),
    ],
)
def test_errors_name_the_row(tmp_path: Path, table: Table, row: str, message: str) -> None:
    table("fer2013.csv", [HEADER, f"3,{pixels(0)},Training", row])
    with pytest.raises(DataError, match=f"fer2013.csv {message}"):
        list(read_dataset(tmp_path).samples())


def test_a_csv_that_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "fer2013.csv").write_bytes(b"emotion,pixels,Usage\n\xff\xfe\xff")
    with pytest.raises(DataError, match="fer2013.csv row 1: this is not text in csv form"):
        read_dataset(tmp_path)


def test_votes_beside_the_csv_go_by_row(tmp_path: Path, table: Table) -> None:
    table("fer2013.csv", [HEADER, f"0,{pixels(0)},Training", f"1,{pixels(1)},Training", f"6,{pixels(2)},PublicTest"])
    table(
        "fer2013new.csv",
        [
            VOTE_HEADER,
            "Training,fer0000000.png,4,0,0,1,3,2,0,0,0,0",
            "Training,,0,0,0,0,0,0,0,0,0,0",
            "PublicTest,fer0000002.png,0,0,0,0,0,5,0,4,1,0",
        ],
    )
    votes = [sample.votes for sample in read_dataset(tmp_path).samples()]
    assert votes[1] is None and votes[0] is not None and votes[2] is not None
    np.testing.assert_allclose(votes[0], [0.3, 0.2, 0, 0, 0.1, 0, 0.4])
    np.testing.assert_allclose(votes[2], [0, 0.5, 0, 0, 0, 0, 0])


def test_votes_of_other_pictures_are_noticed(tmp_path: Path, table: Table) -> None:
    table("fer2013.csv", [HEADER, f"0,{pixels(0)},Training", f"0,{pixels(0)},PublicTest"])
    table("fer2013new.csv", [VOTE_HEADER, "Training,a,1,0,0,0,0,0,0,0,0,0", "Training,b,1,0,0,0,0,0,0,0,0,0"])
    with pytest.raises(
        DataError, match="fer2013new.csv row 3: it is for Training, and fer2013.csv row 3 is PublicTest"
    ):
        list(read_dataset(tmp_path).samples())
    table("fer2013new.csv", [VOTE_HEADER, "Training,a,1,0,0,0,0,0,0,0,0,0"])
    with pytest.raises(DataError, match="fer2013.csv row 3: fer2013new.csv ends before it"):
        list(read_dataset(tmp_path).samples())


def test_folders_of_any_case_keep_the_official_halves_apart(tmp_path: Path, draw: Callable[..., None]) -> None:
    for name in ("TRAIN/Happy/Training_1.jpg", "Test/SAD/PublicTest_2.jpg", "Test/sad/PrivateTest_3.png"):
        draw(name)
    assert detect_kind(tmp_path) == "fer2013"
    dataset = read_dataset(tmp_path)
    assert dataset.size == 3
    assert {sample.name: (sample.emotion, sample.splits) for sample in dataset.samples()} == {
        "TRAIN/Happy/Training_1.jpg": ("happy", ("TRAIN", "Training")),
        "Test/SAD/PublicTest_2.jpg": ("sad", ("Test", "PublicTest")),
        "Test/sad/PrivateTest_3.png": ("sad", ("Test", "PrivateTest")),
    }
    assert len(list(dataset.samples(split="test"))) == 2
    assert len(list(dataset.samples(split="privatetest"))) == 1


def test_what_is_no_class_is_counted(tmp_path: Path, draw: Callable[..., None]) -> None:
    for name in ("train/happy/Training_1.jpg", "train/contempt/Training_2.jpg", "train/cover.png", "cover.png"):
        draw(name)
    dropped: Counter[str] = Counter()
    assert len(list(read_dataset(tmp_path).samples(dropped))) == 1
    assert dropped == {"contempt is none of the seven emotions": 1, "not in the folder of an emotion": 2}


def test_votes_in_the_folders_go_by_name(fer2013: Path) -> None:
    samples = list(read_dataset(fer2013).samples(split="validation"))
    happy = [sample.votes for sample in samples if sample.emotion == "happy"]
    assert len(happy) == 4
    for votes in happy:
        assert votes is not None
        np.testing.assert_allclose(votes, [0, 0, 0, 0.6, 0, 0, 0.2])
    assert all(sample.votes is None for sample in samples if sample.emotion != "happy")


def test_names_that_occur_twice_have_no_votes(tmp_path: Path, draw: Callable[..., None], table: Table) -> None:
    for name in ("train/angry/Training_1.jpg", "train/surprise/Training_1.jpg", "train/sad/Training_2.jpg"):
        draw(name)
    table("ferplus_votes.csv", [VOTE_HEADER.replace("Usage,Image name", "split,name")])
    with (tmp_path / "ferplus_votes.csv").open("a") as file:
        file.write("train,Training_1.jpg,9,0,0,0,1,0,0,0,0,0\ntrain,Training_2.jpg,9,0,0,0,1,0,0,0,0,0\n")
    votes = {sample.emotion: sample.votes is not None for sample in read_dataset(tmp_path).samples()}
    assert votes == {"angry": False, "surprise": False, "sad": True}


def test_wrong_votes_name_the_row(fer2013: Path) -> None:
    with (fer2013 / "ferplus_votes.csv").open("a") as file:
        file.write("train,Training_99.jpg,many,0,0,0,0,0,0,0,0,0\n")
    with pytest.raises(DataError, match="ferplus_votes.csv row 58: neutral is 'many', expected a number"):
        list(read_dataset(fer2013).samples())


def test_real_fer2013(real: Path) -> None:
    dataset = read_dataset(real / "fer2013.zip")
    samples = list(dataset.samples())
    assert dataset.kind == "fer2013"
    assert Counter(sample.splits for sample in samples) == {
        ("train", "Training"): 28_709,
        ("validation", "PublicTest"): 3_589,
    }
    assert Counter(s.emotion for s in samples if "train" in s.splits)["disgust"] == 436
    voted = [sample for sample in samples if sample.votes is not None]
    assert 28_557 + 3_579 - 10 < len(voted) <= 28_557 + 3_579
    agree = np.mean([EMOTIONS[int(s.votes.argmax())] == s.emotion for s in voted if s.votes is not None])
    assert 0.55 < agree < 0.7  # their top vote and the label are known to agree for about 62 %
