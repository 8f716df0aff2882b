"""AffectNet: faces from the web, each labelled by one of twelve people; as folders with annotations, or as tables.

The folders are `train_set` and `val_set`, each with `images/123.jpg`, cropped around the face, and
`annotations/123_exp.npy`, which holds the emotion's number. The older form has tables `training.csv` and
`validation.csv` (in `Manually_Annotated_file_lists`, some without header) with the path of each picture, the face's box
and the number. 7 is contempt, 8 none, 9 uncertain, 10 no face; these are left out. Copies of the set with folders
`train/0` to `val/7` are read as well, if AffectNet is part of the folder's name.

Source: A. Mollahosseini, B. Hasani and M. Mahoor, AffectNet, IEEE TAC 2019; http://mohammadmahoor.com/affectnet.
"""

from __future__ import annotations

import io
import re
from collections import Counter
from collections.abc import Iterator

import numpy as np

from training.datasets.base import AROUND, READ_ERRORS, DataError, DataSet, LabelledPicture
from training.datasets.files import Files
from training.datasets.named import none_of_ours

_EMOTIONS = ("neutral", "happy", "sad", "surprise", "fear", "disgust", "angry")
_OTHERS = ("contempt", "none", "uncertain", "no face")
_SPLITS = {"train_set": "train", "val_set": "val", "training": "train", "validation": "val"}
_COLUMNS = (
    *("subdirectory_filepath", "face_x", "face_y", "face_width", "face_height"),
    *("facial_landmarks", "expression", "valence", "arousal"),
)
_ANNOTATION = re.compile(r"(?P<folder>(?:.*/)?)annotations/(?P<number>[^/]+)_exp\.npy")
_NUMBERED = re.compile(r"(?:.*/)?(?P<split>train|val|valid|validation|test)/(?P<number>\d{1,2})/[^/]+", re.IGNORECASE)

_ROOM = 0.15
"""Room around the face in the cropped pictures, at least."""


def matches(files: Files) -> bool:
    """Whether there are such annotations or tables, or numbered folders in one called AffectNet."""
    if files.chosen:
        return False
    return any(map(_ANNOTATION.fullmatch, files.names)) or bool(_tables(files)) or bool(_numbered(files))


def read(files: Files) -> DataSet:
    """The pictures with annotations, or those of the tables; `validation` and `val_set` are the split `val`.

    Raises:
      DataError: there are none, or an annotation or row is wrong.
    """
    annotations = [match for name in files.names if (match := _ANNOTATION.fullmatch(name))]
    tables = _tables(files)
    numbered = [] if annotations or tables else _numbered(files)
    if not annotations and not tables and not numbered:
        raise DataError(f"{files.root} has neither annotations/…_exp.npy nor training.csv with AffectNet's columns.")

    def samples(dropped: Counter[str]) -> Iterator[LabelledPicture]:
        if annotations:
            return _annotated(files, annotations, dropped)
        return _in_tables(files, tables, dropped) if tables else _in_folders(files, numbered, dropped)

    return DataSet("affectnet", files.root, samples, len(annotations) or None)


def _numbered(files: Files) -> list[re.Match[str]]:
    """Pictures in folders of numbers."""
    if "affectnet" not in str(files.root).lower():
        return []
    return [match for name in files.pictures if (match := _NUMBERED.fullmatch(name))]


def _in_folders(files: Files, found: list[re.Match[str]], dropped: Counter[str]) -> Iterator[LabelledPicture]:
    for match in found:
        emotion = _emotion(match["number"], match[0], dropped)
        if emotion:
            splits = (match["split"].lower(),)
            yield LabelledPicture(match[0], files.path(match[0]), splits, emotion=emotion, room=_ROOM)


def _tables(files: Files) -> list[str]:
    return [table for table in files.at_any_depth("training.csv", "validation.csv") if _is_table(files, table)]


def _is_table(files: Files, table: str) -> bool:
    """Whether the first row is as in AffectNet's tables."""
    try:
        row = next(files.rows(table, _COLUMNS), None)
    except DataError:
        return False
    return row is not None and row["subdirectory_filepath"] != "" and row["expression"].isdecimal()


def _annotated(files: Files, annotations: list[re.Match[str]], dropped: Counter[str]) -> Iterator[LabelledPicture]:
    pictures = {name.rsplit(".", 1)[0]: name for name in files.pictures}
    for match in annotations:
        try:
            label = str(np.load(io.BytesIO(files.path(match[0]).read_bytes()), allow_pickle=False).item())
        except (*READ_ERRORS, ValueError) as error:
            raise DataError(f"{match[0]} cannot be read ({error}).") from error
        emotion = _emotion(label, match[0], dropped)
        name = pictures.get(f"{match['folder']}images/{match['number']}")
        if emotion and name is None:
            dropped["the picture is missing"] += 1
        elif emotion and name:
            split = _SPLITS.get((match["folder"].rstrip("/") or files.root.name).rsplit("/", 1)[-1].lower())
            splits = () if split is None else (split,)
            yield LabelledPicture(name, files.path(name), splits, emotion=emotion, room=_ROOM)


def _in_tables(files: Files, tables: list[str], dropped: Counter[str]) -> Iterator[LabelledPicture]:
    # Paths are stated from the folder that holds the numbered ones.
    paths = {"/".join(name.lower().rsplit("/", 2)[-2:]): name for name in files.pictures}
    for table in tables:
        splits = (_SPLITS[table.rsplit("/", 1)[-1].rsplit(".", 1)[0].lower()],)
        for row in files.rows(table, _COLUMNS):
            emotion = _emotion(row["expression"], f"{table} row {row.number}", dropped)
            if not emotion:
                continue
            name = paths.get(row["subdirectory_filepath"].lower())
            if name is None:
                dropped["the picture is missing"] += 1
                continue
            x, y, width, height = (row.number_in(column) for column in _COLUMNS[1:5])
            if width <= 0 or height <= 0:
                dropped["the face has no size"] += 1
                continue
            yield LabelledPicture(
                name, files.path(name), splits, emotion=emotion, room=AROUND, box=(x, y, width, height)
            )


def _emotion(label: str, place: str, dropped: Counter[str]) -> str | None:
    """The emotion of a number; counts those that are none of ours."""
    try:
        number = int(float(label))
        words = (*_EMOTIONS, *_OTHERS)
        word = words[number] if number >= 0 else words[len(words)]
    except (ValueError, IndexError):
        raise DataError(f"{place}: the expression is '{label}', expected a number from 0 to 10.") from None
    if word in _OTHERS:
        dropped[none_of_ours(word)] += 1
        return None
    return word
