"""The video of what a browser's camera shows, as H.264 in mp4, encoded in a thread of its own."""

import queue
import threading
from fractions import Fraction
from typing import Any, cast

import av
from av.video.stream import VideoStream

from pipelines.cameras.wall_clock import TICK
from schemas import storage
from schemas.config import Config
from schemas.errors import MediaError
from schemas.video import Plan
from transforms.probe_video import probe_video

_WAITING = 30
"""Pictures that wait for the encoder at most."""

_TICKS = round(1 / TICK)
_ENCODERS = {"libx264": {"preset": "ultrafast", "tune": "zerolatency", "crf": "21"}, "mpeg4": {"b": "4M"}}
_FRAGMENTS = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}
_KEYFRAME_EVERY = 50


class VideoFile:
    """A video that grows. The file gets its name when it is whole.

    Attributes:
      zero: time of the first picture, in seconds since 1970; None before that.
      error: what went wrong; None: nothing did.
    """

    def __init__(self, uri: str):
        """Begins with the first picture.

        Args:
          uri: of the file, ending in `.mp4`.
        """
        self.uri = uri
        self.zero: float | None = None
        self.error: Exception | None = None
        self._pictures: queue.Queue[tuple[av.VideoFrame, int] | None] = queue.Queue(_WAITING)
        self._thread = threading.Thread(target=self._run, name="video", daemon=True)
        self._thread.start()

    def put(self, frame: av.VideoFrame, at: float) -> bool:
        """Takes the next picture; False if the encoder has no time for it.

        Args:
          frame: the picture.
          at: seconds since 1970, later than the one before.
        """
        zero = at if self.zero is None else self.zero
        try:
            self._pictures.put_nowait((frame, round((at - zero) * _TICKS)))
        except queue.Full:
            return False
        self.zero = zero
        return True

    def finish(self, config: Config) -> Plan | None:
        """Closes the file; returns what the probe says of it, None if no picture came.

        Raises:
          Exception: whatever kept it from being written.
        """
        self.drop()
        if self.error is not None:
            raise self.error
        if self.zero is None:
            return None
        plan = probe_video(storage.stat(self.uri), config)
        if plan.info is None:
            raise MediaError(f"The video that was recorded cannot be read: {plan.error_message}")
        return plan

    def drop(self) -> None:
        """Ends the thread; nothing happens if it has ended."""
        if self._thread.is_alive():
            self._pictures.put(None)
            self._thread.join()

    def _run(self) -> None:
        try:
            if (first := self._pictures.get()) is not None:
                self._write(*first)
        except Exception as error:
            self.error = error
            while self._pictures.get() is not None:
                pass  # whoever puts must not wait

    def _write(self, frame: av.VideoFrame, ticks: int) -> None:
        name = next(name for name in _ENCODERS if name in av.codecs_available)
        with storage.open_output(self.uri) as file, av.open(file, "w", format="mp4", options=_FRAGMENTS) as container:
            stream = cast(VideoStream, container.add_stream(name, options=dict(_ENCODERS[name])))
            stream.width, stream.height, stream.pix_fmt = frame.width & ~1, frame.height & ~1, "yuv420p"
            stream.codec_context.time_base = stream.time_base = Fraction(1, _TICKS)
            stream.codec_context.gop_size, stream.codec_context.thread_count = _KEYFRAME_EVERY, 1
            following: Any = (frame, ticks)
            while following is not None:
                frame, ticks = following
                ready = frame.reformat(stream.width, stream.height, "yuv420p")
                ready.pts, ready.time_base = ticks, Fraction(1, _TICKS)
                container.mux(stream.encode(ready))
                following = self._pictures.get()
            container.mux(stream.encode(None))
