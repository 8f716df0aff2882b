"""Samples between whoever reads a live source and whoever analyzes it, in two threads.

Only the newest samples wait. The oldest are dropped and counted, so neither memory nor delay grows.
"""

import collections
import dataclasses
import threading
import time
from collections.abc import Callable, Iterator

from transforms.picture import Picture
from transforms.samples import SampleGrid

_WAITING = 8
"""Samples that wait at most for whoever analyzes them."""


_REMEMBERED = 16
"""Connections that are remembered; those of which a sample waits are among them."""


@dataclasses.dataclass(frozen=True)
class Counts:
    """What a source has given so far, all connections together.

    Attributes:
      frames: that were decoded.
      corrupt: damaged packets, frames that are marked as damaged, and frames out of order.
      errors: damaged packets alone.
      skipped: frames that were not decoded, because the decoder was late.
      dropped: samples that were not analyzed, because newer ones came.
    """

    frames: int = 0
    corrupt: int = 0
    errors: int = 0
    skipped: int = 0
    dropped: int = 0

    def since(self, before: "Counts") -> "Counts":
        """What has been added since."""
        pairs = zip(dataclasses.astuple(self), dataclasses.astuple(before), strict=True)
        return Counts(*(now - then for now, then in pairs))


@dataclasses.dataclass(frozen=True)
class Shown:
    """A frame that is a sample.

    Attributes:
      time: seconds since 1970, UTC.
      picture: its pixels.
      connection: number of the connection that it came by.
      counts: of the source, this frame included.
    """

    time: float
    picture: Picture
    connection: int
    counts: Counts


@dataclasses.dataclass(frozen=True)
class Connection:
    """A connection to a source.

    Attributes:
      number: counts from 0.
      container, codec: libav's names.
      fps: frames a second as the source states them; None: it states none.
    """

    number: int
    container: str
    codec: str
    fps: float | None


class Inbox:
    """The newest samples of a live source.

    Attributes:
      connections: by number; the last few.
      last_times: of these, time of the last frame, sample or not.
      ended_at: seconds since 1970 at which everything ended; None: it goes on.
    """

    def __init__(self, sample_fps: float | None, *, silence: float = 10.0, stop: threading.Event | None = None):
        """Is empty.

        Args:
          sample_fps: samples a second; None: every frame is one.
          silence: seconds without a sample after which a connection counts as lost.
          stop: ends everything once it is set, by a signal's handler for instance.
        """
        self.connections: dict[int, Connection] = {}
        self.last_times: dict[int, float] = {}
        self.ended_at: float | None = None
        self._grid, self._silence = SampleGrid(sample_fps), silence
        self._counts, self._number = Counts(), -1
        self._waiting: collections.deque[Shown] = collections.deque()
        self._changed = threading.Condition()
        self._stopped = stop or threading.Event()
        self._is_open, self._has_ended = False, False
        self._error: BaseException | None = None

    def open(self, container: str, codec: str, fps: float | None) -> None:
        """Begins a connection; see `Connection`."""
        self._number += 1
        self.connections[self._number] = Connection(self._number, container, codec, fps)
        for kept in (self.connections, self.last_times):
            kept.pop(self._number - _REMEMBERED, None)
        self._is_open = True

    def close(self) -> None:
        """Ends the connection; another one may follow."""
        self._is_open = False

    def end(self, error: BaseException | None = None) -> None:
        """Ends everything; whoever analyzes gets the error, if there is one."""
        self._error, self._has_ended, self.ended_at = error, True, time.time()
        with self._changed:
            self._changed.notify_all()

    def put(self, at: float, picture: Callable[[], Picture]) -> None:
        """Takes a frame, which has been counted, and keeps it if it is a sample.

        Args:
          at: seconds since 1970, later than the frame before.
          picture: makes its picture.
        """
        self.last_times[self._number] = at
        if not self._grid.takes(at):
            return
        with self._changed:
            if len(self._waiting) >= _WAITING:
                self._waiting.popleft()
                self.count(dropped=1)
            self._waiting.append(Shown(at, picture(), self._number, self._counts))
            self._changed.notify_all()

    def count(self, **more: int) -> None:
        """Adds to `counts`."""
        added = {name: getattr(self._counts, name) + n for name, n in more.items()}
        self._counts = dataclasses.replace(self._counts, **added)

    @property
    def counts(self) -> Counts:
        """What the source has given so far."""
        return self._counts

    @property
    def has_ended(self) -> bool:
        """Whether nothing comes any more, and nothing waits."""
        return (self._has_ended or self._stopped.is_set()) and not self._waiting

    def first(self, wait: float) -> Shown | None:
        """The next sample, which stays the next; None if none comes in time.

        Args:
          wait: seconds.

        Raises:
          Exception: whatever went wrong in the thread that reads and is no loss of the source.
        """
        until = time.monotonic() + wait
        while not self._waiting:
            left = until - time.monotonic()
            if self._error is not None:
                raise self._error
            if left <= 0 or self.has_ended:
                return None
            with self._changed:
                self._changed.wait(min(left, 0.2))  # a signal's handler cannot notify
        return self._waiting[0]

    def samples(self, connection: int, before: float) -> Iterator[Shown]:
        """Samples as they come, until the connection is lost or silent, the source has ended, or a time is reached.

        Args:
          connection: its number.
          before: seconds since 1970.
        """
        last = time.monotonic()
        while True:
            is_over = not (self._is_open and self._number == connection)
            if self.first(0.0 if is_over else 0.2) is None:
                if is_over or self.has_ended or time.monotonic() - last > self._silence:
                    return
                continue
            with self._changed:
                if self._waiting[0].connection != connection or self._waiting[0].time >= before:
                    return
                sample = self._waiting.popleft()
            yield sample
            last = time.monotonic()
