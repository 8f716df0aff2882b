import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.judging import metrics

labels_and_predictions = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=40).map(
    lambda pairs: np.array(pairs).T
)


def test_confusion_recall_and_f1() -> None:
    labels, predicted = np.array([0, 0, 0, 1, 1, 2]), np.array([0, 0, 1, 1, 1, 0])
    matrix = metrics.confusion(labels, predicted, 4)
    assert matrix.tolist() == [[2, 1, 0, 0], [0, 2, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]]
    np.testing.assert_allclose(metrics.recall(matrix), [2 / 3, 1, 0, np.nan])
    assert metrics.macro_f1(matrix) == pytest.approx((4 / 6 + 4 / 5 + 0) / 3)


@given(labels_and_predictions)
def test_recall_and_f1_by_their_definitions(pair: np.ndarray) -> None:
    labels, predicted = pair
    matrix = metrics.confusion(labels, predicted, 4)
    recall, f1 = [], []
    for c in sorted(set(labels)):
        hits = ((labels == c) & (predicted == c)).sum()
        recall.append(hits / (labels == c).sum())
        precision = hits / max((predicted == c).sum(), 1)
        f1.append(2 * precision * recall[-1] / (precision + recall[-1]) if hits else 0)
    assert metrics.mean(metrics.recall(matrix)) == pytest.approx(np.mean(recall))
    assert metrics.macro_f1(matrix) == pytest.approx(np.mean(f1))
    assert np.trace(matrix) / matrix.sum() == pytest.approx((labels == predicted).mean())


def test_calibration_error() -> None:
    sure = np.full(10, 0.9)
    assert metrics.calibration_error(sure, np.array([True] * 9 + [False])) == pytest.approx(0)
    assert metrics.calibration_error(sure, np.array([True] * 5 + [False] * 5)) == pytest.approx(0.4)
    # Too sure in one bin and not sure enough in another do not make up for each other.
    both = np.array([0.9] * 10 + [0.6] * 10)
    right = np.array([True] * 8 + [False] * 2 + [True] * 7 + [False] * 3)
    assert metrics.calibration_error(both, right) == pytest.approx(0.1)
    assert metrics.calibration_error(np.ones(3), np.ones(3, bool)) == 0


def test_errors_of_ages() -> None:
    error = np.array([3.0, -4.0, 0.0])
    assert metrics.rmse(error) == pytest.approx(math.sqrt(25 / 3))
    assert metrics.coverage(error, np.array([3.0, 3.9, 0.0])) == pytest.approx(2 / 3)


def test_years_outside_of_a_range_that_holds_its_last_year() -> None:
    age, low, high = np.array([19.5, 20, 29.9, 32.0]), np.full(4, 20.0), np.full(4, 29.0)
    np.testing.assert_allclose(metrics.years_outside(age, low, high), [0.5, 0, 0, 2])


def test_age_bands() -> None:
    ages = np.array([0, 2, 2.5, 3, 9.9, 10, 19, 69, 70, 116])
    names = ["0-2", "0-2", "0-2", "3-9", "3-9", "10-19", "10-19", "60-69", "70+", "70+"]
    assert metrics.age_band(ages).tolist() == names


def test_what_cannot_be_said_is_nan() -> None:
    none = np.zeros(0)
    assert all(math.isnan(of(none)) for of in (metrics.mean, metrics.rmse))
    assert math.isnan(metrics.calibration_error(none, none.astype(bool)))
    assert math.isnan(metrics.macro_f1(np.zeros((2, 2), int)))
    assert metrics.mean(np.array([1.0, np.nan])) == 1
