"""The progress of the run in DIR, or how the last run ended, from files alone: so any machine can ask."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from pipelines.results.holding import holder
from pipelines.results.run_figures import RunFigures
from pipelines.results.run_progress import Measurement, RunProgress
from schemas import storage
from schemas.errors import UsageError
from schemas.run import RunRecord, read_run
from transforms.ledger import Row, read_ledger


@dataclasses.dataclass(frozen=True)
class Status:
    """What the files in DIR say about its runs.

    Attributes:
      out: DIR.
      state: "running", "finished", "stopped" (not finished, and nobody holds DIR) or "none" (no record).
      holder: who holds DIR, in words; None if nobody does.
      record: what the run set out to do; None if there is no record.
      progress: of a run that is running or stopped, and is not `facelog live`; otherwise None.
      figures: what the run has done so far, and what its steps cost; None if there is no record.
      statuses: number of videos by status, of all runs.
      by_keyframes: number of videos of which only keyframes were looked at.
      failed: uri and reason of each video that is corrupt or failed.
    """

    out: str
    state: str
    holder: str | None
    record: RunRecord | None
    progress: Measurement | None
    figures: RunFigures | None
    statuses: Counter[str]
    by_keyframes: int
    failed: list[tuple[str, str]]

    @property
    def elapsed(self) -> float | None:
        """Seconds that the run has taken so far, or took; None if it was stopped."""
        if self.record is None or self.state == "stopped":
            return None
        return ((self.record.finished_at or datetime.now(UTC)) - self.record.started_at).total_seconds()

    @property
    def seconds_left(self) -> float | None:
        """Seconds until the end at the pace so far; None if that cannot be told."""
        if self.state != "running" or self.progress is None or self.elapsed is None:
            return None
        return self.progress.seconds_left(self.elapsed)

    def as_json(self) -> dict[str, Any]:
        """The status as a JSON document."""
        progress = dataclasses.asdict(self.progress) if self.progress else None
        return {
            "out": self.out,
            "state": self.state,
            "holder": self.holder,
            "run": self.record.model_dump(mode="json") if self.record else None,
            "progress": progress,
            "figures": self.figures.as_json() if self.figures else None,
            "seconds_elapsed": self.elapsed,
            "seconds_left": self.seconds_left,
            "videos": dict(self.statuses),
            "by_keyframes": self.by_keyframes,
            "failed": [{"uri": uri, "reason": reason} for uri, reason in self.failed],
        }


def status(
    out: str,
    *,
    rows: Mapping[str, Row] | None = None,
    progress_of: Callable[[str, RunRecord], RunProgress] = RunProgress,
) -> Status:
    """The status of the run in DIR.

    Args:
      out: DIR, on disk or on an object store.
      rows: of its ledger, by uri; None: they are read.
      progress_of: gives what measures a run; whoever asks again and again keeps it, since it reads each plan once.

    Raises:
      UsageError: there are no results in it, or of another schema version.
      StorageError: it cannot be read.
    """
    out = storage.normalize(out)
    record, rows = read_run(out), read_ledger(out) if rows is None else rows
    if record is None and not rows:
        raise UsageError(f"{out} holds no results of facelog, and no run has begun there.")
    held = holder(out)
    state = "none" if record is None else "finished" if record.finished_at else "running" if held else "stopped"
    progress = progress_of(out, record).measure() if record and state in ("running", "stopped") else None
    bad = [row for row in rows.values() if row["status"] in ("corrupt", "failed")]
    return Status(
        out=out,
        state=state,
        holder=held,
        record=record,
        progress=progress,
        figures=RunFigures.of(rows.values(), record.run_id) if record else None,
        statuses=Counter(row["status"] for row in rows.values()),
        by_keyframes=sum(row["keyframe_seconds"] is not None for row in rows.values()),
        failed=sorted((row["uri"], row["error_message"] or row["error_type"] or "") for row in bad),
    )
