"""Makes bundles from HDF5 files of Keras 2, so that weights trained with older tools can still be used.

Such a file is a whole model (group `model_weights`, attribute `model_config`) or weights only. Both list the layers in
topological order (`layer_names`) and the arrays of each layer (`weight_names`). Keras 3 has the same order for the same
network, so order and shapes tell where each array belongs. Names do not, because they count all layers of a session.
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

# For other networks it is not known how the training pictures of a file were cropped and scaled.
IMPORTABLE = ("mini-xception", "age-gender-wrn")

Shapes = tuple[tuple[int, ...], ...]


@dataclasses.dataclass(frozen=True, eq=False)
class SavedLayer:
    """A layer with weights in a Keras 2 file."""

    name: str
    weights: tuple[np.ndarray, ...]

    @property
    def shapes(self) -> Shapes:
        """Shapes of its arrays."""
        return tuple(array.shape for array in self.weights)


@dataclasses.dataclass(frozen=True, eq=False)
class SavedModel:
    """The content of a Keras 2 file.

    Attributes:
      path: path of the file.
      layers: layers with weights, in the order of the file.
      size: width and height of the input in pixels; None if the file holds weights only.
    """

    path: Path
    layers: tuple[SavedLayer, ...]
    size: int | None


def read_keras2(path: Path) -> SavedModel:
    """Read a Keras 2 file, a whole model or weights.

    Raises:
      UsageError: there is no such file, it is not an HDF5 file, or not one of Keras 2.
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
                raise UsageError(f"{path} is an HDF5 file but not of Keras 2: its attribute layer_names is missing.")
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
    """Width and height of the input in a model's configuration, which Keras 2 writes as JSON."""
    if model_config is None:
        return None
    config = json.loads(_text(model_config))["config"]
    layers = config["layers"] if isinstance(config, dict) else config  # a list: Sequential before Keras 2.2
    return int(layers[0]["config"]["batch_input_shape"][1])


def assign(model: Any, saved: SavedModel, name: str) -> None:
    """Load the weights of a file into a network.

    Layers of the same shapes are matched in order. The order of some layers, such as a shortcut and the convolution
    beside it, may differ between versions of Keras; in our networks these layers have different shapes.

    Args:
      model: keras.Model.
      saved: what `read_keras2` returned.
      name: name of the network, for the error message.

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
    """The first difference between the layers of a file and of a network, in words."""
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
      UsageError: the file is of another network, or the name is not one of `IMPORTABLE`.
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
        # Networks of this kind are overconfident, and this one is not calibrated.
        "unknown_below": 0.75 if "gender" in network.attributes else None,
        "limits": "Imported and not measured here; probabilities are not calibrated.",
        "licence_notes": f"Those of the file's origin. {network.source}",
    }
    try:
        return write_bundle(out, model, **fields)
    except OSError as error:
        raise StorageError(f"The bundle cannot be written to {out}: {error.strerror or error}.") from error
