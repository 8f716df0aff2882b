"""Parses labels in the words of the data sets: in folder names, file names and columns of tables."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np

from schemas.tables import EMOTIONS

# Spellings of each emotion, in lower case.
_SPELLINGS = {
    "angry": ("angry", "anger"),
    "disgust": ("disgust", "disgusted"),
    "fear": ("fear", "fearful", "afraid"),
    "happy": ("happy", "happiness"),
    "sad": ("sad", "sadness"),
    "surprise": ("surprise", "surprised"),
    "neutral": ("neutral",),
}
_EMOTION_OF = {word: emotion for emotion, words in _SPELLINGS.items() for word in words}

# Labels of other data sets that are none of the seven emotions; pictures with these are left out without an error.
_OTHER_EMOTIONS = {"contempt", "contemptuous", "none", "uncertain", "unknown"}

_SPLITS = {"train", "training", "val", "valid", "validation", "test", "testing", "publictest", "privatetest"}

# Names of splits for evaluation.
_JUDGED = ("validation", "valid", "val", "test", "publictest", "privatetest")

# FER+'s vote columns: those of EMOTIONS in their order, then the others.
_VOTES_OF_EMOTIONS = ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")
VOTE_COLUMNS = (*_VOTES_OF_EMOTIONS, "contempt", "unknown", "nf")

# Upper end of age ranges that state none.
_OLDEST = 100.0


def emotion_of(text: str) -> str | None:
    """One of EMOTIONS from any usual spelling; None for an empty text, and for an emotion that is none of the seven.

    Raises:
      ValueError: the text is not an emotion.
    """
    word = text.strip().lower()
    if not word or word in _OTHER_EMOTIONS:
        return None
    if word not in _EMOTION_OF:
        raise ValueError(f"emotion '{text}' is none of {', '.join(EMOTIONS)}")
    return _EMOTION_OF[word]


def is_emotion(text: str) -> bool:
    """Whether a folder with this name holds the pictures of one emotion, of the seven or another one."""
    return text.strip().lower() in _EMOTION_OF or text.strip().lower() in ("contempt", "contemptuous")


def is_label(text: str) -> bool:
    """Whether the name of a folder is a label of the pictures in it: a split, an emotion, an age."""
    return text.lower() in _SPLITS or is_emotion(text) or (text.isdecimal() and len(text) <= 3)


def age_of(text: str) -> tuple[float, float] | None:
    """Lowest and highest age in years, from "25", "20-29", "more than 70" or "70+"; None for an empty text.

    Raises:
      ValueError: the text is not an age between 0 and 130.
    """
    if not text.strip():
        return None
    number = r"(\d+(?:\.\d+)?)"
    if match := re.fullmatch(rf"\s*{number}\s*", text):
        age = (float(match[1]), float(match[1]))
    elif match := re.fullmatch(rf"\s*{number}\s*[-–]\s*{number}\s*", text):
        age = (float(match[1]), float(match[2]))
    elif match := re.fullmatch(rf"\s*(?:more than {number}|{number}\s*\+)\s*", text, re.IGNORECASE):
        lowest = float(match[1] or match[2])
        age = (lowest, max(lowest, _OLDEST))
    else:
        raise ValueError(f"age '{text}' is no number of years and no range such as 20-29")
    if not 0 <= age[0] <= age[1] <= 130:
        raise ValueError(f"age '{text}' is not between 0 and 130, or its range runs backwards")
    return age


def female_of(text: str) -> bool | None:
    """Whether a word means female; None for an empty text. Numbers are refused: data sets differ in their meaning.

    Raises:
      ValueError: the word means neither gender.
    """
    word = text.strip().lower()
    if word in ("", "unknown"):
        return None
    if word in ("female", "f", "woman"):
        return True
    if word in ("male", "m", "man"):
        return False
    raise ValueError(f"gender '{text}' is neither male nor female: write the word")


def truth_of(text: str) -> bool | None:
    """Yes or no as a bool; None for an empty text.

    Raises:
      ValueError: the text means neither.
    """
    word = text.strip().lower()
    if not word:
        return None
    if word in ("1", "1.0", "true", "yes"):
        return True
    if word in ("0", "0.0", "false", "no"):
        return False
    raise ValueError(f"'{text}' is neither 1 nor 0, true nor false")


def vote_shares(votes: Mapping[str, float]) -> np.ndarray | None:
    """Shares [7] float32 of all votes that each of EMOTIONS has; None without votes.

    Args:
      votes: number of votes by VOTE_COLUMNS; contempt, unknown and NF (no face) count in the sum, so that the shares
        sum to 1 or less.
    """
    total = sum(votes.values())
    return np.array([votes[name] / total for name in _VOTES_OF_EMOTIONS], np.float32) if total > 0 else None


def folder_splits(folders: Sequence[str]) -> tuple[str, ...]:
    """Names of splits from the folders above a picture: the first folder, and any others with the name of a split."""
    return tuple(name for i, name in enumerate(folders) if i == 0 or name.lower() in _SPLITS)


def judged_splits(splits: Sequence[str]) -> list[str]:
    """Those of a picture's splits that are for evaluation; the official one comes last."""
    return [name for name in splits if name.strip().lower() in _JUDGED]
