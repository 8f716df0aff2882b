"""Finds copies of the same photograph: by equal pixels, or by similar hashes of the picture."""

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

# Hashes of copies differ in at most this many of 256 bits. Of UTKFace's pairs that differ in 17–24 bits, 19 of 20 were
# the same photograph by eye; of those that differ in 25–32 bits half, and in 33–40 bits hardly any.
NEAR = 24


def pixel_digest(image: np.ndarray) -> bytes:
    """16 bytes that are the same for two pictures only if all their pixels are the same."""
    return hashlib.blake2b(image.tobytes(), digest_size=16, key=repr(image.shape).encode()).digest()


def difference_hash(image: np.ndarray) -> np.ndarray:
    """256 bits, as [4] uint64, that hardly change when a picture is resized or compressed again.

    Args:
      image: uint8, [H, W] or [H, W, 3] RGB.

    Source: dHash (N. Krawetz, 2013). Each bit says whether a pixel of a small copy is brighter than its left neighbour.
    """
    grey = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    small = cv2.resize(grey, (17, 16), interpolation=cv2.INTER_AREA)
    return np.packbits(small[:, 1:] > small[:, :-1]).view(np.uint64)


def near_duplicates(hashes: np.ndarray, limit: int = NEAR) -> np.ndarray:
    """Group near-duplicates: for each picture, the index of the first picture of its group.

    All pairs are compared: 24,000 pictures take a second or two, ten times as many take a hundred times as long.

    Args:
      hashes: [n, 4] uint64.
      limit: pictures whose hashes differ in at most this many bits are in the same group, and so are chains of them.

    Returns:
      [n] int64.
    """
    different, place = np.unique(hashes, axis=0, return_inverse=True)
    columns = np.ascontiguousarray(different.T)
    left, right = [], []
    for i in range(len(different) - 1):
        # The first 64 bits alone rule most pairs out.
        distance = np.bitwise_count(columns[0, i + 1 :] ^ columns[0, i])
        near = np.flatnonzero(distance <= limit) + i + 1
        near = near[np.bitwise_count(different[near] ^ different[i]).sum(axis=1) <= limit]
        left.append(np.full(len(near), i))
        right.append(near)
    return _first_of_group(_groups(len(different), left, right)[place.reshape(-1)])


def with_groups(dataset: DataSet, limit: int = NEAR) -> DataSet:
    """The same data set with near-duplicates in the same group, in addition to the groups that it had.

    This reads every picture once. A picture that cannot be read keeps its group.

    Raises:
      DataError: a row of the data set is wrong.
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
    """Number of the connected component that each of `count` nodes is in."""
    rows, columns = np.concatenate([[], *left]).astype(np.int64), np.concatenate([[], *right]).astype(np.int64)
    graph = coo_array((np.ones(len(rows), bool), (rows, columns)), shape=(count, count))
    return connected_components(graph, directed=False)[1]


def _first_of_group(groups: np.ndarray) -> np.ndarray:
    """Index of the first element of each element's group."""
    _, first, place = np.unique(groups, return_index=True, return_inverse=True)
    return first[place.reshape(-1)]
