"""A lease file, `DIR/_work/lease.json`, that says who writes to an output folder, for file systems without locks.

A run renews its lease every 20 seconds; a lease that was not renewed for 90 seconds has expired. A job on a cluster
also holds DIR by a lease, on any file system. Nobody renews that one: it is valid as long as the cluster says that the
job is alive. A lease is advisory. Two runs that take it in the same second may both go on; they only waste time, since
every write can be repeated.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pydantic

from schemas import storage
from schemas.errors import FacelogError, StorageError
from schemas.layout import Layout

_LOG = logging.getLogger(__name__)

_RENEW_SECONDS = 20.0
_OVER_AFTER = timedelta(seconds=90)


class JobLease(pydantic.BaseModel):
    """A job on a cluster that holds DIR.

    Attributes:
      master: address of the cluster's REST API.
      job_id: the cluster's name for the job.
      asked: digest of the inputs and options of the call that started it.
    """

    master: str
    job_id: str
    asked: str


class Lease(pydantic.BaseModel):
    """Who holds DIR.

    Attributes:
      run_id: name of the run, or a name of the lease's own.
      who: process, user, host and command, in words.
      since: when the lease was taken, UTC.
      renewed_at: when it was last renewed, UTC; for a job, when the job began.
      config_hash: configuration of the run.
      job: the job that holds DIR; None: a process holds DIR and renews the lease.
    """

    run_id: str
    who: str
    since: datetime
    renewed_at: datetime
    config_hash: str = ""
    job: JobLease | None = None


IsAlive = Callable[[JobLease], bool]
"""Tells whether a job is alive; raises FacelogError if that cannot be known."""


def unknown(job: JobLease) -> bool:
    """An `IsAlive` for callers that cannot ask a cluster.

    Raises:
      FacelogError: always.
    """
    raise FacelogError(f"the cluster at {job.master} was not asked")


class HeldError(FacelogError):
    """Another run holds DIR.

    Attributes:
      lease: its lease.
    """

    def __init__(self, text: str, lease: Lease):
        """Takes the sentence for the user and the lease."""
        super().__init__(text)
        self.lease = lease


def read_lease(out: str) -> Lease | None:
    """The lease in DIR, also if it has expired; None if there is none."""
    try:
        return Lease.model_validate_json(storage.read_bytes(Layout(out).lease))
    except FileNotFoundError:
        return None
    except pydantic.ValidationError:
        _LOG.warning("%s cannot be read and is ignored", Layout(out).lease)
        return None


def write_lease(out: str, lease: Lease) -> None:
    """Writes a lease in place of the one that was there."""
    storage.write_bytes(Layout(out).lease, lease.model_dump_json(indent=2).encode())


def end_lease(out: str, run_id: str) -> None:
    """Removes the lease if it is that of a run; the lease of another run stays."""
    lease = read_lease(out)
    if lease is not None and lease.run_id == run_id:
        storage.delete_file(Layout(out).lease)


def refuse_if_leased(out: str, is_alive: IsAlive) -> None:
    """Makes sure that nobody holds DIR by a lease.

    Raises:
      HeldError: somebody does.
      FacelogError: a job does, and it cannot be known whether it is alive.
    """
    lease = read_lease(out)
    if lease is None:
        return
    if lease.job is None:
        if datetime.now(UTC) - lease.renewed_at < _OVER_AFTER:
            raise HeldError(f"{out} is being written by {lease.who}; wait for its end, or stop it", lease)
        return
    try:
        alive = is_alive(lease.job)
    except FacelogError as error:
        raise FacelogError(
            f"{out} is held by job {lease.job.job_id} of the cluster at {lease.job.master} since {lease.since:%F %T}, "
            f"and whether it is alive cannot be known ({error}); if that cluster is gone for good, remove "
            f"{Layout(out).lease}"
        ) from error
    if alive:
        text = (
            f"{out} is being written by job {lease.job.job_id} of the cluster at {lease.job.master}, begun by "
            f"{lease.who}; wait for its end, or cancel it there"
        )
        raise HeldError(text, lease)


@contextlib.contextmanager
def renewed(out: str, who: str) -> Iterator[None]:
    """Holds DIR by a lease of this process and renews it until the end."""
    now = datetime.now(UTC)
    lease = Lease(run_id=uuid.uuid4().hex, who=who, since=now, renewed_at=now)
    write_lease(out, lease)
    there = read_lease(out)
    if there is not None and there.run_id != lease.run_id:  # somebody else took it at the same moment
        raise HeldError(f"{out} was just taken by {there.who}; wait for its end, or stop it", there)
    ended = threading.Event()
    thread = threading.Thread(target=_renew, args=(out, lease, ended), name="lease", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        try:
            end_lease(out, lease.run_id)
        except StorageError as error:
            _LOG.warning("the lease could not be removed and stays until it expires: %s", error)


def _renew(out: str, lease: Lease, ended: threading.Event) -> None:
    while not ended.wait(_RENEW_SECONDS):
        try:
            there = read_lease(out)
            if there is not None and there.run_id != lease.run_id:
                return  # handed over to a job
            write_lease(out, lease.model_copy(update={"renewed_at": datetime.now(UTC)}))
        except (StorageError, FileNotFoundError) as error:
            _LOG.warning("the lease could not be renewed: %s", error)
