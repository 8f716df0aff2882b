"""Bundles without a network: a function of the chips answers, so that tests need no TensorFlow."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.bundle import Bundle
from models.cards import Card, write_card
from models.geometry import AGE_GENDER, EMOTION, Geometry

Answer = Callable[[np.ndarray], dict[str, np.ndarray]]
"""Chips [n, size, size, c] uint8 → outputs as `Bundle.predict` gives them."""


def fake_bundle(folder: Path, answer: Answer, geometry: Geometry, *outputs: dict[str, Any], **fields: Any) -> Bundle:
    """A bundle that gives what `answer` says, with its card in a folder."""
    words = ("description", "architecture", "training_data", "calibration_data", "test_data", "limits", "licence_notes")
    card = Card.model_validate(
        {
            **dict.fromkeys(words, "none"),
            **fields,
            "name": folder.name,
            "geometry": geometry,
            "outputs": outputs,
            "parameters": 0,
            "sha256": "0" * 64,
            "litert": {"refused": "there is no network"},
        }
    )
    folder.mkdir(parents=True, exist_ok=True)
    write_card(folder, card)

    return Bundle(card, folder, "litert", answer)


@contextlib.contextmanager
def no_conversion() -> Iterator[None]:
    """Networks do not convert to LiteRT, which takes some ten seconds each; `models/test_zoo.py` does it."""

    def refuse(model: Any) -> bytes:
        raise ValueError("not here")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("models.conversion._converted", refuse)
        yield


def emotion_bundle(folder: Path, answer: Answer, *, classes: tuple[str, ...], geometry: Geometry = EMOTION) -> Bundle:
    """A bundle of emotions."""
    return fake_bundle(folder, answer, geometry, {"attribute": "emotion", "kind": "probabilities", "classes": classes})


def age_gender_bundle(folder: Path, answer: Answer, *, geometry: Geometry = AGE_GENDER) -> Bundle:
    """A bundle of age and gender; a gender is unknown below 0.7."""
    age = {"attribute": "age", "kind": "years", "std_years": 5.0, "source": "age"}
    gender = {"attribute": "gender", "kind": "probabilities", "classes": ("female",), "source": "gender"}
    return fake_bundle(folder, answer, geometry, age, gender, unknown_below=0.7)


def colour_tells(chips: np.ndarray) -> dict[str, np.ndarray]:
    """Age and gender from a chip's mean colour: red is the age, green the percentage of female; ± 5 years are 64 %."""
    red, green, _ = chips.mean(axis=(1, 2), dtype=np.float64).T
    return {
        "age": red.astype(np.float32),
        "age_std": np.full(len(chips), 5, np.float32),
        "gender_female": (green / 100).astype(np.float32),
    }


def grey_tells(chips: np.ndarray) -> dict[str, np.ndarray]:
    """An emotion from a chip's mean grey: ten for each in the order of EMOTIONS, with a probability of 0.7."""
    told = np.round(chips.mean(axis=(1, 2, 3)) / 10).astype(int).clip(0, 6)
    return {"emotion": np.where(np.arange(7) == told[:, None], 0.7, 0.05).astype(np.float32)}
