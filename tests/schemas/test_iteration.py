"""Chunks, random samples, and work on many items at once."""

import random
import threading
from collections import Counter
from collections.abc import Iterator

import pytest

from schemas import storage
from schemas.iteration import Reservoir, chunks, with_next


def test_chunks() -> None:
    assert list(chunks(range(5), 2)) == [[0, 1], [2, 3], [4]]
    assert list(chunks([], 2)) == []


def test_each_with_the_next() -> None:
    none: list[int] = []
    assert list(with_next(none)) == []
    assert list(with_next([1])) == [(1, None)]
    assert list(with_next([1, 2, 3])) == [(1, 2), (2, 3), (3, None)]


def test_every_item_has_the_same_chance() -> None:
    generator, drawn = random.Random(0), Counter[int]()
    for _ in range(2000):
        reservoir = Reservoir[int](3, generator)
        for item in range(10):
            reservoir.offer(item)
        assert len(set(reservoir.items)) == 3
        drawn.update(reservoir.items)
    assert all(500 < drawn[item] < 700 for item in range(10))


def test_a_few_items_are_all_taken() -> None:
    reservoir = Reservoir[int](3, random.Random(0))
    for item in (7, 8):
        reservoir.offer(item)
    assert reservoir.items == [7, 8]


def test_results_come_in_order_and_do_not_pile_up() -> None:
    taken = 0

    def items() -> Iterator[int]:
        nonlocal taken
        for number in range(1000):
            taken = number
            yield number

    squares = storage.at_once(lambda n: n * n, items())
    assert [next(squares) for _ in range(3)] == [0, 1, 4]
    assert taken < 20
    assert list(squares) == [n * n for n in range(3, 1000)]


def test_several_items_are_under_way_at_once() -> None:
    together = threading.Barrier(4, timeout=30)
    assert list(storage.at_once(lambda _: together.wait() >= 0, range(8))) == [True] * 8


def test_an_error_ends_it() -> None:
    done: list[int] = []

    def work(n: int) -> None:
        if n == 2:
            raise ValueError("two")
        done.append(n)

    with pytest.raises(ValueError, match="two"):
        list(storage.at_once(work, range(1000)))
    assert len(done) < 40
