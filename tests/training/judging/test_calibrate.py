from typing import Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit, log_softmax, softmax

from models.cards import Output
from models.outputs import INTERVAL_80
from models.runtime import configure_tensorflow
from models.zoo import AGE_CNN7, find_network
from schemas.tables import EMOTIONS
from tests.training.parts import make_part
from training.data.batches import Part
from training.judging.calibrate import age_std_scale, bias_of, calibrated, recall_bias, temperature
from training.learning.targets import Task, tasks
from training.recipe import Head, Weights


def drawn(logits: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A label for each row, as likely as the logits say."""
    return (softmax(logits, axis=1).cumsum(axis=1) < rng.random((len(logits), 1))).sum(axis=1)


def task(output: Output, head: Head = Head()) -> Task:  # noqa: B008 (it is frozen)
    return tasks((output,), (head,), Weights(), make_part(emotion=[0, 1]))[0]


@given(st.floats(0.3, 4), st.integers(0, 20))
def test_temperature_undoes_overconfidence(factor: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 1.5, (4000, 7))
    assert temperature(logits * factor, drawn(logits, rng)) == pytest.approx(factor, rel=0.15)


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
    assert (np.abs(error) <= INTERVAL_80 * scaled).mean() == pytest.approx(0.8, abs=0.01)


def rare(rng: np.random.Generator, n: int = 3000) -> tuple[np.ndarray, np.ndarray]:
    """Logits and labels of three classes, one of them rare and drowned."""
    labels = rng.choice(3, n, p=[0.7, 0.27, 0.03])
    logits = rng.normal(0, 1, (n, 3)) + 1.5 * np.eye(3)[labels] + np.log([0.7, 0.27, 0.03])
    return logits, labels


def mean_recall(logits: np.ndarray, labels: np.ndarray) -> float:
    right = logits.argmax(axis=1) == labels
    return float(np.mean([right[labels == label].mean() for label in range(3)]))


@given(st.integers(0, 20), st.floats(0.002, 0.05))
def test_the_bias_raises_mean_recall_at_the_stated_cost(seed: int, cost: float) -> None:
    logits, labels = rare(np.random.default_rng(seed))
    bias = recall_bias(logits, labels, cost)
    before, after = ((of.argmax(axis=1) == labels).mean() for of in (logits, logits + bias))
    assert after >= before - cost and mean_recall(logits + bias, labels) >= mean_recall(logits, labels)
    assert bias.mean() == pytest.approx(0, abs=1e-9)
    if bias.any():
        assert bias.argmax() == 2


def test_a_cards_emotions_are_those_that_were_calibrated() -> None:
    logits, labels = rare(np.random.default_rng(0))
    output = Output(attribute="emotion", kind="logits", classes=("neutral", "happy", "fear"))
    emotion = np.array([EMOTIONS.index(name) for name in output.classes])[labels]
    part = make_part(emotion=emotion)
    bias = bias_of(task(output, Head(recall_cost=0.02)), 3 * logits, part)
    assert bias is not None and bias_of(task(output, Head()), 3 * logits, part) is None
    found = calibrated(task(output), 3 * logits, part, bias=bias)
    assert found.bias and mean_recall(3 * logits / found.temperature + found.bias, labels) > mean_recall(logits, labels)
    plain = calibrated(task(output), 3 * logits, make_part(emotion=emotion))
    assert plain.bias == () and plain.temperature == pytest.approx(temperature(3 * logits, labels))
    ended = calibrated(
        task(output.model_copy(update={"kind": "probabilities"})), softmax(logits, axis=1), make_part(emotion=emotion)
    )
    assert ended.temperature == pytest.approx(temperature(log_softmax(logits, axis=1), labels), rel=1e-3)


def test_a_head_of_votes_is_calibrated_on_majorities() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 1.5, (4000, 7))
    seen = drawn(logits, rng)
    votes = 0.4 * np.eye(7, dtype=np.float32)[seen]
    votes[:3000] *= 2  # the rest has no majority
    part = make_part(emotion=rng.integers(0, 7, 4000), votes=votes)
    output = Output(attribute="emotion", kind="logits", classes=EMOTIONS)
    by_votes = calibrated(task(output, Head(votes=0.9)), 2 * logits, part)
    assert by_votes.temperature == pytest.approx(temperature(2 * logits[:3000], seen[:3000]))
    assert by_votes.temperature == pytest.approx(2, rel=0.15)
    assert calibrated(task(output), 2 * logits, part).temperature > 5  # the set's own labels are chance


@pytest.mark.parametrize("classes", [("female",), ("male", "female"), ("female", "male")])
@pytest.mark.parametrize("kind", ["logits", "probabilities"])
def test_gender_is_calibrated_however_it_is_put(
    classes: tuple[str, ...], kind: Literal["logits", "probabilities"]
) -> None:
    rng = np.random.default_rng(0)
    logit = rng.normal(0, 2, 4000)
    female = (rng.random(4000) < expit(logit)).astype(np.float32)
    female[:100] = np.nan
    raw = np.stack([2 * logit if name == "female" else 0 * logit for name in classes], axis=1)
    if kind == "probabilities":
        raw = softmax(raw, axis=1) if len(classes) == 2 else expit(raw)
    output = Output(attribute="gender", kind=kind, classes=classes)
    assert calibrated(task(output), raw, make_part(female=female)).temperature == pytest.approx(2, rel=0.1)


def ages(n: int = 2000) -> tuple[np.ndarray, Part]:
    rng = np.random.default_rng(0)
    age = rng.integers(5, 80, n).astype(np.float32)
    known = np.stack([age, np.where(rng.random(n) < 0.2, age + 9, age)], axis=1)
    return age + rng.normal(0, 6, n), make_part(age=known)


def test_one_number_for_the_age_gets_its_deviation() -> None:
    configure_tensorflow("cpu")
    guess, part = ages()
    output = find_network("age-resnet50").outputs[0]
    assert calibrated(task(output), guess[:, None], part).std_years == pytest.approx(6, rel=0.05)


def test_an_age_distribution_gets_its_width() -> None:
    configure_tensorflow("cpu")
    guess, part = ages()
    years = np.arange(101)
    logits = -(((years - guess[:, None]) / 3) ** 2) / 2  # half as wide as the errors
    output = Output(attribute="age", kind="logits")
    assert calibrated(task(output), logits, part).std_scale == pytest.approx(2, rel=0.05)
    middles = np.array([(low + high) / 2 for low, high in AGE_CNN7])
    raw = softmax(-(((middles - guess[:, None]) / 10) ** 2), axis=1)
    found = calibrated(task(Output(attribute="age", kind="probabilities", ranges=AGE_CNN7)), raw, part)
    assert 0.3 < found.std_scale < 2
