"""How long a task on one file may take before its worker is ended."""

from schemas.storage import FileInfo
from schemas.video import Segment


def segment_limit(segment: Segment) -> float:
    """Seconds that a segment may take: 120, and 20 times its length."""
    return 120.0 + 20.0 * segment.duration


def probe_limit(file: FileInfo) -> float:
    """Seconds that a probe may take: 120, and one for each 5 MB."""
    return 120.0 + (file.size_bytes or 0) / 5e6
