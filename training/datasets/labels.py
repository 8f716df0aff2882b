"""The words in which data sets say their labels: in folder names, file names and columns of tables."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np

from schemas.tables import EMOTIONS

# Every spelling, lower case, of each emotion.
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

# Emotions that other sets have and ours do not: no error, but left out.
_OTHER_EMOTIONS = {"contempt", "contemptuous", "none", "uncertain", "unknown"}

_SPLITS = {"train", "training", "val", "valid", "validation", "test", "testing", "publictest", "privatetest"}

# FER+'s vote columns; those of EMOTIONS in their order, then the rest.
_VOTES_OF_EMOTIONS = ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")
VOTE_COLUMNS = (*_VOTES_OF_EMOTIONS, "contempt", "unknown", "nf")

# The oldest age that a range without an upper end means.
_OLDEST = 100.0


def emotion_of(text: str) -> str | None:
    """One of EMOTIONS, in any usual spelling and case; None for nothing, and for an emotion that is not of the seven.

    Raises:
      ValueError: it is no emotion.
    """
    word = text.strip().lower()
    if not word or word in _OTHER_EMOTIONS:
        return None
    if word not in _EMOTION_OF:
        raise ValueError(f"emotion '{text}' is none of {', '.join(EMOTIONS)}")
    return _EMOTION_OF[word]


def is_emotion(text: str) -> bool:
    """Whether a folder of this name holds the pictures of one emotion, of the seven or another."""
    return text.strip().lower() in _EMOTION_OF or text.strip().lower() in ("contempt", "contemptuous")


def is_label(text: str) -> bool:
    """Whether a folder of this name says something of what lies in it: a split, an emotion, an age."""
    return text.lower() in _SPLITS or is_emotion(text) or (text.isdecimal() and len(text) <= 3)


def age_of(text: str) -> tuple[float, float] | None:
    """Lowest and highest age in years: of "25", "20-29", "more than 70" or "70+"; None for nothing.

    Raises:
      ValueError: it is no age between 0 and 130.
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
    """Gender from words; None for nothing. Numbers are refused, since data sets count both ways.

    Raises:
      ValueError: it is neither.
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
    """A yes or no; None for nothing.

    Raises:
      ValueError: it is neither.
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
    """Shares [7] float32 of all votes that went to each of EMOTIONS; None without votes.

    Args:
      votes: number of votes by VOTE_COLUMNS; contempt, unknown and NF (no face) count in the sum, so that the shares
        sum to 1 or less.
    """
    total = sum(votes.values())
    return np.array([votes[name] / total for name in _VOTES_OF_EMOTIONS], np.float32) if total > 0 else None


def folder_splits(folders: Sequence[str]) -> tuple[str, ...]:
    """Names of splits from the folders above a picture: the first level, and below it those named as splits are."""
    return tuple(name for i, name in enumerate(folders) if i == 0 or name.lower() in _SPLITS)
