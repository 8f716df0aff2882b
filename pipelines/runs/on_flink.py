"""analyze on a Flink cluster: one job that needs nobody, and a client that starts it, looks on, or comes back to it."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from pipelines.analyze import archive_job
from pipelines.inputs import Inputs
from pipelines.results.holding import hold
from pipelines.results.run_progress import Survey, Surveyor, begin_record
from pipelines.runs.bookkeeping import Archive, Summary
from pipelines.runs.display import LogProgress
from runners.flink.rest import Job as ClusterJob
from runners.flink.submit import FlinkOptions, Submitted, preflight, submit
from runners.lease import HeldError, JobLease, Lease, end_lease, write_lease
from runners.lock import who
from schemas import storage
from schemas.errors import FacelogError, HostError, LeftRunningError
from schemas.layout import JobFolder
from schemas.run import Run, RunRecord, read_run
from schemas.storage import FileInfo
from schemas.tables import code_version
from transforms.job.check_host import HostCheck, hosts, refusal
from transforms.job.files import write_job
from transforms.match_inputs import Matched

_LOOK_EVERY = 2.0
_SURVEY_SHARE = 0.1
"""Of its time, at most, that the client spends on looking how far the job is."""
_POOL_ANSWERS_WITHIN = 60.0
_WORKER_BEGINS_WITHIN = 300.0
"""As long as the cluster has nothing to complain of: on a busy host it takes minutes."""
_HOST_ERROR = "host "


@dataclasses.dataclass(frozen=True)
class Onlooker:
    """What a client shows and asks; the default does neither.

    Attributes:
      say: called with a sentence now and then.
      show: called with what the cluster calls the job's state, and how far it is.
      cancels: asked at Ctrl-C whether to cancel the job (True) or to leave it running (False).
    """

    say: Callable[[str], None] = lambda sentence: None
    show: Callable[[str, Survey], None] = lambda state, survey: None
    cancels: Callable[[], bool] = lambda: False


@dataclasses.dataclass(frozen=True)
class OnFlink:
    """How a run on Flink is to go.

    Attributes:
      options: which cluster, and how much of it.
      detach: leave the job alone as soon as a host is at work on it.
      onlooker: who is told, and asked.
    """

    options: FlinkOptions
    detach: bool = False
    onlooker: Onlooker = dataclasses.field(default_factory=Onlooker)


def analyze_on_flink(
    inputs: Inputs,
    matched: Matched,
    run: Run,
    on: OnFlink,
    *,
    max_attempts: int,
    retry_failed: bool,
    keep_observations: bool,
    storage_options: Mapping[str, str],
) -> Summary:
    """As `pipelines.analyze.analyze`, of files that were matched.

    Raises:
      UsageError, FacelogError: as `runners.flink.submit.preflight`, `runners.flink.submit.submit` and `follow`.
      HeldError: DIR is held by another run, and not by a job that does what is asked for.
    """
    record: RunRecord | None
    asked = digest(
        inputs, matched.files, run.config.hash, retry_failed=retry_failed, keep_observations=keep_observations
    )
    try:
        with hold(run.layout.out):
            archive = Archive(run, matched.files, dict(matched.missing), retry_failed=retry_failed)
            if not archive.todo:
                return archive.close()
            storage.delete_tree(run.layout.jobs)  # of jobs that were left alone
            submitted, record, lease = start(archive, on, asked, max_attempts, keep_observations, storage_options)
        write_lease(run.layout.out, lease)  # once more: this process may just have renewed its own
    except HeldError as error:
        lease = error.lease
        if lease.job is None or lease.job.asked != asked:
            raise
        on.onlooker.say(f"job {lease.job.job_id} does this already, begun by {lease.who}: looking on")
        run = dataclasses.replace(run, run_id=lease.run_id)
        archive = Archive(run, matched.files, {}, retry_failed=retry_failed)
        submitted, record = Submitted.attach(lease.job.master, lease.job.job_id), read_run(run.layout.out)
    follow(submitted, run, record, on)
    end_lease(run.layout.out, run.run_id)
    storage.delete_tree(run.layout.job(run.run_id).folder)
    for row in archive.read_rows():
        LogProgress().video_done(row)
    return archive.summarize()


def start(
    archive: Archive,
    on: OnFlink,
    asked: str,
    max_attempts: int,
    keep_observations: bool,
    storage_options: Mapping[str, str],
) -> tuple[Submitted, RunRecord, Lease]:
    """Starts the job, which from then on holds DIR; as yet this process does.

    Raises:
      UsageError, FacelogError: as `runners.flink.submit.preflight` and `runners.flink.submit.submit`.
    """
    run = archive.run
    found = preflight(on.options)
    if found.restarts is not None:
        on.onlooker.say(
            f"the cluster starts a job again {found.restarts} times at most, so it survives "
            f"{found.restarts // max_attempts} files that end their worker ({max_attempts} attempts each)"
        )
    if found.slots_taken:
        on.onlooker.say(f"other jobs have {found.slots_taken} of its {found.parallelism} slots; the job waits for them")
    folder = run.layout.job(run.run_id)
    job = write_job(
        run,
        archive.todo,
        archive.earlier,
        keep_observations=keep_observations,
        max_attempts=max_attempts,
        host_check=HostCheck(folder, code_version(), run.config, archive.todo[0], dict(storage_options)),
    )
    record = begin_record(run, "flink", archive.todo)
    submitted = submit(lambda pipeline: archive_job(pipeline, job), f"facelog-{run.run_id}", on.options, found)
    now = datetime.now(UTC)
    held = JobLease(master=on.options.master, job_id=submitted.job_id, asked=asked)
    lease = Lease(run_id=run.run_id, who=who(), since=now, renewed_at=now, config_hash=run.config.hash, job=held)
    write_lease(run.layout.out, lease)
    return submitted, record, lease


def follow(submitted: Submitted, run: Run, record: RunRecord | None, on: OnFlink) -> None:
    """Looks on until the job is over.

    Args:
      submitted: the job.
      run: its configuration, layout and name.
      record: what it set out to do, as far as that is known.
      on: who is told, and whether to go as soon as a host is at work.

    Raises:
      HostError: a host is not fit; the job is cancelled.
      FacelogError: no worker pool answers (the job is cancelled), or the job failed or was cancelled.
      LeftRunningError: the client is to go.
      KeyboardInterrupt: at Ctrl-C, once the job is cancelled.
    """
    folder, surveyor = run.layout.job(run.run_id), record and Surveyor(run.layout.out, record)
    begun: float | None = None
    next_survey, at_work = 0.0, False
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
            if surveyor and time.monotonic() >= next_survey:
                before = time.monotonic()
                on.onlooker.show(job.state, surveyor.look())
                next_survey = time.monotonic() + (time.monotonic() - before) / _SURVEY_SHARE
    except KeyboardInterrupt:
        if not on.onlooker.cancels():
            raise LeftRunningError(_left(submitted, run), wanted=False) from None
        submitted.cancel()
        raise


def _end(job: ClusterJob, submitted: Submitted) -> None:
    if job.state == "CANCELED":
        raise FacelogError("the job was cancelled; what is done stays, and the same command goes on from there")
    if job.state != "FINISHED":
        why = submitted.what_went_wrong() or "the cluster does not say why"
        raise FacelogError(f"the job failed: {why}; what is done stays, and the same command goes on from there")


def _refuse(submitted: Submitted, folder: JobFolder, at_work: bool, seconds: float) -> None:
    """Ends a job that no host can do, or that some host is not fit for."""
    if sentence := refusal(folder):
        submitted.cancel()
        raise HostError(sentence)
    if at_work:
        return
    wrong = submitted.what_went_wrong()
    if wrong and wrong.startswith(_HOST_ERROR):  # a host that cannot even write down what is wrong with it
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


def digest(
    inputs: Inputs, files: list[FileInfo], config_hash: str, *, retry_failed: bool, keep_observations: bool
) -> str:
    """What was asked for, so that the same command is known again: all that decides which rows there will be.

    Options are compared, and not the files that they choose: files of a folder may have become more since, and an age
    (`--newer-than 36h`) chooses others every minute. Of a list on standard input the files are all there is.
    """
    names = [name if name == "-" else storage.normalize(name) for name in inputs.inputs]
    which = [names, list(inputs.exclude), inputs.limit, str(inputs.newer_than), inputs.settle, retry_failed]
    asked = [*which, config_hash, keep_observations]
    if "-" in inputs.inputs:
        asked.append([file.uri for file in files])
    return hashlib.sha256(json.dumps(asked).encode()).hexdigest()[:32]
