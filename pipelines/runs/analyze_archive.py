"""`analyze`: an archive of videos → the four tables, on the runner that was asked for."""

import contextlib
import functools
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence

from rich.console import Console

from models.runtime import Device
from pipelines.analyze import archive_job
from pipelines.inputs import Inputs
from pipelines.results.holding import hold
from pipelines.results.run_progress import begin_record
from pipelines.runs.bookkeeping import Archive, Summary
from pipelines.runs.display import LogProgress, show_progress
from pipelines.runs.on_flink import OnFlink, analyze_on_flink
from pipelines.runs.on_workers import run_on_workers
from pipelines.settings import make_config
from runners.devices import worker_count
from runners.direct import run_direct
from runners.options import parse_runner
from schemas import storage
from schemas.config import Config
from schemas.errors import FacelogError, UsageError
from schemas.run import Run, end_run
from transforms.job.files import write_job
from transforms.ledger import read_ledger

_LOG = logging.getLogger(__name__)
_LITTLE_DISK = 1_000_000_000


def analyze(
    inputs: Inputs | Sequence[str] | str,
    out: str,
    *,
    config: Config | None = None,
    runner: str = "local",
    workers: int | None = None,
    max_attempts: int | None = None,
    retry_failed: bool = False,
    keep_observations: bool = False,
    device: Device = "auto",
    console: Console | None = None,
    worker_init: Callable[[], object] | None = None,
    storage_options: Mapping[str, str] | None = None,
    flink: OnFlink | None = None,
) -> Summary:
    """Analyze an archive of videos into the four tables under `out`.

    What is done already is not done again: same file, same configuration. Bad files get a row and do not end the run.

    Args:
      inputs: files, folders, globs or URLs, with or without filters.
      out: folder of the tables, on disk or on an object store.
      config: what to look for and how; default: `make_config()`.
      runner: `local` (worker processes), `direct` (Beam's in-process runner) or `flink`.
      workers: processes of the local runner; default: one for each core.
      max_attempts: times that a segment may end its worker before its video is `failed`; default: 3, on Flink 6, since
        there a host that is lost counts, too.
      retry_failed: try `failed` files again.
      keep_observations: keep every sample, under `out/observations`.
      device: where the models run: auto, cpu or gpu.
      console: where a live display goes; None: none.
      worker_init: called in each worker process before it begins.
      storage_options: of object stores, for `schemas.storage.configure`, here and in the workers.
      flink: which cluster, and who looks on; for runner `flink`.

    Returns:
      How it ended; `Summary.exit_status` is what the command would exit with.

    Raises:
      UsageError: the call is wrong.
      FacelogError: the run itself failed; what was done stays and the same call goes on.
    """
    runner = parse_runner(runner)
    storage_options = storage_options or {}
    storage.configure(storage_options)
    inputs = Inputs.of(inputs)
    started = time.monotonic()
    config = config or make_config()
    out = storage.normalize(out)
    run = Run.new(out, config)
    known = read_ledger(out)
    matched = inputs.match(out, list(known))
    for warning in matched.warnings:
        _LOG.warning("%s", warning)
    _say_if_disk_is_short(out)
    if runner == "flink":
        if flink is None:
            raise UsageError("The runner flink has to be told which cluster (--flink-master HOST:8081).")
        summary = analyze_on_flink(
            inputs,
            matched,
            run,
            flink,
            max_attempts=max_attempts or 6,
            retry_failed=retry_failed,
            keep_observations=keep_observations,
            storage_options=storage_options,
        )
    else:
        with hold(out):
            archive = Archive(run, matched.files, dict(matched.missing), retry_failed=retry_failed)
            if archive.todo:
                begin_record(run, runner, archive.todo)
                if runner == "direct":
                    with _plain_errors():
                        _run_direct(archive, device, keep_observations)
                else:
                    with show_progress(archive, console) as progress:
                        run_on_workers(
                            archive,
                            workers=worker_count(workers, device),
                            max_attempts=max_attempts or 3,
                            device=device,
                            keep_observations=keep_observations,
                            progress=progress,
                            worker_init=functools.partial(_init_worker, storage_options, worker_init),
                        )
                end_run(run.run_id, out)
            summary = archive.close()
    summary.passed_over = {str(reason): count for reason, count in matched.passed_over.items()}
    summary.wall_seconds = time.monotonic() - started
    return summary


def _init_worker(storage_options: Mapping[str, str], more: Callable[[], object] | None) -> None:
    storage.configure(storage_options, patient=True)
    if more is not None:
        more()


def _run_direct(archive: Archive, device: Device, keep_observations: bool) -> None:
    job = write_job(archive.run, archive.todo, archive.earlier, keep_observations=keep_observations)
    run_direct(lambda pipeline: archive_job(pipeline, job, device))
    for row in archive.read_rows():
        LogProgress().video_done(row)


@contextlib.contextmanager
def _plain_errors() -> Iterator[None]:
    """Our exceptions as they were raised: Beam raises a copy whose text says where in the pipeline that was."""
    try:
        yield
    except FacelogError as error:
        cause: BaseException | None = error
        while isinstance(cause, FacelogError) and "[while running" in str(cause):
            cause = cause.__cause__ or cause.__context__
        raise cause if isinstance(cause, FacelogError) else error from None


def _say_if_disk_is_short(out: str) -> None:
    free = storage.free_bytes(out)
    if free is not None and free < _LITTLE_DISK:
        _LOG.warning("Only %.1f GB are free at %s; an hour of video takes up to about 10 MB.", free / 1e9, out)
