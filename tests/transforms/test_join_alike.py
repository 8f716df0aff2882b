"""Average linkage: who is joined, who must not be, and that order does not matter."""

import numpy as np
import pytest

from tests.embeddings import pairwise_f1, vectors_of
from transforms.group_persons import near_pairs
from transforms.join_alike import Group, join_alike


def groups(vectors: np.ndarray, sure: list[bool] | None = None) -> list[Group]:
    return [Group(v.astype(np.float64), 1, (i,), sure[i] if sure else True) for i, v in enumerate(vectors)]


def at(*degrees: float) -> np.ndarray:
    """Vectors in a plane."""
    angles = np.radians(degrees)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


def members(joined: list[Group]) -> list[tuple[int, ...]]:
    return [group.members for group in joined]


def join(vectors: np.ndarray, rivals: dict[int, set[int]] | None = None, sure: list[bool] | None = None, **more):
    settings = {"same_above": 0.5, "sure_above": 0.2} | more
    return join_alike(groups(vectors, sure), near_pairs(vectors, 0.3), rivals or {}, **settings)


def test_the_mean_over_all_pairs_decides() -> None:
    """The ends of a chain of neighbours are not alike: no chain is joined end to end."""
    assert members(join(at(0, 30, 120, 150))) == [(0, 1), (2, 3)]
    assert members(join(at(0, 30, 80, 115, 160))) == [(0, 1), (2, 3), (4,)]


def test_what_is_in_one_picture_stays_apart_also_as_part_of_a_group() -> None:
    assert members(join(at(0, 5, 10), {0: {1}, 1: {0}})) == [(0,), (1, 2)]
    assert members(join(at(0, 1, 20, 21), {0: {3}, 3: {0}})) == [(0, 1), (2, 3)]


def test_doubtful_ones_join_only_where_it_is_plain() -> None:
    vectors = at(0, 55, 200, 210)  # cosines 0.57 and 0.98
    assert members(join(vectors)) == [(0, 1), (2, 3)]
    assert members(join(vectors, sure=[True, False, False, False])) == [(0,), (1,), (2, 3)]


def test_known_persons_are_never_joined_and_keep_their_number() -> None:
    start = groups(at(0, 5, 10))
    start[0].person, start[2].person = 7, 9
    joined = join_alike(start, [(0, 1), (1, 2), (0, 2)], {}, same_above=0.5, sure_above=0.0)
    assert [(group.members, group.person) for group in joined] == [((0, 1), 7), ((2,), 9)]


def test_order_does_not_matter() -> None:
    vectors, person = vectors_of(20, 6, spread=0.9)
    order = np.random.default_rng(1).permutation(len(vectors))

    def labels(of: np.ndarray) -> np.ndarray:
        found = np.empty(len(of), int)
        for number, group in enumerate(join(of, same_above=0.3)):
            found[list(group.members)] = number
        return found

    straight, shuffled = labels(vectors), labels(vectors[order])
    assert pairwise_f1(straight[order], shuffled) == 1
    assert pairwise_f1(person, straight) > 0.98


def test_pairs_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("transforms.group_persons._NEIGHBOURS", 3)
    monkeypatch.setattr("transforms.group_persons._BLOCK", 4)
    vectors = vectors_of(1, 10, spread=0.1)[0]
    pairs = near_pairs(vectors, 0.5)
    assert len(pairs) == 30 and all(a != b for a, b in pairs)
    assert members(join_alike(groups(vectors), pairs, {}, same_above=0.5, sure_above=0.0)) == [tuple(range(10))]
