"""Read a live source in a thread of its own; it is opened again whenever it is lost.

Frames that the decoder has no time for are left out and counted.
"""

import logging
import threading
import time
from collections.abc import Callable

import av

from pipelines.cameras.inbox import Inbox
from pipelines.cameras.source import LostError, Source, open_source, reason
from pipelines.cameras.wall_clock import WallClock
from schemas.config import Config
from transforms.picture import Aspects, Orientation, Picture

_LOG = logging.getLogger(__name__)

_PAUSES = (1.0, 2.0, 4.0, 8.0)
"""Seconds before each new attempt to open a source that is lost; the last is that of all further ones."""

_LATE = 3.0
"""Seconds by which frames may be late before the decoder leaves out all but keyframes; half of them end that."""

_DAMAGED_IN_A_ROW = 100
"""Damaged packets after which a source counts as lost."""


class Capture(Inbox):
    """A live source that is read while this is open (`with`)."""

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
          stop: ends reading once it is set.
          say: called with a sentence when the source is opened or lost.
          clock: seconds since 1970.
        """
        super().__init__(config.sampling.sample_fps, silence=timeout, stop=stop)
        self._source, self._config, self._timeout, self._say, self._clock = source, config, timeout, say, clock
        self._times = WallClock()
        self._thread = threading.Thread(target=self._run, name="capture", daemon=True)

    def __enter__(self) -> "Capture":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join(1.0)  # one that waits for its source ends with the process

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
                self.close()
                if self._source.ends:
                    break
                failures = 0 if self._counts.frames > frames else failures + 1
                self._stopped.wait(_PAUSES[min(failures, len(_PAUSES) - 1)])
        except BaseException as error:
            self.end(error)
        else:
            self.end()

    def _read(self) -> None:
        """Reads one connection to its end.

        Raises:
          LostError: always, unless reading was stopped.
        """
        with open_source(self._source, max_pixels=self._config.sampling.max_pixels, timeout=self._timeout) as opened:
            container, stream = opened
            self._times.begin()
            fps, codec = stream.average_rate, stream.codec_context.codec.canonical_name
            self.open(container.format.name, codec, float(fps) if fps else None)
            self._say(f"{self._source.shown} is open: {codec}, {stream.width} × {stream.height}.")
            aspects, damaged = Aspects(stream), 0
            packets = container.demux(stream)
            while not self._stopped.is_set():
                try:
                    packet = next(packets)
                    frames = stream.codec_context.decode(packet)
                    damaged = 0
                except av.error.InvalidDataError as error:
                    damaged, packets = damaged + 1, container.demux(stream)
                    self.count(corrupt=1, errors=1)
                    if damaged > _DAMAGED_IN_A_ROW:
                        raise LostError(f"{self._source.shown} gives nothing but damage.") from error
                    continue
                except (StopIteration, av.error.FFmpegError) as error:
                    why = "it has ended" if isinstance(error, StopIteration) else reason(error)
                    raise LostError(f"{self._source.shown} is lost ({why}).") from error
                aspects.decoded(packet)
                if packet.size and not frames and stream.codec_context.skip_frame == "NONKEY":
                    self.count(skipped=1)
                for frame in frames:
                    self._take(frame, aspects, stream.codec_context)
                if packet.size == 0:
                    raise LostError(f"{self._source.shown} has ended.")

    def _take(self, frame: av.VideoFrame, aspects: Aspects, context: av.VideoCodecContext) -> None:
        """Gives a frame its time, and keeps it if it is a sample."""
        now = self._clock()
        stamp = None if frame.pts is None or frame.time_base is None else float(frame.pts * frame.time_base)
        if self._source.waits and (early := self._times.early(stamp, now)):
            self._stopped.wait(early)
            now = self._clock()
        shown_at = self._times.time(stamp, now)
        self.count(frames=1, corrupt=int(frame.is_corrupt or shown_at is None))
        if shown_at is None:
            return
        if now - shown_at > _LATE:
            context.skip_frame = "NONKEY"
        elif now - shown_at < _LATE / 2:
            context.skip_frame = "DEFAULT"
        sar = float(aspects.of(frame))
        upright = 1 / sar if Orientation.of(frame).transposed else sar
        self.put(shown_at, lambda: Picture(frame, upright))
