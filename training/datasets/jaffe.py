"""JAFFE: 213 grey pictures of ten Japanese women; in `KA.AN1.39.tiff`, KA is the person and AN the emotion.

Source: M. Lyons et al., Coding facial expressions with Gabor wavelets, FG 1998; https://zenodo.org/records/3451524.
"""

from __future__ import annotations

import re
from typing import Any

from training.datasets.named import NamedSet

_EMOTIONS = {
    "AN": "angry",
    "DI": "disgust",
    "FE": "fear",
    "HA": "happy",
    "NE": "neutral",
    "SA": "sad",
    "SU": "surprise",
}


def _labels(match: re.Match[str]) -> dict[str, Any]:
    return {"person": match[1], "emotion": _EMOTIONS[match[2]], "female": True}


JAFFE = NamedSet("jaffe", "KA.AN1.39.tiff", re.compile(rf"([A-Z]{{2}})\.({'|'.join(_EMOTIONS)})\d*\.\d+"), _labels)
