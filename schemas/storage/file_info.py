"""What is known of a file."""

import dataclasses
from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclasses.dataclass(frozen=True, order=True)
class FileInfo:
    """What tells whether a file is still the same.

    Attributes:
      uri: absolute local path as plain text, or `scheme://…`.
      size_bytes: null where it cannot be told (a broken link, no regular file).
      modified_at: UTC, whole microseconds; whole seconds on S3, whose listings say more than it says of one object.
      etag: of an object store; null on disk and in listings.
    """

    uri: str
    size_bytes: int | None
    modified_at: datetime | None
    etag: str | None = None


def time_of(nanoseconds: int) -> datetime | None:
    """A file's time stamp; null where no calendar has it."""
    try:
        return _EPOCH + timedelta(microseconds=nanoseconds // 1000)
    except OverflowError:  # a damaged file system's year 30000
        return None
