"""A job manager's answers, and what else may answer at its address."""

import contextlib
import socket
import threading
from collections.abc import Iterator

import pytest

from runners.flink import rest as flink_rest
from runners.flink.rest import FlinkJob, FlinkRest, Overview, is_alive
from runners.lease import JobLease
from schemas.errors import FacelogError
from tests.runners.fake_flink import FakeFlink, fake_flink


@pytest.fixture
def flink() -> Iterator[FakeFlink]:
    with fake_flink() as flink:
        yield flink


@contextlib.contextmanager
def other_server(says: bytes) -> Iterator[str]:
    """Address of a server of another protocol, which says this to whoever comes."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = server.accept()
                    with connection:
                        connection.recv(1000)
                        connection.sendall(says)

        threading.Thread(target=serve, daemon=True).start()
        yield f"127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)


def test_what_a_cluster_has(flink: FakeFlink) -> None:
    rest = FlinkRest(flink.master)
    assert rest.overview() == Overview("1.19.3", task_managers=2, slots=4, free_slots=4)
    assert rest.settings() == flink.settings
    assert FlinkRest(f"http://{flink.master}/").overview() == rest.overview()


def test_jobs_are_found_by_name_and_by_id(flink: FakeFlink) -> None:
    rest = FlinkRest(flink.master)
    assert rest.find("facelog-1") is None and rest.job("17") is None
    flink.jobs = {"16": ("other", "RUNNING"), "17": ("facelog-1", "RESTARTING")}
    assert rest.find("facelog-1") == rest.job("17") == FlinkJob("17", "facelog-1", "RESTARTING", has_slots=True)
    flink.tasks = {"CREATED": 1, "SCHEDULED": 2, "RUNNING": 0}
    assert rest.find("facelog-1") == rest.job("17") == FlinkJob("17", "facelog-1", "RESTARTING", has_slots=False)


@pytest.mark.parametrize(
    ("state", "over"),
    [
        *[(state, False) for state in ("INITIALIZING", "CREATED", "RUNNING", "FAILING", "RESTARTING", "CANCELLING")],
        *[(state, True) for state in ("FINISHED", "CANCELED", "FAILED")],
    ],
)
def test_a_job_is_alive_until_nothing_more_comes_of_it(flink: FakeFlink, state: str, over: bool) -> None:
    flink.jobs = {"17": ("facelog-1", state)}
    assert is_alive(JobLease(master=flink.master, job_id="17", asked="")) is not over


def test_a_job_that_the_cluster_forgot_is_not_alive(flink: FakeFlink) -> None:
    assert not is_alive(JobLease(master=flink.master, job_id="17", asked=""))


def test_exceptions_come_newest_first_and_each_once(flink: FakeFlink) -> None:
    flink.jobs, flink.exceptions = {"17": ("facelog-1", "RUNNING")}, []
    assert FlinkRest(flink.master).exceptions("17") == []
    flink.exceptions = ["the second", "the first"]
    assert FlinkRest(flink.master).exceptions("17") == ["the second", "the first"]


def test_a_job_is_cancelled_as_flink_wants_it(flink: FakeFlink) -> None:
    flink.jobs = {"17": ("facelog-1", "RUNNING")}
    FlinkRest(flink.master).cancel("17")
    assert flink.asked == ["PATCH /jobs/17?mode=cancel"]


def test_an_error_of_the_cluster_is_said(flink: FakeFlink) -> None:
    flink.answers["/overview"] = 503
    with pytest.raises(FacelogError, match=rf"cluster at {flink.master} answers 503 to /overview: Service Unavail"):
        FlinkRest(flink.master).overview()


@pytest.mark.parametrize("said", [b"<html>hello</html>", b"", b"{}", b"[]", b'{"status": "ok"}', b'"\xff"', 404])
def test_another_web_server_is_no_flink(flink: FakeFlink, said: bytes | int) -> None:
    flink.answers["/overview"] = said
    with pytest.raises(FacelogError, match=rf"{flink.master} is no Flink job manager|does not know /overview"):
        FlinkRest(flink.master).overview()


@pytest.mark.parametrize(
    "says", [b"", b"\0\0\0\x1fakka", b"SSH-2.0-x\r\n", b"HTTP/1.1 200\r\nContent-Length: 99\r\n\r\n{}"]
)
def test_another_protocol_is_no_flink(says: bytes) -> None:
    with other_server(says) as master, pytest.raises(FacelogError, match=f"no Flink job manager answers at {master}"):
        FlinkRest(master).overview()


@pytest.mark.parametrize(
    "master", ["127.0.0.1:1", "no-such-host.invalid:8081", "127.0.0.1:port", "a b:8081", "ftp://[", ""]
)
def test_an_address_where_nobody_answers(master: str) -> None:
    with pytest.raises(FacelogError, match="no Flink job manager answers at .*HOST:8081"):
        FlinkRest(master).overview()


def test_a_cluster_that_is_silent_is_not_waited_for(flink: FakeFlink, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flink_rest, "_TIMEOUT", 0.2)
    flink.silent = 1.0
    with pytest.raises(FacelogError, match="no Flink job manager answers at .*timed out"):
        FlinkRest(flink.master).overview()
