"""Time counts for the step that spends it, also where one step pulls from another."""

from collections.abc import Iterable, Iterator

import pytest

from schemas.step_times import StepTimes


class Clock:
    """A clock that moves when it is told."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def slow(items: Iterable[int], clock: Clock, seconds: float) -> Iterator[int]:
    for item in items:
        clock.now += seconds
        yield item


def test_nested_steps_are_counted_apart() -> None:
    clock = Clock()
    times = StepTimes(clock)
    decoded = times.each("decode", slow(range(3), clock, 1.0))
    detected = times.each("detect", slow(decoded, clock, 10.0))
    for _ in detected:
        clock.now += 1000  # of nobody's
        with times.step("write"):
            clock.now += 100
            with times.step("zip"):
                clock.now += 7
    assert times.seconds == {"decode": 3.0, "detect": 30.0, "write": 300.0, "zip": 21.0}


def test_time_counts_where_a_step_fails() -> None:
    clock = Clock()
    times = StepTimes(clock)

    def fails(items: Iterable[int]) -> Iterator[int]:
        for item in items:
            clock.now += 2.0
            yield 1 // item

    with pytest.raises(ZeroDivisionError):
        list(times.each("divide", fails(times.each("decode", slow([1, 0], clock, 1.0)))))
    assert times.seconds == {"decode": 2.0, "divide": 4.0}
