"""`analyze`: an archive of videos → the four tables, on any runner."""

import dataclasses
import functools
import logging
import time
from collections.abc import Callable, Mapping, Sequence

from rich.console import Console

from models.runtime import Device
from pipelines.inputs import Inputs
from pipelines.results.holding import hold
from pipelines.runs.bookkeeping import Archive, Summary
from pipelines.runs.on_beam import run_in_process
from pipelines.runs.on_flink import OnFlink, come_back, start_on_flink
from pipelines.runs.on_workers import run_on_workers
from pipelines.runs.request import Request, RunOptions
from pipelines.settings import chosen_device, make_config, settled
from runners.lease import HeldError
from runners.options import parse_runner
from schemas import storage
from schemas.config import Config
from schemas.errors import UsageError
from schemas.run import Run, end_run
from transforms.ledger import read_ledger

_LOG = logging.getLogger(__name__)
_LITTLE_DISK = 1_000_000_000

Do = Callable[[Request, Archive], Callable[[], Archive] | None]
"""Analyzes `Archive.todo` while this process holds DIR.

Returns None when everything is done. A runner whose job holds DIR from now on returns a function, which is called when
this process no longer holds DIR, and which waits for the job.
"""


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
    """Analyzes an archive of videos into the four tables under `out`.

    Files that were analyzed before, and have not changed since, are not analyzed again with the same configuration. A
    bad file gets a row and does not end the run.

    Args:
      inputs: files, folders, globs or URLs, with or without filters.
      out: folder of the tables, on disk or on an object store.
      config: what to look for and how; default: `make_config()`.
      runner: `local` (worker processes), `direct` (Beam's in-process runner) or `flink`.
      workers: processes of the local runner; default: one for each core.
      max_attempts: times that a segment may end its worker before its video is `failed`; default: 3, on Flink 6, where
        an attempt that is lost with its host counts, too.
      retry_failed: try `failed` files again.
      keep_observations: keep every sample, under `out/observations`.
      device: where the models run: cpu, gpu, or auto: on a GPU if TensorFlow finds one here.
      console: where a live display goes; None: nowhere.
      worker_init: called in each worker process before it begins.
      storage_options: of object stores, for `schemas.storage.configure`, here and in the workers.
      flink: which cluster, and what the client shows; for runner `flink`.

    Returns:
      How the run ended; `Summary.exit_status` is the exit status of the command.

    Raises:
      UsageError: the call is wrong.
      FacelogError: the run itself failed; finished work stays, and the same call continues from there.
    """
    options = RunOptions(
        workers=workers,
        max_attempts=max_attempts,
        retry_failed=retry_failed,
        keep_observations=keep_observations,
        device=device,
        worker_init=worker_init,
        storage_options=storage_options or {},
    )
    name = parse_runner(runner)
    if name == "local":
        return run_archive(inputs, out, functools.partial(run_on_workers, console), config=config, options=options)
    if name == "direct":
        return run_archive(inputs, out, run_in_process, config=config, options=options)
    if flink is None:
        raise UsageError("The runner flink has to be told which cluster (--flink-master HOST:8081).")
    start = functools.partial(start_on_flink, flink)
    return run_archive(
        inputs, out, start, config=config, options=options, come_back=functools.partial(come_back, flink)
    )


def _refuse(request: Request, error: HeldError) -> Callable[[], Archive]:
    raise error


def run_archive(
    inputs: Inputs | Sequence[str] | str,
    out: str,
    do: Do,
    *,
    config: Config | None = None,
    options: RunOptions | None = None,
    come_back: Callable[[Request, HeldError], Callable[[], Archive]] = _refuse,
) -> Summary:
    """`analyze` with a function in place of a runner's name.

    Args:
      inputs: see `analyze`.
      out: see `analyze`.
      do: analyzes the files.
      config: see `analyze`.
      options: how the run goes.
      come_back: called if another run holds DIR; returns a function that waits for that run, or raises the error.

    Returns:
      How the run ended.

    Raises:
      UsageError, FacelogError: as `analyze`.
    """
    started = time.monotonic()
    options = options or RunOptions()
    storage.configure(options.storage_options)
    options = dataclasses.replace(options, device=chosen_device(options.device))
    config = settled(config or make_config(), options.device)
    request = _match(Inputs.of(inputs), Run.new(storage.normalize(out), config), options)
    run, matched = request.run, request.matched
    wait: Callable[[], Archive] | None = None
    try:
        with hold(run.layout.out):
            archive = Archive(run, matched.files, matched.missing, retry_failed=options.retry_failed)
            if archive.todo:
                archive.forget_replaced()
                wait = do(request, archive)
            if wait is None:
                end_run(run.run_id, run.layout.out)
                summary = archive.close()
    except HeldError as error:
        wait = come_back(request, error)
    if wait is not None:
        summary = wait().summarize()
    summary.passed_over = {str(reason): count for reason, count in matched.passed_over.items()}
    summary.wall_seconds = time.monotonic() - started
    return summary


def _match(inputs: Inputs, run: Run, options: RunOptions) -> Request:
    """The files that the inputs name now; warns of folders that cannot be read, and of a full disk."""
    out = run.layout.out
    matched = inputs.match(out, list(read_ledger(out)))
    for warning in matched.warnings:
        _LOG.warning("%s", warning)
    free = storage.free_bytes(out)
    if free is not None and free < _LITTLE_DISK:
        _LOG.warning("Only %.1f GB are free at %s; an hour of video takes up to about 10 MB.", free / 1e9, out)
    return Request(inputs, matched, run, options)
