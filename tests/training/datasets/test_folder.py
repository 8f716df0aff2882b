from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from schemas.tables import EMOTIONS
from training.datasets import DataError, LabelledPicture, detect_kind, read_dataset

Draw = Callable[..., None]
Table = Callable[[str, Sequence[str]], Path]


def only(path: Path) -> LabelledPicture:
    (sample,) = read_dataset(path, "folder").samples()
    return sample


def test_every_column(tmp_path: Path, draw: Draw, table: Table) -> None:
    draw("pictures/a.png", 5)
    table("labels.csv", ["File,split,group,emotion,age_low,age_high,female,race", "a.png,Dev,p1,Anger,20,29,1,Elf"])
    assert detect_kind(tmp_path) == detect_kind(tmp_path / "labels.csv") == "folder"
    sample = only(tmp_path)
    assert sample.name == "pictures/a.png" and sample.splits == ("Dev", "pictures") and sample.group == "p1"
    assert (sample.emotion, sample.age, sample.female, sample.race) == ("angry", (20, 29), True, "Elf")
    assert (sample.picture(grey=True) == 5).all()


@pytest.mark.parametrize(
    ("header", "row", "age", "female"),
    [
        ("name,age,gender", "a.png,31.5,Male", (31.5, 31.5), False),
        ("name,age,gender", "a.png,20-29,", (20, 29), None),
        ("name,age_group,gender", "a.png,more than 70,F", (70, 100), True),
        ("name,gender", "./a.png,female", None, True),
    ],
)
def test_other_columns(
    tmp_path: Path,
    draw: Draw,
    table: Table,
    header: str,
    row: str,
    age: tuple[float, float] | None,
    female: bool | None,
) -> None:
    draw("a.png")
    table("labels.csv", [header, row])
    sample = only(tmp_path)
    assert (sample.age, sample.female, sample.splits) == (age, female, ())


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("b.png,furious,,,", "emotion 'furious' is none of"),
        ("b.png,,30-20,,", "age '30-20'"),
        ("b.png,,,20,", "age_low and age_high must be given both"),
        ("b.png,,,20,10", "age_low 20 is above age_high 10"),
        (",happy,,,", "it names no picture"),
        ("a.png,happy,,,", "a.png is in row 2 already"),
        ("c.png,happy,,,", "2 pictures are named c.png; give its path"),
    ],
)
def test_wrong_rows(tmp_path: Path, draw: Draw, table: Table, row: str, message: str) -> None:
    for name in ("a.png", "b.png", "x/c.png", "y/c.png"):
        draw(name)
    table("labels.csv", ["file,emotion,age,age_low,age_high", "a.png,sad,,,", row])
    with pytest.raises(DataError, match=f"labels.csv row 3: {message}"):
        list(read_dataset(tmp_path).samples())


def test_what_says_nothing_of_ours_is_counted(tmp_path: Path, draw: Draw, table: Table) -> None:
    draw("a.png")
    table("labels.csv", ["file,emotion,age", "a.png,contempt,", "b.png,,", "c.png,contempt,30"])
    dropped: Counter[str] = Counter()
    (sample,) = read_dataset(tmp_path).samples(dropped)
    assert sample.name == "c.png" and sample.emotion is None
    assert dropped == {"contempt is none of the seven emotions": 1, "no label": 1}


def test_a_table_beside_folders_of_emotions(tmp_path: Path, draw: Draw, table: Table) -> None:
    for name in ("test/Sadness/1.png", "test/happy/2.png"):
        draw(name)
    table("labels.csv", ["file,group", "1.png,p1", "2.png,p2"])
    assert {s.emotion for s in read_dataset(tmp_path).samples()} == {"sad", "happy"}  # the table has no labels
    table("labels.csv", ["file,emotion,gender", "1.png,,male", "2.png,fear,female"])
    samples = {sample.name: sample for sample in read_dataset(tmp_path).samples()}
    assert samples["test/Sadness/1.png"].emotion == "sad" and samples["test/happy/2.png"].emotion == "fear"
    assert samples["test/happy/2.png"].splits == ("test",)


def test_folders_of_emotions_alone(tmp_path: Path, draw: Draw) -> None:
    for emotion in EMOTIONS:
        draw(f"{emotion.title()}/1.png")
        draw(f"{emotion.title()}/person/2.png")
    assert detect_kind(tmp_path) == "folder"
    samples = list(read_dataset(tmp_path).samples())
    assert Counter(sample.emotion for sample in samples) == dict.fromkeys(EMOTIONS, 2)
    assert all(sample.emotion == sample.name.split("/")[0].lower() for sample in samples)
    assert all(sample.splits == () for sample in samples)


def test_a_spreadsheet_s_csv(tmp_path: Path, draw: Draw) -> None:
    draw("Grün.png")
    (tmp_path / "labels.csv").write_bytes("\ufefffile,age\r\nGrün.png,30\r\n\r\n".encode())
    assert only(tmp_path).age == (30, 30)


def test_without_labels_it_is_refused(tmp_path: Path, draw: Draw) -> None:
    draw("a.png")
    with pytest.raises(DataError, match="add a labels.csv with the columns file, and emotion, age or gender"):
        read_dataset(tmp_path)
