"""Pictures that are the same photograph: by their pixels, or nearly, by a hash of what they look like."""

from __future__ import annotations

import dataclasses
import hashlib
from collections import Counter
from collections.abc import Iterator

import cv2
import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from training.datasets.base import DataError, DataSet, LabelledPicture

# Bits of 256 in which the hashes of two pictures of one photograph differ at most. Of UTKFace pairs 17–24 bits apart 19
# of 20 were one photograph by eye, of those 25–32 bits apart half, of those 33–40 bits apart hardly any.
NEAR = 24


def pixel_digest(image: np.ndarray) -> bytes:
    """16 bytes that two pictures share only if all their pixels are the same."""
    return hashlib.blake2b(image.tobytes(), digest_size=16, key=repr(image.shape).encode()).digest()


def difference_hash(image: np.ndarray) -> np.ndarray:
    """256 bits that survive another size and another compression of a picture, as [4] uint64.

    Args:
      image: uint8, [H, W] or [H, W, 3] RGB.

    Source: dHash (N. Krawetz, 2013): whether each pixel of a small copy is brighter than its left neighbour.
    """
    grey = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    small = cv2.resize(grey, (17, 16), interpolation=cv2.INTER_AREA)
    return np.packbits(small[:, 1:] > small[:, :-1]).view(np.uint64)


def near_duplicates(hashes: np.ndarray, limit: int = NEAR) -> np.ndarray:
    """Index of the first picture of each picture's group.

    Compares all pairs: 24,000 pictures take a second or two, ten times as many take a hundred times as long.

    Args:
      hashes: [n, 4] uint64.
      limit: pictures whose hashes differ in at most so many bits belong together, and chains of them do.

    Returns:
      [n] int64.
    """
    different, place = np.unique(hashes, axis=0, return_inverse=True)
    columns = np.ascontiguousarray(different.T)
    left, right = [], []
    for i in range(len(different) - 1):
        # Most pairs are too far apart in the first 64 bits already.
        distance = np.bitwise_count(columns[0, i + 1 :] ^ columns[0, i])
        near = np.flatnonzero(distance <= limit) + i + 1
        near = near[np.bitwise_count(different[near] ^ different[i]).sum(axis=1) <= limit]
        left.append(np.full(len(near), i))
        right.append(near)
    return _first_of_group(_groups(len(different), left, right)[place.reshape(-1)])


def with_groups(dataset: DataSet, limit: int = NEAR) -> DataSet:
    """The same set, its near-duplicates in one group, on top of the groups that it had.

    Reads every picture once, now; one that does not read stays as it was.

    Raises:
      DataError: a row of the set is wrong.
    """
    names, hashes, had = [], [], []
    for sample in dataset.samples():
        try:
            hashes.append(difference_hash(sample.picture(grey=True)))
        except DataError:
            continue
        names.append(sample.name)
        had.append(sample.group or sample.name)
    near = near_duplicates(np.array(hashes, np.uint64).reshape(-1, 4), limit)
    _, same = np.unique(had, return_inverse=True)
    count = np.arange(len(names))
    first = _first_of_group(_groups(len(names), [count, count], [near, _first_of_group(same)]))
    group = {name: had[i] for name, i in zip(names, first, strict=True)}

    def samples(dropped: Counter[str]) -> Iterator[LabelledPicture]:
        for sample in dataset.read(dropped):
            yield dataclasses.replace(sample, group=group.get(sample.name, sample.group))

    return dataclasses.replace(dataset, read=samples)


def _groups(count: int, left: list[np.ndarray], right: list[np.ndarray]) -> np.ndarray:
    """Number of the connected part that each of `count` nodes is in."""
    rows, columns = np.concatenate([[], *left]).astype(np.int64), np.concatenate([[], *right]).astype(np.int64)
    graph = coo_array((np.ones(len(rows), bool), (rows, columns)), shape=(count, count))
    return connected_components(graph, directed=False)[1]


def _first_of_group(groups: np.ndarray) -> np.ndarray:
    """Index of the first element of each element's group."""
    _, first, place = np.unique(groups, return_index=True, return_inverse=True)
    return first[place.reshape(-1)]
