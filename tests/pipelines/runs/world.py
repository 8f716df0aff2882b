"""Files with contents, and runs over them as a runner would do them, without pictures."""

import dataclasses
from datetime import timedelta
from pathlib import Path
from typing import Any

from pipelines.runs.bookkeeping import Archive, Summary
from schemas import storage
from schemas.config import Config
from schemas.layout import ROW_TABLES, Layout
from schemas.run import Run
from schemas.storage import FileInfo
from schemas.tables import TABLES, parquet_bytes
from schemas.video import Plan
from tests.examples import WHEN, example_file, example_plan
from transforms.ledger import new_row, read_ledger, write_row

A, B, C = "aa" * 16, "bb" * 16, "cc" * 16


def in_all(ids: set[str]) -> dict[str, set[str]]:
    return {table: ids for table in ROW_TABLES}


class World:
    """Files with contents, and runs over them as a runner would do them, without pictures."""

    def __init__(self, out: str):
        self.out = out
        self.config = Config()
        self.content: dict[str, str] = {}
        self.files: dict[str, FileInfo] = {}
        self.status: dict[str, dict[str, Any]] = {}
        self.computed: list[str] = []

    def put(self, uri: str, content: str) -> None:
        """Writes a file, later than all before."""
        self.content[uri] = content
        when = WHEN + timedelta(seconds=sum(1 for _ in self.content) + len(self.computed) * 60)
        self.files[uri] = example_file(uri, modified_at=when)

    def start(self, *, missing: dict[str, str] | None = None, retry_failed: bool = False) -> Archive:
        """A run that has looked what there is."""
        run = Run(f"run-{len(self.computed)}", self.config, Layout(self.out))
        files = [self.files[uri] for uri in sorted(self.files)]
        return Archive(run, files, missing or {}, retry_failed=retry_failed)

    def plan(self, file: FileInfo) -> Plan:
        content = self.content[file.uri]
        if content == "bad":
            return Plan(file, "0b" * 16, "corrupt", "unreadable", f"{file.uri} does not open")
        if content == "away":
            return Plan(file, None, "failed", "storage_error", f"{file.uri} cannot be reached")
        plan = example_plan(uri=file.uri, video_id=content, file=file)
        segments = (dataclasses.replace(s, keyframes=self.config.sampling.keyframes) for s in plan.segments)
        return dataclasses.replace(plan, segments=tuple(segments))

    def assemble(self, plan: Plan, run: Run) -> dict[str, Any]:
        """Writes tables and row."""
        self.computed.append(plan.file.uri)
        figures = {"status": "ok", "n_tracks": 2, "max_faces": 1, "face_seconds": 7, "wall_seconds": 3.0}
        figures |= {"keyframe_seconds": 2.0 if plan.is_scan else None} | self.status.get(plan.file.uri, {})
        row = new_row(plan, run, started_at=WHEN, **figures)
        if row["status"] in ("ok", "partial"):
            for table in ROW_TABLES:
                empty = parquet_bytes(TABLES[table].empty_table(), run.footer)
                storage.write_bytes(run.layout.table(table, plan.video_id or ""), empty)
        write_row(row, run)
        return row

    def go(self, archive: Archive | None = None, **options: Any) -> Summary:
        """A whole run."""
        archive = archive or self.start(**options)
        self.computed.clear()
        plans = [plan for plan in map(self.plan, archive.todo) if archive.take(plan)]
        for plan in plans:
            archive.finish(self.assemble(plan, archive.run))
        return archive.close()

    def rows(self) -> dict[str, dict[str, Any]]:
        return read_ledger(self.out)

    def ids_of_tables(self) -> dict[str, set[str]]:
        return {t: {path.stem for path in Path(self.out, t).rglob("*.parquet")} for t in ROW_TABLES}
