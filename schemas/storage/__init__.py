"""The one file-system layer: everything facelog reads or writes goes through these functions.

A file is named by its *uri*: on disk the absolute path as plain text, else `scheme://…` exactly as it was listed
(never percent-decoded: a `%20` in an object's key is three characters). What is not on disk is read with `pyarrow.fs`.

Errors: `FileNotFoundError` where a name does not exist, `StorageFullError` where no space is left, `StorageError` for
all else (permission, no such bucket, not reachable), each with one sentence for the user.
"""

import contextlib
import mmap
import os
import shutil
import tempfile
import urllib.parse
from collections.abc import Iterator, Mapping, Sequence
from typing import BinaryIO, cast

from pyarrow import fs

from schemas.errors import StorageError
from schemas.storage import local, remote
from schemas.storage.at_once import at_once
from schemas.storage.errors import plain_errors
from schemas.storage.file_info import FileInfo
from schemas.storage.object_file import ObjectFile
from schemas.storage.walk import SkipEntry, UnreadableFolder

__all__ = [
    "FileInfo",
    "at_once",
    "configure",
    "delete_file",
    "delete_tree",
    "exists",
    "free_bytes",
    "is_folder",
    "is_local",
    "join",
    "list_files",
    "move_file",
    "normalize",
    "open_input",
    "open_output",
    "plain_errors",
    "prefetch",
    "read_bytes",
    "resolve",
    "stat",
    "write_bytes",
]


def configure(options: Mapping[str, str], *, patient: bool = False) -> None:
    """Says how this process reaches object stores, from now on; without a call only the environment does.

    Args:
      options: arguments of pyarrow's file systems by name, as text: endpoint_override (with or without `http://`),
        region, anonymous and so on; each store takes those it knows. Keys and secrets come from the environment alone.
      patient: wait for a store that cannot be reached even before it answered once: for a worker, whose starter has
        reached it.

    Raises:
      UsageError: an option is not known, has a bad value, or is a secret.
    """
    remote.configure(options, patient=patient)


def is_local(uri: str) -> bool:
    """Whether the name is one on this machine's disks."""
    return "://" not in uri or uri.startswith("file://")


def normalize(uri: str) -> str:
    """The one spelling of a name: local names become absolute plain paths, links are not resolved.

    `file:` URLs are percent-decoded as their standard says; other URLs only lose a slash at their end.
    """
    if not is_local(uri):
        return uri.rstrip("/")
    if uri.startswith("file://"):
        uri = urllib.parse.unquote(uri.removeprefix("file://").removeprefix("localhost")) or "/"
    path = os.path.abspath(uri)
    # Behind a link `link/..` is another folder than the text says.
    if ".." in uri.split("/") and os.path.realpath(path) != os.path.realpath(uri):
        path = os.path.realpath(uri)
    return path


def join(uri: str, *parts: str) -> str:
    """The name of something under a folder."""
    return "/".join([uri.rstrip("/"), *(part.strip("/") for part in parts)])


def resolve(uri: str) -> tuple[fs.FileSystem, str]:
    """The pyarrow file system of a name (one per scheme and bucket in each process) and the path in it.

    Raises:
      UsageError: the scheme is not known, or the address is incomplete or holds keys.
      StorageError: the file system cannot be had.
    """
    uri = normalize(uri)
    return (fs.LocalFileSystem(), uri) if is_local(uri) else remote.resolve(uri)


def stat(uri: str) -> FileInfo:
    """Size, time and etag of one file.

    Raises:
      FileNotFoundError: it does not exist.
      StorageError: it is a folder or no regular file, or cannot be asked.
    """
    uri = normalize(uri)
    with plain_errors(uri):
        return local.stat(uri) if is_local(uri) else remote.stat(uri)


def exists(uri: str) -> bool:
    """Whether there is a file or folder of that name."""
    uri = normalize(uri)
    return os.path.lexists(uri) if is_local(uri) else remote.kind(uri) != fs.FileType.NotFound


def is_folder(uri: str) -> bool:
    """Whether the name is that of a folder; on an object store: of a bucket, or whether names begin with it and `/`."""
    uri = normalize(uri)
    return os.path.isdir(uri) if is_local(uri) else remote.kind(uri) == fs.FileType.Directory


def read_bytes(uri: str) -> bytes:
    """All of a file's content."""
    with open_input(uri) as file, plain_errors(uri):
        return file.read()


def open_input(uri: str) -> BinaryIO:
    """A file to read and seek in, as `av.open` wants it; close it, or use it in `with`.

    Of an object only those ranges are fetched that are read, and what follows them; a small one is fetched whole.

    Raises:
      FileNotFoundError: it does not exist.
      StorageError: no permission, not reachable, or not a regular file (a pipe would wait for ever).
    """
    uri = normalize(uri)
    with plain_errors(uri):
        return local.open_input(uri) if is_local(uri) else cast(BinaryIO, remote.open_input(uri))


def prefetch(file: BinaryIO, ranges: Sequence[tuple[int, int]]) -> None:
    """Says which parts of a file of `open_input` will be read next; those of an object are fetched many at once.

    Args:
      file: any file; where it is none of an object store, nothing is done.
      ranges: offsets and lengths, together no more than 8 MiB.
    """
    if isinstance(file, ObjectFile):
        file.prefetch(ranges)


def list_files(
    uri: str,
    *,
    recursive: bool = True,
    skip: SkipEntry | None = None,
    unreadable: UnreadableFolder | None = None,
) -> Iterator[FileInfo]:
    """Everything in a folder that is no folder itself, in no order one may rely on.

    On disk links are followed; a folder is listed once however many links lead to it, under its own name where that is
    among them. Broken links, pipes and the like come with neither size nor time.

    Args:
      uri: the folder; one that does not exist has no files.
      recursive: with the folders in it.
      skip: called with the uri of each file and folder below; what it says yes to is left out, folders whole.
      unreadable: called with a folder that could not be listed, and why; without it, that is raised.
    """
    uri = normalize(uri)
    walk = local.walk if is_local(uri) else remote.walk
    return walk(uri, recursive, skip or (lambda _: False), unreadable or _raise)


def write_bytes(uri: str, data: bytes) -> None:
    """Writes a whole file so that under its name there is never a part of it.

    On disk: a dot-named temporary in the same folder, fsync, rename, fsync of the folder; parents are made. On an
    object store: one put.

    Raises:
      StorageFullError: no space is left.
      StorageError: it cannot be written.
    """
    uri = normalize(uri)
    if not is_local(uri):
        with plain_errors(uri):
            remote.write_bytes(uri, data)
        return
    with plain_errors(uri), local.open_output(uri) as file:
        file.write(data)


@contextlib.contextmanager
def open_output(uri: str) -> Iterator[BinaryIO]:
    """A file to write in, for what is too much for `write_bytes`: it gets its name at the end of the `with`.

    If that ends in an exception it gets none. On disk it grows as `write_bytes` does it; what goes to an object store
    grows in a temporary file.

    Raises:
      StorageFullError: no space is left.
      StorageError: it cannot be written.
    """
    uri = normalize(uri)
    if is_local(uri):
        with plain_errors(uri), local.open_output(uri) as file:
            yield file
        return
    with tempfile.TemporaryFile() as temporary:
        yield cast(BinaryIO, temporary)
        size = temporary.tell()
        temporary.flush()
        whole = mmap.mmap(temporary.fileno(), size, access=mmap.ACCESS_READ) if size else b""
        with plain_errors(uri):
            remote.write_bytes(uri, cast(bytes, whole))


def move_file(source: str, target: str) -> None:
    """Gives a file another name, in place of what was there; copies where it cannot be renamed (another disk)."""
    source, target = normalize(source), normalize(target)
    if is_local(source) and is_local(target):
        with plain_errors(target):
            if local.rename(source, target):
                return
    elif not is_local(source) and not is_local(target) and remote.copy_file(source, target):
        delete_file(source)
        return
    write_bytes(target, read_bytes(source))
    delete_file(source)


def delete_file(uri: str) -> None:
    """Removes a file; one that is not there is no error."""
    uri = normalize(uri)
    delete = os.unlink if is_local(uri) else remote.delete_file
    with plain_errors(uri), contextlib.suppress(FileNotFoundError):
        delete(uri)


def delete_tree(uri: str) -> None:
    """Removes a folder with all that is in it (links are removed, not followed); no error if it is not there."""
    uri = normalize(uri)
    delete = shutil.rmtree if is_local(uri) else remote.delete_tree
    with plain_errors(uri), contextlib.suppress(FileNotFoundError):
        delete(uri)


def free_bytes(uri: str) -> int | None:
    """Bytes left for us where a name is or would be; null on an object store, which does not say."""
    uri = normalize(uri)
    if not is_local(uri):
        return None
    with plain_errors(uri):
        return local.free_bytes(uri)


def _raise(_: str, error: StorageError) -> None:
    raise error
