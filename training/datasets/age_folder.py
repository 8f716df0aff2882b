"""A folder of ages: pictures in folders that are named by age, `001/…png`, `002/…png`.

"Facial age" has this form (9,778 faces; https://www.kaggle.com/datasets/frabbisw/facial-age).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from training.datasets.base import DataError, DataSet, LabelledPicture
from training.datasets.files import Files
from training.datasets.labels import folder_splits


def matches(files: Files) -> bool:
    """Whether most of the pictures lie in folders of ages."""
    some = files.pictures[:200]
    return not files.chosen and 2 * sum(_age(name) is not None for name in some) > len(some)


def read(files: Files) -> DataSet:
    """The pictures in folders of ages, at any depth.

    Raises:
      DataError: there are no such folders.
    """
    if all(_age(name) is None for name in files.pictures):
        raise DataError(f"{files.root} has no pictures in folders that are named by age (001, 002 …).")

    def samples(dropped: Counter[str]) -> Iterator[LabelledPicture]:
        for name in files.pictures:
            age = _age(name)
            if age is None:
                dropped["not in the folder of an age"] += 1
            else:
                yield LabelledPicture(name, files.path(name), folder_splits(name.split("/")[:-2]), age=(age, age))

    return DataSet("age_folder", files.root, samples, len(files.pictures))


def _age(name: str) -> float | None:
    folder = name.split("/")[-2] if "/" in name else ""
    return float(folder) if folder.isascii() and folder.isdecimal() and int(folder) <= 130 else None
