"""Networks that are written for LiteRT compute what their operations say, for pictures of any size."""

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter
from scipy.signal import correlate

from models.runtime import quiet
from models.write_tflite import NetworkWriter

RNG = np.random.default_rng(0)


def run(writer: NetworkWriter, output: int, picture: np.ndarray) -> np.ndarray:
    with quiet():
        interpreter = Interpreter(model_content=writer.content([output]), num_threads=1)
        interpreter.resize_tensor_input(0, (1, *picture.shape))
        interpreter.allocate_tensors()
    interpreter.set_tensor(0, picture[None])
    interpreter.invoke()
    found: np.ndarray = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])[0]
    return found


@pytest.fixture(params=[(6, 8), (12, 4)])
def picture(request: pytest.FixtureRequest) -> np.ndarray:
    return RNG.standard_normal((*request.param, 2), dtype=np.float32)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("relu", [False, True])
def test_convolution(picture: np.ndarray, stride: int, relu: bool) -> None:
    kernel, bias = RNG.standard_normal((3, 3, 3, 2), dtype=np.float32), np.array([0, 1, -1], np.float32)
    writer = NetworkWriter((6, 8, 2))
    found = run(writer, writer.convolution(0, kernel, bias, stride=stride, relu=relu), picture)
    wanted = np.dstack([correlate(picture, of, "valid")[::stride, ::stride] for of in kernel]) + bias
    np.testing.assert_allclose(found, np.maximum(wanted, 0) if relu else wanted, atol=1e-5)


def test_depthwise(picture: np.ndarray) -> None:
    kernel, bias = RNG.standard_normal((3, 3, 2), dtype=np.float32), np.array([0.5, -0.5], np.float32)
    writer = NetworkWriter((6, 8, 2))
    found = run(writer, writer.depthwise(0, kernel, bias), picture)
    wanted = np.dstack([correlate(picture[..., c], kernel[..., c], "same") for c in (0, 1)]) + bias
    np.testing.assert_allclose(found, wanted, atol=1e-5)


def test_depthwise_of_half_the_size(picture: np.ndarray) -> None:
    """The first step is at the corner, half outside: LiteRT's own would begin inside."""
    kernel, bias = RNG.standard_normal((3, 3, 2), dtype=np.float32), np.array([0.5, -0.5], np.float32)
    writer = NetworkWriter((6, 8, 2))
    half = writer.depthwise(0, kernel, bias, halved=True)
    assert writer.shape(half) == (3, 4, 2)
    wanted = np.dstack([correlate(picture[..., c], kernel[..., c], "same")[::2, ::2] for c in (0, 1)]) + bias
    np.testing.assert_allclose(run(writer, half, picture), wanted, atol=1e-5)


def test_slopes(picture: np.ndarray) -> None:
    writer = NetworkWriter((6, 8, 2))
    slopes = np.array([0.5, -2.0], np.float32)
    wanted = np.where(picture < 0, picture * slopes, picture)
    np.testing.assert_allclose(run(writer, writer.sloped(0, slopes), picture), wanted, atol=1e-6)


def test_sizes_and_sums(picture: np.ndarray) -> None:
    height, width, _ = picture.shape
    writer = NetworkWriter((6, 8, 2))
    half = writer.halved(0)
    assert writer.shape(half) == (3, 4, 2)
    found = run(writer, writer.sum(0, writer.doubled(half)), picture)
    largest = picture.reshape(height // 2, 2, width // 2, 2, 2).max(axis=(1, 3))
    np.testing.assert_allclose(found, picture + largest.repeat(2, axis=0).repeat(2, axis=1), atol=1e-6)
