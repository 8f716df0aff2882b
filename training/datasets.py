"""Readers of the data sets in their common folder forms, zipped or unpacked, and splits that do not leak.

A split follows from a hash of the picture (or of its group of near-duplicates), never from order or chance: it is the
same on every machine, and copies of one picture fall on one side.
"""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import io
import zipfile
from pathlib import Path

import cv2
import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from schemas.errors import UsageError
from schemas.tables import EMOTIONS

# zipfile.Path has pathlib's reading methods, so that a data set need not be unpacked.
AnyPath = Path | zipfile.Path

# FER+ votes in the order of EMOTIONS; its contempt, unknown and NF have no place there.
_FERPLUS = ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")

# Bits of 256 in which the hashes of two pictures of one photograph differ at most. Of UTKFace pairs 17–24 bits apart 19
# of 20 were one photograph by eye, of those 25–32 bits apart half, of those 33–40 bits apart hardly any.
_NEAR = 24


@dataclasses.dataclass(frozen=True, eq=False)
class EmotionSet:
    """Pictures with one emotion each.

    Attributes:
      images: [n, 48, 48] uint8.
      labels: [n] int64, index into EMOTIONS: the data set's own label.
      votes: [n, 7] float32, share of FER+ votes for each emotion among all ten or so votes, contempt and "unknown"
        included, so that a row sums to 1 or less; zeros where there are none.
      names: [n] file names.
    """

    images: np.ndarray
    labels: np.ndarray
    votes: np.ndarray
    names: np.ndarray

    def take(self, keep: np.ndarray) -> EmotionSet:
        """The pictures that a mask or an index selects."""
        return EmotionSet(self.images[keep], self.labels[keep], self.votes[keep], self.names[keep])


@dataclasses.dataclass(frozen=True, eq=False)
class FaceList:
    """Pictures with an age and a gender each, not read yet.

    Attributes:
      root: folder or zip they lie in.
      names: [n] paths below root.
      ages: [n, 2] float32, lowest and highest age in years; the same where the age is known.
      female: [n] float32, 0 or 1.
      groups: [n] what a split must not part: a name of the group, or the picture's own.
      races: [n] as the data set calls them; only to see who is served worse.
    """

    root: AnyPath
    names: np.ndarray
    ages: np.ndarray
    female: np.ndarray
    groups: np.ndarray
    races: np.ndarray


def open_root(path: Path, inside: str) -> AnyPath:
    """A data set's folder, or its zip as if it were one; `inside` is a name that must be in it.

    Raises:
      UsageError: it is neither, or another data set.
    """
    root: AnyPath = zipfile.Path(path) if path.is_file() and zipfile.is_zipfile(path) else path
    if not (root / inside).exists():
        raise UsageError(f"{path} has no {inside}: expected the data set's folder or zip.")
    return root


def decode(data: bytes, flags: int = cv2.IMREAD_COLOR) -> np.ndarray:
    """A picture file's pixels, uint8; RGB if in colour."""
    image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    if image is None:
        raise UsageError("A picture of the data set does not decode; unpack it again.")
    return image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def fraction(key: str | bytes) -> float:
    """A key's place in [0, 1), the same everywhere: what splits go by."""
    data = key.encode() if isinstance(key, str) else key
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "big") / 2**64


def _rows(path: AnyPath) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"))))


def _pictures(folder: AnyPath) -> list[AnyPath]:
    """A folder's JPEG files by name."""
    files: list[AnyPath] = [file for file in folder.iterdir() if file.name.endswith(".jpg")]
    return sorted(files, key=lambda file: file.name)


def read_fer2013(path: Path, split: str) -> EmotionSet:
    """FER2013 in its folder form `<split>/<class>/<name>.jpg`, with FER+'s votes from `ferplus_votes.csv` if there.

    Args:
      path: folder or zip.
      split: "train" or "validation" (the official Training and PublicTest).

    Raises:
      UsageError: path is not that.
    """
    root = open_root(path, split)
    votes: dict[str, np.ndarray] = {}
    if (root / "ferplus_votes.csv").exists():
        for row in _rows(root / "ferplus_votes.csv"):
            total = sum(float(value) for key, value in row.items() if key not in ("split", "name"))
            votes[row["name"]] = np.array([float(row[name]) for name in _FERPLUS]) / max(total, 1)
    images, labels, names = [], [], []
    for label, emotion in enumerate(EMOTIONS):
        for file in _pictures(root / split / emotion):
            images.append(decode(file.read_bytes(), cv2.IMREAD_GRAYSCALE))
            labels.append(label)
            names.append(file.name)
    shares = np.array([votes.get(name, np.zeros(len(EMOTIONS))) for name in names], np.float32)
    return EmotionSet(np.array(images), np.array(labels), shares, np.array(names))


def split_fer2013(train: EmotionSet, test: EmotionSet, calibration: float) -> tuple[EmotionSet, EmotionSet]:
    """Training and calibration part of FER2013's train split, without blank pictures and without copies of the test's.

    Args:
      train: the train split.
      test: the split that is reported.
      calibration: share of train to hold back.
    """
    judged = {image.tobytes() for image in test.images}
    clean = np.array([image.std() >= 1 and image.tobytes() not in judged for image in train.images])
    held = np.array([fraction(image.tobytes()) < calibration for image in train.images])
    return train.take(clean & ~held), train.take(clean & held)


def read_utkface(path: Path) -> FaceList:
    """UTKFace aligned crops, `UTKFace/<age>_<gender>_<race>_<date>.jpg.chip.jpg`, with groups of near-duplicates.

    Raises:
      UsageError: path is not that.
    """
    root = open_root(path, "UTKFace")
    names, ages, female, races = [], [], [], []
    for file in _pictures(root / "UTKFace"):
        parts = file.name.split("_")  # three names lack the race
        names.append(f"UTKFace/{file.name}")
        ages.append(float(parts[0]))
        female.append(float(parts[1]))
        races.append(("White", "Black", "Asian", "Indian", "Other")[int(parts[2])] if len(parts) == 4 else "")
    pictures = (decode((root / name).read_bytes(), cv2.IMREAD_GRAYSCALE) for name in names)
    groups = near_duplicates(np.array([difference_hash(picture) for picture in pictures]))
    return FaceList(
        root,
        np.array(names),
        np.repeat(np.array(ages, np.float32)[:, None], 2, axis=1),
        np.array(female, np.float32),
        np.array(names)[groups],
        np.array(races),
    )


def read_fairface(path: Path) -> FaceList:
    """FairFace, `labels.csv` (file, age_group, gender, race) and the pictures it names; ages are ranges.

    Raises:
      UsageError: path is not that.
    """
    root = open_root(path, "labels.csv")
    rows = _rows(root / "labels.csv")
    groups = [row["age_group"] for row in rows]
    ages = [(70.0, 100.0) if "more" in group else tuple(float(end) for end in group.split("-")) for group in groups]
    names = np.array([row["file"] for row in rows])
    female = np.array([row["gender"] == "Female" for row in rows], np.float32)
    return FaceList(root, names, np.array(ages, np.float32), female, names, np.array([row["race"] for row in rows]))


def difference_hash(grey: np.ndarray) -> np.ndarray:
    """256 bits that survive another size and another compression of a picture, as [4] uint64.

    Source: dHash (N. Krawetz, 2013): whether each pixel of a small copy is brighter than its left neighbour.
    """
    small = cv2.resize(grey, (17, 16), interpolation=cv2.INTER_AREA)
    return np.packbits(small[:, 1:] > small[:, :-1]).view(np.uint64)


def near_duplicates(hashes: np.ndarray, limit: int = _NEAR) -> np.ndarray:
    """Index of the first picture of each picture's group.

    Args:
      hashes: [n, 4] uint64.
      limit: pictures whose hashes differ in at most so many bits belong together, and chains of them do.

    Returns:
      [n] int64.
    """
    left, right = [np.arange(len(hashes))], [np.arange(len(hashes))]
    for i in range(len(hashes) - 1):
        near = np.flatnonzero(np.bitwise_count(hashes[i + 1 :] ^ hashes[i]).sum(axis=1) <= limit)
        left.append(np.full(len(near), i))
        right.append(near + i + 1)
    rows, columns = np.concatenate(left), np.concatenate(right)
    graph = coo_array((np.ones(len(rows), bool), (rows, columns)), shape=(len(hashes), len(hashes)))
    _, component = connected_components(graph, directed=False)
    _, first = np.unique(component, return_index=True)
    return first[component]
