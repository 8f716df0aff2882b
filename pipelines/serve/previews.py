"""Previews: copies that browsers play, of videos that they do not, in a cache of limited size.

A preview is made once, one after the other in the background, by `annotations.copy_video`: upright, in H.264, with the
times of the source's frames. libav has read all of these files before, when they were analyzed, so they are read in the
app's own process.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path

import av

from pipelines.annotations.annotate import copy_video
from pipelines.annotations.frame_copy import upright_copy
from pipelines.serve.still_preview import copy_still
from schemas.config import Config
from schemas.errors import FacelogError, UsageError

_LOG = logging.getLogger(__name__)

GIGABYTE = 1_000_000_000
_FORMAT = 1
"""Part of a preview's name; raised when previews change."""
_MOST_LINES = 720
_GOP = 24
"""Frames between keyframes: a second, so that a click on the timeline is answered at once."""
_CHECKED_EVERY = 2.0
"""Seconds after which the size of what is being written is looked at."""


@dataclasses.dataclass
class Progress:
    """How far a preview is.

    Attributes:
      share: that is done, in [0, 1]; None where nobody knows how long the video is.
      seconds: of the video that are done.
      error: why it could not be made.
    """

    share: float | None = 0.0
    seconds: float = 0.0
    error: str | None = None


class _GivenUpError(Exception):
    """The app ends."""


class Previews:
    """The previews in a folder."""

    def __init__(self, folder: str, limit: int):
        """Takes a folder of the cache.

        Args:
          folder: for previews alone.
          limit: bytes that they take at most, all together; those that were not looked at for longest go first.
        """
        self._folder, self._limit = Path(folder), limit
        self._states: dict[str, Progress] = {}
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(1, "preview")
        self._ended = False

    def find(self, video_id: str) -> Path | None:
        """A preview that is made; it counts as looked at."""
        path = self._path(video_id)
        with contextlib.suppress(OSError):
            path.touch() if path.exists() else None
            return path if path.exists() else None
        return None

    def progress(self, video_id: str) -> Progress | None:
        """How far a preview is; None where none was asked for."""
        return self._states.get(video_id)

    def make(self, video_id: str, uri: str, config: Config) -> Progress:
        """Begins a preview, if it is not begun.

        Args:
          video_id: of the video.
          uri: a file of it.
          config: that it was analyzed with.
        """
        with self._lock:
            state = self._states.get(video_id)
            if state is None or (state.error is None and state.share == 1 and self.find(video_id) is None):
                state = self._states[video_id] = Progress()
                self._pool.submit(self._make, video_id, uri, config, state)
            return state

    def close(self) -> None:
        """Gives up what is being made."""
        self._ended = True
        self._pool.shutdown(cancel_futures=True)

    def _path(self, video_id: str) -> Path:
        return self._folder / f"{video_id}-{_FORMAT}.mp4"

    def _make(self, video_id: str, uri: str, config: Config, state: Progress) -> None:
        checked = time.monotonic()

        def on_progress(seconds: float, whole: float | None) -> None:
            nonlocal checked
            state.seconds, state.share = seconds, min(seconds / whole, 0.999) if whole else None
            if self._ended:
                raise _GivenUpError
            if time.monotonic() - checked > _CHECKED_EVERY:
                self._make_room()
                checked = time.monotonic()

        try:
            self._make_room()
            if not copy_still(uri, self._path(video_id), config, _small):
                self._copy_video(uri, str(self._path(video_id)), config, on_progress)
            self._make_room(keep=self._path(video_id))
            state.share = 1.0
        except _GivenUpError:
            state.error = "The app has ended."
        except FacelogError as error:
            state.error = str(error)
        except Exception as error:  # one video must not cost the previews of others
            _LOG.exception("%s", uri)
            state.error = f"No preview can be made ({type(error).__name__}: {error})."

    @staticmethod
    def _copy_video(uri: str, target: str, config: Config, on_progress: Callable[[float, float | None], None]) -> None:
        try:
            copy_video(uri, target, config, _small, audio="aac", gop=_GOP, on_progress=on_progress)
        except UsageError:  # sound that cannot be encoded
            copy_video(uri, target, config, _small, audio="none", gop=_GOP, on_progress=on_progress)

    def _make_room(self, keep: Path | None = None) -> None:
        """Removes the previews that were not looked at for longest, until the others take less than the limit.

        Raises:
          UsageError: one preview alone takes more.
        """
        files = sorted(self._files(), key=lambda item: item[1])
        total = sum(size for _, _, size in files)
        for path, _, size in files:
            if total <= self._limit:
                return
            if path.name.startswith(".") or path == keep:
                continue
            with contextlib.suppress(OSError):
                path.unlink()
                total -= size
        if total > self._limit:
            if keep is not None:
                keep.unlink(missing_ok=True)
            raise UsageError(
                f"The preview takes more than the {self._limit / GIGABYTE:g} GB that --cache-gb allows for all of them."
            )

    def _files(self) -> Iterator[tuple[Path, float, int]]:
        for path in self._folder.glob("*") if self._folder.exists() else ():
            with contextlib.suppress(FileNotFoundError):
                stat = path.stat()
                yield path, stat.st_mtime, stat.st_size


def _small(picture: av.VideoFrame, _: float, pixel_aspect: Fraction) -> av.VideoFrame:
    """An upright copy of a frame of at most `_MOST_LINES` lines."""
    frame, _canvas = upright_copy(picture, float(pixel_aspect))
    if frame.height <= _MOST_LINES:
        return frame
    return frame.reformat(round(frame.width * _MOST_LINES / frame.height / 2) * 2, _MOST_LINES)
