"""Cut a video at keyframes into pieces of about a minute, each of which can be done again on its own.

The bounds follow from the file and the configuration alone, so every run makes the same ones.
"""

import dataclasses

import numpy as np

from schemas.config import Sampling
from schemas.storage import FileInfo
from schemas.video import Clock, Segment

_SCANNED = 10
"""How many times as long a segment is of which only keyframes are decoded, because they take less time."""


@dataclasses.dataclass(frozen=True)
class Keyframes:
    """Where decoding can begin, in decoding order.

    Attributes:
      pts: [n] int64 presentation time stamps; None while only decoding times are known.
      seek_to: [n] int64 time stamps that a seek takes, in stream ticks.
      packets_before: [n] packets of the stream before each.
    """

    pts: np.ndarray | None
    seek_to: np.ndarray
    packets_before: np.ndarray


def segment_seconds(sampling: Sampling, *, is_scan: bool) -> float:
    """Seconds of a segment, roughly."""
    return sampling.segment_seconds * (_SCANNED if is_scan else 1)


def split_into_segments(
    file: FileInfo,
    video_id: str,
    clock: Clock,
    duration: float | None,
    keyframes: Keyframes | None,
    length: float,
    *,
    hold: float = Segment.hold,
    is_scan: bool = False,
) -> tuple[Segment, ...]:
    """Segments of one video. A file that is shorter than two segments or cannot be sought is one segment.

    Args:
      file: the file as it was listed.
      video_id: its identity.
      clock: its time.
      duration: its seconds, if known.
      keyframes: keyframes whose PTS is known; None where the file cannot be sought.
      length: seconds of a segment.
      hold: seconds for which a picture counts at most while no other frame comes.
      is_scan: whether only keyframes are decoded.
    """
    starts: list[tuple[float, int | None, int | None, int]] = [(0.0, None, None, 0)]
    if keyframes is not None and keyframes.pts is not None and duration is not None and duration >= 2 * length:
        for pts, seek_to, before in zip(keyframes.pts, keyframes.seek_to, keyframes.packets_before, strict=True):
            start = clock.seconds(int(pts))
            if start - starts[-1][0] >= length and duration - start >= length:
                starts.append((start, int(pts), int(seek_to), int(before)))
    ends: list[float | None] = [*(s[0] for s in starts[1:]), None]
    return tuple(
        Segment(
            file=file,
            video_id=video_id,
            index=i,
            clock=clock,
            start=start,
            end=end,
            first_pts=pts,
            seek_to=seek_to,
            packets_before=before,
            duration=max(0.0, (duration or 0.0 if end is None else end) - start),
            hold=hold,
            keyframes=is_scan,
        )
        for i, ((start, pts, seek_to, before), end) in enumerate(zip(starts, ends, strict=True))
    )
