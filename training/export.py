"""Write a trained model as a bundle: weights without optimizer, checksum, measured figures, card."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from models.bundle import Bundle, read_bundle
from models.cards import Calibration, Card, Geometry
from models.geometry import ChipGeometry


def flatten(recipe: Any, prefix: str = "") -> dict[str, str | int | float | bool | None]:
    """A recipe's fields, nested ones as `outer.inner`, others than plain values as text."""
    flat: dict[str, str | int | float | bool | None] = {}
    for field in dataclasses.fields(recipe):
        value = getattr(recipe, field.name)
        if dataclasses.is_dataclass(value):
            flat |= flatten(value, f"{prefix}{field.name}.")
        else:
            flat[prefix + field.name] = value if isinstance(value, str | int | float | None) else str(value)
    return flat


def export_bundle(
    folder: Path,
    model: Any,
    plain: Any,
    *,
    geometry: ChipGeometry,
    recipe: Any,
    calibration: Calibration,
    evaluate: Callable[[Bundle], Mapping[str, float]],
    **fields: Any,
) -> dict[str, float]:
    """Write `model.keras` and `card.json`, load the bundle as users do, and write what is measured into the card.

    Args:
      folder: of the bundle; its name becomes the model's.
      model: the trained keras.Model.
      plain: the same network built anew, without regularisation; the weights are copied into it.
      geometry: how its chips are cut.
      recipe: the recipe's dataclass.
      calibration: as fit.
      evaluate: measures the loaded bundle.
      **fields: the other fields of `models.cards.Card`.

    Returns:
      The figures.
    """
    folder.mkdir(parents=True, exist_ok=True)
    plain.set_weights(model.get_weights())
    plain.save(folder / "model.keras", include_optimizer=False)
    card = Card(
        name=folder.name,
        geometry=Geometry(**dataclasses.asdict(geometry)),
        channel_order="grey" if geometry.channels == "grey" else "RGB",
        scaling="x / 127.5 - 1, inside the network",
        architecture=plain.name,
        parameters=plain.count_params(),
        recipe=flatten(recipe),
        calibration=calibration,
        figures={},
        sha256=hashlib.sha256((folder / "model.keras").read_bytes()).hexdigest(),
        **fields,
    )
    _write(folder, card)
    figures = {name: round(value, 4) for name, value in evaluate(read_bundle(folder)).items()}
    _write(folder, card.model_copy(update={"figures": figures}))
    return figures


def _write(folder: Path, card: Card) -> None:
    (folder / "card.json").write_text(card.model_dump_json(indent=2) + "\n", encoding="utf-8")
