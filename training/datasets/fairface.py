"""FairFace: 97,698 faces balanced by race, with an age group, gender and race each.

Source: Kärkkäinen and Joo, "FairFace: face attribute dataset for balanced race, gender, and age for bias measurement
and mitigation", WACV 2021; https://github.com/joojs/fairface.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from training.datasets.base import DataError, DataSet, LabelledPicture
from training.datasets.files import Files
from training.datasets.labels import age_of, female_of, folder_splits

_COLUMNS = ("file", "gender", "race")


def matches(files: Files) -> bool:
    """Whether one of its tables is there, or was chosen."""
    return bool(_tables(files))


def read(files: Files) -> DataSet:
    """The pictures of `labels.csv`, or of `fairface_label_train.csv` and `fairface_label_val.csv`; ages are ranges.

    Raises:
      DataError: there is no such table, or a row is wrong.
    """
    tables = _tables(files)
    if not tables:
        raise DataError(f"{files.root} has no fairface_label_train.csv, and no labels.csv with FairFace's columns.")

    def samples(dropped: Counter[str]) -> Iterator[LabelledPicture]:
        for table in tables:
            column = "age_group" if "age_group" in files.columns(table) else "age"
            for row in files.rows(table):
                name = row["file"]
                if not name:
                    raise row.wrong("file is empty")
                yield LabelledPicture(
                    name,
                    files.path(name),
                    folder_splits(name.split("/")[:-1]),
                    age=row.parse(column, age_of),
                    female=row.parse("gender", female_of),
                    race=row["race"] or None,
                )

    return DataSet("fairface", files.root, samples)


def _tables(files: Files) -> list[str]:
    grouped = set(files.tables_with(*_COLUMNS, "age_group"))
    official = {name for name in files.tables_with(*_COLUMNS, "age") if name.lower().startswith("fairface_label")}
    return sorted(official or {name for name in grouped if files.columns(name) <= {*_COLUMNS, "age_group"}})
