"""A bundle that was written before is converted again, and compared by pictures of data sets."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.bundle import bundle_path
from models.cards import read_card
from training import convert as module


def test_it_is_compared_by_the_pictures_of_a_split(fer2013: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Any] = []
    monkeypatch.setattr(module, "load_keras", lambda path, device: path.name)
    monkeypatch.setattr(module, "convert", lambda *arguments: calls.append(arguments))
    monkeypatch.setattr(module, "MOST", 10)
    module.convert_again(bundle_path("emotion"), [f"{fer2013}:PublicTest", str(fer2013)])
    ((folder, model, card, chips, about),) = calls
    assert (folder, model, card) == (bundle_path("emotion"), "model.keras", read_card(bundle_path("emotion")))
    assert chips.shape == (20, 48, 48) and chips.dtype == np.uint8
    assert about == "FER2013 PublicTest, 10 pictures and FER2013, 10 pictures"
