"""Processes of a run are killed at random moments; the same command then has to give the same tables."""

import contextlib
import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.trust.archive import WAIT, Archive, BrokenPromiseError, CannotTryError, Case, said
from tests.runs import ROOT

_FILES = 20
"""Files that a run has written at most at one time."""


def cases(archive: Archive, kills: int, seed: int) -> Iterator[Case]:
    """As many kills, and the other ways to end a run."""
    for number in range(kills):
        yield Case(f"kill -9, number {number + 1}", lambda number=number: _kill(archive, seed + number))  # type: ignore[misc]
    yield Case("SIGTERM", lambda: _end(archive, [signal.SIGTERM], -signal.SIGTERM))
    yield Case("Ctrl-C", lambda: _end(archive, [signal.SIGINT], 130))
    yield Case("Ctrl-C twice", lambda: _end(archive, [signal.SIGINT, signal.SIGINT], 130))


def _kill(archive: Archive, seed: int) -> str:
    """Kills the supervisor or one of its workers at a moment of the run, then runs the same command again."""
    dice = random.Random(seed)
    archive.is_whole(archive.reference)
    out = archive.fresh(f"killed-{seed}")
    program = archive.analyze(out, workers=dice.choice([1, 1, 2]))
    # One in five while the processes start, the others when a number of files is there.
    files, delay = (0, dice.uniform(0, 8)) if dice.random() < 0.2 else (dice.randint(1, _FILES), dice.uniform(0, 0.5))
    with _running(program) as process:
        until = time.monotonic() + WAIT
        while process.poll() is None and len(_files(out)) < files and time.monotonic() < until:
            time.sleep(0.01)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(delay)
        workers = workers_of(process.pid) if process.poll() is None else []
        # The supervisor as often as the workers together.
        of_workers = bool(workers) and dice.random() < 0.5
        victim = dice.choice(workers) if of_workers else process.pid
        was_over = process.poll() is not None
        if not was_over:
            with contextlib.suppress(ProcessLookupError):
                os.kill(victim, signal.SIGKILL)
        there = len(_files(out))
        process.wait(WAIT)
        if of_workers and process.returncode != 3:
            raise BrokenPromiseError(f"the run did not survive its worker: exit status {process.returncode}")
    archive.goes_on(out, program)
    who = "a worker" if of_workers else "the supervisor"
    shutil.rmtree(out)
    return f"{who}, {there} files written" if not was_over else "the run was over before"


def _end(archive: Archive, signals: Sequence[signal.Signals], status: int) -> str:
    out = archive.fresh("ended")
    with _running(archive.analyze(out)) as process:
        until = time.monotonic() + WAIT
        while process.poll() is None and len(_files(out)) < _FILES // 2 and time.monotonic() < until:
            time.sleep(0.01)
        if process.poll() is not None:
            raise CannotTryError("the run was over before the signal")
        for number in signals:
            os.killpg(process.pid, number)
            time.sleep(0.05)
        _, errors = process.communicate(timeout=WAIT)
        last = said(subprocess.CompletedProcess([], process.returncode, "", errors), status)
    time.sleep(0.5)
    archive.goes_on(out)
    return last or f"exit status {status}"


@contextlib.contextmanager
def _running(program: Sequence[str]) -> "Iterator[subprocess.Popen[str]]":
    process = subprocess.Popen(
        program, cwd=ROOT, text=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def workers_of(pid: int) -> list[int]:
    """Worker processes of a supervisor or a pool: what its server has forked.

    Raises:
      CannotTryError: it is not Linux.
    """
    if not Path("/proc/self").exists():
        raise CannotTryError("processes are found in /proc, which only Linux has")
    servers = [child for child in _children(pid) if b"forkserver" in _read(Path(f"/proc/{child}/cmdline"))]
    return [worker for server in servers for worker in _children(server)]


def _children(pid: int) -> list[int]:
    return [int(child) for of in Path(f"/proc/{pid}/task").glob("*/children") for child in _read(of).split()]


def _read(path: Path) -> bytes:
    with contextlib.suppress(OSError):  # the process or the thread has ended
        return path.read_bytes()
    return b""


def _files(out: Path) -> list[Path]:
    """What the run has written: plans, fragments, tables, rows."""
    with contextlib.suppress(OSError):  # a folder that goes while it is read
        return [path for path in out.rglob("*") if path.suffix in (".parquet", ".json") and path.name[0] != "."]
    return []
