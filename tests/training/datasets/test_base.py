import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from schemas.errors import UsageError
from training.datasets import KINDS, DataError, LabelledPicture, detect_kind, read_dataset
from training.datasets.base import ZipPath, decode, open_root

Pack = Callable[[Path], Path]


def listed(path: Path) -> list[str]:
    return [sample.name for sample in read_dataset(path).samples()]


def test_a_zip_reads_as_the_folder(fer2013: Path, utkface: Path, fairface: Path, zipped: Pack) -> None:
    for folder in (fer2013, utkface, fairface):
        packed = zipped(folder)
        assert listed(packed) == listed(folder)
        plain, inside = next(read_dataset(folder).samples()), next(read_dataset(packed).samples())
        np.testing.assert_array_equal(inside.picture(), plain.picture())
        assert (inside.age, inside.female, inside.emotion) == (plain.age, plain.female, plain.emotion)


def test_folders_around_a_set_do_not_matter(fer2013: Path, tmp_path: Path) -> None:
    outer = tmp_path / "outer" / "inner"
    outer.mkdir(parents=True)
    fer2013.rename(outer / "fer2013")
    with zipfile.ZipFile(tmp_path / "outer.zip", "w") as archive:
        for file in sorted(outer.rglob("*.*")):
            archive.write(file, file.relative_to(tmp_path))
        archive.writestr("__MACOSX/outer/._inner", b"")
    for path in (tmp_path / "outer", tmp_path / "outer.zip"):
        assert "train/angry/Training_00.jpg" in listed(path)


def test_a_single_folder_that_says_something_is_kept(tmp_path: Path, draw: Callable[..., None]) -> None:
    for name in ("only/Test/happy/1.png", "ages/outer/042/1.png"):
        draw(name)
    sample = next(read_dataset(tmp_path / "only").samples())
    assert sample.name == "Test/happy/1.png" and sample.splits == ("Test",)
    assert [sample.age for sample in read_dataset(tmp_path / "ages").samples()] == [(42, 42)]


def test_hidden_files_are_not_listed(tmp_path: Path, draw: Callable[..., None]) -> None:
    for name in ("happy/1.png", "happy/._1.png", "__MACOSX/happy/1.png", ".cache/happy/1.png"):
        draw(name)
    assert listed(tmp_path) == ["happy/1.png"]


def test_splits_match_in_any_case_and_unknown_ones_are_named(fer2013: Path) -> None:
    dataset = read_dataset(fer2013)
    assert len(list(dataset.samples(split="VALIDATION"))) == len(list(dataset.samples(split="publictest"))) == 28
    assert len(list(dataset.samples(split="all"))) == len(list(dataset.samples()))
    with pytest.raises(DataError, match="no split test: it has PublicTest, Training, train, validation"):
        list(dataset.samples(split="test"))


def test_a_set_can_be_gone_through_again(fairface: Path) -> None:
    dataset = read_dataset(fairface)
    assert [sample.name for sample in dataset.samples()] == [sample.name for sample in dataset.samples()]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("nothing", None, "neither a folder nor a zip"),
        ("text.txt", b"no zip", "neither a folder nor a zip"),
        ("other.csv", b"a,b\n1,2\n", "looks like no data set"),
        ("broken.mat", b"not Matlab", "looks like no data set"),
    ],
)
def test_what_is_no_data_set_is_refused(tmp_path: Path, name: str, content: bytes | None, message: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(UsageError, match=message):
        detect_kind(tmp_path / name)


@pytest.mark.parametrize("kind", KINDS)
def test_an_empty_folder_is_no_set_of_any_kind(tmp_path: Path, kind: str) -> None:
    with pytest.raises(DataError, match=str(tmp_path)):
        read_dataset(tmp_path, kind)


def test_kinds_may_be_written_with_hyphens(tmp_path: Path, draw: Callable[..., None]) -> None:
    draw("007/1.png")
    assert read_dataset(tmp_path, "Age-Folder").kind == "age_folder"
    with pytest.raises(DataError, match="no kind of data set 'mnist'"):
        read_dataset(tmp_path, "mnist")


def test_a_picture_that_is_not_there_or_does_not_decode_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"a/b\.jpg: the picture cannot be read"):
        LabelledPicture("a/b.jpg", tmp_path / "b.jpg").picture()
    for data in (b"", b"\xff\xd8\xff no more"):
        with pytest.raises(DataError, match=r"b\.jpg: the picture does not decode"):
            decode(data, "b.jpg")


def test_pixels_come_in_the_channels_that_are_asked_for() -> None:
    colour = np.zeros((2, 3, 3), np.uint8)
    colour[..., 0] = 200
    assert LabelledPicture("a", colour).picture(grey=True).tolist() == [[60] * 3] * 2
    assert LabelledPicture("a", colour[..., 0]).picture().tolist() == [[[200] * 3] * 3] * 2
    assert LabelledPicture("a", colour).picture() is colour


def test_a_picture_in_a_zip_is_opened_by_another_process(utkface: Path, zipped: Pack) -> None:
    first = next(read_dataset(zipped(utkface)).samples())
    sent = pickle.loads(pickle.dumps(first))
    assert isinstance(first.source, ZipPath)
    assert sent.source.root.fp is not first.source.root.fp
    np.testing.assert_array_equal(sent.picture(), first.picture())


def test_a_damaged_zip_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("happy/1.png", b"x" * 1000)
    data = bytearray((tmp_path / "a.zip").read_bytes())
    data[60:70] = b"0123456789"
    (tmp_path / "a.zip").write_bytes(data)
    with pytest.raises(DataError, match=r"1\.png: the picture cannot be read"):
        next(read_dataset(tmp_path / "a.zip").samples()).picture()
    assert open_root(tmp_path / "a.zip").is_dir()
