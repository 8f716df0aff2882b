"""Functions that a caller gives to `list_files`; see there."""

from collections.abc import Callable

from schemas.errors import StorageError

SkipEntry = Callable[[str], bool]
UnreadableFolder = Callable[[str, StorageError], None]
