from pathlib import Path

import cv2
import numpy as np

from training.judging.plots import plot_curves, plot_report


def drawn(files: list[Path]) -> list[str]:
    """Names of the files, all of which are pictures that show something."""
    assert all(np.std(cv2.imread(str(file))) > 5 for file in files)  # type: ignore[arg-type]
    return sorted(file.name for file in files)


def test_curves(tmp_path: Path) -> None:
    log = tmp_path / "log.csv"
    log.write_text("epoch,loss,val_loss,mae,val_mae,learning_rate\n0,2,3,9,9,.1\n1,1,2,8,9,.1\n")
    assert drawn(plot_curves(log, tmp_path)) == ["loss.png", "mae.png"]


def test_report(tmp_path: Path) -> None:
    group = {"n": 3, "accuracy": 0.8, "gender_accuracy": 0.8, "age_mae": 5.0}
    report = {
        "classes": ["male", "female"],
        "confusion": [[3, 1], [0, 4]],
        "groups": {"age": {"0-2": group, "70+": {**group, "age_mae": None}}, "race": {"Black": {"n": 0}}},
    }
    names = ["confusion", "confusion_normalised", "by_age"]
    assert drawn(plot_report(report, tmp_path, "x_")) == sorted(f"x_{name}.png" for name in names)
    assert plot_report({"classes": None, "confusion": None, "groups": {}}, tmp_path) == []
