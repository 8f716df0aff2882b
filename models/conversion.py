"""Convert a network for LiteRT, and compare what both say of the same chips.

The converted file has weights of 8 bits; activations are floats that are quantized as they come (dynamic range). It is
made where a bundle is written. A bundle that was written without it gets it when it is first used: in its own folder if
that can be written, otherwise in a copy of the bundle in the user's cache folder.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from models.cards import Card, Converted, read_card, write_card
from models.on_litert import CHIP, ONLY, SECOND, litert_network
from models.on_tensorflow import frozen, input_signature, load_keras, tensorflow_network
from models.outputs import answers
from models.runtime import configure_tensorflow, quiet
from schemas.errors import BundleError

_LOG = logging.getLogger(__name__)

KERAS, CONVERTED = "model.keras", "model.tflite"
"""Files of a bundle that hold the weights."""

MADE_CHIPS = "made chips: random shades, smoothed"

LIMITS = {"emotion_difference": 0.03, "gender_difference": 0.03, "age_difference": 1.5}
"""What a conversion may change at most, on average: probabilities, and years. TensorFlow runs what is above."""


def convert(folder: Path, model: Any, card: Card, chips: np.ndarray | None = None, about: str = MADE_CHIPS) -> Card:
    """Write the converted file of a bundle, and the bundle's card with what was found in comparing both.

    Args:
      folder: of the bundle.
      model: its keras.Model.
      card: its card as it is so far.
      chips: faces to compare by, [n, size, size] or [n, size, size, 3] uint8; None: made ones.
      about: what the chips are, for the card.

    Returns:
      The card that was written.
    """
    if chips is None or not len(chips):
        chips, about = made_chips(card), MADE_CHIPS
    seen = chips if chips.ndim == 4 else chips[..., None]
    path = folder / f".{CONVERTED}"
    try:
        path.write_bytes(_converted(model))
        figures = _agreement(
            answers(card, tensorflow_network(model, "cpu"), seen), answers(card, litert_network(path), seen)
        )
    except Exception as error:  # whatever a network does to the converter, TensorFlow still runs it
        path.unlink(missing_ok=True)
        said = str(error).strip().splitlines() or [type(error).__name__]
        converted = Converted(refused=f"it does not convert: {said[0][:200]}")
    else:
        too_far = [name for name, limit in LIMITS.items() if not figures.get(name, 0.0) <= limit]  # or no number
        if too_far:
            path.unlink()
            converted = Converted(
                refused="it says other things once converted", compared_on=about, figures=_known(figures)
            )
        else:
            sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
            path.replace(folder / CONVERTED)
            converted = Converted(sha256=sha256, compared_on=about, figures=figures)
    card = card.model_copy(update={"litert": converted})
    write_card(folder, card)
    return card


def with_converted(folder: Path) -> Path:
    """The bundle in a folder, with the file for LiteRT: the folder itself, or a copy of it in the cache folder.

    Raises:
      BundleError: its weights are missing or damaged.
    """
    card = read_card(folder)
    if card.litert is not None:
        return folder
    if os.access(folder, os.W_OK) and os.access(folder / "card.json", os.W_OK):
        _convert_in_place(folder, card)
        return folder
    kept = _cache() / f"{card.name}-{hashlib.sha256((folder / 'card.json').read_bytes()).hexdigest()[:16]}"
    if not (kept / "card.json").is_file():
        kept.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=kept.parent) as made:
            copy = Path(made) / "bundle"
            copy.mkdir()
            for name in (KERAS, "card.json"):
                shutil.copyfile(folder / name, copy / name)
            _convert_in_place(copy, card)
            with contextlib.suppress(OSError):  # another process was faster
                copy.rename(kept)
    return kept


def _convert_in_place(folder: Path, card: Card) -> None:
    check_weights(folder / KERAS, card.name, card.sha256)
    _LOG.warning("The model %s is converted for LiteRT, once; this takes some seconds.", card.name)
    try:
        model = load_keras(folder / KERAS, "cpu")
    except (ValueError, TypeError, OSError) as error:
        raise BundleError(f"Bundle {card.name} does not load: {folder / KERAS}: {error}") from error
    convert(folder, model, card)


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "facelog" / "bundles"


def check_weights(path: Path, name: str, sha256: str) -> None:
    """Compare a file of weights with its checksum.

    Raises:
      BundleError: it is missing, or another one.
    """
    try:
        found = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise BundleError(f"Bundle {name} cannot be read: {path} ({error.strerror}).") from error
    if found != sha256:
        raise BundleError(
            f"Bundle {name} is damaged: sha256 of {path} is {found[:12]}…, its card says {sha256[:12]}…. "
            "Install facelog again, or export the bundle again."
        )


def made_chips(card: Card, count: int = 64) -> np.ndarray:
    """Chips where there are no faces at hand: random shades, smoothed; the same for each call."""
    size, channels = card.geometry.size, 1 if card.geometry.channels == "grey" else 3
    shades = np.random.default_rng(0).integers(0, 256, (count, 8, 8, channels), dtype=np.uint8)
    large = [cv2.resize(of, (size, size), interpolation=cv2.INTER_CUBIC) for of in shades]
    return np.stack(large).reshape(count, size, size, channels)


def _converted(model: Any) -> bytes:
    """A keras.Model for one face at a time, as LiteRT takes it."""
    tf = configure_tensorflow()
    network = frozen(tf, model, 1)

    @tf.function(autograph=False)
    def call(**inputs: Any) -> dict[str, Any]:
        found = network(*(inputs[name] for name in (CHIP, SECOND) if name in inputs))
        return {name or ONLY: tf.identity(values) for name, values in found.items()}

    named = dict(zip((CHIP, SECOND), input_signature(tf, model, 1), strict=False))
    with quiet():
        converter = tf.lite.TFLiteConverter.from_concrete_functions([call.get_concrete_function(**named)], tf.Module())
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        return bytes(converter.convert())


def _agreement(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> dict[str, float]:
    """How far two runtimes agree: shares of faces with the same class, and mean differences."""
    figures: dict[str, float] = {"n": len(next(iter(one.values())))}
    if "emotion" in one:
        known = ~np.isnan(one["emotion"]).all(axis=0)  # a model may know some of them
        first, second = one["emotion"][:, known], other["emotion"][:, known]
        figures["emotion_same"] = float((first.argmax(axis=1) == second.argmax(axis=1)).mean())
        figures["emotion_difference"] = float(np.abs(first - second).mean())
    if "age" in one:
        figures["age_difference"] = float(np.abs(one["age"] - other["age"]).mean())
    if "gender_female" in one:
        first, second = one["gender_female"], other["gender_female"]
        figures["gender_same"] = float(((first > 0.5) == (second > 0.5)).mean())
        figures["gender_difference"] = float(np.abs(first - second).mean())
    return {name: float(f"{value:.4g}") for name, value in figures.items()}


def _known(figures: dict[str, float]) -> dict[str, float]:
    return {name: value for name, value in figures.items() if np.isfinite(value)}
