from typing import Any

import numpy as np
import pytest

from training.learning.batch_norm import with_fused_batch_norm
from training.learning.loop import set_up
from training.recipe import Schedule

# Keras 3.15 has not caught up with NumPy 2 there.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.fixture(scope="module")
def pair() -> tuple[Any, Any]:
    """A network with batch normalisation as Keras has it, and its copy."""
    set_up(Schedule(1), "cpu")
    import keras
    from keras import layers

    inputs = keras.Input((5, 5, 2))
    x = layers.BatchNormalization(momentum=0.8, epsilon=0.01, name="plain")(inputs)
    x = layers.BatchNormalization(scale=False, center=False, name="bare")(layers.Conv2D(3, 3, name="conv")(x))
    x = layers.BatchNormalization(name="flat")(layers.GlobalAveragePooling2D()(x))
    model = keras.Model(inputs, x)
    return model, with_fused_batch_norm(model)


def chips() -> np.ndarray:
    return np.random.default_rng(1).normal(3, 2, (16, 5, 5, 2)).astype(np.float32)


def test_the_copy_begins_with_the_same_weights_in_the_same_order(pair: tuple[Any, Any]) -> None:
    one, other = pair
    assert [type(layer).__name__ for layer in other.layers].count("FusedBatchNormalization") == 3
    for ours, theirs in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_training_sees_the_same_values_gradients_and_moving_averages(pair: tuple[Any, Any]) -> None:
    import tensorflow as tf

    found = []
    for model in pair:
        with tf.GradientTape() as tape:
            values = model(chips(), training=True)
            loss = tf.reduce_sum(values**3)
        found.append((values, tape.gradient(loss, model.trainable_variables), model.get_weights()))
    (values, gradients, weights), (fused_values, fused_gradients, fused_weights) = found
    np.testing.assert_allclose(fused_values, values, atol=1e-4)
    for ours, theirs in zip(fused_gradients, gradients, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-3)
    # The variance of the whole picture is estimated with n − 1 in the one, with n in the other.
    for ours, theirs in zip(fused_weights, weights, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-2, atol=1e-5)
    assert not np.allclose(fused_weights[2], 0)


def test_in_use_both_are_the_same(pair: tuple[Any, Any]) -> None:
    one, other = pair
    one.set_weights(other.get_weights())
    np.testing.assert_array_equal(one(chips(), training=False), other(chips(), training=False))


def test_a_saved_network_is_read_again(pair: tuple[Any, Any], tmp_path: Any) -> None:
    import keras

    pair[1].save(tmp_path / "fused.keras")
    read = keras.saving.load_model(tmp_path / "fused.keras")
    np.testing.assert_array_equal(read(chips(), training=False), pair[1](chips(), training=False))
