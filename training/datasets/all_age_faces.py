"""All-Age-Faces: 13,322 faces, mostly Asian, of 2 to 80 years; file names `00000A02.jpg` have serial and age.

Source: Cheng et al., "Exploiting effective facial patches for robust gender recognition", Tsinghua Science and
Technology 2019; https://github.com/JingchunCheng/All-Age-Faces-Dataset.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

from training.datasets.base import DataError, DataSet, LabelledPicture
from training.datasets.files import Files

# The original pictures, or the faces aligned and cropped.
FOLDERS = {"original": "original images", "aligned": "aligned faces"}

_LAST_FEMALE = 7380
_NAME = re.compile(r"(\d{5})A(\d{1,3})\.\w+", re.IGNORECASE)


def matches(files: Files) -> bool:
    """Whether most of the pictures have such names."""
    some = files.pictures[:200]
    return not files.chosen and 2 * sum(_match(name) is not None for name in some) > len(some)


def read(files: Files, faces: str = "original") -> DataSet:
    """The pictures of one of the two folders, or of the only folder that exists; serials up to 7380 are female.

    Args:
      files: files of the data set.
      faces: "original" or "aligned".

    Raises:
      DataError: no picture has such a name.
    """
    if faces not in FOLDERS:
        raise DataError(f"faces is '{faces}', expected {' or '.join(FOLDERS)}.")
    named = [name for name in files.pictures if _match(name)]
    if not named:
        raise DataError(f"{files.root} has no pictures with names such as 00000A02.jpg.")
    names = [name for name in named if FOLDERS[faces] in name.lower().split("/")] or named

    def samples(dropped: Counter[str]) -> Iterator[LabelledPicture]:
        for name in names:
            match = _match(name)
            assert match is not None
            age = float(match[2])
            yield LabelledPicture(
                name, files.path(name), group=match[1], age=(age, age), female=int(match[1]) <= _LAST_FEMALE
            )

    return DataSet("all_age_faces", files.root, samples, len(names))


def _match(name: str) -> re.Match[str] | None:
    return _NAME.fullmatch(name.rsplit("/", 1)[-1])
