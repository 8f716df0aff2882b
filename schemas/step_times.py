"""How long each step takes, where steps draw samples from each other and so run nested in one another."""

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

_Item = TypeVar("_Item")
_END = object()


class StepTimes:
    """Seconds by step; the time that a step waits for another one counts for that one alone.

        times = StepTimes()
        samples = times.each("decode", decode(file))
        for faces in times.each("detect", detect(samples)):
            with times.step("write"):
                write(faces)

    Attributes:
      seconds: by the name of the step.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter):
        """Starts without a step.

        Args:
          clock: seconds; `time.process_time` counts CPU seconds instead.
        """
        self.seconds: dict[str, float] = {}
        self._clock = clock
        self._inner = 0.0

    @contextlib.contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Adds the time that passes inside to a step."""
        outer, self._inner = self._inner, 0.0
        start = self._clock()
        try:
            yield
        finally:
            total = self._clock() - start
            self.seconds[name] = self.seconds.get(name, 0.0) + total - self._inner
            self._inner = outer + total

    def each(self, name: str, items: Iterable[_Item]) -> Iterator[_Item]:
        """Passes items on, and adds the time that making each of them takes to a step."""
        iterator = iter(items)
        while True:
            with self.step(name):
                item = next(iterator, _END)
            if item is _END:
                return
            yield item  # type: ignore[misc]
