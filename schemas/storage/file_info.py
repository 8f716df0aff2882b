"""What is known about a file."""

import dataclasses
from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclasses.dataclass(frozen=True, order=True)
class FileInfo:
    """What tells whether a file has changed.

    Attributes:
      uri: absolute local path as plain text, or `scheme://…`.
      size_bytes: None if it is unknown (a broken link, not a regular file).
      modified_at: UTC, in whole microseconds; in whole seconds on S3, which states fractions in listings only.
      etag: the object store's; None on disk and in listings.
    """

    uri: str
    size_bytes: int | None
    modified_at: datetime | None
    etag: str | None = None


def time_of(nanoseconds: int) -> datetime | None:
    """A file's time stamp; None if it is outside of the calendar."""
    try:
        return _EPOCH + timedelta(microseconds=nanoseconds // 1000)
    except OverflowError:  # a damaged file system's year 30000
        return None
