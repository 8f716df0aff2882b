from pathlib import Path

import numpy as np
import pytest

from models.runtime import configure_tensorflow
from models.zoo import find_network
from schemas.errors import UsageError
from training.learning.network import build_network, load_weights
from training.recipe import change, find_recipe

# Keras 3.15 has not caught up with NumPy 2 there.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def test_a_network_begins_with_the_mean_of_several_weights(tmp_path: Path) -> None:
    configure_tensorflow("cpu")
    network = find_network("emotion-resnet")
    recipe = change(find_recipe("emotion"), {"options": {"widths": (4, 8), "blocks": (1, 1)}}, "test")
    one, other, begun = (build_network(network, recipe) for _ in range(3))
    files = [tmp_path / "one.keras", tmp_path / "other.keras"]
    one.save(files[0]), other.save(files[1])
    load_weights(begun, files, recipe)
    weights = [model.get_weights() for model in (one, other, begun)]
    for a, b, mean in zip(*weights, strict=True):
        np.testing.assert_allclose(mean, (a + b) / 2, atol=1e-6)
    assert any((a != b).any() for a, b, _ in zip(*weights, strict=True))
    load_weights(begun, files[1:], recipe)
    for ours, theirs in zip(begun.get_weights(), weights[1], strict=True):
        np.testing.assert_array_equal(ours, theirs)

    larger = build_network(network, change(recipe, {"options": {"widths": (4, 12)}}, "test"))
    with pytest.raises(UsageError, match=r"one\.keras does not hold weights for emotion-resnet"):
        load_weights(larger, files[:1], recipe)
