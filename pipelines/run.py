"""The function behind `facelog analyze`: match inputs, hold DIR, run, sum up."""

import contextlib
import dataclasses
import logging
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import TextIO

from rich.console import Console

from models.runtime import Device
from pipelines.archive import Archive, Summary
from pipelines.progress import LiveProgress, LogProgress, Progress
from pipelines.settings import make_config
from runners.lock import hold
from runners.options import parse_runner
from schemas import storage
from schemas.config import Config
from schemas.errors import FacelogError
from schemas.layout import Layout
from schemas.video import Plan
from transforms.ledger import Run, read_ledger
from transforms.match_inputs import Matched, match_inputs

_LOG = logging.getLogger(__name__)
_LITTLE_DISK = 1_000_000_000


@dataclasses.dataclass(frozen=True)
class Inputs:
    """Which files a run looks at; see `transforms.match_inputs`.

    Attributes:
      inputs: files, folders, globs, URLs, or `-`.
      exclude: patterns of names or paths to leave out.
      limit: files at most.
      newer_than: only files modified after this.
      settle: seconds for which a file found in a folder must not have been modified.
      stdin: where `-` is read from.
    """

    inputs: Sequence[str]
    exclude: Sequence[str] = ()
    limit: int | None = None
    newer_than: datetime | None = None
    settle: float = 0.0
    stdin: TextIO | None = None

    def match(self, out: str, known: Sequence[str] = ()) -> Matched:
        """The files, as they are now."""
        return match_inputs(
            self.inputs,
            out=out,
            exclude=self.exclude,
            newer_than=self.newer_than,
            settle=self.settle,
            limit=self.limit,
            stdin=self.stdin,
            now=datetime.now(UTC),
            known=known,
        )


def analyze(
    inputs: Inputs | Sequence[str] | str,
    out: str,
    *,
    config: Config | None = None,
    runner: str = "local",
    workers: int | None = None,
    max_attempts: int = 3,
    retry_failed: bool = False,
    keep_observations: bool = False,
    device: Device = "auto",
    console: Console | None = None,
    worker_init: Callable[[], object] | None = None,
) -> Summary:
    """Analyze an archive of videos into the four tables under `out`.

    What is done already is not done again: same file, same configuration. Bad files get a row and do not end the run.

    Args:
      inputs: files, folders, globs or URLs, with or without filters.
      out: folder of the tables, on disk or on an object store.
      config: what to look for and how; default: `make_config()`.
      runner: `local` (worker processes) or `direct` (Beam's in-process runner).
      workers: processes of the local runner; default: one for each core.
      max_attempts: times that a segment may end its worker before its video is `failed`.
      retry_failed: try `failed` files again.
      keep_observations: keep every sample, under `out/observations`.
      device: where the models run: auto, cpu or gpu.
      console: where a live display goes; None: none.
      worker_init: called in each worker process before it begins.

    Returns:
      How it ended; `Summary.exit_status` is what the command would exit with.

    Raises:
      UsageError: the call is wrong.
      FacelogError: the run itself failed; what was done stays and the same call goes on.
    """
    runner = parse_runner(runner)
    if isinstance(inputs, str):
        inputs = [inputs]
    if not isinstance(inputs, Inputs):
        inputs = Inputs(inputs)
    started = time.monotonic()
    config = config or make_config()
    out = storage.normalize(out)
    layout = Layout(out, config.hash)
    run = Run(f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{uuid.uuid4().hex[:8]}", config, layout)
    known = read_ledger(out)
    matched = inputs.match(out, list(known))
    for warning in matched.warnings:
        _LOG.warning("%s", warning)
    _say_if_disk_is_short(out)
    with hold(out):
        archive = Archive(run, matched.files, dict(matched.missing), retry_failed=retry_failed)
        if archive.todo:
            with _progress(archive, console) as progress:
                if runner == "direct":
                    with _plain_errors():
                        _run_direct(archive, device, keep_observations, progress)
                else:
                    from pipelines.local import run_on_workers
                    from runners.devices import worker_count

                    run_on_workers(
                        archive,
                        workers=worker_count(workers, device),
                        max_attempts=max_attempts,
                        device=device,
                        keep_observations=keep_observations,
                        progress=progress,
                        worker_init=worker_init,
                    )
        summary = archive.close()
    summary.passed_over = {str(reason): count for reason, count in matched.passed_over.items()}
    summary.wall_seconds = time.monotonic() - started
    return summary


def _run_direct(archive: Archive, device: Device, keep_observations: bool, progress: Progress) -> None:
    from pipelines.stages import analyze_pipeline, assemble_pipeline
    from runners.direct import run_direct
    from transforms.write_plan import read_plans

    run = archive.run
    run_direct(lambda pipeline: analyze_pipeline(pipeline, archive.todo, run, device, archive.computed))
    plans = []
    for plan in read_plans(archive.todo, run.layout):
        needs_work = archive.take(plan)
        progress.probed(plan, needs_work)
        plans += [plan] if needs_work else []
    run_direct(lambda pipeline: assemble_pipeline(pipeline, plans, run, keep_observations))
    rows = read_ledger(run.layout.out)
    for plan in plans:
        progress.video_done(archive.finish(rows[plan.file.uri]))


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


@contextlib.contextmanager
def _progress(archive: Archive, console: Console | None) -> Iterator[Progress]:
    if console is None or not console.is_terminal:
        yield LogProgress()
    else:
        with LiveProgress(archive, console) as live:
            yield live


def _say_if_disk_is_short(out: str) -> None:
    free = storage.free_bytes(out)
    if free is not None and free < _LITTLE_DISK:
        _LOG.warning("Only %.1f GB are free at %s; an hour of video takes up to about 10 MB.", free / 1e9, out)


def plan_run(
    inputs: Inputs | Sequence[str],
    out: str,
    *,
    config: Config | None = None,
    workers: int | None = None,
    retry_failed: bool = False,
    console: Console | None = None,
) -> list[Plan]:
    """What `analyze` would do: opens each new file, writes nothing.

    Args:
      inputs: as for `analyze`.
      out: likewise.
      config: likewise.
      workers: likewise.
      retry_failed: likewise.
      console: where the list goes, with hours, bytes, and an estimate of time and space; None: nowhere.

    Returns:
      The plans of the files that are not done yet.
    """
    from pipelines.estimate import print_plans
    from runners.devices import worker_count
    from transforms.probe_video import probe_video

    inputs = inputs if isinstance(inputs, Inputs) else Inputs(inputs)
    config = config or make_config()
    out = storage.normalize(out)
    ledger = read_ledger(out)
    matched = inputs.match(out, list(ledger))
    archive = Archive(Run("dry-run", config, Layout(out, config.hash)), matched.files, {}, retry_failed=retry_failed)
    plans = [probe_video(file, config) for file in archive.todo]
    if console is not None:
        print_plans(
            plans, matched, archive.summary.unchanged, list(ledger.values()), worker_count(workers, "cpu"), console
        )
    return plans
