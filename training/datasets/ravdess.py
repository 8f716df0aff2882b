"""RAVDESS: 2,452 takes of 24 actors who speak or sing two sentences; clips such as `01-01-05-02-01-01-12.mp4`.

The numbers are modality (01 picture and sound, 02 picture alone, 03 sound alone), channel (01 speech, 02 song),
emotion, intensity, statement, repetition and actor (odd numbers are men). Modality 01 and 02 are the same recording.
"Calm" is no emotion of ours.

Source: S. Livingstone and F. Russo, The Ryerson Audio-Visual Database of Emotional Speech and Song, PLoS ONE 2018;
https://zenodo.org/records/1188976. CC BY-NC-SA 4.0.
"""

from __future__ import annotations

import dataclasses
import re
from typing import Any

from training.datasets.base import DataSet
from training.datasets.files import Files
from training.datasets.named import LeftOut, NamedSet, left_out, stem

_EMOTIONS = {
    "01": "neutral",
    "03": "happy",
    "04": "sad",
    "05": "angry",
    "06": "fear",
    "07": "disgust",
    "08": "surprise",
}


def _labels(match: re.Match[str]) -> dict[str, Any]:
    if match["emotion"] == "02":
        raise left_out("calm")
    actor = match["actor"]
    return {"person": actor, "emotion": _EMOTIONS[match["emotion"]], "female": int(actor) % 2 == 0}


RAVDESS = NamedSet(
    "ravdess",
    "01-01-05-02-01-01-12.mp4",
    re.compile(
        r"(?P<modality>0[12])-(?P<take>0[12]-(?P<emotion>0[1-8])-0[12]-0[12]-0[12]-(?P<actor>\d\d))",
    ),
    _labels,
    clips=True,
)


def read(files: Files) -> DataSet:
    """The frames of all takes, each once.

    Raises:
      DataError: no file has such a name.
    """
    silent = {stem(name)[3:] for name in files.clips if stem(name).startswith("02-")}

    def labels(match: re.Match[str]) -> dict[str, Any]:
        if match["modality"] == "01" and match["take"] in silent:
            raise LeftOut("the same recording is there without sound")
        return _labels(match)

    return dataclasses.replace(RAVDESS, labels=labels).read(files)
