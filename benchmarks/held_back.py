"""Evaluates bundles on held-back pictures: the figures of docs/training.md and docs/zoo.md that no card has.

usage: python -m benchmarks.held_back ages UTKFACE BUNDLE...        error by age, ages in the right range
       python -m benchmarks.held_back emotions FER2013 BUNDLE...    own label and FER+'s majority: each, and their mean

It caches chips in runs/chips, like `facelog train`.
"""

import argparse
from pathlib import Path

import numpy as np

from models.bundle import load_bundle
from models.zoo import find_network
from schemas.tables import EMOTIONS
from training.data.batches import Part
from training.data.labelled_faces import CALIBRATION, TRAINING, read_sets
from training.learning.augment import middle
from training.recipe import find_recipe

_BANDS = ((0, 2), (3, 9), (10, 19), (20, 29), (30, 39), (40, 49), (50, 59), (60, 69), (70, 120), (0, 17))
_FIRST_YEARS = ([1, 3, 10, 21, 28, 46, 66], [1, 16, 26, 36, 46])


def held_back(recipe: str, data: Path, cache: Path) -> tuple[Part, np.ndarray]:
    """The pictures of a data set that no model was trained on, and their chips [n, size, size(, 3)] uint8."""
    network = find_network(find_recipe(recipe).network)
    (faces,) = read_sets([data], network, find_recipe(recipe), cache)
    rows = np.flatnonzero(~np.isin(faces.part, (TRAINING, CALIBRATION, "")))
    part = Part([faces], np.zeros(len(rows), int), rows)
    chips = middle(part.chips(np.arange(len(rows))), network.geometry.size)
    return part, np.ascontiguousarray(chips[..., 0] if chips.shape[-1] == 1 else chips)


def ages(part: Part, chips: np.ndarray, bundle: str) -> None:
    """Prints the errors of a bundle's ages."""
    said, true = load_bundle(bundle).predict(chips), part.age[:, 0]
    error = said["age"] - true
    print(f"{bundle}: {len(true)} pictures, mean error {np.abs(error).mean():.2f} years")
    for low, high in _BANDS:
        of = (true >= low) & (true <= high)
        within = (np.abs(error) <= 1.2816 * said["age_std"])[of].mean()
        print(f"  {low} to {high}: {np.abs(error[of]).mean():.2f}, bias {error[of].mean():+.2f}, interval {within:.1%}")
    for first in _FIRST_YEARS:
        right = (np.digitize(said["age"], first) == np.digitize(true, first)).mean()
        print(f"  in the right one of {len(first)} ranges: {right:.1%}")


def emotions(part: Part, chips: np.ndarray, bundles: list[str]) -> None:
    """Prints the accuracy of bundles on emotions, each alone and all together."""
    said = {bundle: load_bundle(bundle).predict(chips)["emotion"] for bundle in bundles}
    said["mean"] = np.mean(list(said.values()), axis=0)
    by_most, most = part.votes.max(axis=1) > 0.5, part.votes.argmax(axis=1)
    for name, probabilities in said.items():
        first = probabilities.argmax(axis=1)
        recall = [(first == i)[by_most & (most == i)].mean() for i in range(len(EMOTIONS))]
        print(f"{name}: own label {(first == part.emotion).mean():.1%}", end="")
        print(f", FER+ {(first == most)[by_most].mean():.1%}, mean recall {np.mean(recall):.1%}")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["ages", "emotions"])
    parser.add_argument("data", type=Path)
    parser.add_argument("bundles", nargs="+")
    parser.add_argument("--cache", type=Path, default=Path("runs/chips"))
    choice = parser.parse_args()
    part, chips = held_back("age-gender" if choice.what == "ages" else "emotion", choice.data, choice.cache)
    if choice.what == "emotions":
        emotions(part, chips, choice.bundles)
        return
    for bundle in choice.bundles:
        ages(part, chips, bundle)


if __name__ == "__main__":
    main()
