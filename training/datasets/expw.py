"""ExpW, "expressions in the wild": 91,793 faces found by machine in pictures from the web, labelled by hand.

`label.lst` has a line for each face: picture, number of the face in it, top, left, right and bottom of its box,
confidence of that, and the emotion from 0 (angry) to 6 (neutral).

Source: Z. Zhang et al., From facial expression recognition to interpersonal relation prediction, IJCV 2018;
http://mmlab.ie.cuhk.edu.hk/projects/socialrelation.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from training.datasets.base import AROUND, DataError, DataSet, LabelledPicture
from training.datasets.fer2013 import CSV_EMOTIONS
from training.datasets.files import Files

_LIST = "label.lst"


def matches(files: Files) -> bool:
    """Whether the list is there."""
    return not files.chosen and bool(files.at_any_depth(_LIST))


def read(files: Files) -> DataSet:
    """The faces of the list. Those of the same picture stay together.

    Raises:
      DataError: there is no list, or a line is wrong.
    """
    lists = files.at_any_depth(_LIST)
    if not lists:
        raise DataError(f"{files.root} has no {_LIST}.")

    def samples(dropped: Counter[str]) -> Iterator[LabelledPicture]:
        for number, line in enumerate(files.text(lists[0]).splitlines(), 1):
            if line.strip():
                yield from _face(files, line.split(), f"{lists[0]} row {number}", dropped)

    return DataSet("expw", files.root, samples)


def _face(files: Files, words: list[str], place: str, dropped: Counter[str]) -> Iterator[LabelledPicture]:
    try:
        name, face = words[0], int(words[1])
        top, left, right, bottom = map(float, words[2:6])
        # The same order as in FER2013.
        emotion = CSV_EMOTIONS[int(words[7])]
    except (ValueError, IndexError):
        example = "'picture.jpg 0 10 20 110 120 75.3 6'"
        raise DataError(f"{place}: '{' '.join(words)}', expected such as {example}.") from None
    found = files.by_last_name.get(name.lower())
    if not found:
        dropped["the picture is missing"] += 1
    elif right <= left or bottom <= top:
        dropped["the face has no size"] += 1
    else:
        box = (left, top, right - left, bottom - top)
        yield LabelledPicture(
            f"{found[0]}:{face}", files.path(found[0]), group=f"expw/{name}", emotion=emotion, room=AROUND, box=box
        )
