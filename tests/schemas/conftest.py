"""A clock for tests of object stores that does not wait."""

import pytest

from schemas.storage import remote


class Clock:
    """Takes the place of the module `time` where a store is asked again: pauses are noted and take no time.

    Attributes:
      pauses: seconds of each pause, in order.
    """

    def __init__(self) -> None:
        self.pauses: list[float] = []

    def monotonic(self) -> float:
        return sum(self.pauses)

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Nobody waits before a store is asked again; the pauses are noted instead."""
    clock = Clock()
    monkeypatch.setattr(remote, "time", clock)
    return clock
