"""Convert a bundle's network for LiteRT again, and compare both by pictures of data sets.

    python -m training.convert BUNDLE DATA[:SPLIT]...

`facelog train` does this when it writes a bundle. This is for bundles that were written before, and for new versions of
the converter.
"""

import random
import sys
from pathlib import Path

import numpy as np

from models.bundle import bundle_path
from models.cards import Card, read_card
from models.conversion import KERAS, convert
from models.on_tensorflow import load_keras
from schemas.iteration import Reservoir
from training.datasets import LabelledPicture, read_dataset
from training.datasets.terms import name_of
from training.judging.evaluate import ready_crops

MOST = 4000
"""Pictures of each data set, at most; of larger ones they are drawn at random."""


def convert_again(folder: Path, data: list[str]) -> Card:
    """The card of a bundle whose network was converted, and compared by data sets, each with a split after a colon."""
    card = read_card(folder)
    chips: list[np.ndarray] = []
    names = []
    for path, _, split in (name.partition(":") for name in data):
        dataset = read_dataset(path)
        drawn = Reservoir[LabelledPicture](MOST, random.Random(0))
        for sample in dataset.samples(split=split or None):
            drawn.offer(sample)
        crops = ready_crops(drawn.items, card.geometry)
        found = [crop.chip for crop in crops if crop.chip is not None]
        names.append(f"{name_of(dataset.kind)} {split}".strip() + f", {len(found)} pictures")
        chips += found
    return convert(folder, load_keras(folder / KERAS, "cpu"), card, np.stack(chips), " and ".join(names))


if __name__ == "__main__":
    bundle, *sets = sys.argv[1:]
    print(convert_again(bundle_path(bundle), sets).litert)
