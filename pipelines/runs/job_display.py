"""The terminal's display of a job on a cluster, and its question at Ctrl-C."""

from __future__ import annotations

import time

import typer
from rich.console import Console

from pipelines.results.run_progress import Measurement
from pipelines.runs.on_flink import JobDisplay
from pipelines.words import clock


def terminal_display(console: Console) -> JobDisplay:
    """On a terminal, one line that is updated; elsewhere, a line for each tenth of the work."""
    if console.quiet:
        return JobDisplay()
    shown = _Shown(console)
    return JobDisplay(shown.say, shown.show, _cancels if console.is_terminal else lambda: False)


class _Shown:
    def __init__(self, console: Console):
        self._console, self._begun, self._tenths = console, time.monotonic(), -1

    def say(self, sentence: str) -> None:
        """Prints a sentence."""
        self._console.print(sentence, style="dim", markup=False, highlight=False, soft_wrap=True)

    def show(self, state: str, progress: Measurement) -> None:
        """Prints the progress."""
        line = progress_line(state, progress, time.monotonic() - self._begun)
        if self._console.is_terminal:
            self._console.print(f"\r\x1b[2K{line}", end="", markup=False, highlight=False, soft_wrap=True)
        elif int(progress.share * 10) > self._tenths:
            self._tenths = int(progress.share * 10)
            self._console.print(line, markup=False, highlight=False, soft_wrap=True)


def progress_line(state: str, progress: Measurement, elapsed: float) -> str:
    """A line such as "running: 40 %, 120/300 segments of 25 files, 12 videos in the tables, about 0:10:00 left"."""
    parts = [f"{state.lower()}: {100 * progress.share:.0f} %"]
    parts.append(f"{progress.segments_done}/{progress.segments} segments of {progress.probed} files")
    if progress.segments_failed:
        parts.append(f"{progress.segments_failed} segments failed")
    parts.append(f"{progress.assembled} videos in the tables")
    left = progress.seconds_left(elapsed)
    if left is not None and progress.share < 1:
        parts.append(f"about {clock(left)} left")
    return ", ".join(parts)


def _cancels() -> bool:
    try:
        return typer.confirm("\nCancel the job? Else it goes on without this client", default=False)
    except (typer.Abort, KeyboardInterrupt):  # Ctrl-C once more
        return False
