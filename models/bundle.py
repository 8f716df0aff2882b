"""Bundles: a trained model as a folder (`model.keras`, `card.json`), loaded once per process and called in blocks.

Chips are uint8; scaling, softmax, the order of classes and calibration are part of the graph (`models.outputs`), so
nothing outside has to know them.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from models.cards import Card, read_card, write_card
from models.outputs import attributes
from models.runtime import Device, configure_tensorflow
from schemas.errors import BundleError

BUNDLES = Path(__file__).parent / "bundles"

# Every call has this many rows, and the last one is padded. So one shape is compiled once, and the result of a chip
# cannot depend on how many others came with it.
BLOCK = 32


def bundle_names() -> list[str]:
    """Names of the bundles that come with facelog, sorted."""
    return sorted(card.parent.name for card in BUNDLES.glob("*/card.json"))


def bundle_path(name_or_path: str | Path) -> Path:
    """Folder of a bundle, given by the name of one of ours or as a path.

    Raises:
      BundleError: there is no such bundle.
    """
    for folder in (BUNDLES / name_or_path, Path(name_or_path)):
        if (folder / "card.json").is_file():
            return folder.resolve()
    known = ", ".join(bundle_names()) or "none"
    raise BundleError(
        f"There is no model bundle {str(name_or_path)!r}: neither a folder with a card.json nor one of {known}."
    )


@dataclasses.dataclass(frozen=True, eq=False)
class Bundle:
    """A loaded model.

    Attributes:
      card: its model card.
      path: its folder.
      call: uint8 chips [BLOCK, size, size, channels] and, if the card says so, its second input [BLOCK, k] float32 →
        named outputs, each with BLOCK rows.
    """

    card: Card
    path: Path
    call: Callable[..., dict[str, Any]] = dataclasses.field(repr=False)

    @property
    def sha256(self) -> str:
        """Checksum of model.keras, 64 hex digits."""
        return self.card.sha256

    def predict(self, chips: np.ndarray) -> dict[str, np.ndarray]:
        """Attributes of each chip.

        Args:
          chips: [n, size, size] for grey models, [n, size, size, 3] for RGB; uint8. n may be 0.

        Returns:
          The values of the card's outputs, all float32: {"emotion": [n, 7]}, calibrated probabilities in the order of
          `schemas.tables.EMOTIONS`, NaN for emotions that the model does not know; {"age": [n], "age_std": [n]} in
          years, age ± 1.2816·age_std being an interval that holds 80 %; {"gender_female": [n]}, a calibrated
          probability.

        Raises:
          BundleError: the chips are not of the model's size, channels or type.
        """
        geometry = self.card.geometry
        shape = (geometry.size, geometry.size, 1 if geometry.channels == "grey" else 3)
        images = chips[..., None] if geometry.channels == "grey" else chips
        if images.shape[1:] != shape or images.dtype != np.uint8:
            raise BundleError(
                f"Model {self.card.name} takes uint8 chips {shape}, not {images.dtype} {images.shape[1:]}."
            )
        blocks: list[dict[str, np.ndarray]] = []
        for start in range(0, max(len(images), 1), BLOCK):
            part = images[start : start + BLOCK]
            padded = np.zeros((BLOCK, *shape), np.uint8)
            padded[: len(part)] = part
            inputs = [padded]
            if self.card.second_input == "hog_landmarks":
                from models.features import hog_landmarks

                inputs.append(hog_landmarks(padded[..., 0]))
            blocks.append({name: value.numpy()[: len(part)] for name, value in self.call(*inputs).items()})
        return {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}


def load_bundle(name_or_path: str | Path, *, device: Device = "cpu") -> Bundle:
    """Load a bundle; once per process, later calls return the same.

    Args:
      name_or_path: name of one of ours (`bundle_names`) or a folder.
      device: see `models.runtime.configure_tensorflow`.

    Raises:
      BundleError: it is missing, damaged (the checksum differs) or does not load; or the device is not there.
    """
    return _load_once(bundle_path(name_or_path), device)


def checksum(folder: Path) -> str:
    """Sha256 of a bundle's weights as they are on disk, 64 hex digits."""
    return hashlib.sha256((folder / "model.keras").read_bytes()).hexdigest()


def read_bundle(folder: Path, device: Device = "cpu") -> Bundle:
    """Load the bundle in a folder like `load_bundle`, but anew with each call."""
    card, weights = read_card(folder), folder / "model.keras"
    try:
        found = checksum(folder)
    except OSError as error:
        raise BundleError(f"Bundle {card.name} cannot be read: {weights} ({error.strerror}).") from error
    if found != card.sha256:
        raise BundleError(
            f"Bundle {card.name} is damaged: sha256 of {weights} is {found[:12]}…, its card says {card.sha256[:12]}…. "
            "Install facelog again, or export the bundle again."
        )
    tf = configure_tensorflow(device)
    import keras

    try:
        model = keras.saving.load_model(weights, compile=False)
    except (ValueError, TypeError, OSError) as error:
        raise BundleError(f"Bundle {card.name} does not load: {weights}: {error}") from error
    bundle = Bundle(card, folder, _compile(tf, model, card))
    size = card.geometry.size
    bundle.predict(np.zeros((1, size, size, *(() if card.geometry.channels == "grey" else (3,))), np.uint8))
    return bundle


_load_once = functools.lru_cache(maxsize=8)(read_bundle)


def write_bundle(folder: Path, model: Any, **fields: Any) -> Card:
    """Write a network and its card as a bundle; files of the same names in the folder are replaced.

    Args:
      folder: made if it is not there; its name becomes the model's.
      model: keras.Model; optimizer state is left out.
      **fields: the fields of `models.cards.Card` but for name, parameters and sha256.

    Returns:
      The card.
    """
    folder.mkdir(parents=True, exist_ok=True)
    model.save(folder / "model.keras", include_optimizer=False)
    card = Card(name=folder.name, parameters=model.count_params(), sha256=checksum(folder), **fields)
    write_card(folder, card)
    return card


def _compile(tf: Any, model: Any, card: Card) -> Callable[..., dict[str, Any]]:
    """The model with its calibration as one compiled function over a block."""
    size, channels = card.geometry.size, 1 if card.geometry.channels == "grey" else 3
    signature = [tf.TensorSpec((BLOCK, size, size, channels), tf.uint8)]
    if card.second_input:
        signature.append(tf.TensorSpec((BLOCK, *model.input_shape[1][1:]), tf.float32))

    def network(chips: Any, *others: Any) -> dict[str | None, Any]:
        outputs = model([chips, *others] if others else chips, training=False)
        return outputs if isinstance(outputs, dict) else {None: outputs}

    @tf.function(input_signature=signature, autograph=False)
    def call(chips: Any, *others: Any) -> dict[str, Any]:
        scaled = tf.cast(chips, tf.float32) * card.scale + card.offset
        if not card.mirror:
            return attributes(tf, network(scaled, *others), card)
        both = network(tf.concat([scaled, scaled[:, :, ::-1]], axis=0))
        return attributes(tf, {name: (value[:BLOCK] + value[BLOCK:]) / 2 for name, value in both.items()}, card)

    return _frozen(tf, call.get_concrete_function())


def _frozen(tf: Any, function: Any) -> Callable[..., dict[str, Any]]:
    """Turns a function's weights into constants, so that TensorFlow joins each convolution with the next operations.

    `emotion` took 2.6 in place of 2.9 ms of CPU a face, on one thread with AVX-512.
    """
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    frozen, outputs = convert_variables_to_constants_v2(function), function.structured_outputs
    return lambda *inputs: tf.nest.pack_sequence_as(outputs, frozen(*map(tf.constant, inputs)))
