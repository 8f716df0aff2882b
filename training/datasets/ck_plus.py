"""CK+: 593 sequences of 123 people from a neutral face to an expression; 327 sequences are labelled.

`cohn-kanade-images/S005/001/S005_001_00000011.png` are the frames, and `Emotion/S005/001/…_emotion.txt` holds the
number of the sequence's emotion; 2 is contempt. Of each labelled sequence the last three frames have its emotion and
the first one is neutral.

Source: P. Lucey et al., The extended Cohn-Kanade dataset (CK+), CVPR workshops 2010.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

from training.datasets.base import DataError, DataSet, LabelledPicture
from training.datasets.files import Files
from training.datasets.named import none_of_ours

_EMOTIONS = ("neutral", "angry", "contempt", "disgust", "fear", "happy", "sad", "surprise")
_FRAME = re.compile(r"(?:.*/)?((S\d{3})_(\d{3}))_(\d{8})\.\w+")
_LABEL = re.compile(r"(?:.*/)?(S\d{3}_\d{3})_\d{8}_emotion\.txt")
_LAST = 3


def matches(files: Files) -> bool:
    """Whether there are such labels and frames."""
    return not files.chosen and any(map(_LABEL.fullmatch, files.names)) and any(map(_FRAME.fullmatch, files.pictures))


def read(files: Files) -> DataSet:
    """The first and the last frames of the labelled sequences.

    Raises:
      DataError: there are no frames, or a label is wrong.
    """
    sequences: dict[str, list[re.Match[str]]] = {}
    for name in files.pictures:
        if match := _FRAME.fullmatch(name):
            sequences.setdefault(match[1], []).append(match)
    labels = {match[1]: name for name in files.names if (match := _LABEL.fullmatch(name))}
    if not sequences or not labels:
        raise DataError(f"{files.root} has no frames such as S005_001_00000001.png with …_emotion.txt.")

    def samples(dropped: Counter[str]) -> Iterator[LabelledPicture]:
        for sequence, frames in sequences.items():
            frames.sort(key=lambda frame: frame[4])
            if sequence not in labels:
                dropped["the sequence has no label"] += len(frames)
                continue
            emotion = _emotion(files, labels[sequence])
            last = frames[max(1, len(frames) - _LAST) :]
            dropped["between the neutral face and the expression"] += len(frames) - 1 - len(last)
            yield _picture(files, frames[0], "neutral")
            if emotion == "contempt":
                dropped[none_of_ours(emotion)] += len(last)
            else:
                yield from (_picture(files, frame, emotion) for frame in last)

    return DataSet("ck_plus", files.root, samples, sum(map(len, sequences.values())))


def _picture(files: Files, frame: re.Match[str], emotion: str) -> LabelledPicture:
    return LabelledPicture(frame[0], files.path(frame[0]), group=f"ck_plus/{frame[2]}", emotion=emotion, room=None)


def _emotion(files: Files, name: str) -> str:
    text = files.text(name).strip()
    try:
        number = float(text)
        if number < 0:
            raise ValueError
        return _EMOTIONS[int(number)]
    except (ValueError, IndexError):
        raise DataError(f"{name}: '{text}', expected a number from 0 to {len(_EMOTIONS) - 1}.") from None
