"""The registry against the networks that it builds."""

import itertools
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from models.bundle import read_bundle, write_bundle
from models.geometry import BoxGeometry
from models.zoo import AGE_CNN7, AGE_VGG16, ZOO, Network, find_network
from schemas.errors import UsageError
from schemas.tables import EMOTIONS
from tests.models.built import built

# Of the specification; the others follow from sizes that are ours.
PUBLISHED = {
    "emotion-cnn": 2_489_095,
    "emotion-cnn3": 683_267,
    "gender-cnn": 1_567_874,
    "age-cnn7": 422_695,
    "emotion-3block": 2_395_075,
    "mini-xception": 58_423,
    "age-gender-wrn": 24_463_856,
}


@pytest.fixture(params=ZOO)
def network(request: pytest.FixtureRequest) -> Network:
    return ZOO[request.param]


def test_published_parameter_counts() -> None:
    assert {name: ZOO[name].parameters for name in PUBLISHED} == PUBLISHED


def test_parameters_are_those_of_the_built_network(network: Network) -> None:
    assert built(network.name).count_params() == network.parameters
    assert f"{network.parameters:,}" in str(network.build.__doc__) or network.name.endswith("-resnet")


def test_inputs_are_those_of_the_built_network(network: Network) -> None:
    assert {tensor.name: tensor.shape[1:] for tensor in built(network.name).inputs} == network.inputs


def test_outputs_are_those_of_the_built_network(network: Network) -> None:
    output = built(network.name).output
    shapes = {key: value.shape for key, value in (output if isinstance(output, dict) else {None: output}).items()}
    assert {meant.source for meant in network.outputs} == set(shapes)
    for meant in network.outputs:
        years = 1 if meant.kind == "years" else 101
        classes = len(meant.classes) or len(meant.ranges) or years
        assert shapes[meant.source] == (None, classes)


def test_probabilities_are_probabilities(network: Network) -> None:
    inputs = [np.random.default_rng(0).random((1, *shape), np.float32) for shape in network.inputs.values()]
    output = built(network.name)(inputs if len(inputs) > 1 else inputs[0], training=False)
    for meant in network.outputs:
        values = (output[meant.source] if meant.source else output).numpy()
        sums_to_one = np.allclose(values.sum(), 1, atol=1e-4) and (values >= 0).all()
        assert sums_to_one == (meant.kind == "probabilities")


def test_names() -> None:
    assert all(network.name == name for name, network in ZOO.items())
    # A card may name the network or its builder.
    assert all(network.build.__name__ == name.replace("-", "_") for name, network in ZOO.items())


def test_class_orders() -> None:
    for name in ("emotion-resnet", "emotion-cnn", "mini-xception", "emotion-hog-landmarks"):
        assert ZOO[name].outputs[0].classes == EMOTIONS
    for name in ("emotion-cnn3", "emotion-3block"):
        assert [EMOTIONS.index(emotion) for emotion in ZOO[name].outputs[0].classes] == [3, 4, 6]
    age, gender = ZOO["age-gender-wrn"].outputs
    assert age.attribute == "age" and gender.classes == ("female", "male")


@pytest.mark.parametrize("ranges", [AGE_CNN7, AGE_VGG16])
def test_ranges_leave_no_year_out(ranges: tuple[tuple[float, float], ...]) -> None:
    assert ranges[0][0] == 1
    assert all(after[0] == before[1] + 1 for before, after in itertools.pairwise(ranges))


def test_the_older_systems_crops() -> None:
    xception, wrn = ZOO["mini-xception"], ZOO["age-gender-wrn"]
    assert xception.geometry == BoxGeometry(64, 0.0, "grey")
    assert wrn.geometry == BoxGeometry(64, 0.4, "bgr")
    pixels = np.array([0, 127.5, 255])
    np.testing.assert_allclose(pixels * xception.scale + xception.offset, (pixels / 255 - 0.5) * 2)
    assert (wrn.scale, wrn.offset) == (1, 0)


@pytest.mark.parametrize("name", ["mini-xception", "emotion-hog-landmarks"])
def test_a_network_becomes_a_bundle(name: str, tmp_path: Any) -> None:
    network = ZOO[name]
    rest: dict[str, Any] = dict.fromkeys(
        ("training_data", "calibration_data", "test_data", "limits", "licence_notes"), "none"
    )
    card = write_bundle(tmp_path / "mine", built(name), **network.card_fields(), **rest)
    assert (card.name, card.architecture, card.parameters) == ("mine", name, network.parameters)
    assert card.geometry == network.geometry
    size = network.geometry.size
    emotion = read_bundle(tmp_path / "mine").predict(np.zeros((2, size, size), np.uint8))["emotion"]
    np.testing.assert_allclose(emotion.sum(axis=1), 1, atol=1e-5)


def test_an_unknown_name_is_said_with_the_known_ones() -> None:
    assert find_network("mini-xception") is ZOO["mini-xception"]
    with pytest.raises(UsageError, match="'big-xception'.*mini-xception"):
        find_network("big-xception")


def test_looking_a_network_up_does_not_import_tensorflow() -> None:
    code = "import sys; from models.zoo import ZOO; sys.exit('tensorflow' in sys.modules or 'keras' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
