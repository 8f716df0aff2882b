"""Plots of a training as PNG files: curves of its log, confusion matrices, figures by group."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

# Figures that are plotted for each group of age, gender and race.
_BY_GROUP = ("accuracy", "gender_accuracy", "age_mae")


def plot_curves(log: Path, folder: Path) -> list[Path]:
    """Plot each quantity of a training log, for both parts, to a file of its own: `loss.png`, `accuracy.png` and so on.

    Args:
      log: `log.csv`, as keras.callbacks.CSVLogger writes it.
      folder: folder for the files.
    """
    table = pd.read_csv(log)
    files = []
    for name in (column for column in table.columns if f"val_{column}" in table.columns):
        figure = Figure(figsize=(6, 4), layout="constrained")
        axes = figure.subplots()
        axes.plot(table["epoch"] + 1, table[name], label="training")
        axes.plot(table["epoch"] + 1, table[f"val_{name}"], label="calibration part")
        axes.set(xlabel="epoch", ylabel=name.replace("_", " "))
        axes.grid(alpha=0.3)
        axes.legend()
        files.append(_save(figure, folder / f"{name}.png"))
    return files


def plot_report(report: Mapping[str, Any], folder: Path, prefix: str = "") -> list[Path]:
    """Plot a report of `training.judging.evaluate`: `confusion.png`, `confusion_normalised.png`, `by_race.png`.

    Args:
      report: the report.
      folder: folder for the files.
      prefix: prefix of the files' names.
    """
    files = []
    if report.get("confusion"):
        counts = np.array(report["confusion"])
        shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
        files.append(_save(_confusion(counts, report["classes"]), folder / f"{prefix}confusion.png"))
        files.append(_save(_confusion(shares, report["classes"]), folder / f"{prefix}confusion_normalised.png"))
    for by, groups in report["groups"].items():
        drawn = [name for name in _BY_GROUP if any(of.get(name) is not None for of in groups.values())]
        if "gender_accuracy" in drawn:
            drawn.remove("accuracy")  # the same
        if drawn:
            files.append(_save(_groups(groups, drawn, by), folder / f"{prefix}by_{by}.png"))
    return files


def _confusion(matrix: np.ndarray, classes: list[str]) -> Figure:
    figure = Figure(figsize=(1.5 + 0.7 * len(classes), 1.2 + 0.7 * len(classes)), layout="constrained")
    axes, whole = figure.subplots(), np.issubdtype(matrix.dtype, np.integer)
    axes.imshow(matrix, cmap="Blues", vmin=0, vmax=matrix.max() if whole else 1)
    for (row, column), value in np.ndenumerate(matrix):
        dark = value > (matrix.max() if whole else 1) / 2
        text = str(value) if whole else f"{value:.0%}"
        axes.text(column, row, text, ha="center", va="center", color="white" if dark else "black", fontsize=8)
    axes.set_xticks(range(len(classes)), classes, rotation=45, ha="right")
    axes.set_yticks(range(len(classes)), classes)
    axes.set(xlabel="predicted", ylabel="label")
    return figure


def _groups(groups: Mapping[str, Mapping[str, Any]], drawn: list[str], by: str) -> Figure:
    names = list(groups)
    figure = Figure(figsize=(2 + 0.7 * len(names), 2.6 * len(drawn)), layout="constrained")
    for axes, of in zip(np.atleast_1d(figure.subplots(len(drawn))), drawn, strict=True):
        values = [groups[name].get(of) for name in names]
        axes.bar(names, [np.nan if value is None else value for value in values])
        axes.set(ylabel=of.replace("_", " "))
        axes.tick_params(axis="x", rotation=30)
        axes.grid(axis="y", alpha=0.3)
    figure.supxlabel(by)
    return figure


def _save(figure: Figure, file: Path) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, dpi=120)
    return file
