"""Chips and labels of data sets in one file, for a machine without the data sets and without dlib."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from models.zoo import Network, find_network
from schemas.errors import UsageError
from schemas.tables import EMOTIONS
from training.recipe import Recipe

LOSSLESS = 101
"""Quality of WebP from which it is lossless."""
_COLUMNS = ("emotion", "votes", "age", "female", "features")
_BLOCK = 1024


@dataclasses.dataclass(frozen=True, eq=False)
class Pictures:
    """Faces in memory, each a row of each array, as `training.data.labelled_faces.Faces` has them.

    Attributes:
      chips: [n, S, S, channels] uint8, with their margin.
      emotion: [n]; the other columns likewise.
      features: [n, k] second input; k = 0 for a network without one.
    """

    chips: np.ndarray
    emotion: np.ndarray
    votes: np.ndarray
    age: np.ndarray
    female: np.ndarray
    features: np.ndarray

    def __len__(self) -> int:
        return len(self.chips)


def pack(recipe: Recipe, data: Sequence[Path], out: Path, *, cache: Path, quality: int = LOSSLESS) -> None:
    """Gather what a model is trained and calibrated with in one file.

    Args:
      recipe: decides how chips are cut and which pictures are held back.
      data: data sets, as `training.train.train` takes them.
      out: the file to write, `.npz`.
      cache: folder for chips that were cut.
      quality: of WebP, 1 to 100; from 101 on chips stay what they are.
    """
    from training.data.batches import part_of
    from training.data.labelled_faces import CALIBRATION, TRAINING, read_sets

    sets = read_sets(data, find_network(recipe.network), recipe, cache)
    arrays: dict[str, Any] = {}
    for part in (TRAINING, CALIBRATION):
        faces = part_of(sets, part)
        blocks = (np.arange(start, min(start + _BLOCK, len(faces))) for start in range(0, len(faces), _BLOCK))
        encoded = _encoded((chip for block in blocks for chip in faces.chips(block)), quality)
        names = _COLUMNS if sets[0].features is not None else _COLUMNS[:-1]
        columns = {name: getattr(faces, name) for name in names}
        arrays |= {f"{part}/{name}": values for name, values in (encoded | columns).items()}
    _save(out, arrays)


def pack_unlabelled(recipe: Recipe, data: Sequence[Path], out: Path, *, cache: Path, quality: int = LOSSLESS) -> None:
    """Gather faces that only teachers say something of; labels that the sets have are left out.

    Args:
      recipe: decides how chips are cut.
      data: data sets whose pictures are each filled by one face.
      out: the file to write, `.npz`.
      cache: folder for chips that were cut.
      quality: as `pack` takes it.
    """
    from training.data.chip_cache import cut_chips
    from training.data.labelled_faces import TRAINING
    from training.datasets import read_dataset

    network, found = find_network(recipe.network), []
    if network.second_input:
        raise UsageError(f"{network.name} has a second input: it cannot learn from faces without labels.")
    for path in data:
        dataset = read_dataset(path)
        chips, prints = cut_chips(dataset, list(dataset.samples()), network.geometry, cache)
        found.append(chips[(prints.pixels > 0) & ~prints.blank])
    n = sum(map(len, found))
    none = np.full(n, np.nan, np.float32)
    columns = {
        "emotion": np.full(n, -1),
        "votes": np.zeros((n, len(EMOTIONS)), np.float32),
        "age": np.stack([none, none], axis=1),
        "female": none,
    }
    encoded = _encoded((chip for chips in found for chip in chips), quality)
    _save(out, {f"{TRAINING}/{name}": values for name, values in (encoded | columns).items()})


def _encoded(chips: Iterable[np.ndarray], quality: int) -> dict[str, np.ndarray]:
    """Chips as WebP files, one behind the other, and where each ends."""
    files = []
    for chip in chips:
        written, file = cv2.imencode(".webp", chip, [cv2.IMWRITE_WEBP_QUALITY, quality])
        if not written:
            raise RuntimeError(f"OpenCV did not encode a chip of {chip.shape}")
        files.append(file)
    return {"ends": np.cumsum([len(file) for file in files]), "files": np.concatenate(files)}


def _save(out: Path, arrays: dict[str, Any]) -> None:
    out.parent.mkdir(parents=True, exist_ok=True)
    np.savez(out, **arrays)


def unpack(files: Sequence[Path], part: str, channels: int) -> Pictures:
    """One part of what `pack` wrote: "training" or "calibration"; of several files, all of theirs, as often as named.

    Args:
      files: to read.
      part: which.
      channels: 1 or 3, of the chips.
    """
    found = []
    for path in files:
        with np.load(path) as arrays:
            ends, encoded = arrays[f"{part}/ends"], arrays[f"{part}/files"]
            flag = cv2.IMREAD_GRAYSCALE if channels == 1 else cv2.IMREAD_COLOR
            chips: list[Any] = [cv2.imdecode(file, flag) for file in np.split(encoded, ends[:-1])]
            columns = {column: arrays[f"{part}/{column}"] for column in _COLUMNS if f"{part}/{column}" in arrays}
            columns.setdefault("features", np.empty((len(chips), 0), np.float32))
            stacked = np.stack(chips)
            found.append({"chips": stacked if channels == 3 else stacked[..., None], **columns})
    return joined([Pictures(**of) for of in found])


def joined(parts: Sequence[Pictures]) -> Pictures:
    """The pictures of several, one behind the other."""
    names = [column.name for column in dataclasses.fields(Pictures)]
    return Pictures(**{name: np.concatenate([getattr(of, name) for of in parts]) for name in names})


def labelled(pictures: Pictures, network: Network) -> Pictures:
    """Those of them that the network can learn from: a file may hold more emotions than it knows."""
    known = np.zeros(len(pictures), bool)
    for output in network.outputs:
        if output.attribute == "emotion":
            known |= np.isin(pictures.emotion, [EMOTIONS.index(name) for name in output.classes])
        else:
            known |= np.isfinite(pictures.age[:, 0] if output.attribute == "age" else pictures.female)
    if not known.any():
        raise UsageError(f"No picture has a label that {network.name} learns from: pack other data sets.")
    columns = dataclasses.fields(Pictures)
    return Pictures(**{column.name: getattr(pictures, column.name)[known] for column in columns})
