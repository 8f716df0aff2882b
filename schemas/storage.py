"""The one file-system layer: everything facelog reads or writes goes through these functions.

A file is named by its *uri*: on disk the absolute path as plain text, else `scheme://…` exactly as it was listed
(never percent-decoded: a `%20` in an object's key is three characters). What is not on disk is read with `pyarrow.fs`.

Errors: `FileNotFoundError` where a name does not exist, `StorageFullError` where no space is left, `StorageError` for
all else (permission, no such bucket, not reachable), each with one sentence for the user.
"""

import collections
import contextlib
import dataclasses
import errno
import functools
import io
import os
import re
import shutil
import stat as stat_module
import urllib.parse
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import BinaryIO, cast

import pyarrow as pa
from pyarrow import fs

from schemas.errors import StorageError, StorageFullError, UsageError

_REMOTE_SCHEMES = frozenset({"s3", "gs", "gcs", "abfs", "abfss", "hdfs", "viewfs"})
# These show an object only when all of it is there; hdfs and viewfs have real files, that grow while they are written.
_PUT_SCHEMES = frozenset({"s3", "gs", "gcs", "abfs", "abfss"})
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_READ_AHEAD = 1 << 20  # bytes of one ranged read from an object store

# What Arrow's messages hold → what the user can do about it.
_CLOUD_ERRORS = {
    r"ACCESS_DENIED|FORBIDDEN|INVALID_ACCESS_KEY|SIGNATURE_DOES_NOT_MATCH|HTTP status 40[13]|Unauthorized": (
        "access is denied; check the keys and what they allow (for S3: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY)"
    ),
    r"NETWORK_CONNECTION|[Cc]ould not connect|resolve host": "the store cannot be reached; check network and address",
    r"NO_SUCH_BUCKET": "there is no such bucket",
}

SkipEntry = Callable[[str], bool]
UnreadableFolder = Callable[[str, StorageError], None]


@dataclasses.dataclass(frozen=True, order=True)
class FileInfo:
    """What tells whether a file is still the same.

    Attributes:
      uri: absolute local path as plain text, or `scheme://…`.
      size_bytes: null where it cannot be told (a broken link, no regular file).
      modified_at: UTC, whole microseconds.
      etag: of an object store; null on disk and in listings.
    """

    uri: str
    size_bytes: int | None
    modified_at: datetime | None
    etag: str | None = None


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
    if is_local(uri):
        return _file_system("file", "")[0], normalize(uri)
    scheme, rest = uri.split("://", 1)
    authority, _, key = rest.partition("/")
    if scheme not in _REMOTE_SCHEMES:
        raise UsageError(
            f"{uri}: facelog cannot read {scheme}://; it knows local files, s3://, gs://, abfs://, hdfs://"
        )
    if not authority and scheme in _PUT_SCHEMES:
        raise UsageError(f"{uri}: the name of the bucket is missing")
    if ":" in authority.rpartition("@")[0]:
        raise UsageError(f"{scheme}://…: leave keys out of addresses (they would be stored); use the environment")
    with plain_errors(f"{scheme}://{authority}"):
        file_system, root = _file_system(scheme, authority)
    return file_system, f"{root.rstrip('/')}/{key}".rstrip("/") or "/"


def stat(uri: str) -> FileInfo:
    """Size, time and etag of one file.

    Raises:
      FileNotFoundError: it does not exist.
      StorageError: it is a folder or no regular file, or cannot be asked.
    """
    uri = normalize(uri)
    if is_local(uri):
        with plain_errors(uri):
            return _local_info(uri, os.stat(uri))
    file_system, path = resolve(uri)
    with plain_errors(uri):
        info = file_system.get_file_info(path)
        if info.type == fs.FileType.NotFound:
            raise FileNotFoundError(_why_not_found(uri))
        if info.type == fs.FileType.Directory:
            raise StorageError(f"{uri} is a folder")
        with file_system.open_input_file(path) as file:
            etag = {key.lower(): value for key, value in (file.metadata() or {}).items()}.get("etag")
    return dataclasses.replace(_remote_info(uri, info), etag=etag.decode().strip('"') if etag else None)


def exists(uri: str) -> bool:
    """Whether there is a file or folder of that name."""
    uri = normalize(uri)
    if is_local(uri):
        return os.path.lexists(uri)
    file_system, path = resolve(uri)
    with plain_errors(uri):
        return file_system.get_file_info(path).type != fs.FileType.NotFound


def is_folder(uri: str) -> bool:
    """Whether the name is that of a folder; on an object store: of a bucket, or whether names begin with it and `/`."""
    uri = normalize(uri)
    if is_local(uri):
        return os.path.isdir(uri)
    file_system, path = resolve(uri)
    with plain_errors(uri):
        return file_system.get_file_info(path).type == fs.FileType.Directory


def read_bytes(uri: str) -> bytes:
    """All of a file's content."""
    with open_input(uri) as file, plain_errors(uri):
        return file.read()


def open_input(uri: str) -> BinaryIO:
    """A file to read and seek in, as `av.open` wants it; close it, or use it in `with`.

    Raises:
      FileNotFoundError: it does not exist.
      StorageError: no permission, not reachable, or not a regular file (a pipe would wait for ever).
    """
    uri = normalize(uri)
    if is_local(uri):
        with plain_errors(uri):
            _local_info(uri, os.stat(uri))
            return open(uri, "rb")
    file_system, path = resolve(uri)
    with plain_errors(uri):
        # pyarrow's file quacks like RawIOBase, which is all that BufferedReader asks for.
        return io.BufferedReader(cast(io.RawIOBase, file_system.open_input_file(path)), _READ_AHEAD)


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
    walk = _walk_local if is_local(uri) else _walk_remote
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
    with plain_errors(uri):
        if is_local(uri):
            _write_local(uri, data)
        else:
            _write_remote(uri, data)


def move_file(source: str, target: str) -> None:
    """Gives a file another name, in place of what was there; copies where it cannot be renamed (another disk)."""
    source, target = normalize(source), normalize(target)
    if is_local(source) and is_local(target):
        with plain_errors(target):
            os.makedirs(os.path.dirname(target), exist_ok=True)
            try:
                os.replace(source, target)
            except OSError as error:
                if error.errno != errno.EXDEV:
                    raise
            else:
                _sync_folder(os.path.dirname(target))
                return
    write_bytes(target, read_bytes(source))
    delete_file(source)


def delete_file(uri: str) -> None:
    """Removes a file; one that is not there is no error."""
    uri = normalize(uri)
    with plain_errors(uri), contextlib.suppress(FileNotFoundError):
        if is_local(uri):
            os.unlink(uri)
        else:
            file_system, path = resolve(uri)
            file_system.delete_file(path)


def delete_tree(uri: str) -> None:
    """Removes a folder with all that is in it (links are removed, not followed); no error if it is not there."""
    uri = normalize(uri)
    with plain_errors(uri), contextlib.suppress(FileNotFoundError):
        if is_local(uri):
            shutil.rmtree(uri)
        else:
            file_system, path = resolve(uri)
            file_system.delete_dir(path)


def free_bytes(uri: str) -> int | None:
    """Bytes left for us where a name is or would be; null on an object store, which does not say."""
    uri = normalize(uri)
    if not is_local(uri):
        return None
    while not os.path.exists(uri):
        uri = os.path.dirname(uri)
    with plain_errors(uri):
        return shutil.disk_usage(uri).free


@contextlib.contextmanager
def plain_errors(uri: str) -> Iterator[None]:
    """Turns what the system and pyarrow raise over a file into this module's errors; for reads of `open_input` too."""
    try:
        yield
    except FileNotFoundError as error:
        if error.errno is None:  # said already
            raise
        raise FileNotFoundError(f"{uri} does not exist") from error
    except (OSError, pa.ArrowException) as error:
        raise _storage_error(uri, error) from error


def _storage_error(uri: str, error: Exception) -> StorageError:
    if getattr(error, "errno", None) in _FULL:
        folder = uri.rpartition("/")[0] or "/"
        return StorageFullError(f"no space left in {folder}: make room there and run the same command again")
    text = getattr(error, "strerror", None) or str(error).partition("\n")[0] or type(error).__name__
    for code, sentence in _CLOUD_ERRORS.items():
        if re.search(code, text):
            return StorageError(f"{uri}: {sentence}")
    return StorageError(f"{uri}: {re.sub(r' *[(]Request ID.*', '', text)}")


def _why_not_found(uri: str) -> str:
    """Tells a missing object from a missing bucket; on an object store both look alike."""
    scheme, rest = uri.split("://", 1)
    bucket = f"{scheme}://{rest.split('/')[0]}"
    return f"{uri} does not exist" if is_folder(bucket) else f"{uri}: there is no {bucket}"


@functools.cache
def _file_system(scheme: str, authority: str) -> tuple[fs.FileSystem, str]:
    if scheme == "file":
        return fs.LocalFileSystem(), ""
    # Arrow itself obeys AWS_ENDPOINT_URL, AWS_PROFILE and the like. A delayed open makes a small file one PUT, where it
    # would be three requests of a multipart upload (pyarrow 25).
    query = "?allow_delayed_open=true" if scheme == "s3" else ""
    return fs.FileSystem.from_uri(f"{scheme}://{authority}{query}")


def _local_info(uri: str, status: os.stat_result) -> FileInfo:
    if stat_module.S_ISDIR(status.st_mode):
        raise StorageError(f"{uri} is a folder")
    if not stat_module.S_ISREG(status.st_mode):
        raise StorageError(f"{uri} is no regular file (a pipe or a device); copy it to one first")
    return FileInfo(uri, status.st_size, _time(status.st_mtime_ns))


def _remote_info(uri: str, info: fs.FileInfo) -> FileInfo:
    return FileInfo(uri, info.size, None if info.mtime_ns is None else _time(info.mtime_ns))


def _time(nanoseconds: int) -> datetime | None:
    try:
        return _EPOCH + timedelta(microseconds=nanoseconds // 1000)
    except OverflowError:  # a damaged file system's year 30000
        return None


def _raise(_: str, error: StorageError) -> None:
    raise error


def _walk_local(root: str, recursive: bool, skip: SkipEntry, unreadable: UnreadableFolder) -> Iterator[FileInfo]:
    visited: set[tuple[int, int]] = set()
    # Links wait until all real folders are done, so that a folder has its own name where it can.
    folders, links = collections.deque([root]), collections.deque[str]()
    while folders or links:
        folder = folders.popleft() if folders else links.popleft()
        try:
            status = os.stat(folder)
            if (status.st_dev, status.st_ino) in visited:
                continue
            visited.add((status.st_dev, status.st_ino))
            with os.scandir(folder) as entries:
                found = sorted(entries, key=lambda entry: entry.name)
        except FileNotFoundError:
            continue
        except OSError as error:
            unreadable(folder, _storage_error(folder, error))
            continue
        for entry in found:
            if skip(entry.path):
                continue
            if entry.is_dir(follow_symlinks=False):
                folders.extend([entry.path] if recursive else [])
            elif entry.is_symlink() and os.path.isdir(entry.path):
                links.extend([entry.path] if recursive else [])
            else:
                try:
                    yield _local_info(entry.path, entry.stat())
                except (OSError, StorageError):
                    yield FileInfo(entry.path, None, None)


def _walk_remote(root: str, recursive: bool, skip: SkipEntry, unreadable: UnreadableFolder) -> Iterator[FileInfo]:
    file_system, path = resolve(root)
    try:
        with plain_errors(root):
            found = file_system.get_file_info(fs.FileSelector(path, allow_not_found=True, recursive=recursive))
    except StorageError as error:
        unreadable(root, error)
        return
    skipped = functools.cache(skip)
    prefix = path.strip("/")
    start = len(prefix) + 1 if prefix else 0
    for info in found:
        if info.type == fs.FileType.Directory:
            continue
        parts = info.path.lstrip("/")[start:].split("/")
        if not any(skipped("/".join([root, *parts[:depth]])) for depth in range(1, len(parts) + 1)):
            yield _remote_info(f"{root}/{'/'.join(parts)}", info)


def _write_local(path: str, data: bytes) -> None:
    folder = os.path.dirname(path)
    os.makedirs(folder, exist_ok=True)
    temporary = os.path.join(folder, f".{uuid.uuid4().hex}.tmp")
    try:
        with open(temporary, "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    _sync_folder(folder)


def _sync_folder(folder: str) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some network and FUSE file systems cannot sync a folder; the file itself is safe.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(descriptor)


def _write_remote(uri: str, data: bytes) -> None:
    file_system, path = resolve(uri)
    if uri.split("://")[0] in _PUT_SCHEMES:
        with file_system.open_output_stream(path) as stream:
            stream.write(data)
        return
    folder, _, name = path.rpartition("/")
    temporary = f"{folder}/.{uuid.uuid4().hex}.tmp"
    file_system.create_dir(folder or "/", recursive=True)
    with file_system.open_output_stream(temporary) as stream:
        stream.write(data)
    with contextlib.suppress(FileNotFoundError):  # Hadoop does not rename onto a file
        file_system.delete_file(f"{folder}/{name}")
    file_system.move(temporary, f"{folder}/{name}")
