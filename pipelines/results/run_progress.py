"""Progress of a run, computed from the files that it has written.

So it can be asked from any machine, for any runner, during the run and after it.
"""

from __future__ import annotations

import dataclasses
import random
import shlex
import sys
from collections.abc import Sequence
from datetime import UTC, datetime

from schemas import storage
from schemas.layout import FAILURE_ENDING, PLANS, Layout, fragment_name
from schemas.run import Run, RunRecord, write_run
from schemas.storage import FileInfo
from schemas.video import Plan

_PLANS_READ = 2000
"""Plans that are read at most; if there are more, a random sample stands for all of them."""


@dataclasses.dataclass(frozen=True)
class Measurement:
    """The progress of a run at one moment. With very many files, numbers of segments are estimates.

    Attributes:
      probed: files that were opened.
      assembled: files that have their rows.
      segments: segments of the files that were opened.
      segments_done: segments that have a fragment, or whose video has its row.
      segments_failed: segments that were given up.
      video_seconds: seconds of video that this run has analyzed.
      share: share of the whole work that is done, by bytes, in [0, 1].
      share_before: share of the whole work that earlier runs have done.
    """

    probed: int
    assembled: int
    segments: int
    segments_done: int
    segments_failed: int
    video_seconds: float
    share: float
    share_before: float

    def seconds_left(self, elapsed: float) -> float | None:
        """Seconds until the end at the pace so far; None while it is too early to tell."""
        done = self.share - self.share_before
        if elapsed < 5 or done < 0.01:
            return None
        return elapsed * (1 - self.share) / done


@dataclasses.dataclass(frozen=True)
class _Brief:
    """The numbers of a plan that progress is made of."""

    video_id: str
    size: int
    seconds: tuple[float, ...]


class RunProgress:
    """Measures the progress of one run again and again; reads each plan once."""

    def __init__(self, out: str, record: RunRecord):
        """Reads nothing yet.

        Args:
          out: DIR.
          record: what the run set out to do.
        """
        self._rows = Layout(out).folder("videos")
        self._work = Layout(out).work_of(record.config_hash)
        self._record = record
        self._plans: dict[str, _Brief] = {}

    def measure(self) -> Measurement:
        """The progress now: lists `_work` and `videos`, and reads new plans."""
        begun = self._record.started_at
        names: dict[str, list[str]] = {}
        for info in storage.list_files(self._work.folder):
            folder, name = info.uri.rsplit("/", 2)[-2:]
            if name.endswith(FAILURE_ENDING) and (info.modified_at is None or info.modified_at < begun):
                continue  # an earlier run gave it up, and this one tries again
            names.setdefault(folder, []).append(name)
        stems = [name.removesuffix(".json") for name in names.pop(PLANS, []) if name.count(".") == 1]
        rows = {
            info.uri.rsplit("/", 1)[-1].removesuffix(".parquet")
            for info in storage.list_files(self._rows)
            if info.modified_at is not None and info.modified_at >= begun
        }
        self._read_plans(stems)
        return self._count(stems, rows, names)

    def _read_plans(self, stems: list[str]) -> None:
        new = [stem for stem in stems if stem not in self._plans]
        room = _PLANS_READ - len(self._plans)
        if len(new) > room:
            new = random.Random(0).sample(new, max(0, room))
        for stem, brief in zip(new, storage.at_once(self._read_plan, new), strict=True):
            if brief is not None:
                self._plans[stem] = brief

    def _read_plan(self, stem: str) -> _Brief | None:
        try:
            plan = Plan.from_json(storage.read_bytes(storage.join(self._work.plans, f"{stem}.json")))
        except FileNotFoundError:  # the run has just ended
            return None
        seconds = tuple(segment.duration for segment in plan.segments)
        return _Brief(plan.video_id or "", plan.file.size_bytes or 0, seconds)

    def _count(self, stems: list[str], rows: set[str], names: dict[str, list[str]]) -> Measurement:
        known = [stem for stem in stems if stem in self._plans]
        scale = len(stems) / len(known) if known else 1.0
        segments = done = failed = 0
        seconds = bytes_done = 0.0
        counted: set[str] = set()
        for stem in known:
            brief = self._plans[stem]
            n = len(brief.seconds)
            if not n or brief.video_id in counted:  # bad, or a copy
                bytes_done += brief.size
                continue
            counted.add(brief.video_id)
            segments += n
            there = set(names.get(brief.video_id, []))
            for index, length in enumerate(brief.seconds):
                if stem in rows or fragment_name(index) in there:  # once a video has its row, its fragments are removed
                    done += 1
                    bytes_done += brief.size / n
                    seconds += length
            failed += sum(name.endswith(FAILURE_ENDING) for name in there)
        whole = max(1, self._record.bytes)
        return Measurement(
            probed=len(stems),
            assembled=len(rows),
            segments=round(segments * scale),
            segments_done=round(done * scale),
            segments_failed=round(failed * scale),
            video_seconds=max(0.0, seconds * scale - self._record.seconds_before),
            share=min(1.0, bytes_done * scale / whole),
            share_before=self._record.share_before,
        )


def begin_record(run: Run, runner: str, files: Sequence[FileInfo]) -> RunRecord:
    """Writes the record of a run that begins, with what earlier runs have done already.

    That cannot be found out later, since the fragments of a video are removed when it has its row.

    Args:
      run: that begins.
      runner: its name.
      files: to analyze.
    """
    record = RunRecord(
        run_id=run.run_id,
        config_hash=run.config.hash,
        runner=runner,
        command=shlex.join(sys.argv),
        started_at=datetime.now(UTC),
        files=len(files),
        bytes=sum(file.size_bytes or 0 for file in files),
    )
    before = RunProgress(run.layout.out, record).measure()
    record = record.model_copy(update={"share_before": before.share, "seconds_before": before.video_seconds})
    write_run(record, run.layout.out)
    return record
