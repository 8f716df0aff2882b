"""Work on many files at once."""

import collections
import concurrent.futures
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")

_THREADS = 8


def at_once(work: Callable[[_Item], _Result], items: Iterable[_Item]) -> Iterator[_Result]:
    """Does some work for each item in eight threads, and yields the results in the order of the items.

    A request to an object store is mostly waiting, so eight threads are several times as fast as one. No more than
    twice as many items are under way or waiting to be taken, so results do not pile up in memory.

    Args:
      work: called with each item, in any thread.
      items: names of files, for instance; they are taken as work goes on.
    """
    ahead: collections.deque[concurrent.futures.Future[_Result]] = collections.deque()
    with concurrent.futures.ThreadPoolExecutor(_THREADS) as pool:
        try:
            for item in items:
                ahead.append(pool.submit(work, item))
                if len(ahead) == 2 * _THREADS:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        finally:
            for future in ahead:
                future.cancel()
