"""Object storage while a real S3 server fails, is slow, or is away."""

import collections
import concurrent.futures
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from schemas import storage
from schemas.errors import StorageError
from schemas.storage import remote
from tests.s3 import BUCKET, Proxy, S3Server, free_port, running_server, s3_at
from tests.schemas.conftest import Clock
from tests.schemas.stores import FUNCTIONS, each_function, names

pytestmark = pytest.mark.multiprocess


@each_function
@pytest.mark.parametrize("how", ["slow down", "error", "close"])
def test_every_function_goes_on(s3_bucket: str, s3_proxy: Proxy, clock: Clock, function, how):
    storage.write_bytes(f"{s3_bucket}/x", b"hello")
    storage.write_bytes(f"{s3_bucket}/y/z", b"hello")
    s3_proxy.clear()
    s3_proxy.disturb = lambda number, method, target: how if number <= 4 else None
    function(f"{s3_bucket}/y" if function in (storage.delete_tree, FUNCTIONS["list"]) else f"{s3_bucket}/x")
    assert len(s3_proxy.requests) >= 5


def test_a_connection_lost_in_the_middle_of_an_object(s3_bucket: str, s3_proxy: Proxy):
    data = os.urandom(1 << 20)
    storage.write_bytes(f"{s3_bucket}/x", data)
    s3_proxy.clear()
    s3_proxy.disturb = lambda number, method, target: "half" if method == "GET" and number <= 5 else None
    assert storage.read_bytes(f"{s3_bucket}/x") == data
    assert len(s3_proxy.requests) > 5


def test_too_many_requests_at_first_contact(s3_bucket: str, s3_proxy: Proxy):
    s3_proxy.disturb = lambda number, method, target: "slow down" if number <= 4 else None
    storage.write_bytes(f"{s3_bucket}/x", b"hello")
    assert len(s3_proxy.requests) > 5


def test_a_failure_that_does_not_pass_ends(s3_bucket: str, s3_proxy: Proxy, clock: Clock, monkeypatch):
    storage.write_bytes(f"{s3_bucket}/x", b"hello")
    monkeypatch.setattr(remote, "PATIENCE", 10.0)
    s3_proxy.disturb = lambda number, method, target: "slow down"
    with pytest.raises(StorageError, match="the store is overloaded"):
        storage.stat(f"{s3_bucket}/x")
    assert 2 < sum(clock.pauses) <= 10 and clock.pauses == sorted(clock.pauses)


def test_a_part_that_fails_leaves_nothing(s3_bucket: str, s3_proxy: Proxy, monkeypatch):
    storage.write_bytes(f"{s3_bucket}/before", b"")
    monkeypatch.setattr(remote, "PATIENCE", 1.0)
    s3_proxy.disturb = lambda number, method, target: "close" if "partNumber=2" in target else None
    with pytest.raises(StorageError, match="cannot be reached"):
        storage.write_bytes(f"{s3_bucket}/large", bytes(25 << 20))
    s3_proxy.disturb = lambda number, method, target: None
    assert names(s3_bucket) == ["before"]


def test_killed_in_the_middle_of_a_write(s3_bucket: str, s3_proxy: Proxy):
    storage.write_bytes(f"{s3_bucket}/x", b"old")
    s3_proxy.clear()
    s3_proxy.disturb = lambda number, method, target: time.sleep(60) if "partNumber=3" in target else None
    code = f"from schemas import storage; storage.write_bytes('{s3_bucket}/x', bytes(45 << 20))"
    writer = subprocess.Popen([sys.executable, "-c", code])
    for _ in range(600):
        if any("partNumber=3" in target for _, target in s3_proxy.requests):
            break
        time.sleep(0.05)
    else:
        pytest.fail("the third part was never sent")
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    assert storage.read_bytes(f"{s3_bucket}/x") == b"old"
    assert names(s3_bucket) == ["x"]


@pytest.mark.slow
def test_the_server_is_away_for_ten_seconds(s3_program: Path):
    """Sixteen threads of one client: Arrow's own retries of one such outage would be used up for all of them."""
    data = os.urandom(12 << 20)
    root = f"s3://{BUCKET}"
    done: collections.Counter[int] = collections.Counter()
    is_back = threading.Event()

    def act(number: int) -> None:
        done[number] += 1
        match number % 4:
            case 0:
                with storage.open_input(f"{root}/x/data") as file:
                    file.seek(done[number] * 1000)
                    assert file.read(1000) == data[done[number] * 1000 :][:1000]
            case 1:
                storage.write_bytes(f"{root}/{number}/{done[number]}", str(done[number]).encode())
            case 2:
                assert names(f"{root}/x") == ["data"]
            case 3:
                assert storage.stat(f"{root}/x/data").size_bytes == len(data)

    def work(number: int) -> None:
        while not is_back.is_set():
            act(number)
            time.sleep(0.02)
        for _ in range(5):
            act(number)

    with running_server() as server, s3_at(server.url):
        storage.write_bytes(f"{root}/x/data", data)
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            working = [pool.submit(work, number) for number in range(16)]
            with server.away(after=1, seconds=10):
                pass
            is_back.set()
            for future in working:
                future.result()
        for number in range(1, 16, 4):
            for count in range(1, done[number] + 1):
                assert storage.read_bytes(f"{root}/{number}/{count}") == str(count).encode()


def test_a_patient_process_waits_for_a_server_that_is_not_there_yet(
    s3_program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    asks_again = threading.Event()

    def sleep(seconds: float) -> None:
        asks_again.set()
        time.sleep(0.2)

    monkeypatch.setattr(remote, "time", SimpleNamespace(monotonic=time.monotonic, sleep=sleep))
    server = S3Server(tmp_path, port=free_port())
    with s3_at(server.url), concurrent.futures.ThreadPoolExecutor(1) as pool:
        storage.configure({}, patient=True)
        answer = pool.submit(storage.exists, f"s3://{BUCKET}/x")
        assert asks_again.wait(60) and not answer.done()
        server.start()
        try:
            assert answer.result(timeout=60) is False
        finally:
            server.stop()
