"""FER2013: 35,887 grey pictures of 48×48, each with one of seven emotions; as `fer2013.csv` or as folders of classes.

The csv numbers classes in the order of EMOTIONS. Folders, sorted by name, have another order. Therefore labels are
always names here, never positions in a list. For FER+ (Barsoum et al., 2016, https://arxiv.org/abs/1608.01041) ten
people voted on the same pictures; its votes are read if they are beside the pictures.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np

from training.datasets import labels
from training.datasets.base import DataError, DataSet, LabelledPicture
from training.datasets.files import Files, Row

SIDE = 48

# Classes in the order of the csv's numbers.
CSV_EMOTIONS = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")

_OFFICIAL = ("Training", "PublicTest", "PrivateTest")
_VOTES_BY_NAME = "ferplus_votes.csv"
_VOTES_BY_ROW = "fer2013new.csv"


def matches(files: Files) -> bool:
    """Whether it is FER2013: the csv, or folders of classes with FER2013's file names or FER+'s votes."""
    if files.tables_with("emotion", "pixels"):
        return True
    if files.chosen:
        return False
    in_classes = [name for name in files.pictures if class_folder(name) is not None]
    return any(_official(name) for name in in_classes) or (bool(in_classes) and _VOTES_BY_NAME in files.top)


def read(files: Files) -> DataSet:
    """FER2013 from its csv if there is one, else from its folders.

    Raises:
      DataError: there is neither, or a row is wrong.
    """
    # The original has all three columns; `train.csv` of the competition lacks the usage.
    tables = files.tables_with("emotion", "pixels")
    tables = [name for name in tables if "usage" in files.columns(name)] or tables
    if not tables and all(class_folder(name) is None for name in files.pictures):
        raise DataError(f"{files.root} has neither fer2013.csv nor pictures in folders called angry, happy …")
    if not tables:
        return read_class_folders(files, "fer2013")

    def samples(dropped: Counter[str]) -> Iterator[LabelledPicture]:
        return _csv_samples(files, tables[0])

    return DataSet("fer2013", files.root, samples)


def read_class_folders(files: Files, kind: str) -> DataSet:
    """Pictures in folders named by emotion, in any case, optionally below folders of splits.

    Raises:
      DataError: a row of the votes is wrong.
    """
    votes = _votes_by_name(files) if _VOTES_BY_NAME in files.top else {}

    def samples(dropped: Counter[str]) -> Iterator[LabelledPicture]:
        for name in files.pictures:
            place = class_folder(name)
            if place is None:
                dropped["not in the folder of an emotion"] += 1
                continue
            parts = name.split("/")
            emotion = labels.emotion_of(parts[place])
            if emotion is None:
                dropped[f"{parts[place].lower()} is none of the seven emotions"] += 1
                continue
            splits = labels.folder_splits(parts[:place])
            official = _official(name)
            if official and official not in splits:
                splits = (*splits, official)
            yield LabelledPicture(name, files.path(name), splits, emotion=emotion, votes=votes.get(parts[-1]))

    return DataSet(kind, files.root, samples, len(files.pictures))


def class_folder(name: str) -> int | None:
    """Index of the lowest folder in a picture's path that is named by an emotion; None if there is none."""
    folders = name.split("/")[:-1]
    return next((i for i in reversed(range(len(folders))) if labels.is_emotion(folders[i])), None)


def _official(name: str) -> str | None:
    stem = name.rsplit("/", 1)[-1]
    return next((part for part in _OFFICIAL if stem.startswith(f"{part}_")), None)


def _csv_samples(files: Files, table: str) -> Iterator[LabelledPicture]:
    voting = files.rows(_VOTES_BY_ROW) if _VOTES_BY_ROW in files.top else None
    for row in files.rows(table):
        number = row.parse("emotion", _emotion_number)
        splits = (row["usage"],) if row["usage"] else ()
        votes = None
        if voting is not None:
            votes = _votes_beside(row, next(voting, None))
        source = row.parse("pixels", _pixels)
        yield LabelledPicture(f"{table}:{row.number}", source, splits, emotion=CSV_EMOTIONS[number], votes=votes)


def _emotion_number(text: str) -> int:
    if not text.strip().isdecimal() or int(text) >= len(CSV_EMOTIONS):
        raise ValueError(f"emotion is '{text}', expected a number from 0 to {len(CSV_EMOTIONS) - 1}")
    return int(text)


def _pixels(text: str) -> np.ndarray:
    """[48, 48] uint8 from numbers between spaces."""
    try:
        values = np.fromstring(text, np.int32, sep=" ")
    except ValueError:
        raise ValueError("pixels are not all whole numbers") from None
    if values.size != SIDE * SIDE:
        raise ValueError(f"{values.size:,} pixels, expected {SIDE * SIDE:,} for {SIDE}×{SIDE}")
    if values.min() < 0 or values.max() > 255:
        raise ValueError("pixels are not all between 0 and 255")
    return values.astype(np.uint8).reshape(SIDE, SIDE)


def _votes_beside(row: Row, votes: Row | None) -> np.ndarray | None:
    """Votes of the same picture. FER+'s table has few file names, but its rows are in the order of the csv."""
    if votes is None:
        raise row.wrong(f"{_VOTES_BY_ROW} ends before it; both must have one row a picture, in the same order")
    if row["usage"] and votes["usage"] != row["usage"]:
        raise votes.wrong(f"it is for {votes['usage']}, and {row.file} row {row.number} is {row['usage']}")
    return _shares(votes)


def _votes_by_name(files: Files) -> dict[str, np.ndarray | None]:
    """Votes by file name; None for names that occur twice, because they do not identify a picture."""
    times = Counter(name.rsplit("/", 1)[-1] for name in files.pictures)
    votes: dict[str, np.ndarray | None] = {}
    for row in files.rows(_VOTES_BY_NAME):
        name = row["name"]
        votes[name] = None if name in votes or times[name] > 1 else _shares(row)
    return votes


def _shares(row: Row) -> np.ndarray | None:
    return labels.vote_shares({column: row.number_in(column) for column in labels.VOTE_COLUMNS})
