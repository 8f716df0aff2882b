"""IMDB-WIKI: 460,723 and 62,328 pictures of known people, with dates of birth and of the photograph.

Source: Rothe, Timofte and Van Gool, "Deep expectation of real and apparent age from a single image", IJCV 2018;
https://data.vision.ee.ethz.ch/cvl/rrothe/imdb-wiki/. Labels were gathered by machine; the filters here are those that
users of the data set agree on.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterator

import numpy as np

from training.datasets import matlab
from training.datasets.base import DataError, DataSet, LabelledPicture
from training.datasets.files import Files

MIN_SCORE = 1.0
AGES = (0, 100)

NO_GENDER = "no gender"
SECOND_FACE = "a second face"
NO_BIRTHDAY = "date of birth makes no sense"
OUTSIDE = f"age outside {AGES[0]}–{AGES[1]}"

# Matlab counts days from the year 0, numpy from 1970.
_MATLAB_1970 = 719_529
# Dates of birth from 1800 to 2100; others are unknown dates, such as day 1 or 366.
_BORN = (657_438, 767_011)


@dataclasses.dataclass(frozen=True, eq=False)
class _Table:
    """Columns of `imdb.mat`, [n] each."""

    paths: list[str]
    born: np.ndarray
    taken: np.ndarray
    gender: np.ndarray
    score: np.ndarray
    second: np.ndarray
    groups: list[str]


def matches(kind: str, files: Files) -> bool:
    """Whether `imdb.mat` (or `wiki.mat`) is there, or was chosen."""
    if files.chosen:
        return any(kind in matlab.variables(files, name) for name in files.tables(".mat"))
    return _find(kind, files) is not None


def read(kind: str, files: Files, min_score: float = MIN_SCORE) -> DataSet:
    """The pictures that `imdb.mat` (or `wiki.mat`) lists, without those whose labels cannot be trusted.

    A picture is left out, and counted by the first reason that applies: unknown gender; a score of the face detector
    below `min_score` (without a face, it is minus infinity); a second face; a date of birth that makes no sense; an age
    outside 0–100. A missing picture file is noticed only when it is read.

    Args:
      kind: "imdb" or "wiki", which is also the name of the file and of the variable in it.
      files: files of the data set; the pictures are beside the table or in `imdb_crop/`.
      min_score: lowest `face_score` to keep.

    Raises:
      DataError: the file is not that.
    """
    name = files.chosen or _find(kind, files)
    if name is None:
        raise DataError(f"{files.root} has no {kind}.mat: give the folder that has it, or the file.")
    table = _load(kind, files, name)
    crops = f"{kind}_crop"
    folder = f"{crops}/" if "/" in name or crops in files.top else ""
    ages = ages_at_photo(table.born, table.taken)

    def samples(dropped: Counter[str]) -> Iterator[LabelledPicture]:
        reasons = {
            NO_GENDER: ~np.isin(table.gender, (0, 1)),
            f"face score below {min_score:g}": ~(table.score >= min_score),
            SECOND_FACE: table.second > 0,
            NO_BIRTHDAY: np.isnan(ages),
            OUTSIDE: ~((ages >= AGES[0]) & (ages <= AGES[1])),
        }
        kept = np.ones(len(ages), bool)
        for reason, wrong in reasons.items():
            dropped[reason] += int(np.count_nonzero(kept & wrong))
            kept &= ~wrong
        for i in np.flatnonzero(kept):
            if not table.paths[i]:
                raise DataError(f"{name} row {i + 1}: full_path is empty.")
            path = folder + table.paths[i]
            age = float(ages[i])
            yield LabelledPicture(
                path,
                files.path(path),
                group=table.groups[i] or None,
                age=(age, age),
                female=bool(table.gender[i] == 0),
            )

    return DataSet(kind, files.root, samples, len(ages))


def ages_at_photo(born: np.ndarray, taken: np.ndarray) -> np.ndarray:
    """Completed years at the time of the photograph. Only its year is known; the day is taken as 1 July.

    Args:
      born: [n] date of birth, Matlab's day number (day 1 is 1 January of the year 0).
      taken: [n] year of the photograph.

    Returns:
      [n] float64; NaN where the date of birth makes no sense.
    """
    known = (born >= _BORN[0]) & (born < _BORN[1]) & np.isfinite(taken)
    days = np.where(known, np.floor(born) - _MATLAB_1970, 0).astype("datetime64[D]")
    months = days.astype("datetime64[M]")
    years = days.astype("datetime64[Y]")
    month = (months - years).astype(np.int64) + 1
    day = (days - months).astype(np.int64) + 1
    after = (month > 7) | ((month == 7) & (day > 1))
    return np.where(known, taken - (years.astype(np.int64) + 1970) - after, np.nan)


def _find(kind: str, files: Files) -> str | None:
    name = f"{kind}.mat"
    if name in files.top:
        return name
    folder = f"{kind}_crop"
    return f"{folder}/{name}" if folder in files.top and files.path(f"{folder}/{name}").is_file() else None


def _load(kind: str, files: Files, name: str) -> _Table:
    variable = matlab.load(files, name).get(kind)
    if variable is None or variable.dtype.names is None or variable.size != 1:
        raise DataError(f"{name} holds no struct '{kind}'.")
    struct = variable.reshape(-1)[0]

    def field(column: str) -> np.ndarray:
        if column not in variable.dtype.names:
            raise DataError(f"{name} has no field {column}.")
        return struct[column]

    born = matlab.column(f"{name}: dob", field("dob"))
    numbers = {
        column: matlab.column(f"{name}: {column}", field(column), len(born))
        for column in ("photo_taken", "gender", "face_score", "second_face_score")
    }
    paths = matlab.texts(f"{name}: full_path", field("full_path"), len(born))
    if "celeb_id" in variable.dtype.names:
        groups = [f"{i:.0f}" for i in matlab.column(f"{name}: celeb_id", field("celeb_id"), len(born))]
    elif "name" in variable.dtype.names:
        groups = matlab.texts(f"{name}: name", field("name"), len(born))
    else:
        groups = [""] * len(born)
    return _Table(
        paths,
        born,
        numbers["photo_taken"],
        numbers["gender"],
        numbers["face_score"],
        numbers["second_face_score"],
        groups,
    )
