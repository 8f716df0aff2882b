"""The worker pool with real processes: requests as a task manager sends them, and each process killed once."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import pytest
from apache_beam.portability.api import beam_fn_api_pb2, beam_fn_api_pb2_grpc, endpoints_pb2

from benchmarks.trust.kills import workers_of
from runners.flink.worker_pool import answers, serve
from schemas.errors import FacelogError, UsageError
from tests.runners.control_endpoint import serve as serve_control

pytestmark = [
    pytest.mark.multiprocess,
    pytest.mark.skipif(sys.platform != "linux", reason="reads /proc"),
]

ROOT = Path(__file__).parents[3]
_POOL = (
    "from runners.flink.worker_pool import serve; serve(port=0, on_ready=lambda address: print(address, flush=True))"
)


class Pool:
    """A pool in a process of its own, and its task manager's way to it."""

    def __init__(self, log: Path) -> None:
        self.log = log
        with log.open("wb") as stderr:
            command = [sys.executable, "-c", f"import logging; logging.basicConfig(level=20); {_POOL}"]
            self.process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=stderr, text=True)
        assert self.process.stdout is not None
        self.address = self.process.stdout.readline().strip()
        self.port = int(self.address.rpartition(":")[2])
        self._channel = grpc.insecure_channel(self.address)
        self._stub = beam_fn_api_pb2_grpc.BeamFnExternalWorkerPoolStub(self._channel)

    def start(self, worker_id: str, control: str) -> str:
        """Returns the error, which is empty where there is none."""
        endpoint = endpoints_pb2.ApiServiceDescriptor(url=control)
        request = beam_fn_api_pb2.StartWorkerRequest(worker_id=worker_id, control_endpoint=endpoint)
        return str(self._stub.StartWorker(request, timeout=100).error)

    def stop(self, worker_id: str) -> None:
        assert not self._stub.StopWorker(beam_fn_api_pb2.StopWorkerRequest(worker_id=worker_id), timeout=30).error

    def workers(self) -> list[int]:
        return workers_of(self.process.pid)

    def clear(self) -> None:
        """Kills its workers, and waits until it has reaped them."""
        for pid in self.workers():
            os.kill(pid, signal.SIGKILL)
        assert ends(lambda: not self.workers())

    def close(self) -> None:
        self._channel.close()
        workers = self.workers()
        self.process.kill()
        self.process.communicate()
        for pid in workers:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


@pytest.fixture(scope="module")
def shared_pool(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pool]:
    pool = Pool(tmp_path_factory.mktemp("pool") / "pool.log")
    yield pool
    pool.close()


@pytest.fixture
def pool(shared_pool: Pool) -> Iterator[Pool]:
    """A pool without workers, for tests that do not end it."""
    yield shared_pool
    shared_pool.clear()


@pytest.fixture
def own_pool(tmp_path: Path) -> Iterator[Pool]:
    """A pool for a test that ends it."""
    pool = Pool(tmp_path / "pool.log")
    yield pool
    pool.close()


@pytest.fixture
def control() -> Iterator[str]:
    """The control endpoint of a task manager that lives as long as the test, in this process."""
    server, port = serve_control()
    yield f"localhost:{port}"
    server.stop(None)


@contextlib.contextmanager
def task_manager() -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The process of a task manager that can be killed, and its control endpoint."""
    command = [sys.executable, "-m", "tests.runners.control_endpoint"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        assert process.stdout is not None
        yield process, f"localhost:{process.stdout.readline().strip()}"
    finally:
        process.kill()
        process.communicate()


def ends(holds: Callable[[], bool]) -> bool:
    """Whether it holds before long."""
    deadline = time.monotonic() + 60
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.05)
    return holds()


def is_gone(pid: int) -> bool:
    """Not even a zombie is left."""
    return not Path(f"/proc/{pid}").exists()


def test_worker_has_the_pools_python_and_one_thread_per_library_and_is_reaped(pool: Pool, control: str) -> None:
    assert not pool.start("1-1", control)
    (worker,) = pool.workers()
    command = Path(f"/proc/{worker}/cmdline").read_text().split("\0")
    environment = Path(f"/proc/{worker}/environ").read_text().split("\0")
    assert command[0] == sys.executable
    level = os.environ.get("TF_CPP_MIN_LOG_LEVEL", "2")  # where the user wants another, that
    assert {"TF_NUM_INTRAOP_THREADS=1", "OMP_NUM_THREADS=1", f"TF_CPP_MIN_LOG_LEVEL={level}"} <= set(environment)

    os.kill(worker, signal.SIGSEGV)
    assert ends(lambda: is_gone(worker))
    assert ends(lambda: f"worker 1-1 (pid {worker}) was ended by SIGSEGV" in pool.log.read_text())


def test_worker_ends_when_asked_and_on_sigterm(own_pool: Pool, control: str) -> None:
    assert not own_pool.start("1-1", control) and not own_pool.start("2-1", control)
    first, second = sorted(own_pool.workers())
    own_pool.stop("1-1")
    assert is_gone(first) and not is_gone(second)
    own_pool.process.send_signal(signal.SIGTERM)
    assert own_pool.process.wait(60) == 0
    assert is_gone(second) and not answers(port=own_pool.port)


@pytest.mark.slow
def test_workers_end_with_their_task_manager_also_a_stuck_one(pool: Pool, control: str) -> None:
    with task_manager() as (manager, own_control):
        assert not pool.start("1-1", own_control) and not pool.start("2-1", own_control)
        works, stuck = sorted(pool.workers())
        assert not pool.start("1-1", control)
        (third,) = set(pool.workers()) - {works, stuck}
        os.kill(stuck, signal.SIGSTOP)  # it cannot notice, nor react to SIGTERM
        manager.kill()
        assert ends(lambda: is_gone(works))
        assert ends(lambda: is_gone(stuck))
        assert f"(pid {stuck}) is left over" in pool.log.read_text()
        assert not is_gone(third)


def test_workers_end_when_the_pool_is_killed(own_pool: Pool, control: str) -> None:
    assert not own_pool.start("1-1", control)
    (worker,) = own_pool.workers()
    own_pool.process.kill()
    assert ends(lambda: is_gone(worker))


def test_two_jobs_may_have_workers_of_one_id(pool: Pool, control: str) -> None:
    """An id of their own: how often one was stopped counts."""
    with task_manager() as (first_manager, first_control):
        assert not pool.start("8-1", first_control)
        (first,) = pool.workers()
        assert not pool.start("8-1", control)
        (second,) = set(pool.workers()) - {first}
        first_manager.kill()  # its streams end; what follows is its last call
        assert ends(lambda: is_gone(first))
        assert f"worker 8-1: WARNING runners.flink.worker_pool: the task manager at {first_control} is gone" in (
            pool.log.read_text()
        )
        pool.stop("8-1")
        assert not is_gone(second)
        pool.stop("8-1")
        assert is_gone(second)


def test_worker_is_replaced_where_its_own_task_manager_asks_again(pool: Pool, control: str) -> None:
    assert not pool.start("1-1", control)
    (first,) = pool.workers()
    assert not pool.start("1-1", control)
    assert is_gone(first) and len(pool.workers()) == 1


def test_worker_that_cannot_reach_its_task_manager_is_an_error(pool: Pool) -> None:
    error = pool.start("1-1", "localhost:9")
    assert re.match(r"worker 1-1 \(pid \d+\) .* before it reached localhost:9", error)
    assert not pool.workers()


def test_a_second_pool_is_refused(pool: Pool) -> None:
    assert answers(port=pool.port)
    with pytest.raises(FacelogError, match=f"Port {pool.port} is in use by another worker pool"):
        serve(port=pool.port)


def test_addresses_that_are_not_there_are_refused() -> None:
    for bind in ("192.0.2.1", "no-such-host.invalid"):
        with pytest.raises(UsageError, match=f"--bind {bind}"):
            serve(bind, 0)


def test_a_temporary_folder_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", "/nowhere")
    with pytest.raises(FacelogError, match="TMPDIR"):
        serve(port=0)
