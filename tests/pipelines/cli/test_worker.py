"""`facelog worker` as a program."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from models.bundle import bundle_names
from schemas.tables import code_version

pytestmark = pytest.mark.multiprocess

ROOT = Path(__file__).parents[3]
_FACELOG = [sys.executable, "-c", "import typer; from pipelines.cli.worker import worker; typer.run(worker)"]


@pytest.fixture
def pool() -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A pool and the one line that it says when it is ready."""
    process = subprocess.Popen([*_FACELOG, "--port", "0"], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    yield process, process.stdout.readline()
    process.kill()
    process.communicate()


def check(port: int) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*_FACELOG, "--check", "--port", str(port)], cwd=ROOT, capture_output=True, text=True)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_pool_says_when_it_is_ready_answers_and_stops(
    pool: tuple[subprocess.Popen[str], str], number: signal.Signals
) -> None:
    process, line = pool
    assert line.startswith(f"facelog {code_version()} worker pool ready at localhost:")
    assert all(name in line for name in bundle_names())
    port = int(line.partition("localhost:")[2].partition(": models")[0])
    checked = check(port)
    assert (checked.returncode, checked.stderr) == (0, "") and f"localhost:{port}" in checked.stdout
    process.send_signal(number)
    said, _ = process.communicate(timeout=15)
    assert process.returncode == 0 and said == "facelog worker pool stopped; 0 workers ended with it.\n"
    checked = check(port)
    assert checked.returncode == 1
    assert (
        checked.stderr == f"facelog: No worker pool answers at localhost:{port}; start one there with facelog worker.\n"
    )


def test_a_wrong_address_is_one_sentence() -> None:
    done = subprocess.run([*_FACELOG, "--bind", "192.0.2.1"], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (2, "facelog: --bind 192.0.2.1: this host has no such address.\n")
