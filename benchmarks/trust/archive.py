"""A small archive, the command that analyzes it, and what is checked when something has been done to the run."""

import dataclasses
import functools
import os
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from typer.testing import CliRunner

from pipelines.cli.main import app
from tests.clips import portrait_clip
from tests.odd_clips import audio_only, still
from tests.runs import BARE, ROOT, command
from tests.tables import assert_same_tables, assert_whole

WAIT = 300.0
"""Seconds after which a command hangs."""


class BrokenPromiseError(Exception):
    """Something came out otherwise than promised."""


@dataclasses.dataclass(frozen=True)
class Case:
    """Something that is done to a run.

    Attributes:
      name: of the fault.
      check: does it, and returns what was seen in a few words; raises where a promise is broken.
    """

    name: str
    check: Callable[[], str]


class CannotTryError(Exception):
    """This machine does not allow the fault; the text says why."""


@dataclasses.dataclass(frozen=True)
class Archive:
    """Three videos of two segments each, a picture, a file that is no video, and sound.

    Attributes:
      work: a folder for everything.
    """

    work: Path

    @property
    def files(self) -> Path:
        """The archive itself."""
        return self.work / "archive"

    def make(self) -> "Archive":
        """Writes it, and the configuration: no models, and segments of a second."""
        if not self.files.exists():
            new = self.work / "new"
            shutil.rmtree(new, ignore_errors=True)
            new.mkdir(parents=True)
            for number in range(3):
                cut = None if number % 2 else 1.3
                portrait_clip(new / f"{number}.mp4", seconds=2, size=(200 + 4 * number, 150), moving=True, cut_at=cut)
            still(new / "picture.png")
            (new / "text.mp4").write_text("no video\n")
            audio_only(new / "sound.m4a")
            (self.work / "config.toml").write_text("segment_seconds = 1.0\n[tracking]\nlost_after = 0.5\n")
            new.rename(self.files)
        return self

    def analyze(self, out: Path | str, *more: object, inputs: object = None, workers: int = 2) -> list[str]:
        """The command line."""
        config = ("--config", self.work / "config.toml", *BARE)
        return command("analyze", inputs or self.files, "-o", out, *config, f"--workers={workers}", *more)

    @functools.cached_property
    def reference(self) -> Path:
        """The results of an undisturbed run."""
        out = self.work / "reference"
        if not (out / "videos").exists():
            said(run(self.analyze(out)), 3)
        return out

    def fresh(self, name: str) -> Path:
        """A folder for results that is not there yet."""
        out = self.work / name
        shutil.rmtree(out, ignore_errors=True)
        return out

    def goes_on(self, out: Path, program: Sequence[str] | None = None) -> None:
        """The same command, undisturbed, finishes the work; nothing is lost and nothing left over.

        It is called in this process, which has imported everything already.
        """
        start = command()
        done = CliRunner().invoke(app, (program or self.analyze(out))[len(start) :])
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise BrokenPromiseError(f"the same command fails: {done.exception!r}")
        said(subprocess.CompletedProcess([], done.exit_code, done.stdout, done.stderr), 3)
        self.is_whole(out)

    def is_whole(self, out: Path) -> None:
        """The same tables as those of an undisturbed run."""
        try:
            assert_same_tables(out, self.reference)
            assert_whole(out)
        except AssertionError as error:
            raise BrokenPromiseError(f"the tables are not those of an undisturbed run: {str(error)[:200]}") from error


def run(
    program: Sequence[str],
    *,
    before: str = "",
    environment: Mapping[str, str] | None = None,
    wait: float = WAIT,
    wrapper: Sequence[str] = (),
) -> "subprocess.CompletedProcess[str]":
    """Runs a command to its end.

    Args:
      program: the command.
      before: what a shell does first, such as `ulimit -n 40`.
      environment: more variables.
      wait: seconds after which it hangs.
      wrapper: a program that runs it.
    """
    shell = ["sh", "-c", f'{before or ":"} && exec "$@"', "sh", *wrapper, *program]
    try:
        return subprocess.run(
            shell, cwd=ROOT, env={**os.environ, **(environment or {})}, capture_output=True, text=True, timeout=wait
        )
    except subprocess.TimeoutExpired as error:
        raise BrokenPromiseError(f"it hangs: not done after {wait:.0f} s") from error


def said(done: "subprocess.CompletedProcess[str]", *statuses: int) -> str:
    """The last line that a command wrote to standard error; no traceback, and one of these exit statuses."""
    for text in (done.stdout, done.stderr):
        if "Traceback (most recent call last)" in text:
            raise BrokenPromiseError(f"a traceback: {text.strip().splitlines()[-1][:200]}")
    if done.returncode not in statuses:
        tail = " | ".join((done.stderr or done.stdout).strip().splitlines()[-3:])
        raise BrokenPromiseError(f"exit status {done.returncode}, and not {statuses}: {tail[:300]}")
    lines = done.stderr.strip().splitlines()
    return lines[-1] if lines else ""
