"""One run at a time in one output folder: `flock` on DIR/_work/lock, with the name of who holds it.

Where there are no such locks, on object stores and some network disks, a lease takes their place; see `runners.lease`.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import getpass
import json
import os
import shlex
import socket
import sys
from collections.abc import Iterator
from datetime import UTC, datetime

from runners.flink.rest import is_alive
from runners.lease import HeldError, refuse_if_leased, renewed
from schemas import storage
from schemas.errors import FacelogError, StorageError, StorageFullError


@contextlib.contextmanager
def hold(dir_uri: str) -> Iterator[None]:
    """Hold the lock of an output folder; the folder is made if it is not there.

    The kernel gives the lock back when this process ends, however it does. The file stays: to remove it would let a
    third run lock a new file of the same name while a second one waits for the old. Worker processes do not inherit it
    (Python's descriptors are closed on exec, and workers are spawned).

    A job on a cluster that holds the folder is asked after, wherever the folder is.

    Args:
      dir_uri: the output folder.

    Raises:
      HeldError: another run holds it by a lease; says who and since when.
      FacelogError: another process of this machine holds it.
      StorageError: the folder cannot be written.
    """
    folder = storage.normalize(dir_uri)
    with contextlib.ExitStack() as stack:
        locked = storage.is_local(folder) and _lock_file(folder, stack)
        refuse_if_leased(folder, is_alive)
        if not locked:
            stack.enter_context(renewed(folder, who()))
        yield


def _lock_file(folder: str, stack: contextlib.ExitStack) -> bool:
    """Locks a folder on disk until the stack is closed; False where its file system has no locks."""
    path = storage.join(folder, "_work", "lock")
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        file = stack.enter_context(open(path, "a+", encoding="utf-8"))  # noqa: SIM115 (the stack closes it)
    except OSError as error:
        raise _storage_error(path, error) from error
    if not _lock(file.fileno(), folder, path):
        return False
    try:
        file.truncate(0)
        file.write(json.dumps(_who(), ensure_ascii=False))
        file.flush()
    except OSError as error:
        raise _storage_error(path, error) from error
    return True


def _lock(descriptor: int, folder: str, path: str) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise FacelogError(f"{folder} is being written by {_holder(path)}; wait for its end, or stop it") from None
    except OSError as error:
        if error.errno not in (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS):
            raise _storage_error(path, error) from error
        return False
    return True


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
            return _in_words(json.load(file))
    except (OSError, ValueError, KeyError, TypeError):  # it has the lock, and has not written its name yet
        return "another run"


def who() -> str:
    """This process in words, for others to read who are told that it holds a folder."""
    return _in_words(_who())


def _in_words(who: dict[str, str | int]) -> str:
    return f"PID {who['pid']} ({who['user']}) on {who['host']} since {who['since']}: {who['command']}"


def holder(dir_uri: str) -> str | None:
    """Who holds an output folder, in words; None if nobody does, or if that cannot be known from this machine."""
    folder = storage.normalize(dir_uri)
    if storage.is_local(folder):
        path = storage.join(folder, "_work", "lock")
        try:
            with open(path, encoding="utf-8") as file:
                fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return _holder(path)
        except OSError:
            pass
    try:
        refuse_if_leased(folder, is_alive)
    except HeldError as error:
        job = error.lease.job
        return f"job {job.job_id} of the cluster at {job.master}" if job else error.lease.who
    except FacelogError as error:
        return str(error)
    return None


def _storage_error(path: str, error: OSError) -> StorageError:
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    return (StorageFullError if full else StorageError)(f"{path}: {error.strerror}")
