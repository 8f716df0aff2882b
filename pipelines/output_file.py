"""Files that people ask for: written piece by piece, and under their name only when they are whole."""

import contextlib
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from typing import BinaryIO, cast

from schemas import storage


@contextlib.contextmanager
def open_output(uri: str) -> Iterator[BinaryIO]:
    """A file to write in; it gets its name at the end of the `with`, and none if that ends in an exception.

    On disk it grows under a name that begins with a dot, in the same folder, which is made. What goes to an object
    store grows in a temporary file and is handed over at the end.

    Args:
      uri: on disk or on an object store; what is there is replaced.

    Raises:
      StorageFullError: no space is left.
      StorageError: it cannot be written.
    """
    uri = storage.normalize(uri)
    opened = _on_disk(uri) if storage.is_local(uri) else _on_store(uri)
    with storage.plain_errors(uri), opened as file:
        yield file


@contextlib.contextmanager
def _on_disk(path: str) -> Iterator[BinaryIO]:
    folder = os.path.dirname(path)
    os.makedirs(folder, exist_ok=True)
    temporary = os.path.join(folder, f".{uuid.uuid4().hex}.tmp")
    try:
        with open(temporary, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


@contextlib.contextmanager
def _on_store(uri: str) -> Iterator[BinaryIO]:
    with tempfile.TemporaryFile() as file:
        yield cast(BinaryIO, file)
        file.seek(0)
        files, path = storage.resolve(uri)
        with files.open_output_stream(path) as target:
            shutil.copyfileobj(file, target, 1 << 20)
