"""The sets of ages and genders whose labels are in names and tables."""

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from training.datasets import DataError, LabelledPicture, detect_kind, read_dataset

Draw = Callable[..., None]
Table = Callable[[str, Sequence[str]], Path]


def by_name(path: Path, **options: str) -> dict[str, LabelledPicture]:
    return {sample.name: sample for sample in read_dataset(path, **options).samples()}  # type: ignore[arg-type]


def labels(sample: LabelledPicture) -> tuple[tuple[float, float] | None, bool | None, str | None]:
    return sample.age, sample.female, sample.race


# File names as the real set has them, spaces and missing parts included.
UTKFACE = {
    "100_0_0_20170112215240346.jpg.chip.jpg": ((100, 100), False, "White"),
    "26_1_4_20170104165812489.jpg": ((26, 26), True, "Other"),
    "1_1_2_20161219140530307.png": ((1, 1), True, "Asian"),
    "39_1_20170116174525125.jpg.chip.jpg": ((39, 39), True, None),
    "8_1_1.jpg": ((8, 8), True, "Black"),
    "24_0_1_20170116220224657 .jpg.chip.jpg": ((24, 24), False, "Black"),
    "55_0_0_20170116232725357jpg.chip.jpg": ((55, 55), False, "White"),
    "44_1_4_20170116235150272.pg.chip.jpg": ((44, 44), True, "Other"),
    "53__0_20170116184028385.jpg": ((53, 53), None, "White"),
    "61_3_20170109150557335.jpg.chip.jpg": ((61, 61), None, None),
}


def test_utkface_names(tmp_path: Path, draw: Draw) -> None:
    for name in UTKFACE:
        draw(f"part1/{name}")
    draw("part2/2_0_3_20161219140530307.jpg")
    draw("part2/cover.jpg")
    assert detect_kind(tmp_path) == "utkface"
    dropped: Counter[str] = Counter()
    samples = {sample.name: sample for sample in read_dataset(tmp_path).samples(dropped)}
    assert {name: labels(samples[f"part1/{name}"]) for name in UTKFACE} == UTKFACE
    assert len(samples) == len(UTKFACE) + 1 and dropped == {"name does not tell the age": 1}
    assert len(list(read_dataset(tmp_path).samples(split="part2"))) == 1


def test_utkface_without_a_folder(tmp_path: Path, draw: Draw) -> None:
    draw("26_1_4_20170104165812489.jpg")
    (sample,) = by_name(tmp_path).values()
    assert sample.splits == () and sample.name == "26_1_4_20170104165812489.jpg"


def test_utkface_with_a_table_beside_it(utkface: Path) -> None:
    (utkface / "labels.csv").write_text("name,age,gender,race\n0_0_0_2017.jpg.chip.jpg,0,male,0.0\n")
    assert detect_kind(utkface) == "utkface"


def test_fairface_ages_are_ranges(fairface: Path) -> None:
    assert detect_kind(fairface) == "fairface"
    samples = by_name(fairface)
    assert [labels(samples[f"train/{i}.jpg"]) for i in range(3)] == [
        ((0, 2), False, "East Asian"),
        ((30, 39), True, "Black"),
        ((70, 100), False, "East Asian"),
    ]
    assert samples["train/0.jpg"].splits == ("train",)
    assert samples["train/0.jpg"].picture().shape == (96, 96, 3)


def test_fairface_as_it_is_published(tmp_path: Path, table: Table) -> None:
    header = "file,age,gender,race,service_test"
    table("fairface_label_train.csv", [header, "train/1.jpg,50-59,Male,East Asian,True"])
    table("fairface_label_val.csv", [header, "val/1.jpg,more than 70,Female,Latino_Hispanic,False"])
    samples = by_name(tmp_path)
    assert labels(samples["train/1.jpg"]) == ((50, 59), False, "East Asian")
    assert labels(samples["val/1.jpg"]) == ((70, 100), True, "Latino_Hispanic")
    assert [sample.name for sample in read_dataset(tmp_path).samples(split="val")] == ["val/1.jpg"]
    assert list(by_name(tmp_path / "fairface_label_val.csv")) == ["val/1.jpg"]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("train/9.jpg,old,Male,Black", "age 'old'"),
        ("train/9.jpg,3-9,1,Black", "gender '1'"),
        (",3-9,Male,Black", "file is empty"),
        ("train/9.jpg,3-9", "2 values where the header has 4"),
    ],
)
def test_wrong_rows_of_fairface(fairface: Path, row: str, message: str) -> None:
    with (fairface / "labels.csv").open("a") as file:
        file.write(f"{row}\n")
    with pytest.raises(DataError, match=f"labels.csv row 42: {message}"):
        by_name(fairface)


def test_appa_real_takes_the_apparent_age_and_the_crop(tmp_path: Path, draw: Draw, table: Table) -> None:
    header = "file_name,num_ratings,apparent_age_avg,apparent_age_std,real_age"
    table("gt_avg_train.csv", [header, "000000.jpg,36,4.5,0.8,4", "000001.jpg,36,22.25,3.1,30"])
    table("gt_avg_valid.csv", [header, "004113.jpg,38,70,4.1,71"])
    draw("train/000000.jpg", 1)
    draw("train/000000.jpg_face.jpg", 2)
    draw("train/000001.jpg", 3)
    draw("valid/004113.jpg", 4)
    assert detect_kind(tmp_path) == "appa_real"
    samples = by_name(tmp_path)
    assert {name: (s.age, s.splits, int(s.picture(grey=True)[0, 0])) for name, s in samples.items()} == {
        "train/000000.jpg_face.jpg": ((4.5, 4.5), ("train",), 2),
        "train/000001.jpg": ((22.25, 22.25), ("train",), 3),
        "valid/004113.jpg": ((70, 70), ("valid",), 4),
    }
    with (tmp_path / "gt_avg_valid.csv").open("a") as file:
        file.write("004114.jpg,38,,4.1,71\n")
    with pytest.raises(DataError, match="gt_avg_valid.csv row 3: apparent_age_avg is '', expected a number"):
        by_name(tmp_path)


def test_all_age_faces(tmp_path: Path, draw: Draw) -> None:
    for folder, value in (("original images", 1), ("aligned faces", 2)):
        for name in ("00000A02.jpg", "07380A80.jpg", "07381A02.jpg"):
            draw(f"{folder}/{name}", value)
    assert detect_kind(tmp_path) == "all_age_faces"
    samples = by_name(tmp_path)
    assert {name: (*labels(sample), sample.group) for name, sample in samples.items()} == {
        "original images/00000A02.jpg": ((2, 2), True, None, "00000"),
        "original images/07380A80.jpg": ((80, 80), True, None, "07380"),
        "original images/07381A02.jpg": ((2, 2), False, None, "07381"),
    }
    aligned = by_name(tmp_path, faces="aligned")
    assert all(name.startswith("aligned faces/") for name in aligned) and len(aligned) == 3
    with pytest.raises(DataError, match="expected original or aligned"):
        read_dataset(tmp_path, faces="cut")


def test_all_age_faces_with_one_of_its_folders(tmp_path: Path, draw: Draw) -> None:
    draw("aligned faces/00000A02.jpg")
    assert len(by_name(tmp_path)) == 1


def test_folders_of_ages(tmp_path: Path, draw: Draw) -> None:
    for name in ("face_age/001/2.png", "face_age/093/7.png", "face_age/cover.png"):
        draw(name)
    assert detect_kind(tmp_path) == "age_folder"
    dropped: Counter[str] = Counter()
    ages = {sample.name: sample.age for sample in read_dataset(tmp_path).samples(dropped)}
    assert ages == {"001/2.png": (1, 1), "093/7.png": (93, 93)}
    assert dropped == {"not in the folder of an age": 1}


def test_folders_of_ages_below_splits(tmp_path: Path, draw: Draw) -> None:
    draw("train/001/2.png")
    draw("test/93/7.png")
    (sample,) = read_dataset(tmp_path).samples(split="Test")
    assert sample.age == (93, 93)


def test_real_utkface(real: Path) -> None:
    dataset = read_dataset(real / "utkface.zip")
    samples = list(dataset.samples())
    assert dataset.kind == "utkface" and len(samples) == 18_986
    assert sum(sample.race is None for sample in samples) < 5
    assert all(sample.female is not None for sample in samples)


def test_real_fairface(real: Path) -> None:
    dataset = read_dataset(real / "fairface.zip")
    samples = list(dataset.samples())
    assert dataset.kind == "fairface" and len(samples) == 30_000
    assert len({sample.age for sample in samples}) == 9 and len({sample.race for sample in samples}) == 7
