"""Bundles: a trained model as a folder (`card.json`, `model.keras`, `model.tflite`), loaded once per process.

On the CPU LiteRT runs a model, on a GPU TensorFlow (`models.on_litert`, `models.on_tensorflow`). Chips are uint8;
scaling, the mirror image, calibration and the order of classes are the card's and the same for both (`models.outputs`),
so nothing outside has to know them.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np

from models.cards import Card, read_card
from models.conversion import CONVERTED, KERAS, MADE_CHIPS, check_weights, convert, with_converted
from models.on_litert import litert_network
from models.on_tensorflow import load_keras, tensorflow_network
from models.outputs import Network, answers
from models.runtime import Device
from schemas.errors import BundleError

BUNDLES = Path(__file__).parent / "bundles"

Runtime = Literal["litert", "tensorflow"]

RUNTIMES: dict[Runtime, str] = {"litert": "LiteRT", "tensorflow": "TensorFlow"}
"""Their names for people."""


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
      runtime: what runs it.
      call: uint8 chips [n, size, size, channels] → what `predict` returns.
    """

    card: Card
    path: Path
    runtime: Runtime
    call: Callable[[np.ndarray], dict[str, np.ndarray]] = dataclasses.field(repr=False)

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
        return self.call(images)


def runtime_of(card: Card, device: Device = "cpu") -> Runtime:
    """What runs a model: TensorFlow on a GPU, and where LiteRT cannot run it; otherwise LiteRT."""
    return "litert" if device != "gpu" and card.litert is not None and card.litert.sha256 else "tensorflow"


def weights_sha256(card: Card, device: Device = "cpu") -> str:
    """Checksum of the file of weights that runs on a device."""
    if runtime_of(card, device) == "litert" and card.litert is not None and card.litert.sha256:
        return card.litert.sha256
    return card.sha256


def load_bundle(name_or_path: str | Path, *, device: Device = "cpu") -> Bundle:
    """Load a bundle; once per process, later calls return the same.

    Args:
      name_or_path: name of one of ours (`bundle_names`) or a folder.
      device: "gpu" needs one; on all others it runs on the CPU.

    Raises:
      BundleError: it is missing, damaged (the checksum differs) or does not load; or the device is not there.
    """
    return _load_once(bundle_path(name_or_path), device)


def checksum(folder: Path) -> str:
    """Sha256 of a bundle's weights as they are on disk, 64 hex digits."""
    return hashlib.sha256((folder / KERAS).read_bytes()).hexdigest()


def check_bundle(folder: Path) -> None:
    """Compare all files of a bundle with the checksums in its card.

    Raises:
      BundleError: one is missing or damaged.
    """
    card = read_card(folder)
    check_weights(folder / KERAS, card.name, card.sha256)
    if runtime_of(card) == "litert":
        check_weights(folder / CONVERTED, card.name, weights_sha256(card))


def read_bundle(folder: Path, device: Device = "cpu", *, runtime: Runtime | None = None) -> Bundle:
    """Load the bundle in a folder like `load_bundle`, but anew with each call.

    Args:
      folder: of the bundle. If it has no file for LiteRT, that is made.
      device: as for `load_bundle`.
      runtime: what runs it; None: what the device asks for.
    """
    if device != "gpu" and runtime != "tensorflow":
        folder = with_converted(folder)
    card = read_card(folder)
    runtime = runtime or runtime_of(card, device)
    network = _litert(folder, card) if runtime == "litert" else _tensorflow(folder, card, device)
    bundle = Bundle(card, folder, runtime, functools.partial(answers, card, network))
    size = card.geometry.size
    bundle.predict(np.zeros((1, size, size, *(() if card.geometry.channels == "grey" else (3,))), np.uint8))
    return bundle


def _litert(folder: Path, card: Card) -> Network:
    path = folder / CONVERTED
    check_weights(path, card.name, weights_sha256(card))
    try:
        return litert_network(path)
    except ValueError as error:
        raise BundleError(f"Bundle {card.name} does not load: {path}: {error}") from error


def _tensorflow(folder: Path, card: Card, device: Device) -> Network:
    path = folder / KERAS
    check_weights(path, card.name, card.sha256)
    try:
        return tensorflow_network(load_keras(path, device), device)
    except (ValueError, TypeError, OSError) as error:
        raise BundleError(f"Bundle {card.name} does not load: {path}: {error}") from error


_load_once = functools.lru_cache(maxsize=8)(read_bundle)


def write_bundle(
    folder: Path, model: Any, *, chips: np.ndarray | None = None, about: str = MADE_CHIPS, **fields: Any
) -> Card:
    """Write a network, its card and the file for LiteRT as a bundle; replaces files of the same names in the folder.

    Args:
      folder: made if it is not there; its name becomes the model's.
      model: keras.Model; optimizer state is left out.
      chips: faces to compare the converted network by, as for `Bundle.predict`; None: made ones.
      about: what the chips are, for the card.
      **fields: the fields of `models.cards.Card` but for name, parameters, sha256 and litert.

    Returns:
      The card.
    """
    folder.mkdir(parents=True, exist_ok=True)
    model.save(folder / KERAS, include_optimizer=False)
    card = Card(name=folder.name, parameters=model.count_params(), sha256=checksum(folder), **fields)
    return convert(folder, model, card, chips, about)
