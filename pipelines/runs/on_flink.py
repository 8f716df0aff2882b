"""analyze on a Flink cluster: one job that needs no client, and a client that starts, follows, or finds it again."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime

from pipelines.analyze import archive_job
from pipelines.inputs import Inputs
from pipelines.results.run_progress import Measurement, RunProgress
from pipelines.runs.bookkeeping import Archive
from pipelines.runs.on_beam import begin_job, log_rows
from pipelines.runs.request import CLUSTER_ATTEMPTS, Request
from runners.flink.rest import FlinkJob
from runners.flink.submit import FlinkOptions, Submitted, preflight, submit
from runners.lease import HeldError, JobLease, Lease, end_lease, write_lease
from runners.lock import who
from schemas import storage
from schemas.errors import FacelogError, HostError, LeftRunningError
from schemas.layout import JobFolder
from schemas.run import Run, RunRecord, read_run
from schemas.storage import FileInfo
from transforms.job.check_host import hosts, refusal

_LOOK_EVERY = 2.0
_MEASURING_SHARE = 0.1
"""Largest share of its time that the client spends on measuring the job's progress."""
_POOL_ANSWERS_WITHIN = 60.0
_WORKER_BEGINS_WITHIN = 300.0
"""As long as the cluster reports no failure: on a busy host it takes minutes."""
_HOST_ERROR = "host "


@dataclasses.dataclass(frozen=True)
class JobDisplay:
    """What a client shows and asks; by default it shows nothing and asks nothing.

    Attributes:
      say: called with a sentence now and then.
      show: called with the job's state, as the cluster calls it, and its progress.
      cancels: asked at Ctrl-C whether to cancel the job (True) or to leave it running (False).
    """

    say: Callable[[str], None] = lambda sentence: None
    show: Callable[[str, Measurement], None] = lambda state, progress: None
    cancels: Callable[[], bool] = lambda: False


@dataclasses.dataclass(frozen=True)
class OnFlink:
    """A run on a Flink cluster.

    Attributes:
      options: which cluster, and how much of it.
      detach: leave the job alone as soon as a host works on it.
      display: what the client shows and asks.
    """

    options: FlinkOptions
    detach: bool = False
    display: JobDisplay = dataclasses.field(default_factory=JobDisplay)


def start_on_flink(on: OnFlink, request: Request, archive: Archive) -> Callable[[], Archive]:
    """Starts a job that holds DIR from then on; returns a function that waits for it.

    Raises:
      UsageError, FacelogError: as `runners.flink.submit.preflight` and `runners.flink.submit.submit`.
    """
    run, attempts = request.run, request.options.max_attempts or CLUSTER_ATTEMPTS
    found = preflight(on.options)
    if found.restarts is not None:
        on.display.say(
            f"the cluster starts a job again {found.restarts} times at most, so it survives "
            f"{found.restarts // attempts} files that end their worker ({attempts} attempts each)"
        )
    if found.slots_taken:
        on.display.say(f"other jobs have {found.slots_taken} of its {found.parallelism} slots; the job waits for them")
    job = begin_job(request, archive, "flink")
    submitted = submit(lambda pipeline: archive_job(pipeline, job), f"facelog-{run.run_id}", on.options, found)
    now = datetime.now(UTC)
    held = JobLease(master=on.options.master, job_id=submitted.job_id, asked=_digest_of(request))
    lease = Lease(run_id=run.run_id, who=who(), since=now, renewed_at=now, config_hash=run.config.hash, job=held)
    write_lease(run.layout.out, lease)

    def wait() -> Archive:
        write_lease(run.layout.out, lease)  # once more: this process may have renewed its own lease in between
        return _wait(submitted, archive, on)

    return wait


def come_back(on: OnFlink, request: Request, error: HeldError) -> Callable[[], Archive]:
    """Finds the job that does what is asked for and holds DIR; returns a function that waits for it.

    Raises:
      HeldError: DIR is held by a run that does something else.
      FacelogError: the cluster does not know the job any more.
    """
    lease = error.lease
    if lease.job is None or lease.job.asked != _digest_of(request):
        raise error
    on.display.say(f"job {lease.job.job_id} does this already, begun by {lease.who}: looking on")
    run = dataclasses.replace(request.run, run_id=lease.run_id)
    archive = Archive(run, request.files, {}, retry_failed=request.options.retry_failed)
    return functools.partial(_wait, Submitted.attach(lease.job.master, lease.job.job_id), archive, on)


def _wait(submitted: Submitted, archive: Archive, on: OnFlink) -> Archive:
    """Follows a job to its end, and removes what only the job needed."""
    run = archive.run
    follow(submitted, run, read_run(run.layout.out), on)
    end_lease(run.layout.out, run.run_id)
    storage.delete_tree(run.layout.job(run.run_id).folder)
    log_rows(archive)
    return archive


def follow(submitted: Submitted, run: Run, record: RunRecord | None, on: OnFlink) -> None:
    """Follows a job until it is over.

    Args:
      submitted: the job.
      run: its configuration, layout and name.
      record: what it set out to do; None: unknown, and no progress is shown.
      on: what the client shows, and whether it leaves as soon as a host works on the job.

    Raises:
      HostError: a host is not fit; the job is cancelled.
      FacelogError: no worker pool answers (the job is cancelled), or the job failed or was cancelled.
      LeftRunningError: the client leaves, and the job goes on.
      KeyboardInterrupt: at Ctrl-C, after the job was cancelled.
    """
    folder, progress = run.layout.job(run.run_id), record and RunProgress(run.layout.out, record)
    begun: float | None = None
    measure_at, at_work = 0.0, False
    try:
        for job in submitted.states(_LOOK_EVERY):
            if job.is_over:
                _end(job, submitted)
                return
            if begun is None and job.has_slots:
                begun = time.monotonic()
            at_work = at_work or bool(hosts(folder))
            _refuse(submitted, folder, at_work, time.monotonic() - begun if begun else 0.0)
            if at_work and on.detach:
                raise LeftRunningError(_left(submitted, run), wanted=True)
            if progress and time.monotonic() >= measure_at:
                before = time.monotonic()
                on.display.show(job.state, progress.measure())
                measure_at = time.monotonic() + (time.monotonic() - before) / _MEASURING_SHARE
    except KeyboardInterrupt:
        if not on.display.cancels():
            raise LeftRunningError(_left(submitted, run), wanted=False) from None
        submitted.cancel()
        raise


def _end(job: FlinkJob, submitted: Submitted) -> None:
    if job.state == "CANCELED":
        raise FacelogError("the job was cancelled; what is done stays, and the same command goes on from there")
    if job.state != "FINISHED":
        why = submitted.what_went_wrong() or "the cluster does not say why"
        raise FacelogError(f"the job failed: {why}; what is done stays, and the same command goes on from there")


def _refuse(submitted: Submitted, folder: JobFolder, at_work: bool, seconds: float) -> None:
    """Ends a job if a host is not fit for it, or if no host begins."""
    if sentence := refusal(folder):
        submitted.cancel()
        raise HostError(sentence)
    if at_work:
        return
    wrong = submitted.what_went_wrong()
    if wrong and wrong.startswith(_HOST_ERROR):  # a host that cannot write its refusal
        submitted.cancel()
        raise HostError(wrong)
    if seconds > (_POOL_ANSWERS_WITHIN if wrong else _WORKER_BEGINS_WITHIN):
        submitted.cancel()
        raise FacelogError(
            f"no worker pool answers: start `facelog worker` on each host, beside its task manager"
            f"{f' (the cluster says: {wrong})' if wrong else ''}"
        )


def _left(submitted: Submitted, run: Run) -> str:
    return (
        f"job {submitted.job_id} goes on at {submitted.rest.master} without this client: `facelog status "
        f"{run.layout.out}` tells how far it is, and the same command comes back to it"
    )


def _digest_of(request: Request) -> str:
    options, config_hash = request.options, request.run.config.hash
    return digest(
        request.inputs,
        request.files,
        config_hash,
        retry_failed=options.retry_failed,
        keep_observations=options.keep_observations,
    )


def digest(
    inputs: Inputs, files: list[FileInfo], config_hash: str, *, retry_failed: bool, keep_observations: bool
) -> str:
    """A digest of everything that decides which rows a call writes, by which the same command is recognized.

    It is made of the options, not of the files that they match: a folder may have more files now, and an age
    (`--newer-than 36h`) matches other files every minute. Only a list on standard input is known by its files.
    """
    names = [name if name == "-" else storage.normalize(name) for name in inputs.inputs]
    which = [names, list(inputs.exclude), inputs.limit, str(inputs.newer_than), inputs.settle, retry_failed]
    asked = [*which, config_hash, keep_observations]
    if "-" in inputs.inputs:
        asked.append([file.uri for file in files])
    return hashlib.sha256(json.dumps(asked).encode()).hexdigest()[:32]
