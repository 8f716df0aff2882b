"""Who writes to DIR: the lock and the lease of `runners`, where a lease's job is looked up on its Flink cluster."""

from contextlib import AbstractContextManager

from runners import lock
from runners.flink.rest import is_alive


def hold(out: str) -> AbstractContextManager[None]:
    """As `runners.lock.hold`."""
    return lock.hold(out, is_alive=is_alive)


def holder(out: str) -> str | None:
    """As `runners.lock.holder`."""
    return lock.holder(out, is_alive=is_alive)
