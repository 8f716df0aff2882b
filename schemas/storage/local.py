"""Files on disk."""

import collections
import contextlib
import errno
import os
import re
import shutil
import stat as stat_module
import uuid
from collections.abc import Iterator
from typing import BinaryIO

from schemas.errors import StorageError
from schemas.storage.errors import storage_error
from schemas.storage.file_info import FileInfo, time_of
from schemas.storage.walk import SkipEntry, UnreadableFolder

UNFINISHED = re.compile(r"\.[0-9a-f]{32}\.tmp")
"""Names of files that were under construction in a process that was killed, or that are under construction now."""


def stat(path: str) -> FileInfo:
    """Size and time of a regular file."""
    return _info(path, os.stat(path))


def open_input(path: str) -> BinaryIO:
    """A regular file to read."""
    stat(path)
    return open(path, "rb")


def walk(root: str, recursive: bool, skip: SkipEntry, unreadable: UnreadableFolder) -> Iterator[FileInfo]:
    """Everything in a folder except folders; each folder is listed once."""
    visited: set[tuple[int, int]] = set()
    # Links come after all real folders, so that a folder is listed under its own name if it can be.
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
            unreadable(folder, storage_error(folder, error))
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
                    yield _info(entry.path, entry.stat())
                except (OSError, StorageError):
                    yield FileInfo(entry.path, None, None)


@contextlib.contextmanager
def open_output(path: str) -> Iterator[BinaryIO]:
    """See `schemas.storage.write_bytes`."""
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
    _sync_folder(folder)


def rename(source: str, target: str) -> bool:
    """Renames a file; returns False if the two names are on different disks."""
    os.makedirs(os.path.dirname(target), exist_ok=True)
    try:
        os.replace(source, target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        return False
    _sync_folder(os.path.dirname(target))
    return True


def free_bytes(path: str) -> int:
    """Free bytes on the disk of a name."""
    while not os.path.exists(path):
        path = os.path.dirname(path)
    return shutil.disk_usage(path).free


def _info(path: str, status: os.stat_result) -> FileInfo:
    if stat_module.S_ISDIR(status.st_mode):
        raise StorageError(f"{path} is a folder")
    if not stat_module.S_ISREG(status.st_mode):
        raise StorageError(f"{path} is no regular file (a pipe or a device); copy it to one first")
    return FileInfo(path, status.st_size, time_of(status.st_mtime_ns))


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
