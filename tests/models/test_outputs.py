"""From raw outputs to columns: order of classes, calibration, years."""

import numpy as np
import pytest

from models.bundle import bundle_path
from models.cards import Output, read_card
from models.outputs import age_moments, answers, class_probabilities, middle_mean
from models.outputs import attributes as attributes_of
from schemas.tables import EMOTIONS


class Outputs:
    """As much of a card as `attributes` looks at."""

    def __init__(self, *outputs: Output):
        self.outputs = outputs


def say(values: list[list[float]], output: Output) -> dict[str, np.ndarray]:
    return attributes_of({output.source: np.array(values, np.float32)}, Outputs(output))  # type: ignore[arg-type]


def softmax(x: np.ndarray) -> np.ndarray:
    return np.exp(x) / np.exp(x).sum(axis=1, keepdims=True)


def test_emotions_are_sorted_into_the_tables_order() -> None:
    by_folder = tuple(sorted(EMOTIONS))  # as folders sort: neutral before sad and surprise
    values = np.log(np.arange(1, 8, dtype=np.float32) / 28)[None]
    said = say(values.tolist(), Output(attribute="emotion", kind="logits", classes=by_folder))["emotion"]
    expected = [(by_folder.index(name) + 1) / 28 for name in EMOTIONS]
    np.testing.assert_allclose(said[0], expected, rtol=1e-5)


def test_emotions_that_a_model_does_not_know_are_nan_and_the_rest_sums_to_one() -> None:
    output = Output(attribute="emotion", kind="probabilities", classes=("happy", "sad", "neutral"))
    (said,) = say([[0.5, 0.3, 0.2]], output)["emotion"]
    known = {name: float(value) for name, value in zip(EMOTIONS, said, strict=True) if not np.isnan(value)}
    assert known == pytest.approx({"happy": 0.5, "sad": 0.3, "neutral": 0.2}, abs=1e-5)


def test_temperature_and_bias_act_on_the_logits() -> None:
    values = np.array([[1.0, 2.0, -1.0]], np.float32)
    output = Output(attribute="emotion", kind="logits", classes=EMOTIONS[:3], temperature=2.0, bias=(0.5, 0.0, -0.5))
    said = class_probabilities(values, output)
    np.testing.assert_allclose(said, softmax(values / 2 + [0.5, 0, -0.5]), rtol=1e-5)
    of_probabilities = output.model_copy(update={"kind": "probabilities"})
    again = class_probabilities(softmax(values), of_probabilities)
    np.testing.assert_allclose(again, said, rtol=1e-4)


@pytest.mark.parametrize(
    ("values", "kind", "classes"),
    [
        ([[0.8, 0.2]], "probabilities", ("female", "male")),
        ([[0.2, 0.8]], "probabilities", ("male", "female")),
        ([[0.8]], "probabilities", ("female",)),
        ([[float(np.log(4))]], "logits", ("female",)),
        ([[float(np.log(4)), 0.0]], "logits", ("female", "male")),
    ],
)
def test_female_is_found_whatever_the_order(values: list[list[float]], kind: str, classes: tuple[str, ...]) -> None:
    output = Output(attribute="gender", kind=kind, classes=classes)  # type: ignore[arg-type]
    assert say(values, output)["gender_female"] == pytest.approx([0.8], abs=1e-5)


def test_age_over_years_is_the_expected_value() -> None:
    probabilities = np.zeros((1, 101), np.float32)
    probabilities[0, [20, 40]] = 0.5
    age, std = age_moments(probabilities)
    assert age == pytest.approx([30]) and std == pytest.approx([10])


def test_the_middle_half_is_not_pulled_by_what_is_unlikely() -> None:
    probabilities = np.zeros((2, 101))
    probabilities[0, [4, 5, 6, 60]] = 0.3, 0.3, 0.3, 0.1
    probabilities[1, 20:41] = 1 / 21
    assert middle_mean(probabilities, 0.25) == pytest.approx([5.17, 30], abs=0.1)
    assert age_moments(probabilities[:1])[0] == pytest.approx([10.5])
    assert middle_mean(probabilities, 0.0) == pytest.approx([10.5, 30])
    # The median, in the limit; within a year and within a range all moments are as likely.
    assert middle_mean(probabilities[:1], 0.4999) == pytest.approx([4.5 + 2 / 3], abs=1e-3)
    assert middle_mean(np.array([[0.5, 0.5]]), 0.25, ((0, 9), (10, 29))) == pytest.approx([(7 + 14.5) / 2])


def test_the_card_says_how_an_age_is_read() -> None:
    logits = np.full((1, 101), -20.0, np.float32)
    logits[0, [8, 9, 10, 70]] = np.log([0.3, 0.3, 0.3, 0.1])
    plain = Output(attribute="age", kind="logits")
    middle = Output(attribute="age", kind="logits", tails=0.25)
    assert say(logits.tolist(), middle)["age"] < 10 < say(logits.tolist(), plain)["age"]
    assert say(logits.tolist(), middle)["age_std"] == say(logits.tolist(), plain)["age_std"]
    assert "tails" not in plain.model_dump() and middle.model_dump()["tails"] == 0.25


def test_age_ranges_are_spread_over_their_years() -> None:
    years = np.arange(28, 46)
    output = Output(attribute="age", kind="probabilities", ranges=((1, 27), (28, 45)), std_scale=1.5)
    said = say([[0.0, 1.0]], output)
    assert said["age"] == pytest.approx([years.mean()], abs=1e-3)
    assert said["age_std"] == pytest.approx([years.std() * 1.5], rel=1e-3)


def test_age_as_a_number_has_the_cards_error() -> None:
    said = say([[33.5], [4.0]], Output(attribute="age", kind="years", std_years=7.0))
    assert said["age"].tolist() == [33.5, 4.0] and said["age_std"].tolist() == [7.0, 7.0]


@pytest.mark.parametrize(
    "wrong",
    [
        {"attribute": "emotion", "kind": "logits", "classes": ("happy", "bored")},
        {"attribute": "emotion", "kind": "logits", "classes": ("happy", "happy")},
        {"attribute": "gender", "kind": "logits", "classes": ("male",)},
        {"attribute": "age", "kind": "years"},
        {"attribute": "gender", "kind": "years", "classes": ("female",), "std_years": 3.0},
        {"attribute": "age", "kind": "logits", "ranges": ((5, 1),)},
        {"attribute": "gender", "kind": "logits", "classes": ("female",), "tails": 0.25},
        {"attribute": "age", "kind": "years", "std_years": 7.0, "tails": 0.25},
        {"attribute": "emotion", "kind": "logits", "classes": EMOTIONS, "bias": (1.0,)},
    ],
    ids=str,
)
def test_outputs_that_make_no_sense_are_refused(wrong: dict) -> None:
    with pytest.raises(ValueError, match="1 validation error"):
        Output(**wrong)


def test_a_face_whose_emotion_is_clear_is_not_looked_at_in_the_mirror() -> None:
    """The network says `happy` as strongly as the left half of a chip is bright."""
    seen: list[int] = []
    card = read_card(bundle_path("emotion"))
    card = card.model_copy(update={"outputs": (card.outputs[0].model_copy(update={"bias": ()}),)})

    def network(scaled: np.ndarray) -> dict[str | None, np.ndarray]:
        seen.append(len(scaled))
        happy = card.output("emotion").classes.index("happy")
        return {None: np.eye(7, dtype=np.float32)[happy] * scaled[:, :, :24].mean(axis=(1, 2)) / 30}

    chips = np.zeros((4, 48, 48, 1), np.uint8)
    chips[0, :, :24], chips[1, :, :24], chips[2, :, 24:] = 255, 10, 255  # sure, not sure, sure in the mirror alone
    said = answers(card, network, chips)["emotion"][:, EMOTIONS.index("happy")]
    assert seen == [4, 3] and said[0] > 0.99
    alone = [answers(card, network, chips[i : i + 1])["emotion"][0, EMOTIONS.index("happy")] for i in range(4)]
    assert said.tolist() == alone
    half = answers(card.model_copy(update={"mirror": False}), network, chips // 2)["emotion"][2]
    assert said[2] > half[EMOTIONS.index("happy")]  # the mean of both looks counts
