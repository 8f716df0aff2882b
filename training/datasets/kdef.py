"""KDEF: 4,900 pictures of 70 amateur actors in two sessions, from five angles; `AF01ANS.JPG` in a folder a person.

The name has session (A, B), gender, number, emotion and angle (straight, half left, half right, full left, full right).
Two files of the collection are misnamed (AF31V.JPG, AM31H.JPG), and about ten pictures are nearly black.

Source: D. Lundqvist, A. Flykt and A. Öhman, The Karolinska Directed Emotional Faces, 1998; https://kdef.se.
"""

from __future__ import annotations

import re
from typing import Any

from training.datasets.named import NamedSet

_EMOTIONS = {
    "AF": "fear",
    "AN": "angry",
    "DI": "disgust",
    "HA": "happy",
    "NE": "neutral",
    "SA": "sad",
    "SU": "surprise",
}


def _labels(match: re.Match[str]) -> dict[str, Any]:
    gender, number, emotion = match.groups()
    return {"person": gender + number, "emotion": _EMOTIONS[emotion], "female": gender == "F"}


KDEF = NamedSet(
    "kdef",
    "AF01ANS.JPG",
    re.compile(rf"[AB]([FM])(\d\d)({'|'.join(_EMOTIONS)})(?:S|HL|HR|FL|FR)"),
    _labels,
)
