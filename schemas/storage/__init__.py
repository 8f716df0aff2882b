"""The file-system layer: facelog reads and writes all files through these functions.

A file is named by its *uri*: the absolute path as plain text if it is on disk, otherwise `scheme://…` exactly as it was
listed. A uri is never percent-decoded: a `%20` in an object's key is three characters. Files that are not on disk are
read with `pyarrow.fs`.

Errors: `FileNotFoundError` if a name does not exist, `StorageFullError` if no space is left, `StorageError` for
everything else (no permission, no such bucket, not reachable). Each has one sentence for the user.
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
    "is_unfinished",
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
    """Sets how this process reaches object stores from now on. Without a call, only the environment says so.

    Args:
      options: arguments of pyarrow's file systems by name, as text: endpoint_override (with or without `http://`),
        region, anonymous and so on; each store takes the options that it knows. Keys and secrets come from the
        environment alone.
      patient: wait for a store that cannot be reached, even before it has answered once. This is for workers: whoever
        started them has reached the store.

    Raises:
      UsageError: an option is not known, has a bad value, or is a secret.
    """
    remote.configure(options, patient=patient)


def is_local(uri: str) -> bool:
    """Whether a name is one on this machine's disks."""
    return "://" not in uri or uri.startswith("file://")


def normalize(uri: str) -> str:
    """The standard spelling of a name. Local names become absolute plain paths; links are not resolved.

    `file:` URLs are percent-decoded, as their standard says. Other URLs only lose a slash at their end.
    """
    if not is_local(uri):
        return uri.rstrip("/")
    if uri.startswith("file://"):
        uri = urllib.parse.unquote(uri.removeprefix("file://").removeprefix("localhost")) or "/"
    path = os.path.abspath(uri)
    # If `link` is a link, `link/..` is not the folder that the text says.
    if ".." in uri.split("/") and os.path.realpath(path) != os.path.realpath(uri):
        path = os.path.realpath(uri)
    return path


def join(uri: str, *parts: str) -> str:
    """The name of something under a folder."""
    return "/".join([uri.rstrip("/"), *(part.strip("/") for part in parts)])


def resolve(uri: str) -> tuple[fs.FileSystem, str]:
    """The pyarrow file system of a name (one per scheme and bucket in each process) and the path in it.

    Raises:
      UsageError: the scheme is unknown, or the address is incomplete or contains keys.
      StorageError: the file system cannot be opened.
    """
    uri = normalize(uri)
    return (fs.LocalFileSystem(), uri) if is_local(uri) else remote.resolve(uri)


def stat(uri: str) -> FileInfo:
    """Size, time and etag of one file.

    Raises:
      FileNotFoundError: it does not exist.
      StorageError: it is a folder or not a regular file, or the store does not answer.
    """
    uri = normalize(uri)
    with plain_errors(uri):
        return local.stat(uri) if is_local(uri) else remote.stat(uri)


def exists(uri: str) -> bool:
    """Whether there is a file or folder of that name."""
    uri = normalize(uri)
    return os.path.lexists(uri) if is_local(uri) else remote.kind(uri) != fs.FileType.NotFound


def is_folder(uri: str) -> bool:
    """Whether a name is a folder. On an object store: whether it is a bucket, or names begin with it and `/`."""
    uri = normalize(uri)
    return os.path.isdir(uri) if is_local(uri) else remote.kind(uri) == fs.FileType.Directory


def read_bytes(uri: str) -> bytes:
    """All of a file's content."""
    with open_input(uri) as file, plain_errors(uri):
        return file.read()


def open_input(uri: str) -> BinaryIO:
    """A file to read and seek in, as `av.open` needs it; close it, or use it in `with`.

    Of an object, only the ranges that are read and what follows them are fetched. A small object is fetched whole.

    Raises:
      FileNotFoundError: it does not exist.
      StorageError: no permission, not reachable, or not a regular file (reading a pipe could wait for ever).
    """
    uri = normalize(uri)
    with plain_errors(uri):
        return local.open_input(uri) if is_local(uri) else cast(BinaryIO, remote.open_input(uri))


def prefetch(file: BinaryIO, ranges: Sequence[tuple[int, int]]) -> None:
    """Announces which parts of a file of `open_input` will be read next; parts of an object are fetched at once.

    Args:
      file: any file; nothing is done unless it is on an object store.
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
    """Everything in a folder except folders, in any order.

    On disk, links are followed. A folder is listed once, however many links lead to it, and under its own name if that
    is among them. Broken links, pipes and the like have neither size nor time.

    Args:
      uri: the folder; one that does not exist has no files.
      recursive: whether folders in it are listed too.
      skip: called with the uri of each file and folder; if it returns True, the file or the whole folder is left out.
      unreadable: called with a folder that could not be listed, and the error; without it, the error is raised.
    """
    uri = normalize(uri)
    walk = local.walk if is_local(uri) else remote.walk
    return walk(uri, recursive, skip or (lambda _: False), unreadable or _raise)


def write_bytes(uri: str, data: bytes) -> None:
    """Writes a file so that its name never shows an incomplete one.

    On disk: a temporary file in the same folder whose name begins with a dot, fsync, rename, fsync of the folder;
    parent folders are made. On an object store: one put.

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
    """A file to write to, for content that is too large for `write_bytes`; it gets its name when the `with` ends.

    If the `with` ends in an exception, there is no file. On disk it is written as by `write_bytes`. For an object store
    it is written to a temporary file on disk first.

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
    """Gives a file another name and replaces the file that had it; copies if the two are on different disks."""
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
    """Removes a file; it is no error if there is none."""
    uri = normalize(uri)
    delete = os.unlink if is_local(uri) else remote.delete_file
    with plain_errors(uri), contextlib.suppress(FileNotFoundError):
        delete(uri)


def delete_tree(uri: str) -> None:
    """Removes a folder and everything in it (links are removed, not followed); it is no error if there is none."""
    uri = normalize(uri)
    delete = shutil.rmtree if is_local(uri) else remote.delete_tree
    with plain_errors(uri), contextlib.suppress(FileNotFoundError):
        delete(uri)


def is_unfinished(uri: str) -> bool:
    """Whether a name is one that `write_bytes` and `open_output` give to a file on disk until it is complete."""
    return is_local(uri) and bool(local.UNFINISHED.fullmatch(uri.rpartition("/")[2]))


def free_bytes(uri: str) -> int | None:
    """Free bytes on the disk of a name, which need not exist yet; None on an object store, which does not say."""
    uri = normalize(uri)
    if not is_local(uri):
        return None
    with plain_errors(uri):
        return local.free_bytes(uri)


def _raise(_: str, error: StorageError) -> None:
    raise error
