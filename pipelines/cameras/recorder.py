"""Rows of pictures that somebody sends: what the record button of the live page does."""

import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from pipelines.cameras.inbox import Inbox
from pipelines.cameras.video_file import VideoFile
from pipelines.cameras.watch import Watch, Watched, held_run
from schemas import storage
from schemas.config import Config
from schemas.layout import Layout
from transforms.picture import Picture


class Recorder:
    """Takes pictures and writes the four tables, in a thread of its own.

    Attributes:
      error: what went wrong; None: nothing did.
    """

    def __init__(self, out: str, config: Config, bundles: Sequence[Any], name: str, *, with_video: bool = False):
        """Begins; DIR is held until the end.

        Args:
          out: DIR.
          config: settled.
          bundles: the loaded models.
          name: short name of the source.
          with_video: whether the video is kept, in DIR/recordings.
        """
        self.error: Exception | None = None
        self._watched: Watched | None = None
        self._inbox = Inbox(config.sampling.sample_fps)
        self._inbox.open("browser", "mjpeg", None)
        self._began, self._last = time.monotonic(), 0.0
        video = Layout(storage.normalize(out)).recording(f"{name}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}")
        self._video = VideoFile(video) if with_video else None
        self._thread = threading.Thread(target=self._run, args=(out, config, list(bundles), name), daemon=True)
        self._thread.start()

    @property
    def seconds(self) -> float:
        """Seconds since it began."""
        return time.monotonic() - self._began

    @property
    def dropped(self) -> int:
        """Samples that were not analyzed."""
        return self._inbox.counts.dropped

    def put(self, picture: Picture) -> None:
        """Takes the next picture, of now."""
        now = time.time()
        if now <= self._last:
            return
        self._last = now
        if self._video is not None and not self._video.put(picture.frame, now):
            self._inbox.count(skipped=1)
            return
        self._inbox.count(frames=1)
        self._inbox.put(now, lambda: picture)

    def stop(self) -> Watched | None:
        """Ends with whole tables; returns what was done, None if something went wrong."""
        self._inbox.end()
        self._thread.join()
        return self._watched

    def _run(self, out: str, config: Config, bundles: list[Any], name: str) -> None:
        try:
            with held_run(out, config) as run:
                watch = Watch(run, name, bundles, video=self._video)
                watch.follow(self._inbox)
                self._watched = watch.watched
        except Exception as error:
            self.error = error
        finally:
            if self._video is not None:
                self._video.drop()
