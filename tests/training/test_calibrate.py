import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit, softmax

from training.calibrate import Z80, age_std_scale, temperature


@given(st.floats(0.3, 4), st.integers(0, 20))
def test_temperature_undoes_overconfidence(factor: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 1.5, (4000, 7))
    labels = (softmax(logits, axis=1).cumsum(axis=1) < rng.random((4000, 1))).sum(axis=1)
    assert temperature(logits * factor, labels) == pytest.approx(factor, rel=0.15)


def test_temperature_of_one_logit() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, (6000, 1))
    labels = (rng.random(6000) < expit(logits[:, 0])).astype(np.float32)
    assert temperature(logits * 2, labels) == pytest.approx(2, rel=0.1)


@given(st.floats(0.2, 5), st.integers(0, 20))
def test_intervals_then_hold_four_fifths(factor: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    std = rng.uniform(2, 10, 2000)
    error = rng.laplace(0, std * factor)
    scaled = std * age_std_scale(error, std)
    assert (np.abs(error) <= Z80 * scaled).mean() == pytest.approx(0.8, abs=0.01)
