"""Files from strangers."""

from collections.abc import Iterator

from benchmarks.trust.archive import Archive, Case


def cases(archive: Archive) -> Iterator[Case]:
    """None yet."""
    yield from ()
