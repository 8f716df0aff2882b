"""The worker pool of one host: it starts Python workers when a task manager asks for them, and ends them.

It speaks the protocol of Beam's own pool (`apache_beam.runners.worker.worker_pool_main`), so either can replace the
other. This pool leaves no workers behind. A worker ends when its control stream ends, even if its threads are busy;
when the pool ends, even by `kill -9`; and when nothing listens at its control endpoint any more.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import logging
import multiprocessing
import os
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent import futures
from multiprocessing import connection
from multiprocessing.process import BaseProcess
from typing import TYPE_CHECKING, Any

import grpc

from runners.end_with_parent import end_with_parent
from runners.fork_server import CONTEXT, ONE_THREAD, import_ahead, let_server_end, start
from runners.options import quiet_beam
from schemas.errors import FacelogError, StorageError, UsageError
from schemas.process import run_endings

if TYPE_CHECKING:  # Beam takes 2–3 s to import; `facelog worker --check` should not wait for it
    from apache_beam.portability.api import beam_fn_api_pb2

PORT = 50000

_HARNESS = "apache_beam.runners.worker.sdk_worker"
_SERVICE = "/org.apache.beam.model.fn_execution.v1.BeamFnExternalWorkerPool/"
_THREADS = 64  # calls at a time: a task manager starts the workers of all its slots at once
_LOOK_SECONDS = 1.0
_START_SECONDS = 120.0  # Beam's import takes 2–3 s, and the harness gives its control endpoint 60
_PATIENCE_SECONDS = 3.0  # for a worker to end by itself, then on SIGTERM
_GONE_SECONDS = 5.0  # without a listener at the control endpoint
_MEMORY_SECONDS = 60.0  # a task manager may say that a worker is to stop some time after it has ended

_logger = logging.getLogger(__name__)


@dataclasses.dataclass(eq=False)
class _Worker:
    """A worker process.

    Attributes:
      id: such as "1-1"; workers of two jobs on one task manager can have the same id.
      control: its control endpoint, host:port of the task manager; each job has its own.
      refused_since: since when nothing listens there; None while something does.
      ended_at: when the pool noticed that the worker had ended.
    """

    id: str
    control: str
    process: BaseProcess
    refused_since: float | None = None
    ended_at: float | None = None
    _lock: threading.Lock = dataclasses.field(default_factory=threading.Lock)

    def __str__(self) -> str:
        return f"worker {self.id} (pid {self.process.pid})"

    def runs(self) -> bool:
        with self._lock:  # of two threads that ask at the same time, one would not get the exit status
            return self.process.exitcode is None

    def waits_for_end(self, seconds: float) -> None:
        """Returns when the worker has ended, or after so many seconds."""
        connection.wait([self.process.sentinel], max(0.0, seconds))

    def signal(self, number: signal.Signals) -> None:
        """Sends a signal to the worker and to its child processes."""
        pid = self.process.pid
        if pid is not None and self.runs():
            with contextlib.suppress(ProcessLookupError):
                try:
                    os.killpg(pid, number)
                except ProcessLookupError:  # it has only begun, and has no group of its own yet
                    os.kill(pid, number)

    def how_it_ended(self) -> str:
        code = self.process.exitcode
        assert code is not None
        if code >= 0:
            return f"ended with exit status {code}"
        return f"was ended by {signal.Signals(-code).name}"


class WorkerPool:
    """The gRPC servicer; task managers call its two methods, in any thread."""

    def __init__(self) -> None:
        self._workers: list[_Worker] = []  # the oldest first; ended ones stay for `_MEMORY_SECONDS`
        self._lock = threading.Lock()

    def StartWorker(  # noqa: N802
        self, request: beam_fn_api_pb2.StartWorkerRequest, context: grpc.ServicerContext
    ) -> beam_fn_api_pb2.StartWorkerResponse:
        """Starts a worker and waits until it has connected to its control endpoint.

        If it cannot connect, the answer says so; otherwise the task manager would wait for ever.
        """
        from apache_beam.portability.api import beam_fn_api_pb2

        worker_id, control = request.worker_id, request.control_endpoint.url
        _end([worker for worker in self._running(worker_id) if worker.control == control])
        try:
            process, connected = _start_process(control, worker_id)
        except (OSError, EOFError) as error:
            _logger.error("worker %s cannot be started: %s", worker_id, error)
            return beam_fn_api_pb2.StartWorkerResponse(error=f"The worker cannot be started: {error}.")
        worker = _Worker(worker_id, control, process)
        with self._lock:
            self._workers.append(worker)
        if not _was_told(connected):
            _end([worker])
            sentence = f"{worker} {worker.how_it_ended()} before it reached {control}; the pool's log has more."
            return beam_fn_api_pb2.StartWorkerResponse(error=sentence)
        _logger.info("%s started, for %s", worker, control)
        return beam_fn_api_pb2.StartWorkerResponse()

    def StopWorker(  # noqa: N802
        self, request: beam_fn_api_pb2.StopWorkerRequest, context: grpc.ServicerContext
    ) -> beam_fn_api_pb2.StopWorkerResponse:
        """Ends a worker with this id.

        A task manager closes the control stream first, which ends the worker. So if two jobs have workers with this id,
        the one that ends by itself is meant; if none does, the oldest is ended.
        """
        from apache_beam.portability.api import beam_fn_api_pb2

        with self._lock:
            meant = [worker for worker in self._workers if worker.id == request.worker_id]
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while meant and all(worker.runs() for worker in meant) and time.monotonic() < deadline:
            time.sleep(0.02)
        if meant:
            stopped = next((worker for worker in meant if not worker.runs()), meant[0])
            _end([stopped])
            self._forget(stopped)
        return beam_fn_api_pb2.StopWorkerResponse()

    def tend(self) -> None:
        """Notes which workers have ended, and ends workers without a task manager; is called every second."""
        now = time.monotonic()
        with self._lock:
            workers = list(self._workers)
        for worker in workers:
            if worker.runs():
                continue
            if worker.ended_at is None:
                worker.ended_at = now
                _logger.info("%s %s", worker, worker.how_it_ended())
            elif now - worker.ended_at > _MEMORY_SECONDS:
                self._forget(worker)
        running = [worker for worker in workers if worker.runs()]
        refused = {control for control in {worker.control for worker in running} if _refuses(control)}
        for worker in running:
            worker.refused_since = (worker.refused_since or now) if worker.control in refused else None
        gone = [worker for worker in running if worker.refused_since and now - worker.refused_since >= _GONE_SECONDS]
        for worker in gone:
            _logger.warning("%s is left over: nothing listens at %s any more", worker, worker.control)
        _end(gone)

    def end_workers(self) -> int:
        """Ends all workers; returns how many were running."""
        running = self._running()
        _end(running)
        return len(running)

    def _running(self, worker_id: str | None = None) -> list[_Worker]:
        with self._lock:
            return [worker for worker in self._workers if worker.runs() and worker_id in (None, worker.id)]

    def _forget(self, worker: _Worker) -> None:
        with self._lock, contextlib.suppress(ValueError):  # done already
            self._workers.remove(worker)
        if worker.ended_at is None:
            _logger.info("%s %s", worker, worker.how_it_ended())


def serve(
    bind: str = "localhost",
    port: int = PORT,
    *,
    imports: Sequence[str] = (),
    on_ready: Callable[[str], None] = lambda _: None,
) -> int:
    """Runs a pool until SIGTERM or SIGINT; has to be called in the main thread.

    Whoever reaches the port can run code here, so by default only this host can reach it.

    Args:
      bind: the address to listen at.
      port: 0: any free port.
      imports: modules that workers find imported, without TensorFlow; they stay as they are while the pool runs.
      on_ready: called with host:port when the pool listens.

    Returns:
      How many workers were running at the end.

    Raises:
      UsageError: no such address on this host.
      FacelogError: the port is in use or not allowed.
      StorageError: no folder for temporary files.
    """
    quiet_beam()
    import_ahead([_HARNESS, *imports])
    from apache_beam.portability.api import beam_fn_api_pb2_grpc

    _check_address(bind, port)
    _check_temporary_folder()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    options = [
        ("grpc.so_reuseport", 0),  # else two pools could share the port, and each would get some of the calls
        ("grpc.http2.max_pings_without_data", 0),
        ("grpc.http2.max_ping_strikes", 0),
    ]
    # The threads last: a worker would take the end of the thread that started it for the end of the pool.
    server = grpc.server(futures.ThreadPoolExecutor(_THREADS), options=options)
    pool = WorkerPool()
    beam_fn_api_pb2_grpc.add_BeamFnExternalWorkerPoolServicer_to_server(pool, server)
    try:
        port = server.add_insecure_port(_address(bind, port))
    except RuntimeError as error:
        raise FacelogError(f"The pool cannot listen at {_address(bind, port)}: {error}.") from error
    server.start()
    try:
        on_ready(_address(bind, port))
        while not stop.wait(_LOOK_SECONDS):
            pool.tend()
    finally:
        server.stop(grace=0)
        ended = pool.end_workers()
    return ended


def answers(bind: str = "localhost", port: int = PORT, *, seconds: float = 5.0) -> bool:
    """Whether a worker pool, this one or Beam's, answers at an address."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(bind, bind)
    # The environment's proxy is not for pools.
    with grpc.insecure_channel(_address(host, port), options=[("grpc.enable_http_proxy", 0)]) as channel:
        # An empty StopWorkerRequest: a worker without a name, which nobody has started.
        call: Any = channel.unary_unary(f"{_SERVICE}StopWorker")
        try:
            call(b"", timeout=seconds)
        except grpc.RpcError:
            return False
    return True


def run_worker(control: str, worker_id: str, connected: connection.Connection) -> None:
    """The worker process: a Beam SDK harness, until its control stream ends; does not return.

    Args:
      control: host:port of the task manager.
      worker_id: the task manager's name for it.
      connected: gets a message when the control endpoint has been reached.
    """
    os.setpgid(0, 0)  # to be ended together with its child processes; and Ctrl-C is for the pool
    os.dup2(2, 1)
    pool = multiprocessing.parent_process()
    assert pool is not None
    let_server_end()  # and the kernel ends this process when the server ends
    end_with_parent(pool.join)
    # In place of what the server's imports may have set up.
    logging.basicConfig(format=f"worker {worker_id}: %(levelname)s %(name)s: %(message)s", force=True)
    quiet_beam()
    from apache_beam.runners.worker.sdk_worker import SdkHarness

    status = 1
    try:
        harness = SdkHarness(control, worker_id=worker_id, data_buffer_time_limit_ms=-1)
        connected.send_bytes(b"connected")
        connected.close()
        harness.run()
        status = 0
    except grpc.FutureTimeoutError:
        _logger.error("nothing answers at %s", control)
    except grpc.RpcError:
        _logger.warning("the task manager at %s is gone", control)
    except Exception:
        _logger.exception("the harness has failed")
    # No clean-up: it would wait for threads that are still at a segment which nobody wants any more.
    run_endings()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(status)


def _start_process(control: str, worker_id: str) -> tuple[BaseProcess, connection.Connection]:
    """Starts a worker; returns it with the connection to which it writes when it has reached its control endpoint."""
    ours, theirs = CONTEXT.Pipe(duplex=False)
    process = CONTEXT.Process(target=run_worker, args=(control, worker_id, theirs), daemon=True)
    with theirs:
        start(process, {"TF_CPP_MIN_LOG_LEVEL": os.environ.get("TF_CPP_MIN_LOG_LEVEL", "2")} | ONE_THREAD)
    return process, ours


def _was_told(connected: connection.Connection) -> bool:
    """Waits for the worker's message; False if it ended or took too long."""
    with connected, contextlib.suppress(EOFError, ConnectionError):
        return connected.poll(_START_SECONDS) and bool(connected.recv_bytes())
    return False


def _end(workers: Iterable[_Worker]) -> None:
    """Asks all workers to end, and kills those that still run after a few seconds."""
    workers = list(workers)
    for number in (signal.SIGTERM, signal.SIGKILL):
        for worker in workers:
            worker.signal(number)
        deadline = time.monotonic() + _PATIENCE_SECONDS
        for worker in workers:
            worker.waits_for_end(deadline - time.monotonic())


def _refuses(control: str) -> bool:
    """Whether an endpoint refuses connections; if it cannot be reached for another reason, the answer is no."""
    host, _, port = control.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=1.0).close()
    except ConnectionRefusedError:
        return True
    except (OSError, ValueError):
        return False
    return False


def _address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _check_address(bind: str, port: int) -> None:
    """Finds out what is wrong with an address, since gRPC only says that it could not listen."""
    try:
        found = socket.getaddrinfo(bind, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (socket.gaierror, UnicodeError):
        raise UsageError(f"--bind {bind}: no such host name or address.") from None
    there = False
    for family, kind, _, _, address in found:
        try:
            with socket.socket(family, kind) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(address)
            there = True
        except PermissionError:
            raise FacelogError(f"Port {port} is not allowed; choose one from 1024 on with --port.") from None
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                other = " by another worker pool, and one is enough for a host" if answers(bind, port) else ""
                raise FacelogError(f"Port {port} is in use{other}; choose another with --port.") from None
    if not there:
        raise UsageError(f"--bind {bind}: this host has no such address.")


def _check_temporary_folder() -> None:
    try:
        with tempfile.TemporaryFile() as file:
            file.write(b"\n")
    except OSError as error:
        raise StorageError(
            f"No temporary file can be written ({error.strerror}); give a folder with space in the environment "
            "variable TMPDIR."
        ) from error
