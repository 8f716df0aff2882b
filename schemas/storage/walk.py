"""What listing a folder takes from its caller."""

from collections.abc import Callable

from schemas.errors import StorageError

SkipEntry = Callable[[str], bool]
UnreadableFolder = Callable[[str, StorageError], None]
