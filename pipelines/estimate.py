"""How long a run will take and how much it will write, before it begins."""

from collections.abc import Sequence

from rich.console import Console

from pipelines.progress import clock
from schemas.video import Plan
from transforms.ledger import HAS_TABLES, Row
from transforms.match_inputs import Matched
from transforms.write_plan import first_of_copies

CPU_SECONDS_PER_MEGAPIXEL_SECOND = 0.5
"""CPU seconds for a second of video of a megapixel at the defaults, with a face or two; see docs/performance.md."""

BYTES_PER_HOUR = 3_000_000
"""Bytes of tables for an hour of video with a face or two; see docs/performance.md."""


def print_plans(
    plans: Sequence[Plan], matched: Matched, unchanged: int, ledger: Sequence[Row], workers: int, console: Console
) -> None:
    """A line for each file that would be analyzed, and the sums."""
    for plan in plans:  # no Rich table: it breaks names that are wider than the terminal
        length = clock(_seconds(plan)) if plan.segments else plan.status
        line = f"{length:>9} {_size(plan.file.size_bytes or 0):>9}  {plan.file.uri}"
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    work = first_of_copies(plan for plan in plans if plan.segments)
    seconds = sum(_seconds(plan) for plan in work)
    total = sum(plan.file.size_bytes or 0 for plan in plans)
    wall, basis = _wall_seconds(work, ledger, workers)
    tables = _size(int(seconds / 3600 * BYTES_PER_HOUR))
    console.print(
        f"{len(plans)} files, {_size(total)}, {seconds / 3600:.2f} hours of video; {unchanged} more are done already, "
        f"{sum(matched.passed_over.values())} passed over.\n"
        f"About {clock(wall)} with {workers} workers ({basis}) and {tables} of tables.",
        highlight=False,
        soft_wrap=True,
    )


def _seconds(plan: Plan) -> float:
    return sum(segment.duration for segment in plan.segments)


def _wall_seconds(plans: Sequence[Plan], ledger: Sequence[Row], workers: int) -> tuple[float, str]:
    done = [row for row in ledger if row["status"] in HAS_TABLES and row["wall_seconds"] and row["duration"]]
    seconds = sum(_seconds(plan) for plan in plans)
    if len(done) >= 5:
        rate = sum(row["wall_seconds"] for row in done) / sum(row["duration"] for row in done)
        return seconds * rate / workers, f"as for the {len(done)} videos done here"
    megapixels = sum(
        _seconds(plan) * plan.info.width * plan.info.height / 1e6 for plan in plans if plan.info is not None
    )
    return megapixels * CPU_SECONDS_PER_MEGAPIXEL_SECOND / workers, "a rough guess from their sizes"


def _size(n_bytes: int) -> str:
    size = float(n_bytes)
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"
