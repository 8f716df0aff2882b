"""FACES of the Max Planck Institute: 2,052 pictures of 171 people of three ages; names such as `004_o_m_a_a.jpg`.

The name has the person's number, age group (young 19–31, middle-aged 39–55, older 69–80 years), sex, emotion (anger,
disgust, fear, happiness, neutral, sadness) and set (a, b).

Source: N. Ebner, M. Riediger and U. Lindenberger, FACES, Behavior Research Methods 2010; https://faces.mpdl.mpg.de.
"""

from __future__ import annotations

import re
from typing import Any

from training.datasets.named import NamedSet

_AGES = {"Y": (19.0, 31.0), "M": (39.0, 55.0), "O": (69.0, 80.0)}
_EMOTIONS = {"A": "angry", "D": "disgust", "F": "fear", "H": "happy", "N": "neutral", "S": "sad"}


def _labels(match: re.Match[str]) -> dict[str, Any]:
    person, age, sex, emotion = match.groups()
    return {"person": person, "age": _AGES[age], "female": sex == "F", "emotion": _EMOTIONS[emotion]}


FACES = NamedSet("faces", "004_o_m_a_a.jpg", re.compile(r"(\d+)_([YMO])_([FM])_([ADFHNS])_[AB]"), _labels)
