"""The machine fails: its disk, its folders, its limits, its clock, and the object store."""

import contextlib
import errno
import functools
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

from benchmarks.trust import store
from benchmarks.trust.archive import Archive, BrokenPromiseError, CannotTryError, Case, run, said
from pipelines.runs.analyze_archive import analyze
from pipelines.settings import make_config
from schemas import storage
from schemas.errors import StorageFullError
from tests.runs import ROOT, command

_WRITES = ("write_bytes", "move_file", "open_output")


def cases(archive: Archive) -> Iterator[Case]:
    """Each fault once."""
    tried: dict[str, Callable[[Archive], str]] = {
        "disk full at each write of a run": full_at_each_write,
        "disk full under report, export, query, compact": full_under_commands,
        "read-only results": _read_only,
        "DIR vanishes during the run": _results_vanish,
        "the archive vanishes during the run": archive_vanishes,
        "40 file handles": lambda archive: _limited(archive, "ulimit -n 40"),
        "1 GB of memory": lambda archive: _limited(archive, "ulimit -d 1000000"),
        "clock set back by a day": _clock,
        "two runs at once on one DIR": _two_runs,
        "an object store that answers 503 now and then": lambda archive: _store(archive, refuse=3),
        "an object store that answers slowly": lambda archive: _store(archive, wait=0.4),
        "an object store that breaks off in the middle": lambda archive: _store(archive, cut=4),
        "an object store that is away": _store_is_away,
    }
    for name, check in tried.items():
        yield Case(name, functools.partial(check, archive))


def full_at_each_write(archive: Archive) -> str:
    """Each write of a run fails once because the disk is full; the run goes on when there is room again."""
    out, config = archive.fresh("full"), make_config(str(archive.work / "config.toml"), **_BARE)
    clip = str(archive.files / "0.mp4")
    reference = archive.fresh("full-reference")
    analyze(clip, str(reference), config=config, runner="direct")
    number = 0
    while True:
        shutil.rmtree(out, ignore_errors=True)
        counter = iter(range(number))
        try:
            with _failing_writes(counter):
                analyze(clip, str(out), config=config, runner="direct")
            break
        except StorageFullError as error:
            if "no space left" not in str(error) or "\n" in str(error):
                raise BrokenPromiseError(f"write {number + 1}: {error}") from error
        except Exception as error:
            raise BrokenPromiseError(f"write {number + 1}: {error!r}") from error
        _same(out, reference, lambda: analyze(clip, str(out), config=config, runner="direct"), f"write {number + 1}")
        number += 1
    return f"{number} writes"


_BARE: dict[str, Any] = {"emotion_model": None, "age_gender_model": None}


@contextlib.contextmanager
def _failing_writes(until: Iterator[int]) -> Iterator[None]:
    """Lets the iterator's number of files be written; the disk is full for the next one."""
    real = storage.local.open_output

    @contextlib.contextmanager
    def full(path: str) -> Iterator[Any]:
        with real(path) as file:
            yield file
            if next(until, None) is None:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with mock.patch.object(storage.local, "open_output", full):
        yield


def _same(out: Path, reference: Path, again: Callable[[], object], what: str) -> None:
    from tests.tables import assert_same_tables, assert_whole

    try:
        again()
        assert_same_tables(out, reference)
        assert_whole(out)
    except AssertionError as error:
        raise BrokenPromiseError(f"{what}: the tables are not those of an undisturbed run") from error


def full_under_commands(archive: Archive) -> str:
    """Commands that make something of results end in a sentence on a disk that is full."""
    with _small_disk(archive.work / "disk", "32k") as disk:
        (disk / "filled").write_bytes(b"x" * 28_000)
        out = str(archive.reference)
        lines = [
            said(run(program), 1)
            for program in (
                command("report", out, "--out", disk / "pages"),
                command("export", out, "--to", "csv", "--out", disk / "csv"),
                command("query", out, "SELECT range FROM range(100000)", "--out", disk / "a.csv"),
                command("compact", out, disk / "compact"),
            )
        ]
        for line in lines:
            if "no space left" not in line:
                raise BrokenPromiseError(f"it does not say that the disk is full: {line}")
    return lines[0]


@contextlib.contextmanager
def _small_disk(folder: Path, size: str) -> Iterator[Path]:
    folder.mkdir(exist_ok=True)
    if subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], capture_output=True).returncode:
        raise CannotTryError("only root can mount a small file system")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def _read_only(archive: Archive) -> str:
    out = archive.fresh("read-only")
    said(run(archive.analyze(out, inputs=archive.files / "0.mp4")), 0)
    bind = subprocess.run(["mount", "--bind", "-o", "ro", out, out], capture_output=True)
    if bind.returncode:
        raise CannotTryError("only root can mount a folder as read-only")
    try:
        line = said(run(archive.analyze(out)), 1)
    finally:
        subprocess.run(["umount", "-l", out], check=True)
    archive.goes_on(out)
    return line


def _results_vanish(archive: Archive) -> str:
    out = archive.fresh("vanished")
    line, status = _during(archive, out, lambda: shutil.rmtree(out, ignore_errors=True))
    archive.goes_on(out)
    return f"exit status {status}: {line}"


def archive_vanishes(archive: Archive) -> str:
    """The folder of the videos goes, as an unmounted disk does, and comes back."""
    files, out = archive.work / "gone", archive.fresh("of-gone")
    shutil.rmtree(files, ignore_errors=True)
    shutil.copytree(archive.files, files)
    away = archive.work / "away"
    line, status = _during(archive, out, lambda: files.rename(away), inputs=files)
    away.rename(files)
    said(run(archive.analyze(out, "--retry-failed", inputs=files)), 3)
    _as_reference(archive, out)
    shutil.rmtree(files)
    return f"exit status {status}: {line}"


def _during(archive: Archive, out: Path, fault: Callable[[], object], inputs: object = None) -> tuple[str, int]:
    """Does something when a run has written its first fragment; how the run ended."""
    process = subprocess.Popen(
        archive.analyze(out, inputs=inputs), cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    until = time.monotonic() + 200
    while process.poll() is None and not list(out.glob("_work/*/*/*.parquet")) and time.monotonic() < until:
        time.sleep(0.01)
    if process.poll() is not None:
        raise CannotTryError("the run was over before the fault")
    fault()
    try:
        output, errors = process.communicate(timeout=200)
    except subprocess.TimeoutExpired as error:
        process.kill()
        raise BrokenPromiseError("it hangs") from error
    done = subprocess.CompletedProcess([], process.returncode, output, errors)
    return said(done, 0, 1, 3, -signal.SIGKILL), process.returncode


def _limited(archive: Archive, limit: str) -> str:
    out = archive.fresh("limited")
    done = run(archive.analyze(out, workers=1), before=limit)
    line = said(done, 1, 3)
    archive.goes_on(out)
    return f"exit status {done.returncode}: {line[:160]}"


_SHIM = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <time.h>
#include <sys/time.h>
static const long back = 86400;
int clock_gettime(clockid_t id, struct timespec *t) {
  static int (*real)(clockid_t, struct timespec *);
  if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
  int rc = real(id, t);
  if (!rc && id == CLOCK_REALTIME) t->tv_sec -= back;
  return rc;
}
time_t time(time_t *t) {
  struct timespec now; clock_gettime(CLOCK_REALTIME, &now);
  if (t) *t = now.tv_sec;
  return now.tv_sec;
}
"""


def _clock(archive: Archive) -> str:
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        raise CannotTryError("a clock is set back with a library that a C compiler makes, and there is none")
    shim = archive.work / "clock.so"
    subprocess.run(
        [compiler, "-shared", "-fPIC", "-x", "c", "-", "-o", shim, "-ldl"], input=_SHIM, text=True, check=True
    )
    out = archive.fresh("clock")
    line, _ = _during(archive, out, lambda: _kill_run(out))
    said(run(archive.analyze(out), environment={"LD_PRELOAD": str(shim)}), 3)
    archive.is_whole(out)
    said(run(command("status", out), environment={"LD_PRELOAD": str(shim)}), 0)
    return line or "a run that was killed, then the same command a day earlier"


def _kill_run(out: Path) -> None:
    """Kills the process that holds DIR."""
    os.kill(json.loads((out / "_work" / "lock").read_text())["pid"], signal.SIGKILL)


def _two_runs(archive: Archive) -> str:
    """The first is held while the second tries."""
    out = archive.fresh("twice")
    lines: list[str] = []

    def second() -> None:
        pid = json.loads((out / "_work" / "lock").read_text())["pid"]
        os.kill(pid, signal.SIGSTOP)
        try:
            lines.append(said(run(archive.analyze(out)), 1))
        finally:
            os.kill(pid, signal.SIGCONT)

    _during(archive, out, second)
    archive.is_whole(out)
    if "is being written by PID" not in lines[0]:
        raise BrokenPromiseError(f"the second run did not say who writes: {lines[0]}")
    return lines[0]


def _store(archive: Archive, **faults: Any) -> str:
    out = archive.fresh("of-store")
    with store.serving(archive.files, **faults) as (environment, counts):
        done = run(archive.analyze(out, inputs="s3://archive"), environment=environment)
        said(done, 3)
    _as_reference(archive, out)
    return f"{counts['requests']} requests, {counts['faults']} with the fault"


def _store_is_away(archive: Archive) -> str:
    out = archive.fresh("of-nothing")
    nothing = {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", **store.KEYS}
    return said(run(archive.analyze(out, inputs="s3://archive"), environment=nothing), 1, 2)


def _as_reference(archive: Archive, out: Path) -> None:
    """The same tables as an undisturbed run of the same files under other names."""
    from tests.tables import read_table, without_own_columns

    for name in ("faces", "tracks", "timeline"):
        ours, theirs = (
            without_own_columns(read_table(folder, name)).to_pylist() for folder in (out, archive.reference)
        )
        if ours != theirs:
            raise BrokenPromiseError(f"the table {name} is not that of an undisturbed run")
