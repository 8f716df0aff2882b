"""Write a small convolutional network as LiteRT reads it, from weights that another runtime's file brings.

LiteRT's own converter needs TensorFlow, and a worker imports none. Only the operations are here that a network of ours
needs; pictures and activations are [1, height, width, channels] float32.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

_VERSION, _IDENTIFIER = 3, b"TFL3"
_Operator, _Padding, _Activation = schema.BuiltinOperator, schema.Padding, schema.ActivationFunctionType


class NetworkWriter:
    """Takes a network operation by operation; each gives the number of the tensor that it makes.

        >>> writer = NetworkWriter((5, 5, 3))
        >>> shrunk = writer.convolution(0, np.zeros((8, 3, 3, 3), np.float32), np.zeros(8, np.float32), stride=2)
        >>> writer.shape(shrunk)
        (2, 2, 8)

    Args:
      shape: height, width and channels of the picture, which is tensor 0; LiteRT may be given others of another height
        and width.
    """

    def __init__(self, shape: tuple[int, int, int]):
        self._tensors: list[Any] = []
        self._buffers: list[Any] = [schema.BufferT()]  # the first is that of all tensors without one
        self._operators: list[Any] = []
        self._codes: dict[int, int] = {}
        self._tensor((1, *shape))

    def shape(self, tensor: int) -> tuple[int, int, int]:
        """Height, width and channels of a tensor."""
        _, height, width, channels = self._tensors[tensor].shape
        return height, width, channels

    def convolution(
        self, of: int, weights: np.ndarray, bias: np.ndarray, *, stride: int = 1, relu: bool = False
    ) -> int:
        """A convolution without a border.

        Args:
          of: the tensor to work on.
          weights: [out, height, width, in] float32.
          bias: [out] float32.
          stride: steps in pixels.
          relu: whether what is below 0 becomes 0.
        """
        options = schema.Conv2DOptionsT()
        options.strideH = options.strideW = stride
        options.padding, options.fusedActivationFunction = _Padding.VALID, _activation(relu)
        out, rows, columns, _ = weights.shape
        height, width, _ = self.shape(of)
        made = ((height - rows) // stride + 1, (width - columns) // stride + 1, out)
        given = (of, self._constant(weights), self._constant(bias))
        return self._operator(_Operator.CONV_2D, schema.BuiltinOptions.Conv2DOptions, options, given, made)

    def depthwise(
        self, of: int, weights: np.ndarray, bias: np.ndarray, *, relu: bool = False, halved: bool = False
    ) -> int:
        """A convolution of each channel by itself, with a border of zeros, so that the size stays.

        Args:
          of: the tensor to work on.
          weights: [height, width, channels] float32.
          bias: [channels] float32.
          relu: whether what is below 0 becomes 0.
          halved: whether it takes steps of two pixels, with weights of 3 × 3 and the first step at the corner.
        """
        options = schema.DepthwiseConv2DOptionsT()
        options.strideH = options.strideW = 2 if halved else 1
        options.depthMultiplier = 1
        options.padding, options.fusedActivationFunction = _Padding.SAME, _activation(relu)
        made = self.shape(of)
        if halved:  # a border of its own: LiteRT's lies below and to the right
            height, width, channels = made
            options.padding, made = _Padding.VALID, (height // 2, width // 2, channels)
            of = self._bordered(of)
        given = (of, self._constant(weights[None]), self._constant(bias))
        kind = schema.BuiltinOptions.DepthwiseConv2DOptions
        return self._operator(_Operator.DEPTHWISE_CONV_2D, kind, options, given, made)

    def sloped(self, of: int, slopes: np.ndarray) -> int:
        """What is below 0 is multiplied by its channel's slope, [channels] float32 (PReLU)."""
        given = (of, self._constant(slopes[None, None]))
        return self._operator(_Operator.PRELU, schema.BuiltinOptions.NONE, None, given, self.shape(of))

    def halved(self, of: int) -> int:
        """The largest of every 2 × 2 pixels."""
        options = schema.Pool2DOptionsT()
        options.strideH = options.strideW = options.filterHeight = options.filterWidth = 2
        options.padding = _Padding.VALID
        height, width, channels = self.shape(of)
        made = (height // 2, width // 2, channels)
        return self._operator(_Operator.MAX_POOL_2D, schema.BuiltinOptions.Pool2DOptions, options, (of,), made)

    def doubled(self, of: int) -> int:
        """Every pixel as 2 × 2 of the same."""
        # An operation that says by how much, not to what size: so the network takes pictures of any.
        copies, spread = schema.ConcatenationOptionsT(), schema.DepthToSpaceOptionsT()
        copies.axis, spread.blockSize = 3, 2
        height, width, channels = self.shape(of)
        kind, made = schema.BuiltinOptions.ConcatenationOptions, (height, width, 4 * channels)
        four = self._operator(_Operator.CONCATENATION, kind, copies, (of,) * 4, made)
        kind, made = schema.BuiltinOptions.DepthToSpaceOptions, (2 * height, 2 * width, channels)
        return self._operator(_Operator.DEPTH_TO_SPACE, kind, spread, (four,), made)

    def sum(self, one: int, other: int) -> int:
        """Two tensors of one shape, added."""
        options = schema.AddOptionsT()
        return self._operator(_Operator.ADD, schema.BuiltinOptions.AddOptions, options, (one, other), self.shape(one))

    def content(self, outputs: Sequence[int]) -> bytes:
        """The whole network as the content of a .tflite file, whose outputs are these tensors in this order."""
        graph = schema.SubGraphT()
        graph.tensors, graph.operators = self._tensors, self._operators
        graph.inputs, graph.outputs = [0], list(outputs)
        model = schema.ModelT()
        model.version, model.subgraphs, model.buffers = _VERSION, [graph], self._buffers
        model.operatorCodes = [_code(operator) for operator in self._codes]
        held = sum(len(buffer.data) for buffer in self._buffers if buffer.data is not None)
        builder = flatbuffers.Builder((1 << 16) + held)
        builder.Finish(model.Pack(builder), _IDENTIFIER)
        return bytes(builder.Output())

    def _bordered(self, of: int) -> int:
        """With a row of zeros above and a column of zeros to the left."""
        height, width, channels = self.shape(of)
        border = self._constant(np.array([[0, 0], [1, 0], [1, 0], [0, 0]], np.int32))
        kind, made = schema.BuiltinOptions.PadOptions, (height + 1, width + 1, channels)
        return self._operator(_Operator.PAD, kind, schema.PadOptionsT(), (of, border), made)

    def _tensor(self, shape: Sequence[int], buffer: int = 0, kind: int = schema.TensorType.FLOAT32) -> int:
        tensor = schema.TensorT()
        tensor.shape, tensor.type, tensor.buffer = list(shape), kind, buffer
        tensor.name = str(len(self._tensors))
        self._tensors.append(tensor)
        return len(self._tensors) - 1

    def _constant(self, values: np.ndarray) -> int:
        buffer = schema.BufferT()
        is_float = values.dtype.kind == "f"
        buffer.data = np.frombuffer(np.ascontiguousarray(values, "<f4" if is_float else "<i4").tobytes(), np.uint8)
        self._buffers.append(buffer)
        kind = schema.TensorType.FLOAT32 if is_float else schema.TensorType.INT32
        return self._tensor(values.shape, len(self._buffers) - 1, kind)

    def _operator(self, code: int, kind: int, options: Any, inputs: Sequence[int], shape: tuple[int, int, int]) -> int:
        operator = schema.OperatorT()
        operator.opcodeIndex = self._codes.setdefault(code, len(self._codes))
        operator.builtinOptionsType, operator.builtinOptions = kind, options
        operator.inputs, operator.outputs = list(inputs), [self._tensor((1, *shape))]
        self._operators.append(operator)
        return operator.outputs[0]


def _activation(relu: bool) -> int:
    return _Activation.RELU if relu else _Activation.NONE


def _code(operator: int) -> Any:
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = operator
    code.version = 1
    return code
