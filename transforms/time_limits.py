"""How long a task on one file may take before its worker is ended."""

import math

from schemas.storage import FileInfo
from schemas.video import Segment

_LONGEST = 7 * 86_400.0
"""Seconds after which any task is ended; clocks of the system take no number of any size."""


def segment_limit(segment: Segment) -> float:
    """Seconds that a segment may take: 120, and 20 times its length, and a week at most."""
    length = segment.duration if math.isfinite(segment.duration) else _LONGEST
    return min(_LONGEST, 120.0 + 20.0 * max(0.0, length))


def probe_limit(file: FileInfo) -> float:
    """Seconds that a probe may take: 120, and one for each 5 MB, and a week at most."""
    return min(_LONGEST, 120.0 + (file.size_bytes or 0) / 5e6)
