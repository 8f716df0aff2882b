"""Build networks of the zoo with a recipe's options, load initial weights, and rebuild them for export."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from models.bundle import bundle_path
from models.zoo import Network
from schemas.errors import BundleError, UsageError
from training.learning.batch_norm import with_fused_batch_norm
from training.recipe import Recipe


def check_options(network: Network, recipe: Recipe) -> None:
    """Check that the network's builder takes the recipe's options, without building anything.

    Raises:
      UsageError: it does not take one of them.
    """
    known = list(inspect.signature(network.build).parameters)
    for option in recipe.options:
        if option not in known:
            raise UsageError(f"{network.name} has no option {option!r}; it has {', '.join(known) or 'none'}.")


def build_network(network: Network, recipe: Recipe) -> Any:
    """The network to train. A recipe with several heads gets one output per head, on the same trunk."""
    import keras
    from keras import layers

    model = network.build(**recipe.options)
    if keras.backend.backend() == "tensorflow":
        model = with_fused_batch_norm(model)
    if len(recipe.heads) == 1:
        return model
    last = model.layers[-1]
    if not isinstance(last, layers.Dense):
        raise UsageError(f"{network.name} does not end in a dense layer: it cannot have several heads.")
    heads = {
        head.name: layers.Dense(last.units, activation=last.activation, dtype="float32", name=head.name)(last.input)
        for head in recipe.heads
    }
    return keras.Model(model.input, heads, name=model.name)


def in_float32(model: Any, network: Network, recipe: Recipe) -> Any:
    """A trained network that computes in float32, as its bundles do."""
    import keras

    keras.mixed_precision.set_global_policy("float32")
    copy = build_network(network, recipe)
    copy.set_weights(model.get_weights())
    return copy


def one_head(model: Any, name: str) -> Any:
    """The trunk with one of several heads."""
    import keras

    return keras.Model(model.input, model.output[name])


def plain_network(network: Network, recipe: Recipe) -> Any:
    """The network rebuilt for use: float32 and without regularisation. Its weights are set later."""
    import keras

    keras.mixed_precision.set_global_policy("float32")
    known = inspect.signature(network.build).parameters
    options = recipe.options | {"decay": 0.0, "weights": None}
    return network.build(**{name: value for name, value in options.items() if name in known})


def weights_file(start: str | Path) -> Path:
    """The file of the initial weights.

    Args:
      start: name or folder of a bundle, a `.keras` or a `.weights.h5` file.

    Raises:
      UsageError: there is no such file or bundle.
    """
    file = Path(start)
    if file.is_file():
        return file
    try:
        return bundle_path(start) / "model.keras"
    except BundleError as error:
        raise UsageError(f"--start {start}: there is no such file, nor a bundle of this name.") from error


def load_weights(model: Any, files: Sequence[Path], recipe: Recipe) -> None:
    """Load the weights of a file, or the mean of the weights of several files, into a network.

    Source: M. Wortsman et al., Model soups: averaging weights of multiple fine-tuned models, ICML 2022.

    Each head gets the weights of the file's head of the same name. If the file has only one head, all heads get its
    weights.

    Args:
      model: keras.Model.
      files: as `weights_file` gives them.
      recipe: the recipe that the model was built with.

    Raises:
      UsageError: a file holds another network.
    """
    found = []
    for file in files:
        _load(model, file, recipe)
        found.append(model.get_weights())
    model.set_weights([sum(values) / len(files) for values in zip(*found, strict=True)])


def blend_weights(model: Any, begun: Sequence[Any], kept: float) -> None:
    """Set a network's weights to the mean of its own and of those it began from.

    Args:
      model: keras.Model.
      begun: what `model.get_weights()` was.
      kept: share of those in the mean.
    """
    weights = zip(begun, model.get_weights(), strict=True)
    model.set_weights([kept * before + (1 - kept) * now for before, now in weights])


def _load(model: Any, file: Path, recipe: Recipe) -> None:
    import keras

    try:
        if file.name.endswith(".weights.h5"):
            model.load_weights(file)
            return
        other = keras.saving.load_model(file, compile=False)
    except (ValueError, TypeError, OSError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise UsageError(f"{file} does not hold weights for {recipe.network}: {reason}") from error
    ours, our_heads = _layers(model)
    theirs, their_heads = _layers(other)
    for name, head in our_heads.items():
        called = name if len(recipe.heads) > 1 or name in their_heads else recipe.heads[0].name
        if len(their_heads) == 1:
            called = next(iter(their_heads))
        if called not in their_heads:
            raise UsageError(f"{file} has no head called {called}; it has {', '.join(their_heads) or 'none'}.")
        ours.append(head)
        theirs.append(their_heads[called])
    if [_shapes(layer) for layer in ours] != [_shapes(layer) for layer in theirs]:
        raise UsageError(f"{file} does not hold weights for {recipe.network}: its layers have other shapes.")
    for layer, like in zip(ours, theirs, strict=True):
        layer.set_weights(like.get_weights())


def _layers(model: Any) -> tuple[list[Any], dict[str, Any]]:
    """Layers with weights: those of the trunk in order, and the heads by name."""
    weighty = [layer for layer in model.layers if layer.weights]
    heads = {layer.name: layer for layer in weighty if layer.name in model.output_names}
    return [layer for layer in weighty if layer.name not in heads], heads


def _shapes(layer: Any) -> list[tuple[int, ...]]:
    return [tuple(weight.shape) for weight in layer.weights]
