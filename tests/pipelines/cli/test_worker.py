"""`facelog worker` as a program."""

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
import typer
from apache_beam.portability.api import beam_fn_api_pb2, beam_fn_api_pb2_grpc, endpoints_pb2
from typer.testing import CliRunner, Result

from models.bundle import bundle_names
from pipelines.cli.worker import worker
from schemas.tables import code_version
from tests.runners.control_endpoint import serve as serve_control

pytestmark = pytest.mark.multiprocess

ROOT = Path(__file__).parents[3]
_FACELOG = [
    sys.executable,
    "-c",
    # As where Beam is imported first, which then sets logging up.
    "import logging, typer; logging.basicConfig(); from pipelines.cli.worker import worker; typer.run(worker)",
]


@pytest.fixture
def pool(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A pool that logs to `pool.log`, and the one line that it says when it is ready."""
    with (tmp_path / "pool.log").open("w") as log:
        process = subprocess.Popen([*_FACELOG, "--port", "0"], cwd=ROOT, stdout=subprocess.PIPE, stderr=log, text=True)
    assert process.stdout is not None
    yield process, process.stdout.readline()
    process.kill()
    process.communicate()


@pytest.fixture
def _no_logging(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command sets up no logging in this process, which would stay."""
    monkeypatch.setattr("logging.basicConfig", lambda **_: None)


def call(*arguments: object) -> Result:
    """The command in this process."""
    app = typer.Typer()
    app.command()(worker)
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def start_worker(pool: str, control: str) -> None:
    """As a task manager asks for one."""
    request = beam_fn_api_pb2.StartWorkerRequest(
        worker_id="1-1", control_endpoint=endpoints_pb2.ApiServiceDescriptor(url=control)
    )
    with grpc.insecure_channel(pool) as channel:
        stub = beam_fn_api_pb2_grpc.BeamFnExternalWorkerPoolStub(channel)
        assert not stub.StartWorker(request, timeout=100).error


def test_pool_says_when_it_is_ready_answers_and_stops(pool: tuple[subprocess.Popen[str], str], tmp_path: Path) -> None:
    """By Ctrl-C; SIGTERM is in `tests/runners/flink/test_worker_pool.py`."""
    process, line = pool
    assert line.startswith(f"facelog {code_version()} worker pool ready at localhost:")
    assert all(name in line for name in bundle_names())
    port = int(line.partition("localhost:")[2].partition(": models")[0])
    checked = call("--check", "--port", port)
    assert (checked.exit_code, checked.stderr) == (0, "") and f"localhost:{port}" in checked.stdout
    server, control = serve_control()
    start_worker(f"localhost:{port}", f"localhost:{control}")
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=60)
    server.stop(None)
    assert process.returncode == 0 and said == "facelog worker pool stopped; 1 workers ended with it.\n"
    log = (tmp_path / "pool.log").read_text()
    assert re.search(rf"^\d.* INFO worker 1-1 \(pid \d+\) started, for localhost:{control}$", log, re.MULTILINE), log
    checked = call("--check", "--port", port)
    assert checked.exit_code == 1
    assert (
        checked.stderr == f"facelog: No worker pool answers at localhost:{port}; start one there with facelog worker.\n"
    )


@pytest.mark.usefixtures("_no_logging")
def test_a_wrong_address_is_one_sentence() -> None:
    done = call("--bind", "192.0.2.1")
    assert (done.exit_code, done.stderr) == (2, "facelog: --bind 192.0.2.1: this host has no such address.\n")
