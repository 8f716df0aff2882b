"""One run at a time writes to an output folder: `flock` on DIR/_work/lock, a file that says who holds it.

Object stores and some network disks have no such locks; a lease takes their place (`runners.lease`).
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

from runners.lease import HeldError, IsAlive, refuse_if_leased, renewed, unknown
from schemas import storage
from schemas.errors import FacelogError, StorageError, StorageFullError
from schemas.layout import Layout


@contextlib.contextmanager
def hold(dir_uri: str, *, is_alive: IsAlive = unknown) -> Iterator[None]:
    """Holds the lock of an output folder; makes the folder if it does not exist.

    The kernel releases the lock when this process ends, however it ends. The file stays: if it were removed, a third
    run could lock a new file of the same name while a second run waits for the old one. Worker processes do not inherit
    the lock (Python closes its descriptors on exec, and workers are spawned).

    A job on a cluster can hold the folder by a lease, on disk as well as on an object store.

    Args:
      dir_uri: the output folder.
      is_alive: tells whether the job of a lease is alive.

    Raises:
      HeldError: another run holds the folder by a lease; the text says who and since when.
      FacelogError: another process of this machine holds it, or a job does that cannot be asked.
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
    """Locks a folder on disk until the stack is closed; returns False if its file system has no locks."""
    path = Layout(folder).lock
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
    except (OSError, ValueError, KeyError, TypeError):  # the other run has the lock but has not written its name yet
        return "another run"


def who() -> str:
    """This process in words, for messages that say who holds a folder."""
    return _in_words(_who())


def _in_words(who: dict[str, str | int]) -> str:
    return f"PID {who['pid']} ({who['user']}) on {who['host']} since {who['since']}: {who['command']}"


def holder(dir_uri: str, *, is_alive: IsAlive = unknown) -> str | None:
    """Who holds an output folder, in words; None if nobody does, or if this machine cannot know.

    Args:
      dir_uri: the output folder.
      is_alive: tells whether the job of a lease is alive.
    """
    folder = storage.normalize(dir_uri)
    if storage.is_local(folder):
        path = Layout(folder).lock
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
