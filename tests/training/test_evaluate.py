from types import SimpleNamespace

import numpy as np
import pytest

from training import evaluate


def test_confusion_recall_and_f1() -> None:
    labels, predicted = np.array([0, 0, 0, 1, 1, 2]), np.array([0, 0, 1, 1, 1, 0])
    matrix = evaluate.confusion(labels, predicted, 3)
    assert matrix.tolist() == [[2, 1, 0], [0, 2, 0], [1, 0, 0]]
    np.testing.assert_allclose(evaluate.recalls(matrix), [2 / 3, 1, 0])
    assert evaluate.macro_f1(matrix) == pytest.approx((4 / 6 + 4 / 5 + 0) / 3)


def test_calibration_error() -> None:
    sure = np.tile([0.9, 0.1], (10, 1))
    assert evaluate.calibration_error(sure, np.array([0] * 9 + [1])) == pytest.approx(0)
    assert evaluate.calibration_error(sure, np.array([0] * 5 + [1] * 5)) == pytest.approx(0.4)


class _Fixed:
    """A bundle that always says the same."""

    card = SimpleNamespace(unknown_below=0.7)

    def __init__(self, **output: list[float]) -> None:
        self.output = {name: np.array(values, np.float32) for name, values in output.items()}

    def predict(self, chips: np.ndarray) -> dict[str, np.ndarray]:
        return self.output


def test_age_and_gender_figures() -> None:
    bundle = _Fixed(age=[30, 40, 50], age_std=[2, 2, 2], gender_female=[0.9, 0.2, 0.6])
    ages = np.array([[31, 31], [50, 50], [30, 39]], np.float32)
    figures = evaluate.age_gender(bundle, np.zeros((3, 64, 64, 3), np.uint8), ages, np.array([1, 0, 0]))  # type: ignore[arg-type]
    assert figures["age_mae_years"] == pytest.approx(5.5)
    assert figures["age_bias_years"] == pytest.approx(-5.5)
    assert figures["age_coverage_80"] == pytest.approx(0.5)
    assert figures["age_group_off_years"] == pytest.approx(10)
    assert figures["gender_accuracy"] == pytest.approx(2 / 3)
    assert figures["gender_unknown_share"] == pytest.approx(1 / 3) and figures["gender_accuracy_known"] == 1
    assert (figures["gender_recall_female"], figures["gender_recall_male"]) == (1, 0.5)
