"""The runner that works in this process."""

import apache_beam as beam
import pytest

from runners.direct import run_direct
from schemas.errors import StorageFullError

_seen: list[int] = []


def _see(element: int) -> None:
    if element > 2:
        raise StorageFullError("no space")
    _seen.append(element)


def test_runs_here_and_to_the_end() -> None:
    _seen.clear()
    run_direct(lambda pipeline: pipeline | beam.Create([1, 2]) | beam.Map(_see))
    assert sorted(_seen) == [1, 2]


def test_exceptions_keep_their_type() -> None:
    with pytest.raises(StorageFullError, match="no space"):
        run_direct(lambda pipeline: pipeline | beam.Create([3]) | beam.Map(_see))
