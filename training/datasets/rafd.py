"""RaFD: 8,040 pictures of 67 people, with contempt: three directions of gaze, five angles of the camera.

Names such as `Rafd090_01_Caucasian_female_angry_frontal.jpg` have the angle (090 is frontal), the person's number,
ethnicity, gender (or "Kid"), emotion and gaze.

Source: O. Langner et al., Presentation and validation of the Radboud Faces Database, Cognition & Emotion 2010.
"""

from __future__ import annotations

import re
from typing import Any

from training.datasets.labels import emotion_of
from training.datasets.named import NamedSet, left_out


def _labels(match: re.Match[str]) -> dict[str, Any]:
    word = match["emotion"].lower()
    emotion = emotion_of(word)
    if emotion is None:
        raise left_out(word)
    return {"person": match["person"], "emotion": emotion, "female": match["gender"] == "FEMALE"}


RAFD = NamedSet(
    "rafd",
    "Rafd090_01_Caucasian_female_angry_frontal.jpg",
    re.compile(
        r"RAFD\d{3}_(?P<person>\d+)_[A-Z]+_(?P<gender>FEMALE|MALE)_"
        r"(?P<emotion>ANGRY|CONTEMPTUOUS|DISGUSTED|FEARFUL|HAPPY|NEUTRAL|SAD|SURPRISED)_(?:FRONTAL|LEFT|RIGHT)"
    ),
    _labels,
)
