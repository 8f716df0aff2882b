import numpy as np
import pytest

from models.runtime import configure_tensorflow
from training.learning.mixup import first_metric, mix, mixed_loss, shares


def test_a_blend_is_as_much_of_each_picture_as_its_loss_says() -> None:
    tf = configure_tensorflow("cpu")
    tf.random.set_seed(1)
    n = 64
    chips = np.random.default_rng(0).uniform(0, 255, (n, 3, 3, 1)).astype(np.float32)
    number = np.arange(n, dtype=np.float32)
    targets, weights = {"a": np.stack([number, -number], axis=1)}, {"a": (number % 2).astype(np.float32)}
    gammas = tf.random.gamma((2, n), 0.4)
    blends, paired = mix(tf.constant(chips), targets, weights, shares(gammas[0], gammas[1]))
    pairs, before = paired["a"].numpy(), np.roll(np.arange(n), 1)
    np.testing.assert_array_equal(pairs[:, 0, :2], targets["a"])
    np.testing.assert_array_equal(pairs[:, 1, :2], targets["a"][before])
    share = pairs[:, 0, 2]
    assert share.min() >= 0.5 and share.max() <= 1 and 0.01 < share.std() < 0.2
    # The other picture's label counts only where it has one.
    np.testing.assert_allclose(pairs[:, 1, 2], (1 - share) * weights["a"][before], atol=1e-6)
    share = share[:, None, None, None]
    np.testing.assert_allclose(blends, share * chips + (1 - share) * chips[before], rtol=1e-5)


@pytest.mark.parametrize("alpha", [1e-3, 0.2, 5.0])
def test_shares_are_numbers_however_small_alpha_is(alpha: float) -> None:
    tf = configure_tensorflow("cpu")
    gammas = tf.random.gamma((2, 1000), alpha)
    blends, pairs = mix(tf.ones((1000, 1, 1, 1)), tf.ones((1000, 1)), tf.ones(1000), shares(gammas[0], gammas[1]))
    assert np.isfinite(pairs).all()
    np.testing.assert_allclose(pairs.numpy()[:, :, 1].sum(axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(blends, 1, rtol=1e-5)


def test_the_loss_of_a_blend_is_that_of_both() -> None:
    tf = configure_tensorflow("cpu")
    raw = tf.constant([[0.0], [10.0]])
    loss = mixed_loss(lambda target, raw: (target - raw)[:, 0] ** 2)
    pairs = tf.constant([[[1.0, 0.75], [2.0, 0.25]], [[11.0, 0.5], [0.0, 0.0]]])
    np.testing.assert_allclose(loss(pairs, raw), [0.75 + 0.25 * 4, 0.5])
    np.testing.assert_allclose(loss(tf.constant([[3.0], [12.0]]), raw), [9, 4])


def test_a_metric_looks_at_the_first_picture() -> None:
    tf = configure_tensorflow("cpu")

    def error(target: np.ndarray, raw: np.ndarray) -> np.ndarray:
        return target[:, 0] - raw[:, 0]

    metric, raw = first_metric(error), tf.constant([[0.0], [10.0]])
    assert metric.__name__ == "error"
    pairs = tf.constant([[[1.0, 0.75], [2.0, 0.25]], [[11.0, 0.5], [0.0, 0.0]]])
    np.testing.assert_allclose(metric(pairs, raw), [1, 1])
    np.testing.assert_allclose(metric(tf.constant([[3.0], [12.0]]), raw), [3, 2])
