import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.tables import EMOTIONS
from training.datasets import labels


def test_every_emotion_is_known_and_nothing_else() -> None:
    assert tuple(labels.emotion_of(emotion.upper()) for emotion in EMOTIONS) == EMOTIONS
    words = ("Anger", "disgusted", "fearful", "happiness", "sadness", "surprised", "neutral")
    assert tuple(labels.emotion_of(word) for word in words) == EMOTIONS
    assert labels.emotion_of("contempt") is None and labels.emotion_of("") is None
    with pytest.raises(ValueError, match="emotion '3' is none of angry"):
        labels.emotion_of("3")


def test_shares_are_of_all_votes() -> None:
    votes = dict.fromkeys(labels.VOTE_COLUMNS, 0.0) | {"neutral": 2, "happiness": 6, "contempt": 1, "nf": 1}
    shares = labels.vote_shares(votes)
    assert shares is not None and shares.dtype == np.float32
    np.testing.assert_allclose(shares, [0.6 if e == "happy" else 0.2 if e == "neutral" else 0 for e in EMOTIONS])
    assert labels.vote_shares(dict.fromkeys(labels.VOTE_COLUMNS, 0.0)) is None


@pytest.mark.parametrize("emotion", EMOTIONS)
def test_votes_stand_in_the_order_of_emotions(emotion: str) -> None:
    column = next(name for name in labels.VOTE_COLUMNS if labels.emotion_of(name) == emotion)
    shares = labels.vote_shares(dict.fromkeys(labels.VOTE_COLUMNS, 0.0) | {column: 10})
    assert shares is not None and shares.argmax() == EMOTIONS.index(emotion) and shares.sum() == 1


@pytest.mark.parametrize(
    ("text", "age"),
    [("25", (25, 25)), (" 24.3 ", (24.3, 24.3)), ("0-2", (0, 2)), ("more than 70", (70, 100)), ("70+", (70, 100))],
)
def test_ages(text: str, age: tuple[float, float]) -> None:
    assert labels.age_of(text) == age


@pytest.mark.parametrize("text", ["old", "30-20", "-3", "131", "1-2-3", "nan", "03-Sep"])
def test_what_is_no_age_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="age"):
        labels.age_of(text)


@given(st.integers(0, 130), st.integers(0, 130))
def test_ranges_keep_their_ends(low: int, high: int) -> None:
    if low <= high:
        assert labels.age_of(f"{low}-{high}") == (low, high)
    else:
        with pytest.raises(ValueError, match="backwards"):
            labels.age_of(f"{low}-{high}")


def test_gender_is_a_word() -> None:
    assert [labels.female_of(word) for word in ("Female", "male", "F", "m", "")] == [True, False, True, False, None]
    with pytest.raises(ValueError, match="write the word"):
        labels.female_of("1")


def test_splits_are_the_first_folder_and_folders_named_so() -> None:
    assert labels.folder_splits([]) == ()
    assert labels.folder_splits(["images", "Train", "part1"]) == ("images", "Train")
