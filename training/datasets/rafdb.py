"""RAF-DB, single-label subset: 15,339 faces from the web, each labelled by some 40 people.

`EmoLabel/list_patition_label.txt` (sic) numbers the emotions; the pictures are in `Image/aligned` (preferred) or
`Image/original`, whose faces `Annotation/boundingbox` tells. Also read are the aligned pictures in folders `1` to `7`,
as copies of the set have them.

Source: S. Li, W. Deng and J. Du, Reliable crowdsourcing and deep locality-preserving learning for expression
recognition in the wild, CVPR 2017; http://www.whdeng.cn/RAF/model1.html.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

from training.datasets.base import AROUND, DataError, DataSet, LabelledPicture
from training.datasets.files import Files
from training.datasets.named import stem

EMOTIONS = {
    "1": "surprise",
    "2": "fear",
    "3": "disgust",
    "4": "happy",
    "5": "sad",
    "6": "angry",
    "7": "neutral",
}
_LISTS = ("list_patition_label.txt", "list_partition_label.txt")
_NAME = re.compile(r"(train|test)_\d+")
_ALIGNED = re.compile(r"(?:.*/)?([1-7])/((?:train|test)_\d+_aligned)\.\w+")


def matches(files: Files) -> bool:
    """Whether the list is there, or most of the pictures are aligned ones in folders of numbers."""
    if files.chosen:
        return False
    some = files.pictures[:200]
    return bool(files.at_any_depth(*_LISTS)) or 2 * sum(bool(_ALIGNED.fullmatch(name)) for name in some) > len(some)


def read(files: Files) -> DataSet:
    """The pictures of the list, or of the folders of numbers.

    Raises:
      DataError: there is neither, or a line is wrong.
    """
    lists = files.at_any_depth(*_LISTS)
    if not lists and not any(_ALIGNED.fullmatch(name) for name in files.pictures):
        raise DataError(f"{files.root} has no {_LISTS[0]}, nor pictures such as 5/train_00001_aligned.jpg.")

    def samples(dropped: Counter[str]) -> Iterator[LabelledPicture]:
        return _listed(files, lists[0], dropped) if lists else _in_folders(files, dropped)

    return DataSet("rafdb", files.root, samples)


def _listed(files: Files, table: str, dropped: Counter[str]) -> Iterator[LabelledPicture]:
    boxes = {stem(name): name for name in files.names if name.endswith("_boundingbox.txt")}
    for number, line in enumerate(files.text(table).splitlines(), 1):
        if not line.strip():
            continue
        name, _, label = line.strip().partition(" ")
        match = _NAME.fullmatch(stem(name))
        if match is None or label.strip() not in EMOTIONS:
            raise DataError(f"{table} row {number}: '{line}', expected such as 'train_00001.jpg 5'.")
        emotion, key = EMOTIONS[label.strip()], name.lower().rsplit(".", 1)
        aligned, original = (files.by_last_name.get(of) for of in (f"{key[0]}_aligned.{key[1]}", name.lower()))
        if aligned:
            yield LabelledPicture(aligned[0], files.path(aligned[0]), (match[1],), emotion=emotion)
        elif original:
            place = boxes.get(f"{stem(name)}_boundingbox")
            box = None if place is None else _box(files.text(place), place)
            source = files.path(original[0])
            room = None if box is None else AROUND
            yield LabelledPicture(original[0], source, (match[1],), emotion=emotion, room=room, box=box)
        else:
            dropped["the picture is missing"] += 1


def _in_folders(files: Files, dropped: Counter[str]) -> Iterator[LabelledPicture]:
    for name in files.pictures:
        match = _ALIGNED.fullmatch(name)
        if match is None:
            dropped["not in the folder of an emotion"] += 1
        else:
            split = match[2].partition("_")[0]
            yield LabelledPicture(name, files.path(name), (split,), emotion=EMOTIONS[match[1]])


def _box(text: str, name: str) -> tuple[float, float, float, float]:
    """x, y, width and height from the four numbers left, top, right, bottom."""
    try:
        left, top, right, bottom = map(float, text.split())
    except ValueError:
        raise DataError(f"{name}: '{text.strip()}', expected four numbers.") from None
    return left, top, right - left, bottom - top
