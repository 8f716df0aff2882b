"""Networks by TensorFlow: on a GPU, and on the CPU those that LiteRT cannot run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from models.outputs import Network, RawOutputs
from models.runtime import Device, configure_tensorflow

# Every call has this many rows, and the last one is padded. So one shape is compiled once, and the result of a chip
# cannot depend on how many others came with it.
BLOCK = 32


def load_keras(path: Path, device: Device) -> Any:
    """The network in a .keras file, as a keras.Model.

    Raises:
      ValueError, TypeError, OSError: it does not load.
      BundleError: the device is not there.
    """
    configure_tensorflow(device)
    import keras

    return keras.saving.load_model(path, compile=False)


def tensorflow_network(model: Any, device: Device) -> Network:
    """A keras.Model as one compiled function, called in blocks."""
    tf = configure_tensorflow(device)
    compiled = frozen(tf, model, BLOCK)

    def block(inputs: tuple[np.ndarray, ...], rows: slice) -> RawOutputs:
        padded = [np.zeros((BLOCK, *of.shape[1:]), np.float32) for of in inputs]
        for to, of in zip(padded, inputs, strict=True):
            to[: len(of[rows])] = of[rows]
        count = len(inputs[0][rows])
        return {name: values.numpy()[:count] for name, values in compiled(*padded).items()}

    def network(*inputs: np.ndarray) -> RawOutputs:
        starts = range(0, max(len(inputs[0]), 1), BLOCK)
        blocks = [block(inputs, slice(start, start + BLOCK)) for start in starts]
        return {name: np.concatenate([of[name] for of in blocks]) for name in blocks[0]}

    return network


def frozen(tf: Any, model: Any, rows: int) -> Callable[..., dict[str | None, Any]]:
    """A keras.Model as a function of TensorFlow for a fixed number of rows: inputs → outputs by name.

    Its weights are constants, so TensorFlow joins each convolution with the next operations: `emotion` took 2.6 in
    place of 2.9 ms of CPU a face, on one thread with AVX-512.
    """
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    @tf.function(input_signature=input_signature(tf, model, rows), autograph=False)
    def call(*inputs: Any) -> dict[str | None, Any]:
        outputs = model(list(inputs) if len(inputs) > 1 else inputs[0], training=False)
        return outputs if isinstance(outputs, dict) else {None: outputs}

    concrete = call.get_concrete_function()
    constant, outputs = convert_variables_to_constants_v2(concrete), concrete.structured_outputs
    return lambda *inputs: tf.nest.pack_sequence_as(outputs, constant(*map(tf.convert_to_tensor, inputs)))


def input_signature(tf: Any, model: Any, rows: int) -> list[Any]:
    """The inputs of a keras.Model with a fixed number of rows, as TensorFlow's TensorSpec."""
    shapes = model.input_shape if isinstance(model.input_shape, list) else [model.input_shape]
    return [tf.TensorSpec((rows, *shape[1:]), tf.float32) for shape in shapes]
