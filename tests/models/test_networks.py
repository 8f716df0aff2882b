"""The networks that the builders build; test_zoo.py checks the numbers of weights."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.runtime import configure_tensorflow
from schemas.errors import BundleError, UsageError
from tests.models.built import built


@pytest.fixture(autouse=True)
def _tensorflow() -> None:
    configure_tensorflow("cpu")


def layers_of(model: Any, kind: str) -> list[Any]:
    return [layer for layer in model.layers if type(layer).__name__ == kind]


def test_emotion_resnet_gives_logits() -> None:
    from models.networks import emotion_resnet

    model = emotion_resnet(widths=(4, 8), blocks=(1, 2))
    assert model(np.zeros((2, 48, 48, 1), np.float32)).shape == (2, 7)


def test_age_gender_resnet_gives_logits_of_years_and_of_female() -> None:
    from models.networks import AGES, age_gender_resnet

    model = age_gender_resnet(widths=(4, 8), blocks=(1, 1))
    outputs = model(np.zeros((2, 64, 64, 3), np.float32))
    assert outputs["age"].shape == (2, AGES) and outputs["gender"].shape == (2, 1)


@pytest.mark.parametrize(
    ("name", "length"),
    [("emotion-cnn", 4_096), ("emotion-cnn3", 2_304), ("gender-cnn", 9_216), ("emotion-3block", 9_216)],
)
def test_the_flat_features_are_as_long_as_published(name: str, length: int) -> None:
    (flatten,) = layers_of(built(name), "Flatten")
    assert flatten.output.shape == (None, length)


def test_dropout_rates() -> None:
    from models.networks import cnns

    assert [layer.rate for layer in layers_of(built("emotion-cnn"), "Dropout")] == [0.1, 0.1, 0.1, 0.2]
    assert [layer.rate for layer in layers_of(built("emotion-3block"), "Dropout")] == [0.4, 0.4, 0.5, 0.6]
    assert [layer.rate for layer in layers_of(cnns.gender_cnn(dropouts=(0, 0, 0, 0, 0.5)), "Dropout")][-1] == 0.5


def test_emotion_hog_landmarks_looks_at_both_inputs() -> None:
    from models.networks.cnns import emotion_hog_landmarks

    model = emotion_hog_landmarks(filters=(4, 4, 4, 4))
    assert [tensor.name for tensor in model.inputs] == ["chip", "hog_landmarks"]
    random = np.random.default_rng(0)
    chip, features = random.random((1, 48, 48, 1), np.float32), random.random((1, 208), np.float32)
    both, no_chip, no_features = (
        model(pair).numpy() for pair in ([chip, features], [chip * 0, features], [chip, features * 0])
    )
    assert both.shape == (1, 7)
    assert np.abs(both - no_chip).max() > 1e-4 and np.abs(both - no_features).max() > 1e-4


@pytest.mark.parametrize("size", [48, 64])
def test_mini_xception_takes_both_sizes(size: int) -> None:
    from models.networks.xception import mini_xception

    model = mini_xception(size=size)
    assert model.count_params() == 58_423
    assert model(np.zeros((2, size, size, 1), np.float32)).shape == (2, 7)


def test_mini_xception_regularises_neither_its_shortcuts_nor_its_last_convolution() -> None:
    model = built("mini-xception")
    convs = layers_of(model, "Conv2D")
    assert [layer.kernel_size[0] for layer in convs if layer.kernel_regularizer] == [3, 3]
    assert sorted(layer.filters for layer in convs if not layer.kernel_regularizer) == [7, 16, 32, 64, 128]
    assert all(layer.pointwise_regularizer.l2 == 0.01 for layer in layers_of(model, "SeparableConv2D"))
    assert [layer.use_bias for layer in convs].count(True) == 1


def test_wide_resnet_at_other_depths_and_widths() -> None:
    from models.networks.wide_resnet import age_gender_wrn

    model = age_gender_wrn(size=32, depth=22, width=1)
    assert len(layers_of(model, "Add")) == 9
    outputs = model(np.zeros((2, 32, 32, 3), np.float32))
    assert outputs["gender"].shape == (2, 2) and outputs["age"].shape == (2, 101)
    np.testing.assert_allclose(outputs["age"].numpy().sum(axis=1), 1, atol=1e-5)
    with pytest.raises(UsageError, match="not 17"):
        age_gender_wrn(depth=17)


def test_wide_resnet_is_the_published_one() -> None:
    model = built("age-gender-wrn")
    assert layers_of(model, "Flatten")[0].output.shape == (None, 131_072)
    assert len(layers_of(model, "BatchNormalization")) == 13  # two a block; the widening ones share theirs
    shortcuts = [layer for layer in layers_of(model, "Conv2D") if layer.kernel_size == (1, 1)]
    assert [(layer.filters, layer.strides[0]) for layer in shortcuts] == [(128, 1), (256, 2), (512, 2)]
    assert all(layer.kernel_regularizer for layer in (*layers_of(model, "Conv2D"), *layers_of(model, "Dense")))
    assert not any(layer.use_bias for layer in (*layers_of(model, "Conv2D"), *layers_of(model, "Dense")))


def test_outputs_are_float32_under_mixed_precision() -> None:
    import keras

    from models.networks.cnns import emotion_3block
    from models.networks.xception import mini_xception

    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        for model in (emotion_3block(), mini_xception(size=48)):
            assert model.output.dtype == "float32"
            assert {layer.compute_dtype for layer in layers_of(model, "Conv2D")} == {"bfloat16"}
    finally:
        keras.config.set_dtype_policy(before)


def test_a_trunk_takes_a_file_stays_frozen_and_comes_back_from_disk(tmp_path: Path) -> None:
    import keras

    from models.networks.trunks import age_vgg16

    trunk = keras.applications.VGG16(include_top=False, weights=None, input_shape=(32, 32, 3))
    trunk.save_weights(tmp_path / "trunk.weights.h5")
    model = age_vgg16(size=32, weights=tmp_path / "trunk.weights.h5")
    kept = model.get_layer("trunk")
    np.testing.assert_array_equal(kept.layers[1].get_weights()[0], trunk.layers[1].get_weights()[0])
    assert len(model.trainable_weights) == 4 and not kept.trainable_weights
    assert len(age_vgg16(size=32, weights=None, frozen=False).trainable_weights) == 30
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras", compile=False)
    chips = np.random.default_rng(0).integers(0, 256, (1, 32, 32, 3)).astype(np.float32)
    np.testing.assert_allclose(again(chips).numpy(), model(chips).numpy(), atol=1e-6)


def test_a_trunk_sees_what_imagenet_weights_expect() -> None:
    import keras

    from models.networks.trunks import gender_inception

    model = gender_inception(size=75, weights=None)
    scaled = keras.Model(model.inputs, layers_of(model, "Rescaling")[0].output)
    np.testing.assert_allclose(scaled([np.full((1, 75, 75, 3), 255, np.float32)]).numpy(), 1)


def test_without_a_network_imagenet_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    from models.networks.trunks import age_resnet50

    def offline(**_: object) -> None:
        raise Exception("URL fetch failure on https://example.org/resnet50.h5: None -- [Errno -2] unknown")  # as Keras

    monkeypatch.setattr("keras.applications.ResNet50", offline)
    with pytest.raises(BundleError, match="ResNet50 cannot be downloaded .* give their path") as caught:
        age_resnet50()
    assert "\n" not in str(caught.value)


def test_a_trunk_with_a_wrong_file_is_one_sentence(tmp_path: Path) -> None:
    from models.networks.trunks import age_vgg16

    with pytest.raises(BundleError, match="no weights file .*nowhere.h5"):
        age_vgg16(weights=tmp_path / "nowhere.h5")
    (tmp_path / "text.h5").write_text("no weights")
    with pytest.raises(BundleError, match="text.h5 does not hold weights for VGG16") as caught:
        age_vgg16(size=32, weights=tmp_path / "text.h5")
    assert "\n" not in str(caught.value)


def test_mini_xception_subsamples_before_its_shortcuts() -> None:
    """A strided 1 × 1 convolution gives the same, and its gradient ended the process on AVX-512; see the builder."""
    model = built("mini-xception")
    assert all(layer.strides == (1, 1) for layer in layers_of(model, "Conv2D"))
    assert [tuple(layer.output.shape[1:3]) for layer in layers_of(model, "Add")] == [(30, 30), (15, 15), (8, 8), (4, 4)]
