from typing import Any, Literal

import numpy as np
import pytest
from scipy.special import log_softmax, softmax

from models.cards import Output
from models.runtime import configure_tensorflow
from models.zoo import AGE_CNN7, find_network
from schemas.tables import EMOTIONS
from tests.training.parts import make_part
from training.learning.targets import Task, age_weights, emotion_targets, stated_sigma, targets_of, tasks
from training.recipe import Head, Weights

Kind = Literal["logits", "probabilities"]

YEARS = Output(attribute="age", source="age", kind="logits")


@pytest.fixture(autouse=True)
def _tensorflow() -> None:
    configure_tensorflow("cpu")


def loss(task: Task, targets: Any, raw: Any) -> np.ndarray:
    import tensorflow as tf

    return task.loss(tf.constant(targets, tf.float32), tf.constant(raw, tf.float32)).numpy()


def only(output: Output, weights: Weights = Weights(), head: Head = Head()) -> Task:  # noqa: B008 (both are frozen)
    (task,) = tasks((output,), (head,), weights, make_part(emotion=[0, 1, 1, 3]))
    return task


def test_labels_and_votes_are_mixed() -> None:
    votes = np.zeros((3, 7), np.float32)
    votes[0, 3], votes[0, 6] = 0.6, 0.2  # of ten votes two went to contempt
    votes[1, 0] = 0.4  # most people saw something else
    targets = emotion_targets(np.array([6, 1, 2]), votes, Head(votes=0.5), EMOTIONS)
    np.testing.assert_allclose(targets[0], [0, 0, 0, 0.375, 0, 0, 0.625], atol=1e-6)
    np.testing.assert_allclose(targets[1:], np.eye(7)[1:3], atol=1e-6)
    smooth = emotion_targets(np.array([6, 1, 2]), votes, Head(votes=0.5, smoothing=0.7), EMOTIONS)
    np.testing.assert_allclose(smooth, 0.3 * targets + 0.1, atol=1e-6)


def test_a_face_without_an_emotion_has_no_weight_and_counts_for_no_class() -> None:
    output = Output(attribute="emotion", kind="logits", classes=EMOTIONS)
    part = make_part(emotion=[-1, 6, 0, -1])
    (task,) = tasks((output,), (Head(balance=1),), Weights(), part)
    targets, weights = task.targets(part)
    assert weights.tolist() == [0, 1, 1, 0] and not targets[0].any()
    with_labels = tasks((output,), (Head(balance=1),), Weights(), make_part(emotion=[6, 0]))[0]
    logits = np.random.default_rng(0).normal(size=(4, 7))
    np.testing.assert_allclose(loss(task, targets, logits), loss(with_labels, targets, logits))


def test_rare_ages_count_more() -> None:
    counted = np.array([[30, 30]] * 90 + [[70, 70]] * 10, np.float32)
    np.testing.assert_array_equal(age_weights(counted, counted, 0), 1)
    weights = age_weights(counted, counted, 0.5)
    assert weights.mean() == pytest.approx(1, abs=1e-5)
    assert weights[-1] / weights[0] == pytest.approx(3, rel=1e-3)  # nine times as rare
    between, of_all = age_weights(np.array([[30, 70], [130, 130]], np.float32), counted, 0.5)
    assert between > weights[-1] and 0 < of_all < np.inf  # years that nobody has are held for rare ones

    columns = {"age": [(30, 30)] * 9 + [(70, 70), (np.nan, np.nan)]}
    part = make_part(**columns)
    (task,) = tasks((YEARS,), (Head(),), Weights(age_balance=0.5), part)
    found = task.targets(part)[1]
    assert found[-1] == 0 and found[9] / found[0] == pytest.approx(3, rel=1e-3)


def test_targets_follow_the_networks_own_classes() -> None:
    classes = ("happy", "sad", "neutral")
    votes = np.zeros((1, 7), np.float32)
    votes[0, EMOTIONS.index("sad")], votes[0, EMOTIONS.index("fear")] = 0.6, 0.3
    labels = np.array([EMOTIONS.index("neutral")])
    np.testing.assert_allclose(emotion_targets(labels, votes, Head(), classes), [[0, 0, 1]])
    np.testing.assert_allclose(emotion_targets(labels, votes, Head(votes=1), classes), [[0, 1, 0]], atol=1e-6)


def test_the_loss_of_emotions_is_cross_entropy_balanced_by_the_shares_of_classes() -> None:
    logits = np.random.default_rng(0).normal(size=(5, 4))
    targets = np.eye(4)[[0, 1, 2, 3, 0]]
    output = Output(attribute="emotion", kind="logits", classes=("happy", "angry", "disgust", "fear"))
    plain = -(targets * log_softmax(logits, axis=1)).sum(axis=1)
    np.testing.assert_allclose(loss(only(output), targets, logits), plain, rtol=1e-5)
    # Of four training pictures one is happy, one angry, two are disgust, none fear.
    adjusted = logits + 0.5 * np.log(np.array([1, 1, 2, 0]) / 4 + 1e-6)
    balanced = -(targets * log_softmax(adjusted, axis=1)).sum(axis=1)
    np.testing.assert_allclose(loss(only(output, head=Head(balance=0.5)), targets, logits), balanced, rtol=1e-5)
    ended = output.model_copy(update={"kind": "probabilities"})
    np.testing.assert_allclose(loss(only(ended), targets, softmax(logits, axis=1)), plain, rtol=1e-4)


def test_the_loss_of_ages_is_least_inside_the_stated_range() -> None:
    logits = np.full((3, 101), -20, np.float32)
    logits[0, 35] = logits[1, 44] = logits[2, 60] = 20
    inside, near, far = loss(only(YEARS, Weights(age_sigma=2.0, age_error=0.1)), [[30, 39]] * 3, logits)
    assert abs(inside) < 1e-3 and 2 < near < far


def test_an_exact_age_raises_years_that_have_no_share_yet() -> None:
    """Once all faces of children were said to be three years old: no year before had ever got a share."""
    import tensorflow as tf

    raw = tf.Variable(np.eye(101, dtype=np.float32)[[3]] * 20)
    with tf.GradientTape() as tape:
        value = only(YEARS, Weights(age_sigma=2.0)).loss(tf.constant([[1.0, 1.0]]), raw)
    gradient = tape.gradient(value, raw).numpy()[0]
    assert gradient[1] < -0.5 and gradient[3] > 0.9


def test_a_childs_age_is_known_better() -> None:
    assert [float(stated_sigma(age, 2.0)) for age in (0, 5, 15, 60)] == pytest.approx([0.5, 1, 2, 2])


def test_the_plain_loss_of_an_exact_age_is_cross_entropy() -> None:
    logits = np.random.default_rng(0).normal(size=(3, 101))
    wanted = -log_softmax(logits, axis=1)[range(3), [0, 40, 100]]
    np.testing.assert_allclose(loss(only(YEARS), [[0, 0], [40, 40], [107, 107]], logits), wanted, rtol=1e-4)
    ended = YEARS.model_copy(update={"kind": "probabilities"})
    np.testing.assert_allclose(
        loss(only(ended), [[0, 0], [40, 40], [107, 107]], softmax(logits, axis=1)), wanted, rtol=1e-4
    )


def test_ages_fall_into_ranges() -> None:
    output = Output(attribute="age", kind="probabilities", ranges=AGE_CNN7)
    raw = softmax(np.arange(7.0))[None]
    ages = {(0, 0): 0, (2, 2): 0, (15, 15): 2, (27, 27): 3, (116, 116): 6, (120, 120): 6}
    for age, number in ages.items():
        assert loss(only(output), [age], raw)[0] == pytest.approx(-np.log(raw[0, number]), rel=1e-4)
    both = loss(only(output), [(20, 29)], raw)[0]  # reaches over three of the classes
    assert both == pytest.approx(-np.log(raw[0, 2:5].sum()), rel=1e-4)


def test_one_number_for_the_age_is_off_by_years() -> None:
    output = find_network("age-resnet50").outputs[0]
    off = loss(only(output), [[30, 30], [30, 39], [30, 39]], [[25], [33], [41.5]])
    assert off.tolist() == [5, 0, 2.5]


@pytest.mark.parametrize("classes", [("female",), ("male", "female"), ("female", "male")])
@pytest.mark.parametrize("kind", ["logits", "probabilities"])
def test_the_loss_of_gender_is_the_same_however_it_is_put(classes: tuple[str, ...], kind: Kind) -> None:
    logit = np.array([-2.0, 0.5, 3.0])
    part = make_part(female=[0, 1, np.nan])
    wanted = np.log1p(np.exp(np.where([0, 1, 0], -logit, logit)))
    columns = [logit if name == "female" else 0 * logit for name in classes]
    raw = np.stack(columns, axis=1)
    if kind == "probabilities":
        raw = softmax(raw, axis=1) if len(classes) == 2 else 1 / (1 + np.exp(-raw))
    task = only(Output(attribute="gender", kind=kind, classes=classes))
    targets, weights = targets_of([task], part)
    np.testing.assert_array_equal(weights, [1, 1, 0])
    np.testing.assert_allclose(loss(task, targets, raw)[:2], wanted[:2], rtol=1e-4)


def test_unknown_ages_have_no_weight() -> None:
    targets, weights = targets_of([only(YEARS)], make_part(age=[(3, 3), (np.nan, np.nan)]))
    np.testing.assert_array_equal(weights["age"], [1, 0])
    assert np.isfinite(targets["age"]).all()


@pytest.mark.parametrize(
    "output",
    [
        Output(attribute="emotion", kind="logits", classes=("happy", "sad", "neutral")),
        Output(attribute="emotion", kind="probabilities", classes=("happy", "sad", "neutral")),
        Output(attribute="gender", kind="logits", classes=("female",)),
        Output(attribute="gender", kind="probabilities", classes=("male", "female")),
        YEARS,
        Output(attribute="age", kind="probabilities", ranges=AGE_CNN7),
        Output(attribute="age", kind="years", std_years=8.0),
    ],
)
def test_nobody_is_more_like_a_teacher_than_itself(output: Output) -> None:
    import tensorflow as tf

    widths = {"emotion": 3, "gender": len(output.classes), "age": len(output.ranges) or 101}
    shape = (6, 1 if output.kind == "years" else widths[output.attribute])
    chance = np.random.default_rng(0)
    teacher, other = (chance.normal(size=shape).astype(np.float32) for _ in range(2))
    if output.kind == "probabilities":
        teacher, other = softmax(teacher, axis=1), softmax(other, axis=1)
    task = only(output, head=Head(balance=0.3))  # the teacher learned under the same correction
    raw = tf.Variable(teacher)
    with tf.GradientTape() as tape:
        itself = task.alike(tf.constant(teacher), raw)
    assert itself.shape == (6,)
    assert (task.alike(tf.constant(teacher), tf.constant(other)).numpy() > itself.numpy()).all()
    if output.kind == "logits":
        np.testing.assert_allclose(tape.gradient(itself, raw), 0, atol=1e-6)
