"""APPA-REAL: 7,591 pictures with the real age, and the age that some 38 people guessed for each.

Source: Agustsson et al., "Apparent and real age estimation in still images with deep residual regressors on APPA-REAL
database", FG 2017; https://chalearnlap.cvc.uab.cat/dataset/26/description/.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from training.datasets.base import DataError, DataSet, LabelledPicture
from training.datasets.files import Files

_SPLITS = ("train", "valid", "test")


def matches(files: Files) -> bool:
    """Whether one of its tables of averages is there, or was chosen."""
    return bool(_tables(files))


def read(files: Files) -> DataSet:
    """The pictures of all tables, with the apparent age (`apparent_age_avg`) as label.

    If there is a crop of the face (`000000.jpg_face.jpg`), it is read instead of the picture.

    Raises:
      DataError: there is no table, or a row is wrong.
    """
    tables = _tables(files)
    if not tables:
        raise DataError(f"{files.root} has no gt_avg_train.csv, gt_avg_valid.csv or gt_avg_test.csv.")

    def samples(dropped: Counter[str]) -> Iterator[LabelledPicture]:
        there = set(files.pictures)
        for split, table in tables.items():
            for row in files.rows(table):
                age = row.number_in("apparent_age_avg")
                if not 0 <= age <= 130:
                    raise row.wrong(f"apparent_age_avg is {age:g}, expected years from 0 to 130")
                if not row["file_name"]:
                    raise row.wrong("file_name is empty")
                whole = f"{split}/{row['file_name']}"
                face = f"{whole}_face.jpg"
                name = face if face in there else whole
                yield LabelledPicture(name, files.path(name), (split,), age=(age, age))

    return DataSet("appa_real", files.root, samples)


def _tables(files: Files) -> dict[str, str]:
    """Table by split."""
    names = {name.lower(): name for name in files.tables_with("file_name", "apparent_age_avg")}
    return {split: names[f"gt_avg_{split}.csv"] for split in _SPLITS if f"gt_avg_{split}.csv" in names}
