"""Bundles from Keras 2 HDF5 files: weights that people trained with the older tools keep their use.

Such a file is a whole model (group `model_weights`, attribute `model_config`) or weights alone. Either lists its layers
in topological order (`layer_names`) and each layer's arrays (`weight_names`); Keras 3 orders the layers of the same
network alike, so order and shapes say which array goes where. Names do not: they count the layers of a whole session.
"""

from __future__ import annotations

import collections
import dataclasses
import hashlib
import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np

from models.bundle import write_bundle
from models.cards import Card
from models.runtime import configure_tensorflow
from models.zoo import ZOO
from schemas.errors import StorageError, UsageError

# Of the others it is not known how the pictures were cut and scaled that a file was trained on.
IMPORTABLE = ("mini-xception", "age-gender-wrn")

Shapes = tuple[tuple[int, ...], ...]


@dataclasses.dataclass(frozen=True, eq=False)
class SavedLayer:
    """One layer with weights of a Keras 2 file."""

    name: str
    weights: tuple[np.ndarray, ...]

    @property
    def shapes(self) -> Shapes:
        """Shape of each of its arrays."""
        return tuple(array.shape for array in self.weights)


@dataclasses.dataclass(frozen=True, eq=False)
class SavedModel:
    """What a Keras 2 file holds.

    Attributes:
      path: the file.
      layers: those with weights, in the file's order.
      size: width and height of its input in pixels; None where the file holds weights alone.
    """

    path: Path
    layers: tuple[SavedLayer, ...]
    size: int | None


def read_keras2(path: Path) -> SavedModel:
    """Read a Keras 2 file, a whole model or weights.

    Raises:
      UsageError: there is no such file, it is no HDF5 file, or not one of Keras 2.
    """
    import h5py

    if not path.is_file():
        raise UsageError(f"There is no file {path}; give a Keras 2 HDF5 file.")
    if not h5py.is_hdf5(path):
        raise UsageError(f"{path} is not an HDF5 file, as Keras 2 writes its models and weights (.hdf5, .h5).")
    try:
        with h5py.File(path) as file:
            group = file.get("model_weights", file)
            if "layer_names" not in group.attrs:
                raise UsageError(f"{path} is an HDF5 file but none of Keras 2: its attribute layer_names is missing.")
            layers = (_read_layer(group, _text(name)) for name in group.attrs["layer_names"])
            with_weights = tuple(layer for layer in layers if layer.weights)
            return SavedModel(path, with_weights, _input_size(file.attrs.get("model_config")))
    except (OSError, LookupError, TypeError, ValueError) as error:
        raise UsageError(f"{path} is damaged, or not of Keras 2 ({error}); get the file again.") from error


def _read_layer(group: Any, name: str) -> SavedLayer:
    layer = group[name]
    return SavedLayer(name, tuple(np.asarray(layer[_text(weight)]) for weight in layer.attrs["weight_names"]))


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value


def _input_size(model_config: str | bytes | None) -> int | None:
    """Width and height of the input that a model's configuration states, JSON as Keras 2 writes it."""
    if model_config is None:
        return None
    config = json.loads(_text(model_config))["config"]
    layers = config["layers"] if isinstance(config, dict) else config  # a list: Sequential before Keras 2.2
    return int(layers[0]["config"]["batch_input_shape"][1])


def assign(model: Any, saved: SavedModel, name: str) -> None:
    """Give a network the weights of a file.

    Layers of the same shapes are matched in their order. That order has ties, as between a shortcut and the convolution
    beside it, which a version of Keras may break otherwise; in our networks such layers differ in their shapes.

    Args:
      model: keras.Model.
      saved: see `read_keras2`.
      name: what the model is, for the error.

    Raises:
      UsageError: the file is of another network.
    """
    layers = [layer for layer in model.layers if layer.weights]
    wanted = [tuple(tuple(weight.shape) for weight in layer.weights) for layer in layers]
    if collections.Counter(wanted) != collections.Counter(layer.shapes for layer in saved.layers):
        raise UsageError(f"{saved.path} is not a file of {name}: {_difference(saved.layers, wanted)}.")
    queues: dict[Shapes, collections.deque[SavedLayer]] = collections.defaultdict(collections.deque)
    for layer in saved.layers:
        queues[layer.shapes].append(layer)
    for layer, shapes in zip(layers, wanted, strict=True):
        layer.set_weights(queues[shapes].popleft().weights)


def _difference(saved: tuple[SavedLayer, ...], wanted: list[Shapes]) -> str:
    """Where the file's layers first differ from the network's, and how."""
    for number, (layer, shapes) in enumerate(itertools.zip_longest(saved, wanted), 1):
        if layer is None:
            return f"it has {len(saved)} layers with weights where {len(wanted)} belong"
        if layer.shapes != shapes:
            right = f"where {_words(shapes)} belongs" if shapes else f"where only {len(wanted)} layers belong"
            return f"layer {layer.name}, its {number}. with weights, is of {_words(layer.shapes)} {right}"
    return "its layers are the same in another order"


def _words(shapes: Shapes) -> str:
    return " and ".join("×".join(map(str, shape)) or "a number" for shape in shapes)


def import_keras2(path: Path, name: str, out: Path) -> Card:
    """Make a bundle of a Keras 2 file.

    Args:
      path: a whole model or weights.
      name: one of `IMPORTABLE`.
      out: the bundle's folder; its name becomes the model's.

    Returns:
      The bundle's card. Nothing is calibrated.

    Raises:
      UsageError: the file is not one of this network, or the name none of these.
      StorageError: the bundle cannot be written.
    """
    if name not in IMPORTABLE:
        raise UsageError(f"Files of {name} cannot be imported, only those of {' and '.join(IMPORTABLE)}.")
    network, saved = ZOO[name], read_keras2(path)
    size = saved.size or network.geometry.size
    configure_tensorflow()
    model = network.build(size=size)
    assign(model, saved, name)
    sized = dataclasses.replace(network, geometry=dataclasses.replace(network.geometry, size=size))
    fields = sized.card_fields() | {
        "training_data": f"Not known here: the weights were trained elsewhere and imported from {path.name}.",
        "recipe": {"imported_from": path.name, "imported_sha256": hashlib.sha256(path.read_bytes()).hexdigest()},
        "calibration_data": "none: probabilities and intervals are the network's own",
        "test_data": "none: measure it with facelog evaluate",
        # Networks of this kind are surer than they are right, and nothing here has been calibrated.
        "unknown_below": 0.75 if "gender" in network.attributes else None,
        "limits": "Imported and not measured here; probabilities are not calibrated.",
        "licence_notes": f"Those of the file's origin. {network.source}",
    }
    try:
        return write_bundle(out, model, **fields)
    except OSError as error:
        raise StorageError(f"The bundle cannot be written to {out}: {error.strerror or error}.") from error
