"""analyze as one Beam job: what all Beam runners share, and Beam's in-process runner, `direct`."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from pipelines.analyze import archive_job
from pipelines.results.run_progress import begin_record
from pipelines.runs.bookkeeping import Archive
from pipelines.runs.display import LogProgress
from pipelines.runs.request import CLUSTER_ATTEMPTS, Request
from runners.direct import run_direct
from schemas import storage
from schemas.errors import FacelogError, HostError
from schemas.tables import code_version
from transforms.job.check_host import HostCheck, refusal
from transforms.job.files import Job, write_job


def begin_job(request: Request, archive: Archive, runner: str) -> Job:
    """Writes what a job on other machines reads, and the record of the run.

    The job checks each worker's host and counts its attempts.

    Args:
      request: what the run is asked for.
      archive: with files to analyze.
      runner: its name, for the record.
    """
    run, options = request.run, request.options
    storage.delete_tree(run.layout.jobs)  # of runs that were killed or left alone
    folder = run.layout.job(run.run_id)
    job = write_job(
        run,
        archive.todo,
        archive.earlier,
        keep_observations=options.keep_observations,
        max_attempts=options.max_attempts or CLUSTER_ATTEMPTS,
        host_check=HostCheck(folder, code_version(), run.config, archive.todo[0], dict(options.storage_options)),
    )
    begin_record(run, runner, archive.todo)
    return job


def run_as_job(run_job: Callable[[Job], object], runner: str) -> Callable[[Request, Archive], None]:
    """A function for `run_archive` that hands the archive to a Beam runner as one job and waits for its end.

    Args:
      run_job: builds a pipeline with `pipelines.analyze.archive_job`, runs it, and returns when it has ended.
      runner: name of the runner, for the record of the run.
    """

    def do(request: Request, archive: Archive) -> None:
        job = begin_job(request, archive, runner)
        try:
            run_job(job)
        except Exception as error:  # Beam's runners raise exceptions of all types
            if sentence := refusal(job.folder):
                raise HostError(sentence) from error
            raise
        log_rows(archive)

    return do


def run_in_process(request: Request, archive: Archive) -> None:
    """Analyzes an archive as one job in this process, without workers, retries and time limits."""
    run, options = request.run, request.options
    job = write_job(run, archive.todo, archive.earlier, keep_observations=options.keep_observations)
    begin_record(run, "direct", archive.todo)
    with _original_errors():
        run_direct(lambda pipeline: archive_job(pipeline, job, options.device))
    log_rows(archive)


def log_rows(archive: Archive) -> None:
    """Reads the rows that a job has written, and logs each."""
    for row in archive.read_rows():
        LogProgress().video_done(row)


@contextlib.contextmanager
def _original_errors() -> Iterator[None]:
    """Raises our exceptions as they were raised first: Beam raises a copy with the step's name in its text."""
    try:
        yield
    except FacelogError as error:
        cause: BaseException | None = error
        while isinstance(cause, FacelogError) and "[while running" in str(cause):
            cause = cause.__cause__ or cause.__context__
        raise cause if isinstance(cause, FacelogError) else error from None
