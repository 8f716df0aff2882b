"""SFEW and AFEW: stills and clips of films, `Train` and `Val`, in a folder for each of the seven emotions.

SFEW's stills are named by film, time and frame (`AlexEmma_000437240_00000033.png`); those of a film stay together.
Where there are aligned faces (a folder with "aligned" in its name) they are read in place of the stills. AFEW's clips
are named by a number; where the aligned faces of EmotiW are there (`…/Faces/000437240/012.jpg`), three of each clip are
read in place of frames of the clip. Its parts share no film.

Source: A. Dhall et al., Collecting large, richly annotated facial-expression databases from movies, IEEE MultiMedia
2012; https://cs.anu.edu.au/few.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

from training.datasets.base import DataError, DataSet, LabelledPicture
from training.datasets.clips import PLACES
from training.datasets.fer2013 import class_folder
from training.datasets.files import Files
from training.datasets.labels import emotion_of
from training.datasets.named import frames_of, none_of_ours, stem

_STILL = re.compile(r"(\w+?)_\d{6,}_\d+")
_FACE = re.compile(r"(?:.*/)?faces/(?P<clip>\d{6,})/\d+\.\w+", re.IGNORECASE)
_PART = re.compile(r"(train|val)", re.IGNORECASE)
_ALIGNED_ROOM = 0.1


def matches_sfew(files: Files) -> bool:
    """Whether most of the pictures in folders of emotions have such names."""
    some = [name for name in files.pictures[:400] if class_folder(name) is not None] if not files.chosen else []
    return 2 * sum(bool(_STILL.fullmatch(stem(name))) for name in some) > len(some)


def read_sfew(files: Files) -> DataSet:
    """The stills, or the aligned faces of them.

    Raises:
      DataError: there are no pictures in folders of emotions.
    """
    names = [name for name in files.pictures if class_folder(name) is not None]
    aligned = [name for name in names if "aligned" in name.lower().rsplit("/", 1)[0]]
    if not names:
        raise DataError(f"{files.root} has no pictures such as Train/Angry/AlexEmma_000437240_00000033.png.")

    def samples(dropped: Counter[str]) -> Iterator[LabelledPicture]:
        for name in aligned or names:
            emotion = _emotion(name, dropped)
            if emotion:
                match = _STILL.fullmatch(stem(name))
                group = None if match is None else f"sfew/{match[1]}"
                room = _ALIGNED_ROOM if aligned else None
                yield LabelledPicture(name, files.path(name), _splits(name), group=group, emotion=emotion, room=room)

    return DataSet("sfew", files.root, samples, len(aligned or names))


def matches_afew(files: Files) -> bool:
    """Whether clips lie in folders of emotions."""
    return not files.chosen and any(class_folder(name) is not None for name in files.clips)


def read_afew(files: Files) -> DataSet:
    """Frames of the clips, or EmotiW's faces of them.

    Raises:
      DataError: there are no clips in folders of emotions.
    """
    clips = [name for name in files.clips if class_folder(name) is not None]
    if not clips:
        raise DataError(f"{files.root} has no clips such as Train/Angry/000437240.avi.")
    faces: dict[str, list[str]] = {}
    for name in files.pictures:
        if match := _FACE.fullmatch(name):
            faces.setdefault(match["clip"], []).append(name)

    def samples(dropped: Counter[str]) -> Iterator[LabelledPicture]:
        for clip in clips:
            emotion, of_clip = _emotion(clip, dropped), faces.get(stem(clip), [])
            group = f"afew/{stem(clip)}"
            if emotion and of_clip:
                for name in dict.fromkeys(of_clip[round(place * (len(of_clip) - 1))] for place in PLACES):
                    source = files.path(name)
                    splits = _splits(clip)
                    yield LabelledPicture(name, source, splits, group=group, emotion=emotion, room=_ALIGNED_ROOM)
            elif emotion:
                yield from frames_of(clip, files, splits=_splits(clip), group=group, emotion=emotion, room=None)

    return DataSet("afew", files.root, samples)


def _emotion(name: str, dropped: Counter[str]) -> str | None:
    place = class_folder(name)
    assert place is not None
    word = name.split("/")[place]
    emotion = emotion_of(word)
    if emotion is None:
        dropped[none_of_ours(word.lower())] += 1
    return emotion


def _splits(name: str) -> tuple[str, ...]:
    """`train` or `val`, from a folder such as `Train` or `Val_AFEW`."""
    found = next((match for folder in name.split("/")[:-1] if (match := _PART.match(folder))), None)
    return () if found is None else (found[1].lower(),)
