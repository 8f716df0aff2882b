"""The terminal's display of a run on this machine: live during the run, and a summary at its end."""

import contextlib
import logging
import shlex
import statistics
import time
from collections.abc import Iterator
from typing import Protocol

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars
from rich.table import Table
from rich.text import Text

from pipelines.runs.bookkeeping import Archive, Summary
from pipelines.words import clock
from schemas.video import Plan, Segment
from transforms.ledger import Row

_LOG = logging.getLogger(__name__)


class Progress(Protocol):
    """What a run reports while it goes on."""

    def probed(self, plan: Plan, needs_work: bool) -> None:
        """A file was opened."""

    def segment_done(self, segment: Segment, resumed: bool = False) -> None:
        """A segment has its fragment or was given up; `resumed`: an earlier run has done it."""

    def video_done(self, row: Row) -> None:
        """A video has its row."""


class LogProgress:
    """Reports to the log only, for runs without a terminal."""

    def probed(self, plan: Plan, needs_work: bool) -> None:
        """Logs a file that is not computed."""
        if not needs_work and plan.status != "ok":
            _LOG.warning("%s: %s", plan.status, plan.error_message)

    def segment_done(self, segment: Segment, resumed: bool = False) -> None:
        """Logs a segment, at debug level."""
        _LOG.debug("%s segment %d %s", segment.file.uri, segment.index, "was done before" if resumed else "done")

    def video_done(self, row: Row) -> None:
        """Logs a video."""
        if row["status"] == "ok":
            _LOG.info("%s: tables written", row["uri"])
        else:
            _LOG.warning("%s: %s", row["status"], row["error_message"])


class LiveProgress(LogProgress):
    """A live display: files, seconds of video, speed against real time, faces, failures, time left."""

    def __init__(self, archive: Archive, console: Console):
        """Shows nothing until it is entered."""
        self._archive = archive
        self._started = time.monotonic()
        self._bytes = sum(file.size_bytes or 0 for file in archive.todo)
        self._bytes_done = 0.0
        self._seconds = 0.0
        self._durations: dict[str, float] = {}
        self._seen = 0
        self._bars = Bars(
            TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"), TimeElapsedColumn()
        )
        self._bar: TaskID = self._bars.add_task("analyzing", total=max(self._bytes, 1))
        self._live = Live(self._render(), console=console, refresh_per_second=4, get_renderable=self._render)

    def __enter__(self) -> "LiveProgress":
        self._live.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._live.__exit__(*error)  # type: ignore[arg-type]

    def probed(self, plan: Plan, needs_work: bool) -> None:
        """Counts a file; a file that is not computed is done."""
        super().probed(plan, needs_work)
        self._seen += 1
        self._durations[plan.video_id or ""] = sum(s.duration for s in plan.segments)
        if not needs_work:
            self._advance(plan.file.size_bytes or 0)

    def segment_done(self, segment: Segment, resumed: bool = False) -> None:
        """Counts a segment by its share of its file."""
        super().segment_done(segment, resumed)
        total = self._durations.get(segment.video_id) or 1.0
        self._advance((segment.file.size_bytes or 0) * min(1.0, segment.duration / total))
        if not resumed:
            self._seconds += segment.duration

    def _advance(self, n_bytes: float) -> None:
        self._bytes_done += n_bytes
        self._bars.update(self._bar, completed=self._bytes_done)

    def _render(self) -> Group:
        summary, todo = self._archive.summary, len(self._archive.todo)
        elapsed = time.monotonic() - self._started
        left = ""
        if self._bytes_done > 0.02 * self._bytes and elapsed > 5:
            left = f"about {clock(elapsed * (self._bytes / self._bytes_done - 1))} left"
        line = Text.assemble(
            (f"{summary.new}/{todo} videos", "bold"),
            f"   {clock(self._seconds)} of video at {self._seconds / max(elapsed, 0.1):.1f}x real time",
            f"   {summary.face_seconds} face-seconds in {summary.n_tracks} tracks   ",
            left,
        )
        return Group(self._bars, line)


@contextlib.contextmanager
def show_progress(archive: Archive, console: Console | None) -> Iterator[Progress]:
    """Gives a live display if the console is a terminal, otherwise lines in the log."""
    if console is None or not console.is_terminal:
        yield LogProgress()
    else:
        with LiveProgress(archive, console) as live:
            yield live


_STYLE = {"ok": "green", "partial": "yellow", "no_video": "dim", "corrupt": "red", "failed": "red"}
_SHOWN = 20


def print_summary(summary: Summary, console: Console) -> None:
    """Prints the table at the end, each bad file with its reason, and how to see more."""
    # Names of files are not broken into lines, so that they can be copied.
    console.print(Text(summary.out, "bold"), soft_wrap=True)
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(justify="right")
    table.add_column()
    for status, style in _STYLE.items():
        if summary.statuses[status]:
            table.add_row(str(summary.statuses[status]), Text(status, style))
    if summary.unchanged:
        table.add_row(str(summary.unchanged), "of them done before, unchanged")
    if summary.copies:
        table.add_row(str(summary.copies), "of them known by their content, not computed again")
    if apart := summary.keyframe_seconds:
        told = f"of them by keyframes alone, {statistics.median(apart):.1f} s apart"
        table.add_row(str(len(apart)), told)
    for reason, count in summary.passed_over.items():
        table.add_row(str(count), Text(f"passed over: {reason}", "dim"))
    speed = summary.video_seconds / max(summary.wall_seconds, 1e-9)
    if summary.video_seconds:
        took = f"of video in {clock(summary.wall_seconds)} ({speed:.1f}x real time)"
        table.add_row(clock(summary.video_seconds), took)
        table.add_row(str(summary.face_seconds), f"face-seconds in {summary.n_tracks} tracks")
    if summary.figures and summary.figures.samples:
        figures = summary.figures
        table.add_row(f"{figures.samples}", f"samples, with {figures.detections} detected faces")
        table.add_row(clock(figures.work_seconds), Text(f"of the workers' time, {figures.steps}", "dim"))
    if summary.other_configs:
        table.add_row(str(summary.other_configs), "videos here were made with another configuration")
    console.print(table)
    for row in summary.bad[:_SHOWN]:
        message = row["error_message"] or row["uri"]
        console.print(Text.assemble((row["status"], _STYLE[row["status"]]), "  ", message), soft_wrap=True)
    if len(summary.bad) > _SHOWN:
        console.print(f"… and {len(summary.bad) - _SHOWN} more: see the videos table.")
    if summary.statuses:
        console.print(f"pages to read: facelog report {shlex.quote(summary.out)}", markup=False, soft_wrap=True)
