import numpy as np
import pytest

from models.runtime import configure_tensorflow


@pytest.fixture(autouse=True)
def _tensorflow() -> None:
    configure_tensorflow("cpu")


def test_emotion_network() -> None:
    from models.networks import emotion_resnet

    model = emotion_resnet(widths=(4, 8), blocks=(1, 2))
    assert model(np.zeros((2, 48, 48, 1), np.float32)).shape == (2, 7)


def test_age_gender_network() -> None:
    from models.networks import AGES, age_gender_resnet

    model = age_gender_resnet(widths=(4, 8), blocks=(1, 1))
    outputs = model(np.zeros((2, 64, 64, 3), np.float32))
    assert outputs["age"].shape == (2, AGES) and outputs["gender"].shape == (2, 1)


def test_age_moments() -> None:
    import tensorflow as tf

    from models.bundle import age_moments

    logits = np.full((2, 101), -100, np.float32)
    logits[0, 30] = logits[1, [20, 40]] = 0
    mean, std = age_moments(tf, tf.constant(logits))
    np.testing.assert_allclose(mean, [30, 30], atol=1e-4)
    np.testing.assert_allclose(std, [0, 10], atol=1e-3)
