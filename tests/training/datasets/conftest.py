"""Small pictures and tables in the layouts of the real data sets."""

from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest

# Writes a small picture; the grey value tells which.
Draw = Callable[..., None]


@pytest.fixture
def draw(tmp_path: Path) -> Draw:
    """`draw(name, value)` writes an 8×8 picture below `tmp_path`."""

    def write(name: str, value: int = 0) -> None:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        done, data = cv2.imencode(".png", np.full((8, 8), value, np.uint8))
        assert done
        path.write_bytes(data.tobytes())

    return write


@pytest.fixture
def table(tmp_path: Path) -> Callable[[str, Sequence[str]], Path]:
    """`table(name, lines)` writes a csv below `tmp_path`."""

    def write(name: str, lines: Sequence[str]) -> Path:
        (tmp_path / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
        return tmp_path / name

    return write
