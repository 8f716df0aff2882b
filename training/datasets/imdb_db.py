"""IMDB or WIKI as packed by older tools: one Matlab file `imdb_db.mat` that contains the pictures, already filtered."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np

from training.datasets import imdb, matlab
from training.datasets.base import DataError, DataSet, LabelledPicture
from training.datasets.files import Files

_FIELDS = frozenset(("image", "gender", "age"))


def matches(files: Files) -> bool:
    """Whether a `…_db.mat` is there, or was chosen."""
    return _find(files) is not None


def read(files: Files) -> DataSet:
    """The pictures of the file: `image` [n, s, s, 3] uint8 in BGR, `gender` (0 female, 1 male), `age` in years.

    All of them are in memory while they are read. Those without gender or with an age outside 0–100 are left out.

    Raises:
      DataError: the file is not of this form.
    """
    name = _find(files)
    if name is None:
        raise DataError(f"{files.root} has no …_db.mat with {', '.join(sorted(_FIELDS))}.")
    table = matlab.load(files, name, ["gender", "age"])
    gender = matlab.column(f"{name}: gender", table["gender"])
    ages = matlab.column(f"{name}: age", table["age"], len(gender))

    def samples(dropped: Counter[str]) -> Iterator[LabelledPicture]:
        images = matlab.load(files, name, ["image"])["image"]
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] != 3 or len(images) != len(gender):
            raise DataError(
                f"{name}: image is {images.dtype} {list(images.shape)}, expected uint8 [{len(gender)}, s, s, 3]."
            )
        for i, image in enumerate(images):
            if gender[i] not in (0, 1):
                dropped[imdb.NO_GENDER] += 1
            elif not imdb.AGES[0] <= ages[i] <= imdb.AGES[1]:
                dropped[imdb.OUTSIDE] += 1
            else:
                rgb = np.ascontiguousarray(image[..., ::-1])
                age = (float(ages[i]), float(ages[i]))
                yield LabelledPicture(f"{name}:{i + 1}", rgb, age=age, female=bool(gender[i] == 0))

    return DataSet("imdb_db", files.root, samples, len(gender))


def _find(files: Files) -> str | None:
    tables = files.tables(".mat" if files.chosen else "_db.mat")
    return next((name for name in tables if matlab.variables(files, name) >= _FIELDS), None)
