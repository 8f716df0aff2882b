"""Frames of short video clips as pictures: a few around the middle, where an acted expression is at its height."""

from __future__ import annotations

import dataclasses
import functools
import io

import av
import numpy as np

from training.datasets.base import READ_ERRORS, AnyPath, DataError

PLACES = (0.35, 0.5, 0.65)
"""Which frames are taken of each clip, as shares of its frames."""


@dataclasses.dataclass(frozen=True)
class ClipFrame:
    """A frame of a clip.

    Attributes:
      file: the clip.
      place: one of PLACES. Frames are counted, so that it is the same frame on every machine, also where a file states
        wrong times.
    """

    file: AnyPath
    place: float

    def read(self) -> np.ndarray:
        """[H, W, 3] uint8 RGB.

        Raises:
          DataError: the clip cannot be read.
        """
        return _frames(self.file)[PLACES.index(self.place)]


# The frames of a clip are asked for one after another, and each would decode the clip again.
@functools.lru_cache(maxsize=2)
def _frames(file: AnyPath) -> list[np.ndarray]:
    """The frames at PLACES, RGB; the last one that decodes takes the place of those that do not."""
    try:
        data = file.read_bytes()
        with av.open(io.BytesIO(data), "r") as container:
            count = sum(packet.size > 0 for packet in container.demux(container.streams.video[0]))
        wanted = [round(place * (count - 1)) for place in PLACES]
        found: list[np.ndarray] = []
        with av.open(io.BytesIO(data), "r") as container:
            container.streams.video[0].codec_context.thread_count = 1
            last = None
            for number, last in enumerate(container.decode(video=0)):
                found += [last.to_ndarray(format="rgb24")] * wanted.count(number)
                if len(found) == len(wanted):
                    break
    except (*READ_ERRORS, av.error.FFmpegError, IndexError) as error:
        raise DataError(f"{file}: the clip cannot be read ({error}).") from error
    if last is None:
        raise DataError(f"{file}: no frame of the clip decodes.")
    return found + [last.to_ndarray(format="rgb24")] * (len(wanted) - len(found))
