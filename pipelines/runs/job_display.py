"""What a person at the terminal sees of a job on a cluster, and is asked at Ctrl-C."""

from __future__ import annotations

import time

import typer
from rich.console import Console

from pipelines.results.run_progress import Survey
from pipelines.runs.on_flink import Onlooker
from pipelines.words import clock


def terminal_onlooker(console: Console) -> Onlooker:
    """One line that is renewed, where the console is a terminal; else a line whenever a tenth more is done."""
    if console.quiet:
        return Onlooker()
    shown = _Shown(console)
    return Onlooker(shown.say, shown.show, _cancels if console.is_terminal else lambda: False)


class _Shown:
    def __init__(self, console: Console):
        self._console, self._begun, self._tenths = console, time.monotonic(), -1

    def say(self, sentence: str) -> None:
        """Says it once."""
        self._console.print(sentence, style="dim", markup=False, highlight=False, soft_wrap=True)

    def show(self, state: str, survey: Survey) -> None:
        """Says how far it is."""
        line = progress_line(state, survey, time.monotonic() - self._begun)
        if self._console.is_terminal:
            self._console.print(f"\r\x1b[2K{line}", end="", markup=False, highlight=False, soft_wrap=True)
        elif int(survey.share * 10) > self._tenths:
            self._tenths = int(survey.share * 10)
            self._console.print(line, markup=False, highlight=False, soft_wrap=True)


def progress_line(state: str, survey: Survey, elapsed: float) -> str:
    """Such as "running: 40 %, 120/300 segments of 25 files, 12 videos in the tables, about 0:10:00 left"."""
    parts = [f"{state.lower()}: {100 * survey.share:.0f} %"]
    parts.append(f"{survey.segments_done}/{survey.segments} segments of {survey.probed} files")
    if survey.segments_failed:
        parts.append(f"{survey.segments_failed} segments failed")
    parts.append(f"{survey.assembled} videos in the tables")
    left = survey.seconds_left(elapsed)
    if left is not None and survey.share < 1:
        parts.append(f"about {clock(left)} left")
    return ", ".join(parts)


def _cancels() -> bool:
    try:
        return typer.confirm("\nCancel the job? Else it goes on without this client", default=False)
    except (typer.Abort, KeyboardInterrupt):  # Ctrl-C once more
        return False
