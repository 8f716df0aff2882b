"""What a run knows of its archive: what was done before, what copies what, what became of each file."""

import dataclasses
import logging
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from schemas import storage
from schemas.run import Run
from schemas.storage import FileInfo
from schemas.video import Plan
from transforms.job.contents import Known
from transforms.ledger import (
    HAS_TABLES,
    Row,
    close_ledger,
    copied_row,
    new_row,
    read_ledger,
    videos_with_tables,
    write_row,
)

_LOG = logging.getLogger(__name__)

EXIT_DONE, EXIT_FAILED_RUN, EXIT_USAGE, EXIT_SOME_FAILED, EXIT_STOPPED = 0, 1, 2, 3, 130

_OF_THE_MOMENT = ("storage_error", "changed_while_read")
"""Why a file `failed` that the next run tries again: nothing is wrong with it, nor with what it is a copy of."""


@dataclasses.dataclass
class Summary:
    """How a run ended.

    Attributes:
      out: DIR.
      statuses: files by their status in `videos`, those of earlier runs included.
      new: files that this run wrote a row for.
      unchanged: files that were done before and passed over.
      copies: files that have the content of another and were not computed.
      passed_over: files of folders that are no input, by reason.
      video_seconds: seconds of video that were analyzed.
      face_seconds: rows of `faces` that were written.
      n_tracks: rows of `tracks` that were written.
      wall_seconds: that the run took.
      bad: rows of the inputs that are partial, corrupt or failed.
      other_configs: videos in DIR that were written with another configuration.
    """

    out: str
    statuses: Counter[str] = dataclasses.field(default_factory=Counter)
    new: int = 0
    unchanged: int = 0
    copies: int = 0
    passed_over: dict[str, int] = dataclasses.field(default_factory=dict)
    video_seconds: float = 0.0
    face_seconds: int = 0
    n_tracks: int = 0
    wall_seconds: float = 0.0
    bad: list[Row] = dataclasses.field(default_factory=list)
    other_configs: int = 0

    @property
    def exit_status(self) -> int:
        """0 done, 3 some files are corrupt or failed."""
        return EXIT_SOME_FAILED if self.statuses["corrupt"] + self.statuses["failed"] else EXIT_DONE


class Archive:
    """The ledger of DIR, kept up to date while a run goes on.

    Attributes:
      run: configuration, layout and name of the run.
      summary: of the run so far.
      todo: files that this run has to look at, sorted by uri.
      computed: by video_id, a row of an earlier run with this configuration whose tables are in place.
    """

    def __init__(self, run: Run, files: Iterable[FileInfo], missing: dict[str, str], *, retry_failed: bool = False):
        """Reads the ledger and passes over what is done.

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
        self._finished: set[str] = set()
        self._twins: dict[str, list[Row]] = {}
        for row in self._rows.values():
            if row["config_hash"] != run.config.hash and row["uri"] not in self._inputs and row["status"] in HAS_TABLES:
                self._twins.setdefault(row["video_id"], []).append(row)
        self.todo = [file for file in files if not self._is_done(file, retry_failed)]
        stored = videos_with_tables(run) if self.todo else set()
        self.computed = {
            row["video_id"]: row
            for row in self._rows.values()
            if row["config_hash"] == run.config.hash and row["status"] in HAS_TABLES and row["video_id"] in stored
        }
        for uri, reason in missing.items():
            known = self._rows.get(uri)
            if known and known["status"] != "failed":
                _LOG.warning("%s: its earlier results stay until `facelog prune`", reason)
            elif not self._is_done(FileInfo(uri, None, None), retry_failed):
                gone = FileInfo(uri, None, None)
                self.finish(self._row(Plan(gone, None, "failed", "not_found", reason)), write=True)
        self.summary.unchanged = len(self._inputs) - len(self.todo) - self.summary.new

    def _is_done(self, file: FileInfo, retry_failed: bool) -> bool:
        row = self._rows.get(file.uri)
        if row is None or row["config_hash"] != self.run.config.hash:
            return False
        if (row["size_bytes"], row["modified_at"]) != (file.size_bytes, file.modified_at):
            return False
        if row["etag"] and file.etag and row["etag"] != file.etag:
            return False
        return row["status"] != "failed" or not (retry_failed or row["error_type"] in _OF_THE_MOMENT)

    def _row(self, plan: Plan, **figures: Any) -> Row:
        return new_row(plan, self.run, started_at=datetime.now(UTC), **figures)

    def take(self, plan: Plan) -> bool:
        """Note what the probe found out of a file; plans are taken in the order of their uris.

        Returns:
          Whether its segments are to be done. Bad files and copies get their rows here.
        """
        if not plan.segments:
            self.finish(self._row(plan), write=True)
            return False
        video_id = plan.video_id or ""
        if video_id in self.computed:
            self._copy(self.computed[video_id], plan.file)
            return False
        if video_id in self._first:
            if video_id in self._finished:
                self._copy(self._rows[self._first[video_id].file.uri], plan.file)
            else:
                self._copies.setdefault(video_id, []).append(plan.file)
            return False
        self._first[video_id] = plan
        return True

    def fail(self, plan: Plan, error_type: str, message: str) -> Row:
        """A file could not be done: its row says why."""
        failed = dataclasses.replace(plan, status="failed", error_type=error_type, error_message=message)
        return self.finish(self._row(failed), write=True)

    def finish(self, row: Row, *, write: bool = False) -> Row:
        """A video's row stands (or is to be written); its copies get theirs."""
        if write:
            write_row(row, self.run)
        self._rows[row["uri"]] = row
        self.summary.new += 1
        if row["status"] in HAS_TABLES:
            self._count(row)
        video_id = row["video_id"] or ""
        if video_id in self._first and self._first[video_id].file.uri == row["uri"]:
            self._finished.add(video_id)
            for file in self._copies.pop(video_id, ()):
                self._copy(row, file)
            self._renew_twins(row)
        return row

    def _renew_twins(self, row: Row) -> None:
        """Copies that this run was not asked about, done with another configuration: their tables are these now."""
        for twin in self._twins.pop(row["video_id"], ()):
            if row["status"] in HAS_TABLES:
                file = FileInfo(twin["uri"], twin["size_bytes"], twin["modified_at"], twin["etag"])
                self._rows[file.uri] = copied_row(row, file, self.run)
                write_row(self._rows[file.uri], self.run)

    def _copy(self, row: Row, file: FileInfo) -> None:
        copy = copied_row(row, file, self.run)
        write_row(copy, self.run)
        self._rows[file.uri] = copy
        self.summary.new += 1
        self.summary.copies += 1

    @property
    def known(self) -> Known:
        """What a job that takes files by itself has to know of earlier runs."""
        computed = {video_id: row["uri"] for video_id, row in self.computed.items()}
        twins = {video_id: [row["uri"] for row in rows] for video_id, rows in self._twins.items()}
        todo = {file.uri for file in self.todo}
        rows = {row["uri"]: row for row in self.computed.values() if row["uri"] in todo}
        return Known(computed, twins, rows)

    def read_rows(self) -> list[Row]:
        """Takes over what a job wrote that took files by itself; returns the rows that are new."""
        self._rows = read_ledger(self.run.layout.out)
        new = []
        first: set[str] = set(self.computed)
        for file in self.todo:
            row = self._rows.get(file.uri)
            if row is None or row["run_id"] != self.run.run_id:
                continue
            new.append(row)
            if row["status"] not in HAS_TABLES:
                continue
            if row["video_id"] in first:
                self.summary.copies += 1
                continue
            first.add(row["video_id"])
            self._count(row)
        self.summary.new += len(new)
        return new

    def _count(self, row: Row) -> None:
        self.summary.video_seconds += row.get("duration") or 0.0
        self.summary.face_seconds += row.get("face_seconds") or 0
        self.summary.n_tracks += row.get("n_tracks") or 0

    def close(self) -> Summary:
        """Removes what no row names any more, also after runs that were killed; returns the summary."""
        close_ledger(self.run, self._rows, changed=self.summary.new > 0)
        storage.delete_tree(self.run.layout.jobs)
        return self.summarize()

    def summarize(self) -> Summary:
        """How the run ended, of what is known here of its rows."""
        rows = [self._rows[uri] for uri in sorted(self._inputs) if uri in self._rows]
        self.summary.statuses = Counter(row["status"] for row in rows)
        self.summary.bad = [row for row in rows if row["status"] in ("partial", "corrupt", "failed")]
        self.summary.other_configs = sum(row["config_hash"] != self.run.config.hash for row in self._rows.values())
        return self.summary
