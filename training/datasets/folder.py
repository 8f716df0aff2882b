"""Any folder of pictures with a `labels.csv`, or with one folder per emotion."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from training.datasets.base import DataError, DataSet, LabelledPicture
from training.datasets.fer2013 import class_folder, read_class_folders
from training.datasets.files import Files, Row
from training.datasets.labels import age_of, emotion_of, female_of, folder_splits, truth_of

TABLE = "labels.csv"

_NAMES = ("file", "name")
_LABELS = frozenset(("emotion", "age", "age_low", "age_high", "age_group", "gender", "female", "race"))


def matches(files: Files) -> bool:
    """Whether there is a table of labels (or one was chosen), or folders of emotions."""
    if _table(files) is not None:
        return True
    return not files.chosen and any(class_folder(name) is not None for name in files.pictures)


def read(files: Files) -> DataSet:
    """The pictures that the table names or, without a table, those in folders of emotions.

    Columns of the table, all optional except the first: `file` or `name` (a path below the table, or a name that occurs
    once), `split`, `group`, `emotion`, `age` in years or as a range, `age_group`, `age_low` and `age_high`, `gender`
    (male or female) or `female` (1 or 0), `race`. Other columns are ignored. A picture whose emotion is none of the
    seven and that has no other label is left out and counted.

    Raises:
      DataError: there is neither, or a row is wrong.
    """
    table = _table(files)
    if table is None:
        if all(class_folder(name) is None for name in files.pictures):
            raise DataError(
                f"{files.root} has neither a {TABLE} with a column file and one of {', '.join(sorted(_LABELS))}, "
                "nor folders called angry, happy …"
            )
        return read_class_folders(files, "folder")

    def samples(dropped: Counter[str]) -> Iterator[LabelledPicture]:
        names = _Names(files)
        seen: dict[str, int] = {}
        for row in files.rows(table):
            sample = _sample(files, row, names)
            if (before := seen.setdefault(sample.name, row.number)) != row.number:
                raise row.wrong(f"{sample.name} is in row {before} already")
            if sample.emotion is None and sample.age is None and sample.female is None:
                emotion = row["emotion"].strip().lower()
                dropped[f"{emotion} is none of the seven emotions" if emotion else "no label"] += 1
            else:
                yield sample

    return DataSet("folder", files.root, samples)


class _Names:
    """Finds a picture by its path, or by its name if only one picture has this name."""

    def __init__(self, files: Files):
        self._paths = set(files.pictures)
        self._by_name: dict[str, list[str]] = {}
        for path in files.pictures:
            self._by_name.setdefault(path.rsplit("/", 1)[-1], []).append(path)

    def find(self, row: Row) -> str:
        name = (row["file"] or row["name"]).strip().replace("\\", "/").removeprefix("./")
        if not name:
            raise row.wrong("it names no picture")
        if name in self._paths:
            return name
        found = self._by_name.get(name, [name])  # if there is no such file, reading it reports that
        if len(found) > 1:
            raise row.wrong(f"{len(found)} pictures are named {name}; give its path ({found[0]} or {found[1]})")
        return found[0]


def _sample(files: Files, row: Row, names: _Names) -> LabelledPicture:
    path = names.find(row)
    place = class_folder(path)
    folders = path.split("/")[:-1]
    emotion = row.parse("emotion", emotion_of)
    if place is not None and not row["emotion"]:
        emotion = emotion_of(folders[place])
    splits = folder_splits(folders if place is None else folders[:place])
    if row["split"] and row["split"] not in splits:
        splits = (row["split"], *splits)
    female = row.parse("female", truth_of)
    return LabelledPicture(
        path,
        files.path(path),
        splits,
        group=row["group"] or None,
        emotion=emotion,
        age=_age(row),
        female=row.parse("gender", female_of) if female is None else female,
        race=row["race"] or None,
    )


def _age(row: Row) -> tuple[float, float] | None:
    low, high = row.parse("age_low", age_of), row.parse("age_high", age_of)
    if low is not None and high is not None:
        if low[0] > high[1]:
            raise row.wrong(f"age_low {low[0]:g} is above age_high {high[1]:g}")
        return (low[0], high[1])
    if low is not None or high is not None:
        raise row.wrong("age_low and age_high must be given both or neither")
    exact = row.parse("age", age_of)
    return exact if exact is not None else row.parse("age_group", age_of)


def _table(files: Files) -> str | None:
    """The chosen csv, or `labels.csv`, if it names pictures and labels."""
    tables = [name for name in files.tables(".csv") if files.chosen or name.lower() == TABLE]
    return next(
        (name for name in tables if files.columns(name) & set(_NAMES) and files.columns(name) & (_LABELS | {"split"})),
        None,
    )
