"""Who holds an output folder, where no lock of the file system does: `DIR/_work/lease.json`.

On an object store a run renews its lease every 20 seconds, and one that was not renewed for 90 is over. A job on a
cluster holds DIR, wherever that is, for as long as the cluster calls it alive; nobody renews that one. A lease is
advisory: two runs that take it in the same second may both go on, and since every write can be repeated, they cost each
other time and nothing else.
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

_LOG = logging.getLogger(__name__)

_RENEW_SECONDS = 20.0
_OVER_AFTER = timedelta(seconds=90)


class JobLease(pydantic.BaseModel):
    """A job on a cluster that holds DIR.

    Attributes:
      master: address of the cluster's REST API.
      job_id: the cluster's name for it.
      asked: digest of what was asked for: inputs and options.
    """

    master: str
    job_id: str
    asked: str


class Lease(pydantic.BaseModel):
    """Who holds DIR.

    Attributes:
      run_id: of the run, or a name of its own.
      who: the same in words: process, user, host, command.
      since: UTC.
      renewed_at: UTC; for a job, when it began.
      config_hash: of the run.
      job: the job that holds it; None: the process that renews it.
    """

    run_id: str
    who: str
    since: datetime
    renewed_at: datetime
    config_hash: str = ""
    job: JobLease | None = None


IsAlive = Callable[[JobLease], bool]
"""Whether a cluster calls a job alive; raises FacelogError where that cannot be known."""


class HeldError(FacelogError):
    """Another run holds DIR.

    Attributes:
      lease: its lease.
    """

    def __init__(self, text: str, lease: Lease):
        """With the sentence for the user."""
        super().__init__(text)
        self.lease = lease


def read_lease(out: str) -> Lease | None:
    """The lease in DIR, be it over or not."""
    try:
        return Lease.model_validate_json(storage.read_bytes(_name(out)))
    except FileNotFoundError:
        return None
    except pydantic.ValidationError:
        _LOG.warning("%s cannot be read and is passed over", _name(out))
        return None


def write_lease(out: str, lease: Lease) -> None:
    """In place of what was there."""
    storage.write_bytes(_name(out), lease.model_dump_json(indent=2).encode())


def end_lease(out: str, run_id: str) -> None:
    """Removes the lease of a run; that of another stays."""
    lease = read_lease(out)
    if lease is not None and lease.run_id == run_id:
        storage.delete_file(_name(out))


def refuse_if_leased(out: str, is_alive: IsAlive) -> None:
    """Make sure that nobody else holds DIR by a lease.

    Raises:
      HeldError: somebody does.
      FacelogError: a job does, and its cluster does not say whether it is alive.
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
            f"and whether it is alive cannot be known ({error}); if that cluster is gone for good, remove {_name(out)}"
        ) from error
    if alive:
        text = (
            f"{out} is being written by job {lease.job.job_id} of the cluster at {lease.job.master}, begun by "
            f"{lease.who}; wait for its end, or cancel it there"
        )
        raise HeldError(text, lease)


@contextlib.contextmanager
def renewed(out: str, who: str) -> Iterator[None]:
    """Hold DIR by a lease of this process, which is renewed until the end."""
    now = datetime.now(UTC)
    lease = Lease(run_id=uuid.uuid4().hex, who=who, since=now, renewed_at=now)
    write_lease(out, lease)
    there = read_lease(out)
    if there is not None and there.run_id != lease.run_id:  # somebody else took it in the same moment, and was later
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
            _LOG.warning("the lease stays until it is over: %s", error)


def _renew(out: str, lease: Lease, ended: threading.Event) -> None:
    while not ended.wait(_RENEW_SECONDS):
        try:
            there = read_lease(out)
            if there is not None and there.run_id != lease.run_id:
                return  # handed over to a job
            write_lease(out, lease.model_copy(update={"renewed_at": datetime.now(UTC)}))
        except (StorageError, FileNotFoundError) as error:
            _LOG.warning("the lease could not be renewed: %s", error)


def _name(out: str) -> str:
    return storage.join(out, "_work", "lease.json")
