"""How a run of the local runner ends when its supervisor is ended from outside."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.multiprocess

ROOT = Path(__file__).parents[3]


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], list[int]]]:
    """A run with two busy workers, one of which holds the GIL; and their process numbers."""
    trail = tmp_path / "trail"
    trail.touch()
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.runners.interruptible", str(trail)],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        assert wait_until(lambda: len(trail.read_text().split()) == 2)
        yield process, [int(pid) for pid in trail.read_text().split()]
    finally:
        process.kill()
        for pid in trail.read_text().split():  # a worker that is left would burn a core for ever
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        process.communicate()


def wait_until(holds: Callable[[], bool]) -> bool:
    end = time.monotonic() + 60
    while not holds() and time.monotonic() < end:
        time.sleep(0.05)
    return holds()


def runs(pid: int) -> bool:
    """Whether there is such a process and it has not ended; one that nobody has asked about its end counts as ended."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_kill_9_of_the_supervisor_leaves_no_workers(supervisor: tuple[subprocess.Popen[str], list[int]]) -> None:
    process, workers = supervisor
    assert all(runs(pid) for pid in workers)
    process.kill()
    process.wait()
    assert wait_until(lambda: not any(runs(pid) for pid in workers))


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_ctrl_c_ends_the_run_at_once_and_quietly(supervisor: tuple[subprocess.Popen[str], list[int]]) -> None:
    process, workers = supervisor
    os.killpg(process.pid, signal.SIGINT)  # as the terminal does: workers get it, too
    _, errors = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGINT  # Python's way to end by a KeyboardInterrupt
    assert not any(runs(pid) for pid in workers)
    assert errors.startswith("Traceback") and errors.count("Traceback") == 1  # nor has an import said anything
    assert errors.rstrip().endswith("KeyboardInterrupt")
