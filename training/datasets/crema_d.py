"""CREMA-D: 7,442 clips of 91 actors who speak twelve sentences.

In `1001_DFA_ANG_XX.flv` are actor, sentence, emotion and level.

Some ten people voted on each clip by the face alone, and others by the voice and by both. The votes on the face are
read from `tabulatedVotes.csv` or, where that is missing, their winners from `summaryTable.csv`, in the folder
`processedResults` or elsewhere. The label itself is the emotion that the actor was to show.

Source: H. Cao et al., CREMA-D: Crowd-sourced emotional multimodal actors dataset, IEEE TAC 2014;
https://github.com/CheyneyComputerScience/CREMA-D. Open Database License (ODbL) 1.0.
"""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import numpy as np

from schemas.tables import EMOTIONS
from training.datasets.base import DataSet
from training.datasets.files import Files
from training.datasets.named import NamedSet

_EMOTIONS = {"ANG": "angry", "DIS": "disgust", "FEA": "fear", "HAP": "happy", "NEU": "neutral", "SAD": "sad"}
_LETTERS = {"a": "angry", "d": "disgust", "f": "fear", "h": "happy", "n": "neutral", "s": "sad"}

# Rows of `tabulatedVotes.csv` are numbered from 100,000 for the voice, 200,000 for the face, and 300,000 for both.
_BY_FACE = range(200_000, 300_000)


def _labels(match: re.Match[str]) -> dict[str, Any]:
    return {"person": match[1], "emotion": _EMOTIONS[match[2]]}


CREMA_D = NamedSet(
    "crema_d",
    "1001_DFA_ANG_XX.flv",
    re.compile(rf"(\d{{4}})_[A-Z]{{3}}_({'|'.join(_EMOTIONS)})_(?:XX?|LO|MD|HI)"),
    _labels,
    clips=True,
)


def read(files: Files) -> DataSet:
    """The frames of all clips, with the votes on each.

    Raises:
      DataError: no file has such a name, or a row of the votes is wrong.
    """
    votes = _tabulated(files) or _winners(files)

    def labels(match: re.Match[str]) -> dict[str, Any]:
        return {**_labels(match), "votes": votes.get(match[0])}

    return dataclasses.replace(CREMA_D, labels=labels).read(files)


def _tabulated(files: Files) -> dict[str, np.ndarray]:
    """Shares of the votes on the face by the clip's name."""
    found = {}
    for table in files.at_any_depth("tabulatedVotes.csv"):
        for row in files.rows(table):
            if row.number_in("") in _BY_FACE:
                counts = {emotion: row.number_in(letter) for letter, emotion in _LETTERS.items()}
                found[row["filename"].upper()] = _shares(counts)
    return found


def _winners(files: Files) -> dict[str, np.ndarray]:
    """Winners by the face; `A:D` is a draw."""
    found = {}
    for table in files.at_any_depth("summaryTable.csv"):
        for row in files.rows(table):
            letters = row["facevote"].lower().split(":")
            if all(letter in _LETTERS for letter in letters):
                found[row["filename"].upper()] = _shares(dict.fromkeys((_LETTERS[letter] for letter in letters), 1.0))
    return found


def _shares(counts: dict[str, float]) -> np.ndarray:
    """[7] float32, in the order of EMOTIONS."""
    total = max(sum(counts.values()), 1.0)
    return np.array([counts.get(emotion, 0.0) / total for emotion in EMOTIONS], np.float32)
