"""A run of two workers that never ends; a program that tests kill. Argument: the trail."""

import sys
from collections.abc import Iterator

from runners.local.supervisor import Task, run_local
from tests.runners.jobs import Job, make_transform


def tasks(trail: str) -> Iterator[Task]:
    yield Task("hangs", Job("hang", trail), limit_seconds=100)
    yield Task("sleeps", Job("sleep", trail), limit_seconds=100)


if __name__ == "__main__":
    run_local(make_transform, tasks(sys.argv[1]), workers=2, on_outcome=lambda _: [])
