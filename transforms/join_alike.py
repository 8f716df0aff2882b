"""Average linkage with pairs that must not be joined: which embeddings are of one person.

Groups are joined in order of their mean similarity, the most alike first, as long as it is high enough. The mean over
all pairs of two groups is the product of their sums over the product of their sizes, since embeddings have length 1. So
a group is its sum, and only groups that share a pair of near neighbours are ever compared: a mean reaches a threshold
only if one of its pairs does.
"""

import dataclasses
import heapq
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np


@dataclasses.dataclass(eq=False)
class Group:
    """Embeddings that are taken for one person's.

    Attributes:
      total: [d] float64, their sum.
      size: how many they are.
      members: numbers of the groups that it began as, sorted.
      is_sure: whether one of them is of a good track; the others are joined only where the likeness is plain.
      person: number of a known person, to whom others may be joined; None: not known yet.
    """

    total: np.ndarray
    size: int
    members: tuple[int, ...]
    is_sure: bool = True
    person: int | None = None

    def likeness(self, other: "Group") -> float:
        """Mean cosine similarity of all pairs."""
        return float(self.total @ other.total) / (self.size * other.size)


def join_alike(
    groups: Sequence[Group],
    pairs: Iterable[tuple[int, int]],
    rivals: Mapping[int, set[int]],
    *,
    same_above: float,
    sure_above: float,
    may_join: Callable[[Group, Group], bool] = lambda a, b: True,
) -> list[Group]:
    """Joins groups until no two are alike enough.

    The result depends on the order of `groups` only where two likenesses are equal to the last bit.

    Args:
      groups: to begin with; each has its own number as its only member.
      pairs: numbers of two groups each that may be alike; others are never compared.
      rivals: by number of a group, those that must not be joined with it; symmetric.
      same_above: mean similarity from which two groups are joined.
      sure_above: added where one of the two is not sure.
      may_join: what else forbids a pair.

    Returns:
      The groups that are left, by their first member.
    """
    alive = dict(enumerate(groups))
    near: dict[int, set[int]] = {number: set() for number in alive}
    against = {number: set(rivals.get(number, ())) for number in alive}
    heap: list[tuple[float, int, int]] = []

    def compare(a: int, b: int) -> None:
        one, other = alive[a], alive[b]
        known = one.person is not None and other.person is not None
        if b in against[a] or known or not may_join(one, other):
            return
        likeness = one.likeness(other)
        if likeness >= same_above + (0.0 if one.is_sure and other.is_sure else sure_above):
            heapq.heappush(heap, (-likeness, a, b))

    for a, b in sorted({(min(pair), max(pair)) for pair in pairs if pair[0] != pair[1]}):
        near[a].add(b)
        near[b].add(a)
        compare(a, b)
    number = len(groups)
    while heap:
        _, a, b = heapq.heappop(heap)
        if a not in alive or b not in alive:
            continue
        one, other = alive.pop(a), alive.pop(b)
        alive[number] = Group(
            one.total + other.total,
            one.size + other.size,
            tuple(sorted(one.members + other.members)),
            one.is_sure or other.is_sure,
            one.person if other.person is None else other.person,
        )
        for links in (near, against):
            links[number] = (links.pop(a) | links.pop(b)) - {a, b}
            for neighbour in links[number]:
                links[neighbour] -= {a, b}
                links[neighbour].add(number)
        for neighbour in sorted(near[number]):
            compare(number, neighbour)
        number += 1
    return sorted(alive.values(), key=lambda group: group.members)
