"""Whole runs: facelog as a program, and folders of results that many tests look at."""

import fcntl
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

BARE = ("--emotion-model", "none", "--age-gender-model", "none")
"""Options of a run without models, which spares TensorFlow's seconds."""


def command(*arguments: object) -> list[str]:
    """The command line as a program; for a current folder of `ROOT`."""
    return [sys.executable, "-m", "pipelines.cli", *map(str, arguments)]


def run_facelog(*arguments: object) -> "subprocess.CompletedProcess[str]":
    """Runs it to its end, whatever its exit status."""
    return subprocess.run(command(*arguments), cwd=ROOT, capture_output=True, text=True, timeout=500)


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """A folder that `make` fills, once for all test processes: pytest-xdist gives each its own session fixtures."""
    base = factory.getbasetemp()
    base = base.parent if base.name.startswith("popen-") else base
    folder, done = base / name, base / f"{name}.done"
    with (base / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            folder.mkdir()
            make(folder)
            done.touch()
    return folder
