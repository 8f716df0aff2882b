"""One run at a time in one output folder: `flock` on DIR/_work/lock, with the name of who holds it."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import getpass
import json
import logging
import os
import shlex
import socket
import sys
from collections.abc import Iterator
from datetime import UTC, datetime

from schemas import storage
from schemas.errors import FacelogError, StorageError, StorageFullError

_LOG = logging.getLogger(__name__)


@contextlib.contextmanager
def hold(dir_uri: str) -> Iterator[None]:
    """Hold the lock of an output folder; the folder is made if it is not there.

    The kernel gives the lock back when this process ends, however it does. The file stays: to remove it would let a
    third run lock a new file of the same name while a second one waits for the old. Worker processes do not inherit it
    (Python's descriptors are closed on exec, and workers are spawned).

    Args:
      dir_uri: the output folder; for one that is not on disk there is a warning and no lock.

    Raises:
      FacelogError: another run holds it; says who and since when.
      StorageError: the folder cannot be written.
    """
    if not storage.is_local(dir_uri):
        _LOG.warning("%s is not on disk, so nothing keeps a second run out of it", dir_uri)
        yield
        return
    folder = storage.normalize(dir_uri)
    path = storage.join(folder, "_work", "lock")
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        file = open(path, "a+", encoding="utf-8")  # noqa: SIM115 (closed by `with` below)
    except OSError as error:
        raise _storage_error(path, error) from error
    with file:
        _lock(file.fileno(), folder, path)
        try:
            file.truncate(0)
            file.write(json.dumps(_who(), ensure_ascii=False))
            file.flush()
        except OSError as error:
            raise _storage_error(path, error) from error
        yield


def _lock(descriptor: int, folder: str, path: str) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise FacelogError(f"{folder} is being written by {_holder(path)}; wait for its end, or stop it") from None
    except OSError as error:
        if error.errno not in (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS):
            raise _storage_error(path, error) from error
        _LOG.warning("%s: this file system has no locks, so nothing keeps a second run out of it", folder)


def _who() -> dict[str, str | int]:
    return {
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "user": _user(),
        "since": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": shlex.join(sys.argv),
    }


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        return str(os.getuid())


def _holder(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            who = json.load(file)
        return f"PID {who['pid']} ({who['user']}) on {who['host']} since {who['since']}: {who['command']}"
    except (OSError, ValueError, KeyError, TypeError):  # it has the lock, and has not written its name yet
        return "another run"


def _storage_error(path: str, error: OSError) -> StorageError:
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    return (StorageFullError if full else StorageError)(f"{path}: {error.strerror}")
