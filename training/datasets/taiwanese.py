"""Professional performers from Taiwan, rated by 50 to 100 people a picture: `0221c08.tif` and `Image_info.xls`.

29 performers in seven expressions; 1,232 frontal pictures are rated (and some from other sides). The name has
performer (01–30), kind of performance, view (1 frontal, 2 three quarters, 3 profile), a letter for the expression that
was to be shown (a calm, b happy, c sad, d angry, e disgusted, f fearful, g surprised), and a number.

`Image_info.xls` (also saved as csv) states in the columns after EntropyVal which share of the raters named each of the
six emotions; calm could not be named there, so pictures of the letter a have no votes by it. `voting.xls` has a column
by emotion, `peace` among them; it is read first where it is there.

What is known for certain are the file names and the columns of `Image_info.xls`, which the collection's read-me tells.
The names of the columns of `voting.xls` are not; every spelling of an emotion is taken. Shares may be fractions or per
cent. This is not TFEID, whose pictures are in folders of emotions and read as such.

Source: C.-C. Chen, S.-L. Cho and R.-Y. Tseng, Taiwan corpora of Chinese emotions and relevant psychophysiological data:
behavioral evaluation norm for facial expressions of professional performer, Chinese Journal of Psychology 2013.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from schemas.tables import EMOTIONS
from training.datasets.base import READ_ERRORS, DataError, DataSet
from training.datasets.files import Files
from training.datasets.labels import emotion_of
from training.datasets.named import NamedSet, stem

_LETTERS = {
    "A": "neutral",
    "B": "happy",
    "C": "sad",
    "D": "angry",
    "E": "disgust",
    "F": "fear",
    "G": "surprise",
}
_RATED = ("happy", "sad", "angry", "disgust", "fear", "surprise")
_FIRST_SHARE = 6  # column G of Image_info, from 0
_CALM = ("peace", "peaceful", "calm")
_FILE_COLUMNS = ("file_name", "filename", "file", "image", "name", "picture")


def _labels(match: re.Match[str]) -> dict[str, Any]:
    return {"person": match[1], "emotion": _LETTERS[match[2]]}


TAIWANESE = NamedSet("taiwanese", "0221c08.jpg", re.compile(r"(\d\d)\d\d([A-G])\d{2,3}"), _labels)


def read(files: Files) -> DataSet:
    """The pictures with the raters' shares as votes, where a table has them.

    Raises:
      DataError: no picture has such a name, or a table cannot be read.
    """
    votes: dict[str, np.ndarray] = {}
    for name in ("Image_info", "voting"):
        for table in files.at_any_depth(f"{name}.csv") or files.at_any_depth(f"{name}.xls"):
            votes |= _votes(_cells(files, table), table)

    def labels(match: re.Match[str]) -> dict[str, Any]:
        return {**_labels(match), "votes": votes.get(match[0])}

    return dataclasses.replace(TAIWANESE, labels=labels).read(files)


def _cells(files: Files, table: str) -> list[list[Any]]:
    if table.lower().endswith(".csv"):
        return list(files.cells(table))
    import xlrd

    try:
        sheet = xlrd.open_workbook(file_contents=files.path(table).read_bytes()).sheet_by_index(0)
    except (*READ_ERRORS, xlrd.XLRDError) as error:
        raise DataError(f"{table} cannot be read ({error}); save it as csv beside it.") from error
    return [sheet.row_values(row) for row in range(sheet.nrows)]


def _votes(cells: Sequence[Sequence[Any]], table: str) -> dict[str, np.ndarray]:
    """Shares by the picture's name in upper case, without ending."""
    begin = next((i for i, row in enumerate(cells) if str(row[0]).strip().lower() in _FILE_COLUMNS), None)
    if begin is None:
        raise DataError(f"{table} has no row that begins with file_name.")
    columns: dict[str, int] = {}
    for i, cell in enumerate(cells[begin]):
        if emotion := _emotion(str(cell)):
            columns.setdefault(emotion, i)  # those of other figures come later
    named = len(columns) >= len(_RATED)
    if not named:
        columns = dict(zip(_RATED, range(_FIRST_SHARE, _FIRST_SHARE + len(_RATED)), strict=True))
    found = {}
    for row in cells[begin + 1 :]:
        name = stem(str(row[0]) if "." in str(row[0]) else f"{row[0]}.").upper()
        if len(row) > max(columns.values()) and TAIWANESE.name.fullmatch(name) and (named or name[4] != "A"):
            shares = np.array([_number(row[columns[e]]) if e in columns else 0 for e in EMOTIONS], np.float32)
            if shares.sum() > 0:
                found[name] = shares / max(shares.sum(), 1.0)
    return found


def _emotion(text: str) -> str | None:
    """The emotion that a column is named by, if it is."""
    word = text.strip().lower()
    try:
        return "neutral" if word in _CALM else emotion_of(word)
    except ValueError:
        return None


def _number(cell: Any) -> float:
    try:
        number = float(cell)
    except (TypeError, ValueError):
        return 0.0
    return number if np.isfinite(number) and number > 0 else 0.0
