"""`facelog worker` as a program."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from models.bundle import bundle_names
from pipelines.cli.worker import worker
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


def call(*arguments: object) -> Result:
    """The command in this process."""
    app = typer.Typer()
    app.command()(worker)
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_pool_says_when_it_is_ready_answers_and_stops(pool: tuple[subprocess.Popen[str], str]) -> None:
    """By Ctrl-C; SIGTERM is in `tests/runners/flink/test_worker_pool.py`."""
    process, line = pool
    assert line.startswith(f"facelog {code_version()} worker pool ready at localhost:")
    assert all(name in line for name in bundle_names())
    port = int(line.partition("localhost:")[2].partition(": models")[0])
    checked = call("--check", "--port", port)
    assert (checked.exit_code, checked.stderr) == (0, "") and f"localhost:{port}" in checked.stdout
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=15)
    assert process.returncode == 0 and said == "facelog worker pool stopped; 0 workers ended with it.\n"
    checked = call("--check", "--port", port)
    assert checked.exit_code == 1
    assert (
        checked.stderr == f"facelog: No worker pool answers at localhost:{port}; start one there with facelog worker.\n"
    )


def test_a_wrong_address_is_one_sentence() -> None:
    done = call("--bind", "192.0.2.1")
    assert (done.exit_code, done.stderr) == (2, "facelog: --bind 192.0.2.1: this host has no such address.\n")
