from collections import Counter
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
from hypothesis import given
from hypothesis import strategies as st

from training.datasets import DataError, LabelledPicture, detect_kind, read_dataset
from training.datasets.imdb import ages_at_photo

NAN = float("nan")
INF = float("inf")


def day_number(day: date) -> int:
    """Matlab's `datenum`."""
    return day.toordinal() + 366


def cells(values: list[Any]) -> np.ndarray:
    row = np.empty((1, len(values)), object)
    row[0] = values
    return row


# path, born, taken, gender, score, second face's score, person
ROWS: list[tuple[str, float, int, float, float, float, int]] = [
    ("01/nm0000001_rm1_1970-7-1_2000.jpg", day_number(date(1970, 7, 1)), 2000, 1, 4.5, NAN, 6488),
    ("01/nm0000001_rm2_1970-7-1_2003.jpg", day_number(date(1970, 7, 1)), 2003, 1, 1.0, NAN, 6488),
    ("02/nm0000002_rm3_1970-7-2_2000.jpg", day_number(date(1970, 7, 2)), 2000, 0, 2.5, 0.0, 11),
    ("03/no_gender.jpg", day_number(date(1970, 1, 1)), 2000, NAN, 4.5, NAN, 12),
    ("03/no_face.jpg", day_number(date(1970, 1, 1)), 2000, 1, -INF, NAN, 12),
    ("03/faint_face.jpg", day_number(date(1970, 1, 1)), 2000, 1, 0.99, NAN, 12),
    ("03/two_faces.jpg", day_number(date(1970, 1, 1)), 2000, 1, 4.5, 2.5, 12),
    ("03/unborn.jpg", day_number(date(2001, 1, 1)), 2000, 1, 4.5, NAN, 12),
    ("03/too_old.jpg", day_number(date(1850, 1, 1)), 2000, 1, 4.5, NAN, 12),
    ("03/day_1.jpg", 1, 2000, 1, 4.5, NAN, 12),
    ("03/day_366.jpg", 366, 2000, 1, 4.5, NAN, 12),
    ("03/day_huge.jpg", 9_000_000, 2000, 1, 4.5, NAN, 12),
]


def struct(rows: list[tuple[str, float, int, float, float, float, int]], *, celebs: bool = True) -> dict[str, Any]:
    """A struct as in the real files: fields of shape (1, n), texts in cells."""
    columns = list(zip(*rows, strict=True))
    fields = {
        "dob": np.array([columns[1]], np.int32),
        "photo_taken": np.array([columns[2]], np.uint16),
        "full_path": cells(list(columns[0])),
        "gender": np.array([columns[3]], np.float64),
        "name": cells([f"Person {person}" for person in columns[6]]),
        "face_location": cells([np.array([[1.0, 1.0, 100.0, 100.0]]) for _ in rows]),
        "face_score": np.array([columns[4]], np.float64),
        "second_face_score": np.array([columns[5]], np.float64),
    }
    if celebs:
        fields |= {"celeb_names": cells(["Fred Astaire"]), "celeb_id": np.array([columns[6]], np.float64)}
    return fields


def save(path: Path, variable: str, fields: dict[str, Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    scipy.io.savemat(path, {variable: fields})
    return path


def read(path: Path, **options: Any) -> tuple[list[LabelledPicture], Counter[str]]:
    dropped: Counter[str] = Counter()
    return list(read_dataset(path, **options).samples(dropped)), dropped


def test_labels_and_filters(tmp_path: Path) -> None:
    save(tmp_path / "imdb.mat", "imdb", struct(ROWS))
    assert detect_kind(tmp_path) == "imdb"
    samples, dropped = read(tmp_path)
    assert [(s.name, s.age, s.female, s.group) for s in samples] == [
        (ROWS[0][0], (30, 30), False, "6488"),
        (ROWS[1][0], (33, 33), False, "6488"),
        (ROWS[2][0], (29, 29), True, "11"),
    ]
    assert dropped == {
        "no gender": 1,
        "face score below 1": 2,
        "a second face": 1,
        "date of birth makes no sense": 3,
        "age outside 0–100": 2,
    }
    assert read_dataset(tmp_path).size == len(ROWS) == len(samples) + dropped.total()


def test_the_score_is_an_option(tmp_path: Path) -> None:
    save(tmp_path / "imdb.mat", "imdb", struct(ROWS))
    assert len(read(tmp_path, min_score=3)[0]) == 1
    assert len(read(tmp_path, min_score=0.5)[0]) == 4


@pytest.mark.parametrize("form", ["beside", "within", "over", "chosen", "zip"])
def test_pictures_are_found_in_either_form(
    tmp_path: Path, draw: Callable[..., None], zipped: Callable[[Path], Path], form: str
) -> None:
    fields = struct(ROWS[:1])
    root = {"beside": "set", "within": "set", "over": "set/imdb_crop", "chosen": "set", "zip": "set/imdb_crop"}[form]
    mat = save(tmp_path / root / "imdb.mat", "imdb", fields)
    folder = "set" if form in ("beside", "chosen") else "set/imdb_crop"
    draw(f"{folder}/{ROWS[0][0]}", 77)
    if form == "over":  # another folder beside it, so that the set is not just the inner folder
        (tmp_path / "set" / "meta").mkdir()
    path = {"chosen": mat, "zip": tmp_path / "set"}.get(form, tmp_path / "set")
    (sample,), _ = read(zipped(path) if form == "zip" else path)
    assert (sample.picture(grey=True) == 77).all()


def test_wiki_groups_by_name_where_there_are_no_celebrities(tmp_path: Path) -> None:
    save(tmp_path / "wiki.mat", "wiki", struct(ROWS[:3], celebs=False))
    assert detect_kind(tmp_path) == "wiki"
    assert [sample.group for sample in read(tmp_path)[0]] == ["Person 6488", "Person 6488", "Person 11"]


def test_columns_instead_of_rows_and_plain_texts(tmp_path: Path) -> None:
    fields = struct(ROWS[:3])
    turned = {key: value.T if value.dtype != object else value for key, value in fields.items()}
    turned["full_path"] = [row[0] + " " * i for i, row in enumerate(ROWS[:3])]
    save(tmp_path / "imdb.mat", "imdb", turned)
    assert [sample.name for sample in read(tmp_path)[0]] == [row[0] for row in ROWS[:3]]


def test_a_set_of_one(tmp_path: Path) -> None:
    save(tmp_path / "imdb.mat", "imdb", struct(ROWS[:1]))
    assert len(read(tmp_path)[0]) == 1


def test_both_in_one_place_must_be_told_apart(tmp_path: Path) -> None:
    for kind in ("imdb", "wiki"):
        save(tmp_path / f"{kind}_crop" / f"{kind}.mat", kind, struct(ROWS[:1]))
    with pytest.raises(DataError, match="both imdb.mat and wiki.mat"):
        read_dataset(tmp_path)
    (sample,), _ = read(tmp_path, kind="wiki")
    assert sample.name == f"wiki_crop/{ROWS[0][0]}"


def test_wrong_files_are_named(tmp_path: Path) -> None:
    fields = struct(ROWS[:3])
    save(tmp_path / "imdb.mat", "imdb", fields | {"gender": np.ones((1, 2))})
    with pytest.raises(DataError, match="imdb.mat: gender has 2 values, expected 3"):
        read_dataset(tmp_path)
    save(tmp_path / "imdb.mat", "imdb", {key: value for key, value in fields.items() if key != "face_score"})
    with pytest.raises(DataError, match="imdb.mat has no field face_score"):
        read_dataset(tmp_path)
    save(tmp_path / "imdb.mat", "other", fields)
    with pytest.raises(DataError, match="imdb.mat holds no struct 'imdb'"):
        read_dataset(tmp_path)
    save(tmp_path / "imdb.mat", "imdb", fields | {"full_path": cells([ROWS[0][0], "", ROWS[2][0]])})
    with pytest.raises(DataError, match="imdb.mat row 2: full_path is empty"):
        read(tmp_path)
    (tmp_path / "imdb.mat").write_bytes(b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM" + b"\x00" * 400)
    with pytest.raises(DataError, match="imdb.mat is in Matlab's form 7.3"):
        read_dataset(tmp_path)
    (tmp_path / "imdb.mat").write_bytes(b"x" * 300)
    with pytest.raises(DataError, match="imdb.mat does not read as a Matlab file"):
        read_dataset(tmp_path)


@given(st.dates(date(1801, 1, 1), date(2099, 12, 31)), st.integers(1900, 2100))
def test_age_is_completed_years_on_1_july(born: date, taken: int) -> None:
    expected = taken - born.year - ((born.month, born.day) > (7, 1))
    assert ages_at_photo(np.array([day_number(born)]), np.array([taken])).tolist() == [expected]


def test_the_time_of_day_in_a_date_does_not_matter() -> None:
    born = day_number(date(1980, 7, 1)) + 0.9
    assert ages_at_photo(np.array([born, NAN]), np.array([2000, 2000]))[0] == 20


def test_imdb_db(tmp_path: Path) -> None:
    images = np.zeros((4, 6, 6, 3), np.uint8)
    images[..., 0] = 10 * np.arange(1, 5)[:, None, None]  # blue, since the file is in BGR
    scipy.io.savemat(
        tmp_path / "imdb_db.mat",
        {
            "image": images,
            "gender": np.array([0, 1, NAN, 1]),
            "age": np.array([20, 30, 40, 101]),
            "db": "imdb",
            "img_size": 6,
            "min_score": 1.0,
        },
    )
    for path in (tmp_path, tmp_path / "imdb_db.mat"):
        assert detect_kind(path) == "imdb_db"
        samples, dropped = read(path)
        assert [(s.name, s.age, s.female) for s in samples] == [
            ("imdb_db.mat:1", (20, 20), True),
            ("imdb_db.mat:2", (30, 30), False),
        ]
        assert samples[1].picture()[0, 0].tolist() == [0, 0, 20]
        assert dropped == {"no gender": 1, "age outside 0–100": 1}


def test_a_wrong_imdb_db_is_named(tmp_path: Path) -> None:
    content = {"image": np.zeros((4, 6, 6), np.uint8), "gender": np.ones((4, 1)), "age": np.full((1, 4), 20)}
    scipy.io.savemat(tmp_path / "imdb_db.mat", content)
    with pytest.raises(DataError, match=r"imdb_db.mat: image is uint8 \[4, 6, 6\], expected uint8 \[4, s, s, 3\]"):
        read(tmp_path)
