import numpy as np
import pytest

from models.bundle import load_bundle
from models.geometry import AGE_GENDER, EMOTION
from models.zoo import find_network
from schemas.errors import UsageError
from tests.training.parts import make_faces, make_part
from training.targets import Head, Weights, targets_of, tasks
from training.teachers import taught


def test_targets_are_in_part_what_the_teachers_say() -> None:
    part = make_part(make_faces(5, size=52, emotion=[0, 1, 2, 3, 4]))
    outputs = find_network("emotion-resnet").outputs
    heads = (Head("own"), Head("soft", teachers=("emotion", "emotion-fer2013"), taught=0.3))
    learned = tasks(outputs, heads, Weights(), part)
    plain, _ = targets_of(learned, part)
    found = taught(plain, learned, part, EMOTION)
    np.testing.assert_array_equal(found["own"], plain["own"])
    chips = part.chips(np.arange(5))[:, 2:-2, 2:-2, 0]
    said = np.mean([load_bundle(name).predict(chips)["emotion"] for name in heads[1].teachers], axis=0)
    np.testing.assert_allclose(found["soft"], 0.7 * plain["soft"] + 0.3 * said, atol=1e-5)
    assert np.abs(found["soft"] - plain["soft"]).max() > 0.1
    with pytest.raises(UsageError, match="takes other crops"):
        taught(plain, learned, part, AGE_GENDER)
