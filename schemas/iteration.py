"""What the standard library lacks for going through many items."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


def chunks(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """The items in lists of `size`, the last one shorter; `itertools.batched` came with Python 3.12."""
    iterator = iter(items)
    while chunk := list(itertools.islice(iterator, size)):
        yield chunk


def with_next(items: Iterable[T]) -> Iterator[tuple[T, T | None]]:
    """Each item with the one after it, None behind the last; keeps no other (`itertools.tee` keeps dozens).

    >>> list(with_next("ab"))
    [('a', 'b'), ('b', None)]
    """
    iterator = iter(items)
    for item in iterator:
        for following in iterator:
            yield item, following
            item = following
        yield item, None


class Reservoir(Generic[T]):
    """A sample of items whose number is not known: each that is offered has the same chance to be in it.

    Source: Vitter, Random sampling with a reservoir, TOMS 1985 (algorithm R).

    Attributes:
      items: the sample so far, in no order.
    """

    def __init__(self, size: int, generator: random.Random):
        """An empty sample.

        Args:
          size: the most items that it holds.
          generator: the source of chance.
        """
        self._size, self._generator, self._seen = size, generator, 0
        self.items: list[T] = []

    def offer(self, item: T) -> None:
        """Takes an item, perhaps in place of another, or passes it over."""
        self._seen += 1
        if len(self.items) < self._size:
            self.items.append(item)
        elif (place := self._generator.randrange(self._seen)) < self._size:
            self.items[place] = item
