"""The archive as the app knows it: rows of `videos` with their sums, renewed while a run goes on."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import logging
import threading
import time
from collections.abc import Iterator, Mapping

import duckdb
import pyarrow as pa

from pipelines.results.database import connect, read_record
from pipelines.results.run_progress import RunProgress
from pipelines.results.status import Status, status
from pipelines.serve import summaries
from schemas import storage
from schemas.errors import FacelogError
from schemas.run import RunRecord
from schemas.tables import VIDEOS, make_table
from transforms.ledger import HAS_TABLES, Row, RowFile, read_rows

_LOG = logging.getLogger(__name__)

_PAUSE, _LONGEST_PAUSE = 2.0, 60.0
_SHARE = 20
"""DIR is listed again after so many times the seconds that it took: an object store takes long."""

_SHOWN_EVERY = 1.0
"""Seconds after which sums that are being made are shown."""


@dataclasses.dataclass(frozen=True)
class Snapshot:
    """The archive at one moment.

    Attributes:
      database: with the table `lines`: `videos` with the columns of `summaries.SUMS`.
      rows: of `videos` by uri.
      videos: the same as a table.
      by_id: rows of each content with tables, in the order of their uris.
      summed: contents that have sums.
      number: of the snapshot; a page asks whether there is a newer one.
    """

    database: duckdb.DuckDBPyConnection
    rows: Mapping[str, Row]
    videos: pa.Table
    by_id: Mapping[str, list[Row]]
    summed: int
    number: int


class Archive:
    """One output folder, or a compact copy of one.

    Attributes:
      out: DIR, normalized.
      is_copy: whether it is a compact copy.
    """

    def __init__(self, out: str, cache: str | None = None):
        """Reads the rows of `videos`; their sums are made within `followed`.

        Args:
          out: DIR.
          cache: folder in which sums are kept; None: they are kept in memory alone.

        Raises:
          UsageError, StorageError: as `connect`.
        """
        self.out = storage.normalize(out)
        key = hashlib.sha256(self.out.encode()).hexdigest()[:32]
        self._kept = None if cache is None else storage.join(cache, "sums", f"{key}.parquet")
        self.is_copy = read_record(self.out) is not None
        self._files: dict[RowFile, Row] = {}
        self._ended = threading.Event()
        self._asked = threading.Event()
        self._sums = summaries.read_kept(self._kept) if self._kept else summaries.SUMS.empty_table()
        self._table_of: tuple[Mapping[str, Row], pa.Table] = {}, VIDEOS.empty_table()
        self._tried: set[tuple[str, str]] = set()
        self._progress: tuple[str, RunProgress] | None = None
        self.now = self._snapshot(self._read(), 0)

    @contextlib.contextmanager
    def followed(self) -> Iterator[None]:
        """Within `with`, sums are made, and new rows are looked for while somebody asks for them."""
        thread = threading.Thread(target=self._follow, name="follow-archive", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._ended.set()
            self._asked.set()
            thread.join(5)

    def asked(self) -> Snapshot:
        """The archive now, for somebody who looks at it."""
        self._asked.set()
        return self.now

    def status(self) -> Status:
        """Of the run in DIR."""
        return status(self.out, rows=self.asked().rows, progress_of=self._progress_of)

    def _progress_of(self, out: str, record: RunRecord) -> RunProgress:
        if self._progress is None or self._progress[0] != record.run_id:
            self._progress = record.run_id, RunProgress(out, record)
        return self._progress[1]

    def refresh(self) -> None:
        """Reads rows that have changed, and makes the sums that are missing."""
        rows = self._read()
        if rows.keys() != self.now.rows.keys() or any(self.now.rows[uri] is not row for uri, row in rows.items()):
            self.now = self._snapshot(rows, self.now.number + 1)
        self._make_sums()

    def _follow(self) -> None:
        while not self._ended.is_set():
            begun = time.monotonic()
            try:
                self.refresh()
            except FacelogError as error:  # the store is away for a while
                _LOG.warning("%s", error)
            spent = time.monotonic() - begun
            self._asked.clear()
            self._ended.wait(min(max(_PAUSE, _SHARE * spent), _LONGEST_PAUSE))
            self._asked.wait()

    def _read(self) -> dict[str, Row]:
        if self.is_copy:
            if self._files:
                return dict(self.now.rows)
            with connect(self.out) as tables:
                rows = tables.table("videos").to_arrow_table().to_pylist()
            self._files = {(row["uri"], None, None): row for row in rows}
        else:
            self._files = read_rows(self.out, self._files or None)
        return {row["uri"]: row for row in sorted(self._files.values(), key=lambda row: row["uri"])}

    def _snapshot(self, rows: Mapping[str, Row], number: int) -> Snapshot:
        by_id: dict[str, list[Row]] = {}
        for row in rows.values():
            if row["status"] in HAS_TABLES:
                by_id.setdefault(row["video_id"], []).append(row)
        self._sums = summaries.still_right(self._sums, {video_id: own[0] for video_id, own in by_id.items()})
        database = duckdb.connect()
        database.execute("SET timezone = 'UTC'")
        if rows is not self._table_of[0]:
            self._table_of = (
                rows,
                make_table(VIDEOS, {name: [row[name] for row in rows.values()] for name in VIDEOS.names}),
            )
        database.register("videos", self._table_of[1])
        database.register("sums", self._sums)
        # Those without tables have no sums, whatever another file of the same content has.
        database.execute(
            f"CREATE TABLE lines AS SELECT videos.*, sums.* EXCLUDE (video_id, made_of), "
            f"parse_filename(uri, false, 'forward_slash') AS name FROM videos "
            f"LEFT JOIN sums ON videos.video_id = sums.video_id AND status IN {HAS_TABLES!r} ORDER BY uri"
        )
        database.unregister("videos")
        database.unregister("sums")
        return Snapshot(database, rows, self._table_of[1], by_id, len(self._sums), number)

    def _make_sums(self) -> None:
        known = set(self._sums["video_id"].to_pylist())
        lacking = {video_id: own[0] for video_id, own in self.now.by_id.items() if video_id not in known}
        # Those whose tables could not be read are not tried again before their rows change.
        tried = {(video_id, summaries.made_of(row)): row for video_id, row in lacking.items()}
        missing = [row for key, row in tried.items() if key not in self._tried]
        if not missing:
            return
        self._tried |= tried.keys()
        shown = time.monotonic()
        for sums in self._sums_of(missing):
            self._sums = pa.concat_tables([self._sums, sums]).combine_chunks()
            if time.monotonic() - shown > _SHOWN_EVERY:
                self.now = self._snapshot(self.now.rows, self.now.number + 1)
                shown = time.monotonic()
            if self._ended.is_set():
                break
        self.now = self._snapshot(self.now.rows, self.now.number + 1)
        if self._kept:
            summaries.keep(self._kept, self._sums)

    def _sums_of(self, rows: list[Row]) -> Iterator[pa.Table]:
        if not self.is_copy:
            yield from summaries.sum_up_files(self.out, rows)
            return
        with connect(self.out) as tables:
            yield summaries.sum_up(tables, rows)
