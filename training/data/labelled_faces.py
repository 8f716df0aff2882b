"""From data sets to faces: the chip and labels of each face, and the part of the data that it belongs to.

A data set is split by hash, never by order or at random, so the split is the same on every machine. The hash is of what
must stay together: a subject, a photograph, or equal pixels. A data set with a validation or test split of its own is
evaluated by that split.

Chips are arrays on disk or shards of `facelog prepare`, so memory does not grow with the number of pictures.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from models.zoo import Network
from schemas.tables import EMOTIONS
from training.data.chip_cache import Chips, Fingerprints, ShardChips, cut_chips
from training.data.mixing import VOTED, style_of, thinned
from training.data.prepared import fraction, is_prepared, open_prepared
from training.data.second_input import second_input
from training.datasets import DataError, LabelledPicture, read_dataset
from training.datasets.duplicates import NEAR, near_duplicates
from training.datasets.labels import judged_splits
from training.learning.augment import middle
from training.recipe import Recipe

TRAINING, CALIBRATION, TEST = "training", "calibration", "test"

_BLOCK = 2048


@dataclasses.dataclass(frozen=True, eq=False)
class Faces:
    """The n faces of one data set; each array has one row per face.

    Attributes:
      kind: kind of the data set.
      chips: the chips with their margin; uint8.
      emotion: [n] index into EMOTIONS, -1 where there is none.
      votes: [n, 7] shares of all of FER+'s votes, zeros where there are none.
      age: [n, 2] lowest and highest age, NaN where there is none.
      female: [n] 0 or 1, NaN where it is not known.
      part: [n] TRAINING, CALIBRATION, the name of a split for evaluation, or "" for a face that is left out.
      sample: gives the labelled picture of a row, for evaluation.
      features: [n, k] second input of a network that has one.
      blocks: first rows of the row groups of `chips`, and the end; None: rows may be read in any order.
    """

    kind: str
    chips: Chips
    emotion: np.ndarray
    votes: np.ndarray
    age: np.ndarray
    female: np.ndarray
    part: np.ndarray
    sample: Callable[[int], LabelledPicture]
    features: np.ndarray | None = None
    blocks: np.ndarray | None = None

    def tests(self) -> dict[str, Callable[[], Iterator[LabelledPicture]]]:
        """Evaluation splits by name; each function returns a new iterator over the split's labelled pictures."""

        def samples(rows: np.ndarray) -> Callable[[], Iterator[LabelledPicture]]:
            return lambda: (self.sample(int(row)) for row in rows)

        names = sorted(set(self.part) - {TRAINING, CALIBRATION, ""}, key=lambda name: name != "PublicTest")
        return {str(name): samples(np.flatnonzero(self.part == name)) for name in names}


def read_sets(paths: Sequence[Path], network: Network, recipe: Recipe, cache: Path) -> list[Faces]:
    """Read and split the data sets that a network is trained on.

    Pictures of which a copy or near-copy is held back for evaluation are left out of training and calibration.

    Args:
      paths: folders, zips or tables of data sets, or folders that `facelog prepare` wrote.
      network: the network to train; it decides about the geometry of chips and the labels that are needed.
      recipe: decides about the sizes of the parts.
      cache: folder for the chips.

    Raises:
      DataError: a data set is wrong, or has no label that the network needs.
    """
    read = [_read_prepared if is_prepared(path) else _read_set for path in paths]
    found = [of(path, network, recipe, cache) for of, path in zip(read, paths, strict=True)]
    sets = _without_judged([faces for faces, _ in found], [prints for _, prints in found])
    for attribute in network.attributes:
        if not any(_known(faces, attribute).any() for faces in sets):
            names = ", ".join(str(path) for path in paths)
            raise DataError(f"{network.name} is trained on {attribute}, which {names} does not tell: add a data set.")
    for part in (TRAINING, CALIBRATION):
        if not any((faces.part == part).any() for faces in sets):
            raise DataError(f"{', '.join(map(str, paths))}: no picture is left for {part}; the set is too small.")
    return sets


def _read_set(path: Path, network: Network, recipe: Recipe, cache: Path) -> tuple[Faces, Fingerprints]:
    data = read_dataset(path)
    samples = [sample for sample in data.samples() if _labels(sample, network)]
    if not samples:
        raise _without_labels(path, data.kind, network)
    mix = recipe.mix
    if mix is not None:
        samples = thinned(data.kind, samples, mix)
    fill = mix is not None and mix.fill and style_of(data.kind) != VOTED
    chips, prints = cut_chips(data, samples, network.geometry, cache, fill=fill)
    part = _parts([sample.splits for sample in samples], _places(data.kind, samples, prints), recipe)
    part[(prints.pixels == 0) | (prints.blank & np.isin(part, (TRAINING, CALIBRATION)))] = ""
    columns = _columns(samples)
    features = second_input(chips, network, cache) if network.second_input else None
    return Faces(data.kind, chips, **columns, part=part, sample=samples.__getitem__, features=features), prints


def _read_prepared(path: Path, network: Network, recipe: Recipe, cache: Path) -> tuple[Faces, Fingerprints]:
    data = open_prepared(path)
    there = data.info.geometry
    colour = there.channels != "grey", network.geometry.channels != "grey"
    if dataclasses.replace(there, channels=network.geometry.channels) != network.geometry or len(set(colour)) > 1:
        raise DataError(
            f"{path} was prepared for chips of another geometry than {network.name} takes: prepare it again with "
            f"facelog prepare --geometry {network.name}."
        )
    names = ["name", "group", "splits", "emotion", "votes", "age_low", "age_high", "female", "race"]
    samples: list[LabelledPicture] = []
    for batch in data.batches(_BLOCK, names):
        samples += [_sample_of(row) for row in batch.to_pylist()]
    keep = np.array([bool(_labels(sample, network)) for sample in samples], bool)
    if not keep.any():
        raise _without_labels(path, data.info.kind, network)
    chips = ShardChips(data, network.geometry.channels)
    places = _fractions([sample.name for sample in samples], samples)
    part = _parts([sample.splits for sample in samples], places, recipe)
    part[~keep] = ""

    def sample(row: int) -> LabelledPicture:
        chip = middle(chips[[row]], network.geometry.size)[0]
        return dataclasses.replace(samples[row], source=chip[..., ::-1] if network.geometry.channels == "bgr" else chip)

    features = second_input(chips, network, cache) if network.second_input else None
    faces = Faces(
        data.info.kind, chips, **_columns(samples), part=part, sample=sample, features=features, blocks=chips.blocks
    )
    none = np.zeros(len(samples), np.uint64)
    return faces, Fingerprints(none, np.zeros((len(samples), 4), np.uint64), none > 0)


def _places(kind: str, samples: Sequence[LabelledPicture], prints: Fingerprints) -> np.ndarray:
    """The place in [0, 1) by which each sample is split; samples that must stay together have the same place."""
    if kind == "fer2013":  # it has the same picture under several names
        return prints.pixels / 2**64
    names = [sample.name for sample in samples]
    if kind == "utkface":  # it has the same photograph under several names, sizes and ages
        # By the file's name alone: the same split whether the folder above was given or this one.
        names = [f"UTKFace/{name.rsplit('/', 1)[-1]}" for name in names]
        names = [names[first] for first in near_duplicates(prints.hashes)]
    return _fractions(names, samples)


def _fractions(names: Sequence[str], samples: Sequence[LabelledPicture]) -> np.ndarray:
    """Places by the samples' groups, or by their names where they have no group."""
    keys = [name if sample.group is None else sample.group for name, sample in zip(names, samples, strict=True)]
    return np.array([fraction(key) for key in keys])


def _parts(splits: Iterable[Sequence[str]], places: np.ndarray, recipe: Recipe) -> np.ndarray:
    """The part that each sample belongs to."""
    judged = [judged_splits(of) for of in splits]
    test = 0.0 if any(judged) else recipe.test
    part = np.full(len(places), TRAINING, "<U32")
    part[places < test + recipe.calibration] = CALIBRATION
    part[places < test] = TEST
    for i, of in enumerate(judged):
        if of:
            part[i] = of[-1]
    return part


def _without_judged(sets: list[Faces], prints: list[Fingerprints]) -> list[Faces]:
    """The sets without those training and calibration pictures that have a copy or near-copy in an evaluation split."""
    judged = [~np.isin(faces.part, (TRAINING, CALIBRATION, "")) for faces in sets]
    pixels = np.concatenate([of.pixels[rows] for of, rows in zip(prints, judged, strict=True)])
    hashes = np.unique(np.concatenate([of.hashes[rows] for of, rows in zip(prints, judged, strict=True)]), axis=0)
    cleaned = []
    for faces, of in zip(sets, prints, strict=True):
        learned = np.isin(faces.part, (TRAINING, CALIBRATION)) & (of.pixels > 0)
        same = learned & np.isin(of.pixels, pixels)
        rows = np.flatnonzero(learned & ~same & of.hashes.any(axis=1))
        near = rows[_near(of.hashes[rows], hashes)]
        part = faces.part.copy()
        part[same], part[near] = "", ""
        cleaned.append(dataclasses.replace(faces, part=part))
    return cleaned


def _near(hashes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Which of the hashes [n, 4] are close to one of the others [m, 4]; [n] bool."""
    near = np.zeros(len(hashes), bool)
    first = np.ascontiguousarray(hashes[:, 0])
    for other in others[others.any(axis=1)]:
        # The first 64 bits alone rule most pictures out.
        rows = np.flatnonzero(np.bitwise_count(first ^ other[0]) <= NEAR)
        near[rows[np.bitwise_count(hashes[rows] ^ other).sum(axis=1) <= NEAR]] = True
    return near


def _labels(sample: LabelledPicture, network: Network) -> list[str]:
    """Those attributes of the network for which the sample has a label."""
    emotions = [name for output in network.outputs if output.attribute == "emotion" for name in output.classes]
    known = {"emotion": sample.emotion in emotions, "age": sample.age is not None, "gender": sample.female is not None}
    return [attribute for attribute in network.attributes if known[attribute]]


def _known(faces: Faces, attribute: str) -> np.ndarray:
    if attribute == "emotion":
        return faces.emotion >= 0
    return np.isfinite(faces.age[:, 0] if attribute == "age" else faces.female)


def _columns(samples: Sequence[LabelledPicture]) -> dict[str, np.ndarray]:
    none = np.zeros(len(EMOTIONS), np.float32)
    number = {name: i for i, name in enumerate(EMOTIONS)}
    return {
        "emotion": np.array([-1 if s.emotion is None else number[s.emotion] for s in samples], np.int64),
        "votes": np.array([none if s.votes is None else s.votes for s in samples], np.float32),
        "age": np.array([(np.nan, np.nan) if s.age is None else s.age for s in samples], np.float32),
        "female": np.array([np.nan if s.female is None else s.female for s in samples], np.float32),
    }


def _sample_of(row: dict[str, Any]) -> LabelledPicture:
    """The labelled picture of a row of prepared data, without the chip."""
    return LabelledPicture(
        row["name"],
        np.empty((0, 0), np.uint8),
        tuple(row["splits"]),
        row["group"],
        row["emotion"],
        None if row["votes"] is None else np.array(row["votes"], np.float32),
        None if row["age_low"] is None else (row["age_low"], row["age_high"]),
        row["female"],
        row["race"],
    )


def _without_labels(path: Path, kind: str, network: Network) -> DataError:
    wanted = " or ".join(
        f"emotion ({', '.join(output.classes)})" if output.attribute == "emotion" else output.attribute
        for output in network.outputs
    )
    return DataError(f"{path} ({kind}) has no picture with {wanted}, which {network.name} is trained on.")
