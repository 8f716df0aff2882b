"""Read a live source in a thread of its own, and keep the newest frames that are samples.

The source is opened again whenever it is lost. What does not fit is dropped and counted, so neither memory nor delay
grows: samples that nobody has taken when newer ones come, and frames that the decoder has no time for.
"""

import collections
import dataclasses
import logging
import threading
import time
from collections.abc import Callable, Iterator

import av

from pipelines.cameras.source import LostError, Source, open_source, reason
from pipelines.cameras.wall_clock import WallClock
from schemas.config import Config
from transforms.picture import Aspects, Orientation, Picture
from transforms.samples import SampleGrid

_LOG = logging.getLogger(__name__)

_WAITING = 8
"""Samples that wait at most for whoever analyzes them."""

_PAUSES = (1.0, 2.0, 4.0, 8.0)
"""Seconds before each new attempt to open a source that is lost; the last is that of all further ones."""

_LATE = 3.0
"""Seconds by which frames may be late before the decoder leaves out all but keyframes; half of them end that."""

_DAMAGED_IN_A_ROW = 100
"""Damaged packets after which a source counts as lost."""


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


class Capture:
    """A live source that is read while this is open (`with`).

    Attributes:
      connections: by number; the last few.
      last_time: time of the last frame, sample or not; None before the first.
    """

    def __init__(
        self,
        source: Source,
        config: Config,
        *,
        timeout: float = 10.0,
        stop: threading.Event | None = None,
        say: Callable[[str], None] = _LOG.info,
        clock: Callable[[], float] = time.time,
    ):
        """Opens nothing yet.

        Args:
          source: what to read.
          config: has the samples a second and the largest frame.
          timeout: seconds of silence after which the source is opened again.
          stop: ends reading once it is set, by a signal's handler for instance.
          say: called with a sentence when the source is opened or lost.
          clock: seconds since 1970.
        """
        self.connections: dict[int, Connection] = {}
        self.last_time: float | None = None
        self._source, self._config, self._timeout, self._say, self._clock = source, config, timeout, say, clock
        self._times, self._grid = WallClock(), SampleGrid(config.sampling.sample_fps)
        self._counts, self._number = Counts(), -1
        self._waiting: collections.deque[Shown] = collections.deque()
        self._changed = threading.Condition()
        self._stopped = stop or threading.Event()
        self._is_open, self._has_ended = False, False
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="capture", daemon=True)

    def __enter__(self) -> "Capture":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join(1.0)  # one that waits for its source ends with the process

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
                if is_over or self.has_ended or time.monotonic() - last > self._timeout:
                    return
                continue
            with self._changed:
                if self._waiting[0].connection != connection or self._waiting[0].time >= before:
                    return
                sample = self._waiting.popleft()
            yield sample
            last = time.monotonic()

    def _run(self) -> None:
        try:
            failures = 0
            while not self._stopped.is_set():
                frames = self._counts.frames
                try:
                    self._read()
                except LostError as error:
                    if failures < len(_PAUSES):
                        self._say(f"{error} Trying again." if not self._source.ends else str(error))
                self._is_open = False
                if self._source.ends:
                    break
                failures = 0 if self._counts.frames > frames else failures + 1
                self._stopped.wait(_PAUSES[min(failures, len(_PAUSES) - 1)])
        except BaseException as error:
            self._error = error
        self._has_ended = True
        with self._changed:
            self._changed.notify_all()

    def _read(self) -> None:
        """Reads one connection to its end.

        Raises:
          LostError: always, unless reading was stopped.
        """
        with open_source(self._source, max_pixels=self._config.sampling.max_pixels, timeout=self._timeout) as opened:
            container, stream = opened
            self._number += 1
            self._times.begin()
            fps, codec = stream.average_rate, stream.codec_context.codec.canonical_name
            connection = Connection(self._number, container.format.name, codec, float(fps) if fps else None)
            self.connections = {number: c for number, c in self.connections.items() if number > self._number - 2}
            self.connections[self._number] = connection
            self._is_open = True
            self._say(f"{self._source.shown} is open: {codec}, {stream.width} × {stream.height}.")
            aspects, damaged = Aspects(stream), 0
            packets = container.demux(stream)
            while not self._stopped.is_set():
                try:
                    packet = next(packets)
                    if packet.size == 0:
                        raise LostError(f"{self._source.shown} has ended.")
                    frames = stream.codec_context.decode(packet)
                    damaged = 0
                except av.error.InvalidDataError as error:
                    damaged += 1
                    self._count(corrupt=1, errors=1)
                    if damaged > _DAMAGED_IN_A_ROW:
                        raise LostError(f"{self._source.shown} gives nothing but damage.") from error
                    continue
                except (StopIteration, av.error.FFmpegError) as error:
                    why = "it has ended" if isinstance(error, StopIteration) else reason(error)
                    raise LostError(f"{self._source.shown} is lost ({why}).") from error
                aspects.decoded(packet)
                if not frames and stream.codec_context.skip_frame == "NONKEY":
                    self._count(skipped=1)
                for frame in frames:
                    self._take(frame, aspects, stream.codec_context)

    def _take(self, frame: av.VideoFrame, aspects: Aspects, context: av.VideoCodecContext) -> None:
        """Gives a frame its time, and keeps it if it is a sample."""
        now = self._clock()
        stamp = None if frame.pts is None or frame.time_base is None else float(frame.pts * frame.time_base)
        if self._source.waits and (early := self._times.early(stamp, now)):
            self._stopped.wait(early)
            now = self._clock()
        shown_at = self._times.time(stamp, now)
        self._count(frames=1, corrupt=int(frame.is_corrupt or shown_at is None))
        if shown_at is None:
            return
        if now - shown_at > _LATE:
            context.skip_frame = "NONKEY"
        elif now - shown_at < _LATE / 2:
            context.skip_frame = "DEFAULT"
        self.last_time = shown_at
        if self._grid.takes(shown_at):
            sar = float(aspects.of(frame))
            picture = Picture(frame, 1 / sar if Orientation.of(frame).transposed else sar)
            with self._changed:
                if len(self._waiting) >= _WAITING:
                    self._waiting.popleft()
                    self._count(dropped=1)
                self._waiting.append(Shown(shown_at, picture, self._number, self._counts))
                self._changed.notify_all()

    def _count(self, **more: int) -> None:
        self._counts = dataclasses.replace(
            self._counts, **{name: getattr(self._counts, name) + n for name, n in more.items()}
        )
