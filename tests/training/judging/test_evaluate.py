import dataclasses
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models import cards
from models.bundle import Bundle
from schemas.errors import UsageError
from schemas.iteration import chunks
from schemas.tables import EMOTIONS, GENDERS
from tests.bundles import age_gender_bundle, colour_tells, emotion_bundle, grey_tells
from training.datasets import LabelledPicture
from training.judging.evaluate import (
    FIGURES,
    Crop,
    Tally,
    milliseconds_per_face,
    predict,
    ready_crops,
    speed,
)

# The keys that the issue names.
KEYS = (
    *("n", "accuracy", "macro_f1", "recall", "confusion", "ece"),
    *("age_mae", "age_rmse", "age_within_5", "age_coverage_80", "gender_accuracy"),
    *("groups", "ms_per_face_b1", "ms_per_face_b32"),
)


def expression(seen: str, label: str | None, votes: Sequence[float] | None = None) -> LabelledPicture:
    """A picture that `grey_tells` takes for `seen`."""
    pixels = np.full((48, 48), 10 * EMOTIONS.index(seen), np.uint8)
    return LabelledPicture(
        f"{seen}-{label}", pixels, emotion=label, votes=None if votes is None else np.array(votes, np.float32)
    )


def person(
    seen: tuple[int, int], age: tuple[float, float] | None, female: bool | None, race: str | None = None
) -> LabelledPicture:
    """A picture that `colour_tells` takes for `seen`: age, and percentage of female."""
    return LabelledPicture("p", np.full((100, 100, 3), (*seen, 0), np.uint8), age=age, female=female, race=race)


def figures_of(bundle: Bundle, samples: Iterable[LabelledPicture], labels: str = "fer2013") -> dict[str, Any]:
    """The figures on ready crops."""
    tally = Tally(bundle.card, labels=labels)
    for crops in chunks(ready_crops(samples, bundle.card.geometry), 256):
        tally.add(crops, predict(bundle, crops))
    return {**tally.figures(), **speed(bundle)}


def test_emotions(tmp_path: Path) -> None:
    pairs = [("happy", "happy"), ("happy", "happy"), ("sad", "happy"), ("sad", "sad"), ("fear", "fear")]
    samples = [*(expression(*pair) for pair in pairs), expression("happy", None)]
    figures = figures_of(emotion_bundle(tmp_path / "b", grey_tells, classes=EMOTIONS), samples)
    assert set(KEYS) <= set(figures) and set(FIGURES) <= set(figures)
    assert (figures["n"], figures["accuracy"]) == (5, 0.8)
    assert figures["classes"] == list(EMOTIONS)
    assert figures["recall"]["happy"] == pytest.approx(2 / 3) and figures["recall"]["angry"] is None
    assert figures["mean_recall"] == pytest.approx((2 / 3 + 1 + 1) / 3)
    assert figures["macro_f1"] == pytest.approx((4 / 5 + 2 / 3 + 1) / 3)
    happy, sad = EMOTIONS.index("happy"), EMOTIONS.index("sad")
    assert figures["confusion"][happy][sad] == 1 and figures["confusion"][sad][happy] == 0
    assert np.sum(figures["confusion"]) == 5
    assert figures["ece"] == pytest.approx(0.1)
    assert figures["left_out"] == {"no emotion label": 1}
    assert figures["age_mae"] is None and figures["gender_accuracy"] is None and figures["groups"] == {}
    assert json.loads(json.dumps(figures, allow_nan=False)) == figures


def test_a_model_of_three_classes_is_judged_on_them_and_chooses_among_them(tmp_path: Path) -> None:
    def three(chips: np.ndarray) -> dict[str, np.ndarray]:
        known = np.isin(EMOTIONS, ("happy", "sad", "neutral"))
        return {"emotion": np.where(known, grey_tells(chips)["emotion"], np.nan).astype(np.float32)}

    bundle = emotion_bundle(tmp_path / "b", three, classes=("neutral", "happy", "sad"))
    samples = [expression(*pair) for pair in (("happy", "happy"), ("sad", "neutral"), ("fear", "fear"))]
    figures = figures_of(bundle, samples)
    assert (figures["n"], figures["accuracy"]) == (2, 0.5)
    assert figures["classes"] == ["happy", "sad", "neutral"]
    assert figures["confusion"] == [[1, 0, 0], [0, 0, 0], [0, 1, 0]]
    assert figures["left_out"] == {"fear is no class of the model": 1}


def test_labels_of_ferplus_are_what_more_than_half_of_all_votes_went_to(tmp_path: Path) -> None:
    bundle = emotion_bundle(tmp_path / "b", grey_tells, classes=EMOTIONS)
    most, half, none = [0, 0, 0, 0.6, 0.2, 0, 0], [0.5, 0.5, 0, 0, 0, 0, 0], None
    samples = [expression("happy", "sad", most), expression("angry", "angry", half), expression("fear", "fear", none)]
    figures = figures_of(bundle, samples, labels="ferplus")
    assert (figures["n"], figures["accuracy"]) == (1, 1)
    assert figures["left_out"] == {"no emotion has most votes": 2}
    assert figures_of(bundle, samples)["accuracy"] == pytest.approx(2 / 3)


def test_ages_and_genders(tmp_path: Path) -> None:
    samples = [
        person((30, 90), (31, 31), True, "Black"),
        person((40, 20), (50, 50), False, "White"),
        person((50, 60), (30, 39), False, "White"),
        person((35, 45), (30, 39), None),
        person((5, 55), None, True),
        person((5, 55), None, None),
    ]
    figures = figures_of(age_gender_bundle(tmp_path / "b", colour_tells), samples)
    assert set(KEYS) <= set(figures)
    assert (figures["n"], figures["n_age"], figures["n_age_group"], figures["n_gender"]) == (5, 2, 2, 4)
    assert figures["age_mae"] == pytest.approx(5.5)
    assert figures["age_rmse"] == pytest.approx((101 / 2) ** 0.5)
    assert figures["age_bias"] == pytest.approx(-5.5)
    assert figures["age_within_5"] == figures["age_coverage_80"] == 0.5
    assert figures["age_interval_80"] == pytest.approx(2 * 1.2816 * 5)
    assert (figures["age_group_accuracy"], figures["age_group_error"]) == (0.5, 5)
    assert figures["gender_accuracy"] == figures["accuracy"] == 0.75
    assert figures["gender_unknown"] == 0.5 and figures["gender_accuracy_known"] == 1
    assert figures["classes"] == ["female", "male"] and figures["confusion"] == [[2, 0], [1, 1]]
    assert figures["ece"] == pytest.approx((0.1 + 0.2 + 0.6 + 0.45) / 4)
    assert figures["left_out"] == {"no label of age or gender": 1}
    groups = figures["groups"]
    assert list(groups["age"]) == ["30-39", "50-59"] and list(groups["race"]) == ["Black", "White"]
    assert groups["age"]["30-39"]["n"] == 3 and groups["age"]["30-39"]["age_mae"] == 1
    assert groups["gender"]["male"]["gender_accuracy"] == 0.5
    assert groups["race"]["Black"]["n"] == 1 and groups["race"]["Black"]["age_group_accuracy"] is None


@pytest.mark.parametrize("order", [GENDERS, GENDERS[::-1]])
def test_no_order_of_genders_mixes_them_up(
    order: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cards.GENDERS is GENDERS, "there is one list of them"
    monkeypatch.setattr("training.judging.evaluate.GENDERS", order)
    samples = [person((5, 90), None, True), person((5, 90), None, True), person((5, 95), None, False)]
    figures = figures_of(age_gender_bundle(tmp_path / "b", colour_tells), samples)
    assert figures["recall"] == {"female": 1, "male": 0}
    assert {name: group["n"] for name, group in figures["groups"]["gender"].items()} == {"female": 2, "male": 1}
    assert figures["groups"]["gender"]["female"]["gender_accuracy"] == 1


def test_unknown_is_below_what_the_card_says(tmp_path: Path) -> None:
    bundle = age_gender_bundle(tmp_path / "b", colour_tells)
    samples = [person((30, 90), None, True), person((30, 60), None, False)]
    for threshold, unknown in ((0.5, 0), (0.7, 0.5), (0.95, 1)):
        card = bundle.card.model_copy(update={"unknown_below": threshold})
        assert figures_of(dataclasses.replace(bundle, card=card), samples)["gender_unknown"] == unknown


def test_a_picture_that_does_not_read_costs_itself_alone(tmp_path: Path) -> None:
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    samples = [LabelledPicture("broken.jpg", tmp_path / "broken.jpg", emotion="sad"), expression("happy", "happy")]
    figures = figures_of(emotion_bundle(tmp_path / "b", grey_tells, classes=EMOTIONS), samples)
    assert figures["n"] == 1 and figures["left_out"] == {"the picture does not read": 1}


def test_more_pictures_than_fit_in_a_block_keep_their_order(tmp_path: Path) -> None:
    shown = [EMOTIONS[i % 7] for i in range(600)]
    samples = (expression(name, name) for name in shown)
    figures = figures_of(emotion_bundle(tmp_path / "b", grey_tells, classes=EMOTIONS), samples)
    assert figures["n"] == 600 and figures["accuracy"] == 1


def test_without_a_label_that_fits_it_says_why(tmp_path: Path) -> None:
    bundle = emotion_bundle(tmp_path / "b", grey_tells, classes=EMOTIONS)
    with pytest.raises(UsageError, match="emotion by: 1 × no emotion label"):
        figures_of(bundle, [person((30, 90), (31, 31), True)])
    with pytest.raises(UsageError, match="no labels called 'mine'"):
        figures_of(bundle, [], labels="mine")


def test_crops_without_chip_have_no_prediction(tmp_path: Path) -> None:
    bundle = emotion_bundle(tmp_path / "b", grey_tells, classes=EMOTIONS)
    sample = expression("happy", "happy")
    outputs = predict(bundle, [Crop(sample, None, "none"), Crop(sample, sample.picture(grey=True))])["emotion"]
    assert np.isnan(outputs[0]).all() and outputs[1].argmax() == EMOTIONS.index("happy")
    assert np.isnan(predict(bundle, [Crop(sample, None, "none")])["emotion"]).all()


def test_time_is_counted_by_the_face(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock is one that goes on by 64 ms in each call, whatever it holds."""
    clock = 0.0

    def slow(chips: np.ndarray) -> dict[str, np.ndarray]:
        nonlocal clock
        clock += 0.064
        return grey_tells(chips)

    bundle = emotion_bundle(tmp_path / "b", slow, classes=EMOTIONS)
    monkeypatch.setattr("training.judging.evaluate.time.process_time", lambda: clock)
    one, many = (milliseconds_per_face(bundle, batch, repeats=3) for batch in (1, 32))
    assert one / many == pytest.approx(32)
    assert one % 64 == pytest.approx(0) and one >= 64  # with the mirror image, two passes a call
