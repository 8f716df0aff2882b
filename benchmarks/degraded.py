"""How emotion models do on worse pictures: held-back ones of FER2013, blurred, dark, turned and so on.

usage: python -m benchmarks.degraded FER2013 BUNDLE... [--every N] [--cache DIR]

Figures are by the majority of FER+: accuracy, and the mean recall of the seven emotions. With `--every N`, one of N
pictures is taken, but all of disgust and fear, because they are few; accuracy leaves these out.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from benchmarks.held_back import held_back
from models.bundle import load_bundle
from schemas.tables import EMOTIONS

_RARE = [EMOTIONS.index(name) for name in ("disgust", "fear")]


def _blurred(chip: np.ndarray) -> np.ndarray:
    return cv2.GaussianBlur(chip, (0, 0), 1.2)


def _small(chip: np.ndarray) -> np.ndarray:
    small = cv2.resize(chip, (20, 20), interpolation=cv2.INTER_AREA)
    return cv2.resize(small, chip.shape[::-1], interpolation=cv2.INTER_LINEAR)


def _warped(chip: np.ndarray, transform: np.ndarray) -> np.ndarray:
    return cv2.warpAffine(chip, transform, chip.shape[::-1], borderMode=cv2.BORDER_REPLICATE)


def _side_light(chip: np.ndarray) -> np.ndarray:
    return chip * np.linspace(0.4, 1.6, chip.shape[1])


def _as_jpeg(chip: np.ndarray) -> np.ndarray:
    decoded = cv2.imdecode(cv2.imencode(".jpg", chip, [cv2.IMWRITE_JPEG_QUALITY, 15])[1], cv2.IMREAD_GRAYSCALE)
    assert decoded is not None
    return decoded


def _mouth_hidden(chip: np.ndarray) -> np.ndarray:
    hidden = chip.copy()
    hidden[3 * len(chip) // 4 :] = 127
    return hidden


CHANGES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "as it is": lambda chip: chip,
    "blurred, sigma 1.2 pixels": _blurred,
    "20 × 20 pixels, enlarged": _small,
    "sharpened": lambda chip: 2.0 * chip - _blurred(chip),
    "dark, gamma 2.2": lambda chip: 255 * (chip / 255) ** 2.2,
    "bright, gamma 0.45": lambda chip: 255 * (chip / 255) ** 0.45,
    "contrast 35 %": lambda chip: (chip - chip.mean()) * 0.35 + chip.mean(),
    "light from a side": _side_light,
    "turned by 18°": lambda chip: _warped(chip, cv2.getRotationMatrix2D((23.5, 23.5), 18, 1)),
    "narrower and taller": lambda chip: _warped(chip, np.array([[0.85, 0, 3.5], [0, 1.1, -2.4]])),
    "JPEG of quality 15": _as_jpeg,
    "mouth hidden": _mouth_hidden,
}


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("bundles", nargs="+")
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--cache", type=Path, default=Path("runs/chips"))
    choice = parser.parse_args()
    part, chips = held_back("emotion", choice.data, choice.cache)
    known = np.flatnonzero(part.votes.max(axis=1) > 0.5)
    rare = np.isin(part.votes.argmax(axis=1)[known], _RARE)
    rows = np.concatenate([known[~rare][:: choice.every], known[rare]])
    common = np.arange(len(rows)) < len(rows) - rare.sum() if choice.every > 1 else np.ones(len(rows), bool)
    true = part.votes.argmax(axis=1)[rows]
    models = [load_bundle(bundle) for bundle in choice.bundles]
    print(f"{len(rows)} pictures, right and mean recall of {', '.join(choice.bundles)}")
    for name, change in CHANGES.items():
        changed = np.stack([np.clip(change(chip), 0, 255).astype(np.uint8) for chip in chips[rows]])
        found = [model.predict(changed)["emotion"].argmax(axis=1) == true for model in models]
        recalls = [np.mean([right[true == i].mean() for i in np.unique(true)]) for right in found]
        text = ", ".join(f"{of[common].mean():.1%} {recall:.1%}" for of, recall in zip(found, recalls, strict=True))
        print(f"{name}: {text}", flush=True)


if __name__ == "__main__":
    main()
