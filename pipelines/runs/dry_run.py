"""What a run would do: its files, and an estimate of its time and of the space for its tables."""

from collections.abc import Sequence

from rich.console import Console

from models.runtime import Device
from pipelines.inputs import Inputs
from pipelines.runs.bookkeeping import Archive
from pipelines.settings import chosen_device, make_config, settled
from pipelines.words import clock, size
from runners.devices import worker_count
from schemas import storage
from schemas.config import Config
from schemas.layout import Layout
from schemas.run import Run
from schemas.video import Plan
from transforms.copies import group_by_content
from transforms.ledger import HAS_TABLES, Row, read_ledger
from transforms.match_inputs import Matched
from transforms.probe_video import probe_video

CPU_SECONDS_PER_MEGAPIXEL_SECOND = 0.5
"""CPU seconds for a second of video of a megapixel at the defaults, with a face or two; see docs/performance.md."""

SCAN_SHARE = 0.08
"""Share of that for a scan of keyframes; see docs/performance.md."""

BYTES_PER_HOUR = 3_000_000
"""Bytes of tables for an hour of video with a face or two; see docs/performance.md."""


def plan_run(
    inputs: Inputs | Sequence[str],
    out: str,
    *,
    config: Config | None = None,
    device: Device = "auto",
    workers: int | None = None,
    retry_failed: bool = False,
    console: Console | None = None,
) -> list[Plan]:
    """Finds out what `analyze` would do; opens each new file and writes nothing.

    Args:
      inputs: as for `analyze`.
      out: as for `analyze`.
      config: as for `analyze`.
      device: as for `analyze`.
      workers: as for `analyze`.
      retry_failed: as for `analyze`.
      console: where the list of files goes, with an estimate of time and space; None: nowhere.

    Returns:
      The plans of the files that are not done yet.
    """
    inputs = Inputs.of(inputs)
    config = settled(config or make_config(), chosen_device(device))
    out = storage.normalize(out)
    ledger = read_ledger(out)
    matched = inputs.match(out, list(ledger))
    archive = Archive(Run("dry-run", config, Layout(out)), matched.files, {}, retry_failed=retry_failed)
    plans = [probe_video(file, config) for file in archive.todo]
    if console is not None:
        print_plans(plans, matched, archive, list(ledger.values()), worker_count(workers, "cpu"), console)
    return plans


def print_plans(
    plans: Sequence[Plan], matched: Matched, archive: Archive, ledger: Sequence[Row], workers: int, console: Console
) -> None:
    """Prints a line for each file that would be analyzed, then the totals and the estimate.

    Args:
      plans: of the files.
      matched: what the inputs match.
      archive: with what earlier runs left; contents that they have computed take no time.
      ledger: rows of DIR, whose wall time is the best estimate.
      workers: processes.
      console: where it goes.
    """
    for plan in plans:  # no Rich table: it breaks names that are wider than the terminal
        length = clock(_seconds(plan)) if plan.segments else plan.status
        line = f"{length:>9} {size(plan.file.size_bytes or 0):>9}  {plan.file.uri}"
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    contents = group_by_content(plans)
    to_compute = [content.first for content in contents if content.video_id not in archive.earlier.computed]
    seconds = sum(_seconds(plan) for plan in to_compute)
    total = sum(plan.file.size_bytes or 0 for plan in plans)
    wall, basis = _estimate_seconds(to_compute, ledger, workers)
    tables = size(int(seconds / 3600 * BYTES_PER_HOUR))
    unchanged = archive.summary.unchanged
    console.print(
        f"{len(plans)} files, {size(total)}, {seconds / 3600:.2f} hours of video; {unchanged} more are done already, "
        f"{sum(matched.passed_over.values())} passed over.\n"
        f"About {clock(wall)} with {workers} workers ({basis}) and {tables} of tables.",
        highlight=False,
        soft_wrap=True,
    )


def _seconds(plan: Plan) -> float:
    return sum(segment.duration for segment in plan.segments)


def _estimate_seconds(plans: Sequence[Plan], ledger: Sequence[Row], workers: int) -> tuple[float, str]:
    """Seconds that a run will take, and where the estimate comes from."""
    is_scan = any(plan.is_scan for plan in plans)
    alike = (row for row in ledger if (row["keyframe_seconds"] is not None) == is_scan)
    done = [row for row in alike if row["status"] in HAS_TABLES and row["wall_seconds"] and row["duration"]]
    seconds = sum(_seconds(plan) for plan in plans)
    if len(done) >= 5:
        rate = sum(row["wall_seconds"] for row in done) / sum(row["duration"] for row in done)
        return seconds * rate / workers, f"as for the {len(done)} videos done here"
    megapixels = sum(
        _seconds(plan) * plan.info.width * plan.info.height / 1e6 for plan in plans if plan.info is not None
    )
    share = SCAN_SHARE if is_scan else 1.0
    return megapixels * share * CPU_SECONDS_PER_MEGAPIXEL_SECOND / workers, "a rough guess from their sizes"
