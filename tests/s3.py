"""A real S3 server for tests and benchmarks (versitygw over a folder), and a proxy that counts, delays and disturbs.

The program is looked for in `$FACELOG_FLINK_HOME` (default `.cache/flink`), its `bin` and on the PATH;
`go install github.com/versity/versitygw/cmd/versitygw@latest` makes it.
"""

import contextlib
import os
import re
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from schemas import storage

ACCESS_KEY, SECRET_KEY, REGION, BUCKET = "facelog", "facelog-secret", "us-east-1", "archive"
_ROOT = Path(__file__).parents[1]
_REQUEST = re.compile(rb"(GET|HEAD|PUT|POST|DELETE) (\S+) HTTP/1\.1\r\n")
_SLOW_DOWN = b"<?xml version='1.0'?><Error><Code>SlowDown</Code><Message>Please reduce your rate.</Message></Error>"


class NoServerError(Exception):
    """No S3 server can be started here; the text says why."""


def program() -> Path:
    """The server's program.

    Raises:
      NoServerError: it is not there.
    """
    home = Path(os.environ.get("FACELOG_FLINK_HOME", _ROOT / ".cache" / "flink"))
    found = shutil.which("versitygw", path=os.pathsep.join([str(home / "bin"), str(home), os.environ.get("PATH", "")]))
    if found is None:
        raise NoServerError("the S3 server versitygw is not installed; `make parts` gets it (needs Go)")
    return Path(found)


class S3Server:
    """An S3 server over a folder, with one bucket; it can be stopped and started again on the same port.

    Args:
      folder: an empty folder of its own.
      options: of the program, such as `--readonly`.
      host: address to listen on.
      port: a free one by default.

    Attributes:
      folder: has a folder for each bucket with its objects as files.
    """

    def __init__(self, folder: Path, *options: str, host: str = "127.0.0.1", port: int | None = None):
        self._program, self._options = program(), options
        self.folder, self._metadata = folder / "data", folder / "metadata"
        self.host, self.port = host, port or free_port(host)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Address of the server."""
        return f"http://{self.host}:{self.port}"

    def start(self) -> None:
        """Starts the program and waits until it listens.

        Raises:
          NoServerError: it does not start.
        """
        for folder in (self.folder / BUCKET, self._metadata):
            folder.mkdir(parents=True, exist_ok=True)
        where = [f"--port={self.host}:{self.port}", f"--region={REGION}", "--quiet"]
        keys = {"ROOT_ACCESS_KEY": ACCESS_KEY, "ROOT_SECRET_KEY": SECRET_KEY}
        self._process = subprocess.Popen(
            [self._program, *where, *self._options, "posix", f"--sidecar={self._metadata}", self.folder],
            env=os.environ | keys,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for _ in range(300):
            with contextlib.suppress(OSError), socket.create_connection((self.host, self.port), timeout=1):
                return
            if self._process.poll() is not None:
                raise NoServerError(f"versitygw ends at once with status {self._process.returncode}")
            time.sleep(0.1)
        self.stop()
        raise NoServerError("versitygw does not listen after half a minute")

    def stop(self) -> None:
        """Kills the program; what it has stored stays."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def make_bucket(self) -> str:
        """A new empty bucket."""
        name = f"archive-{sum(1 for _ in self.folder.iterdir())}"
        (self.folder / name).mkdir()
        return name

    @contextlib.contextmanager
    def away(self, *, after: float, seconds: float) -> Iterator[None]:
        """The server stops in so many seconds, for so many seconds; waits until it is back."""

        def interrupt() -> None:
            time.sleep(after)
            self.stop()
            time.sleep(seconds)
            self.start()

        thread = threading.Thread(target=interrupt)
        thread.start()
        try:
            yield
        finally:
            thread.join()


class Proxy:
    """A TCP proxy before an S3 server: counts requests and bytes, delays requests, answers or breaks some itself.

    Args:
      port: the server's, on this machine.
      delay: seconds before each request is handed on.

    Attributes:
      requests: method and target of each request, in order.
      sent: bytes that went to the client.
      disturb: called with number (from 1), method and target of a request: None lets it pass, "slow down" answers with
        status 503, "error" with 500, "close" closes the connection, "half" after half a kilobyte of the answer's body.
    """

    def __init__(self, port: int, delay: float = 0.0):
        self._server_port, self._delay = port, delay
        self.requests: list[tuple[str, str]] = []
        self.sent = 0
        self.disturb: Callable[[int, str, str], str | None] = lambda number, method, target: None
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        """Address of the proxy."""
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def clear(self) -> None:
        """Forgets what was counted."""
        with self._lock:
            self.requests, self.sent = [], 0

    def close(self) -> None:
        """Takes no more connections."""
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self._server_port)) as server:
            for end in (client, server):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            limit: list[int | None] = [None]
            threading.Thread(target=self._answer, args=(server, client, limit), daemon=True).start()
            while data := client.recv(1 << 16):
                # A client waits for the answer before its next request, so a request begins with a piece.
                if head := _REQUEST.match(data):
                    method, target = (part.decode() for part in head.groups())
                    with self._lock:
                        self.requests.append((method, target))
                        number = len(self.requests)
                    time.sleep(self._delay)
                    match self.disturb(number, method, target):
                        case "slow down":
                            self._refuse(client, 503, "Slow Down", b"" if method == "HEAD" else _SLOW_DOWN)
                            return
                        case "error":
                            self._refuse(client, 500, "Internal Server Error", b"")
                            return
                        case "close":
                            return
                        case "half":
                            limit[0] = 1024
                server.sendall(data)

    def _answer(self, server: socket.socket, client: socket.socket, limit: list[int | None]) -> None:
        with contextlib.suppress(OSError):
            while data := server.recv(1 << 16):
                if limit[0] is not None:
                    client.sendall(data[: limit[0]])
                    break
                client.sendall(data)
                with self._lock:
                    self.sent += len(data)
        for end in (client, server):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    @staticmethod
    def _refuse(client: socket.socket, status: int, reason: str, body: bytes) -> None:
        head = f"HTTP/1.1 {status} {reason}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        client.sendall(head.encode() + body)


def free_port(host: str = "127.0.0.1") -> int:
    """A port that nobody listens on."""
    with socket.socket() as free:
        free.bind((host, 0))
        return free.getsockname()[1]


def environment(url: str, **changes: str) -> dict[str, str]:
    """The variables that lead to a server with the right keys, with changes."""
    return {
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        "AWS_REGION": REGION,
        "AWS_ENDPOINT_URL": url,
        "AWS_EC2_METADATA_DISABLED": "true",
    } | changes


@contextlib.contextmanager
def s3_at(url: str, *, options: Mapping[str, str] | None = None, **changes: str) -> Iterator[None]:
    """S3 is at this address, for this process and those it starts; nothing is known of it yet."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment(url, **changes).items():
            patch.setenv(name, value)
        storage.configure(options or {})
        yield
    storage.configure({})


@contextlib.contextmanager
def running_server(*options: str) -> Iterator[S3Server]:
    """A server over a temporary folder.

    Raises:
      NoServerError: there is none to be had.
    """
    with tempfile.TemporaryDirectory(prefix="s3-") as folder:
        server = S3Server(Path(folder), *options)
        server.start()
        try:
            yield server
        finally:
            server.stop()


@pytest.fixture(scope="session")
def s3_program() -> Path:
    """The server's program; tests that start servers of their own use this fixture, too, and are skipped without it."""
    try:
        return program()
    except NoServerError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def s3_server(s3_program: Path) -> Iterator[S3Server]:
    """A running server, shared by all tests of a process."""
    with running_server() as server:
        yield server


@pytest.fixture
def s3_bucket(s3_server: S3Server) -> Iterator[str]:
    """The name of a new bucket, with the variables that lead there."""
    with s3_at(s3_server.url):
        yield f"s3://{s3_server.make_bucket()}"


@pytest.fixture
def s3_proxy(s3_bucket: str, s3_server: S3Server) -> Iterator[Proxy]:
    """A proxy before the server of `s3_bucket`, with the variables that lead there."""
    proxy = Proxy(s3_server.port)
    with s3_at(proxy.url):
        yield proxy
    proxy.close()
