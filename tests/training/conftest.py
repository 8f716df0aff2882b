"""Tiny data sets in the real ones' folder forms; their pictures are noise and portraits of nobody."""

import csv
import zipfile
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from schemas.tables import EMOTIONS

REAL = Path(__file__).parents[3] / "shared" / "data"


def save(path: Path, image: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), image, [cv2.IMWRITE_JPEG_QUALITY, 100])


def smooth_noise(seed: int, side: int, channels: int = 1) -> np.ndarray:
    coarse = np.random.default_rng(seed).integers(0, 256, (8, 8, channels), dtype=np.uint8)
    return cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC)


def make_fer2013(root: Path) -> Path:
    """Four pictures of each class and split; one training picture is a validation picture too, one is blank."""
    rows = []
    for s, (split, prefix) in enumerate((("train", "Training"), ("validation", "PublicTest"))):
        for c, emotion in enumerate(EMOTIONS):
            for i in range(4):
                name = f"{prefix}_{c}{i}.jpg"
                save(root / split / emotion / name, smooth_noise(100 * s + 10 * c + i, 48))
                votes = {"neutral": 2, "happiness": 6, "contempt": 1, "NF": 1} if emotion == "happy" else {}
                rows.append({"split": split, "name": name, **votes})
    save(root / "train" / "angry" / "Training_copy.jpg", smooth_noise(100, 48))
    save(root / "train" / "sad" / "Training_blank.jpg", np.full((48, 48), 7, np.uint8))
    names = ("neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt", "unknown", "NF")
    with (root / "ferplus_votes.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ["split", "name", *names], restval="0.0")
        writer.writeheader()
        writer.writerows(rows)
    return root


def make_utkface(root: Path) -> Path:
    """Forty pictures; the last is the first one again, smaller and of another age."""
    for i in range(39):
        name = f"{i}_{i % 2}_{i % 5}_2017.jpg.chip.jpg" if i != 7 else "7_1_2017.jpg.chip.jpg"
        save(root / "UTKFace" / name, smooth_noise(i, 120, 3))
    again = cv2.resize(smooth_noise(0, 120, 3), (100, 100), interpolation=cv2.INTER_AREA)
    save(root / "UTKFace" / "50_0_0_2018.jpg.chip.jpg", again)
    return root


def make_fairface(root: Path) -> Path:
    """Forty pictures with age ranges."""
    lines = ["file,age_group,gender,race"]
    for i in range(40):
        save(root / "train" / f"{i}.jpg", smooth_noise(1000 + i, 96, 3))
        group, gender = ("0-2", "30-39", "more than 70")[i % 3], ("Male", "Female")[i % 2]
        lines.append(f"train/{i}.jpg,{group},{gender},{('East Asian', 'Black')[i % 2]}")
    (root / "labels.csv").write_text("\n".join(lines) + "\n")
    return root


@pytest.fixture
def fer2013(tmp_path: Path) -> Path:
    """See `make_fer2013`."""
    return make_fer2013(tmp_path / "fer2013")


@pytest.fixture
def utkface(tmp_path: Path) -> Path:
    """See `make_utkface`."""
    return make_utkface(tmp_path / "utkface")


@pytest.fixture
def fairface(tmp_path: Path) -> Path:
    """See `make_fairface`."""
    return make_fairface(tmp_path / "fairface")


@pytest.fixture
def zipped(tmp_path: Path) -> Callable[[Path], Path]:
    """Packs a folder as the data sets are packed."""

    def pack(folder: Path) -> Path:
        with zipfile.ZipFile(tmp_path / f"{folder.name}.zip", "w") as archive:
            for file in sorted(folder.rglob("*")):
                archive.write(file, file.relative_to(folder))
        return tmp_path / f"{folder.name}.zip"

    return pack


@pytest.fixture
def real() -> Path:
    """The real data sets that lie beside the checkout."""
    if not (REAL / "fer2013.zip").exists():
        pytest.skip("the data sets ../shared/data are not there")
    return REAL
