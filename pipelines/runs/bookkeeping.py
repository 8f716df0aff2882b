"""The books of a run: which files it has to analyze, what became of each, and the summary at its end."""

import dataclasses
import logging
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

from pipelines.results.run_figures import RunFigures
from schemas import storage
from schemas.errors import Exit
from schemas.run import Run
from schemas.storage import FileInfo
from schemas.video import Plan
from transforms.copies import earlier_results, is_up_to_date, rows_that_follow, rows_without_work
from transforms.ledger import (
    HAS_TABLES,
    Row,
    close_ledger,
    new_row,
    read_ledger,
    suffices,
    videos_with_tables,
    write_row,
)

_LOG = logging.getLogger(__name__)


@dataclasses.dataclass
class Summary:
    """How a run ended.

    Attributes:
      out: DIR.
      statuses: files by their status in `videos`, those of earlier runs included.
      new: files that got a row in this run.
      unchanged: files that were done before and did not change.
      copies: files that were not computed, since they have the content of another.
      keyframe_seconds: of each file of which only keyframes were looked at: the seconds between two of them.
      passed_over: files that were found in folders and are no input, by reason.
      video_seconds: seconds of video that were analyzed.
      face_seconds: rows of `faces` that were written.
      n_tracks: rows of `tracks` that were written.
      wall_seconds: seconds that the run took.
      bad: rows of inputs that are partial, corrupt or failed.
      other_configs: videos in DIR that were written with another configuration.
      figures: sums over the videos that this run computed, and the time that its steps took; None before its end.
    """

    out: str
    statuses: Counter[str] = dataclasses.field(default_factory=Counter)
    new: int = 0
    unchanged: int = 0
    copies: int = 0
    keyframe_seconds: list[float] = dataclasses.field(default_factory=list)
    passed_over: dict[str, int] = dataclasses.field(default_factory=dict)
    video_seconds: float = 0.0
    face_seconds: int = 0
    n_tracks: int = 0
    wall_seconds: float = 0.0
    bad: list[Row] = dataclasses.field(default_factory=list)
    other_configs: int = 0
    figures: RunFigures | None = None

    @property
    def exit_status(self) -> int:
        """0: done; 3: some files are corrupt or failed."""
        return Exit.SOME_FAILED if self.statuses["corrupt"] + self.statuses["failed"] else Exit.DONE


class Archive:
    """The rows of DIR, kept up to date during a run.

    Attributes:
      run: configuration, layout and name of the run.
      summary: of the run so far.
      todo: files that this run has to analyze, sorted by uri.
      earlier: what earlier runs left, as far as it decides what is computed.
    """

    def __init__(self, run: Run, files: Iterable[FileInfo], missing: Mapping[str, str], *, retry_failed: bool = False):
        """Reads the rows of DIR and leaves out files that are up to date.

        Args:
          run: configuration, layout and name of the run.
          files: that were matched, sorted by uri.
          missing: uris of a list that do not exist, with the reason.
          retry_failed: whether `failed` files are tried again.

        Raises:
          UsageError: DIR has another schema version.
        """
        self.run = run
        self.summary = Summary(run.layout.out)
        self._rows = read_ledger(run.layout.out)
        self._inputs = {file.uri for file in files} | set(missing)
        self._first: dict[str, Plan] = {}
        self._copies: dict[str, list[FileInfo]] = {}
        self._first_rows: dict[str, Row] = {}
        self.todo = [file for file in files if not self._is_up_to_date(file, retry_failed)]
        stored = videos_with_tables(run) if self.todo else set()
        self.earlier = earlier_results(
            self._rows.values(), run.config, asked=self._inputs, stored=stored, todo=self.todo
        )
        for uri, reason in missing.items():
            file, row = FileInfo(uri, None, None), self._rows.get(uri)
            if row and row["status"] != "failed":
                _LOG.warning("%s: its earlier results stay until `facelog prune`", reason)
            elif not self._is_up_to_date(file, retry_failed):
                for bad in rows_without_work([Plan(file, None, "failed", "not_found", reason)], None, run):
                    self._add(bad, write=True)
        self.summary.unchanged = len(self._inputs) - len(self.todo) - self.summary.new

    def _is_up_to_date(self, file: FileInfo, retry_failed: bool) -> bool:
        return is_up_to_date(self._rows.get(file.uri), file, self.run.config, retry_failed=retry_failed)

    def forget_replaced(self) -> None:
        """Removes unfinished work on files that were replaced since; call it once, before the work begins."""
        for video_id, finished in self.earlier.replaced.items():
            for info in storage.list_files(self.run.work.video(video_id)):
                if info.modified_at is None or info.modified_at <= finished:
                    storage.delete_file(info.uri)

    def take(self, plan: Plan) -> bool:
        """Takes a plan; plans have to come in the order of their uris.

        Returns:
          Whether its segments have to be computed. Bad files and copies get their rows here, or with the first copy.
        """
        video_id = plan.video_id or ""
        if rows := rows_without_work([plan], self.earlier.computed.get(video_id), self.run):
            for row in rows:
                self._add(row, write=True, copy=bool(plan.segments))
            return False
        if self._first.setdefault(video_id, plan) is plan:
            return True
        if video_id in self._first_rows:
            self._follow(self._first_rows[video_id], [plan.file], ())
        else:
            self._copies.setdefault(video_id, []).append(plan.file)
        return False

    def fail(self, plan: Plan, error_type: str, message: str) -> Row:
        """Writes the row of a file that was taken and could not be computed."""
        failed = dataclasses.replace(plan, status="failed", error_type=error_type, error_message=message)
        row = new_row(failed, self.run.as_seen(plan), started_at=datetime.now(UTC))
        write_row(row, self.run)
        return self.finish(row)

    def finish(self, row: Row) -> Row:
        """Notes the row of a file that was taken, and writes the rows that follow from it."""
        self._add(row)
        video_id = row["video_id"] or ""
        self._first_rows[video_id] = row
        self._follow(row, self._copies.pop(video_id, ()), self.earlier.other_config_copies.get(video_id, ()))
        return row

    def _follow(self, row: Row, copies: Iterable[FileInfo], other_config_copies: Iterable[FileInfo]) -> None:
        for copy in rows_that_follow(row, copies, other_config_copies, self.run):
            self._add(copy, write=True, copy=True)

    def _add(self, row: Row, *, write: bool = False, copy: bool = False) -> None:
        """Notes a row, and counts it if the run was asked for its file."""
        if write:
            write_row(row, self.run)
        self._rows[row["uri"]] = row
        if row["uri"] not in self._inputs:
            return
        self.summary.new += 1
        if copy:
            self.summary.copies += 1
        elif row["status"] in HAS_TABLES:
            self._count(row)

    def read_rows(self) -> list[Row]:
        """Reads the rows that a Beam job wrote, and returns those that are new."""
        self._rows = read_ledger(self.run.layout.out)
        new = []
        computed = set(self.earlier.computed)
        for file in self.todo:
            row = self._rows.get(file.uri)
            if row is None or row["run_id"] != self.run.run_id:
                continue
            new.append(row)
            if row["status"] not in HAS_TABLES:
                continue
            if row["video_id"] in computed:
                self.summary.copies += 1
                continue
            computed.add(row["video_id"])
            self._count(row)
        self.summary.new += len(new)
        return new

    def _count(self, row: Row) -> None:
        self.summary.video_seconds += row.get("duration") or 0.0
        self.summary.face_seconds += row.get("face_seconds") or 0
        self.summary.n_tracks += row.get("n_tracks") or 0

    def close(self) -> Summary:
        """Removes leftovers, also those of runs that were killed; returns the summary."""
        close_ledger(self.run, self._rows, changed=self.summary.new > 0)
        storage.delete_tree(self.run.layout.jobs)
        return self.summarize()

    def summarize(self) -> Summary:
        """How the run ended, according to the rows that were read or noted here."""
        rows = [self._rows[uri] for uri in sorted(self._inputs) if uri in self._rows]
        self.summary.statuses = Counter(row["status"] for row in rows)
        apart = (row.get("keyframe_seconds") for row in rows)
        self.summary.keyframe_seconds = [seconds for seconds in apart if seconds is not None]
        self.summary.bad = [row for row in rows if row["status"] in ("partial", "corrupt", "failed")]
        self.summary.figures = RunFigures.of(self._rows.values(), self.run.run_id)
        self.summary.other_configs = sum(not suffices(row, self.run.config) for row in self._rows.values())
        return self.summary
