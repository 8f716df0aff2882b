"""The second input of a network that has one: computed of all chips once, and kept on disk."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import track

from models.zoo import Network
from training.data.chip_cache import Chips
from training.learning.augment import DRAWS, augment, middle
from training.recipe import Jitter

_BLOCK = 2048


def second_input(chips: Chips, network: Network, cache: Path) -> np.ndarray:
    """`models.features.hog_landmarks` of chips as they are; [n, k] float32."""

    def plain(rows: np.ndarray) -> np.ndarray:
        return middle(np.asarray(chips[rows]), network.geometry.size)

    return _kept(cache, network, chips.shape[0], chips.__getitem__, "", plain)


def views_of(
    chips_of: Callable[[np.ndarray], np.ndarray],
    plain: np.ndarray,
    network: Network,
    jitter: Jitter,
    seed: int,
    cache: Path,
) -> np.ndarray:
    """The second input of each face's chip as it is and of `jitter.copies` changed copies of it.

    In training, one of them stands beside the chip, which is changed anew each time. So the two are not of the same
    copy; landmarks of a chip take dlib 4 ms, nearly as long as the rest of a step.

    Args:
      chips_of: gives the chips [m, S, S, channels] uint8 of some of the n faces, with their margin.
      plain: [n, k] second input of the chips as they are.
      network: a network with a second input.
      jitter: how the copies are changed.
      seed: of the changes.
      cache: folder that the values are kept in.

    Returns:
      [n, 1 + copies, k] float32.
    """
    chance = np.random.default_rng(seed)
    n, views = len(plain), [plain]
    for copy in range(jitter.copies):
        draws = chance.random((n, DRAWS), np.float32)

        def changed(rows: np.ndarray, draws: np.ndarray = draws) -> np.ndarray:
            chips = augment(chips_of(rows), network.geometry.size, jitter, draws[rows])
            return np.asarray(chips)[..., 0].round().astype(np.uint8)

        key = f"{jitter} {seed} {copy}"
        views.append(_kept(cache, network, n, chips_of, key, changed))
    return np.stack(views, axis=1)


def _kept(
    cache: Path, network: Network, n: int, chips: Callable[[Any], np.ndarray], key: str, cut: Callable[..., np.ndarray]
) -> np.ndarray:
    """The second input of n chips that `cut` gives by their rows, from the cache if it is there."""
    from models.features import hog_landmarks

    some = np.asarray(chips(np.linspace(0, n - 1, 64).astype(int))).tobytes()
    name = f"{network.name}-{n}-{hashlib.sha256(some + key.encode()).hexdigest()[:16]}"
    file = cache / f"{name}.npy"
    if not file.exists():
        starts = track(range(0, n, _BLOCK), "Gradients and landmarks", transient=True)
        blocks = [hog_landmarks(cut(np.arange(start, min(start + _BLOCK, n)))) for start in starts]
        cache.mkdir(parents=True, exist_ok=True)
        np.save(file, np.concatenate(blocks))
    return np.load(file)
