"""Object storage against a real S3 server, undisturbed and disturbed."""

import collections
import concurrent.futures
import io
import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from typing import BinaryIO, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import storage
from schemas.errors import StorageError, UsageError
from schemas.storage import object_file, remote
from schemas.storage.object_file import ObjectFile
from tests.s3 import (
    ACCESS_KEY,
    BUCKET,
    Proxy,
    S3Server,
    environment,
    free_port,
    running_server,
    s3_at,
)

pytestmark = pytest.mark.multiprocess

FUNCTIONS: dict[str, Callable[[str], object]] = {
    "stat": storage.stat,
    "exists": storage.exists,
    "is_folder": storage.is_folder,
    "read": storage.read_bytes,
    "write": lambda uri: storage.write_bytes(uri, b"x"),
    "list": lambda uri: list(storage.list_files(uri)),
    "move": lambda uri: storage.move_file(uri, f"{uri}.new"),
    "delete": storage.delete_file,
    "delete tree": storage.delete_tree,
}
each_function = pytest.mark.parametrize("function", FUNCTIONS.values(), ids=list(FUNCTIONS))


def names(folder: str) -> list[str]:
    return sorted(file.uri.removeprefix(f"{folder}/") for file in storage.list_files(folder))


def methods(proxy: Proxy) -> str:
    """What was asked for since the last call: such as `GET HEAD`."""
    asked = " ".join(method for method, _ in proxy.requests)
    proxy.clear()
    return asked


class TestObjects:
    @pytest.mark.parametrize(
        "name", ["with space", "ü/日本 é", "50%25 off", "a#b", "a?b=c&d", "a+b", "quote'\"", "[x]*", "~.-_!$@,;:=()"]
    )
    def test_unusual_names(self, s3_bucket: str, name: str):
        uri = f"{s3_bucket}/in/{name}.mp4"
        storage.write_bytes(uri, b"hello")
        assert storage.read_bytes(uri) == b"hello"
        assert storage.stat(uri).size_bytes == 5 and storage.exists(uri)
        assert names(s3_bucket) == [f"in/{name}.mp4"]
        storage.move_file(uri, f"{s3_bucket}/out/{name}")
        assert names(s3_bucket) == [f"out/{name}"]
        storage.delete_file(f"{s3_bucket}/out/{name}")
        assert names(s3_bucket) == []

    def test_a_large_object_is_written_in_parts_and_read_back(self, s3_bucket: str, s3_proxy: Proxy):
        data = os.urandom(25 << 20)
        storage.write_bytes(f"{s3_bucket}/large", data)
        assert sum("partNumber" in target for _, target in s3_proxy.requests) == 3
        assert storage.read_bytes(f"{s3_bucket}/large") == data

    def test_an_object_written_in_pieces_is_there_whole_or_not_at_all(self, s3_bucket: str):
        pieces = [os.urandom(6 << 20), b"end"]
        with storage.open_output(f"{s3_bucket}/whole") as file:
            for piece in pieces:
                file.write(piece)
        assert storage.read_bytes(f"{s3_bucket}/whole") == b"".join(pieces)
        with storage.open_output(f"{s3_bucket}/empty"):
            pass
        with pytest.raises(KeyboardInterrupt), storage.open_output(f"{s3_bucket}/half") as file:
            file.write(pieces[0])
            raise KeyboardInterrupt
        assert names(s3_bucket) == ["empty", "whole"]

    def test_times_are_the_same_however_they_are_asked_for(self, s3_bucket: str):
        storage.write_bytes(f"{s3_bucket}/x", b"hello")
        (listed,) = storage.list_files(s3_bucket)
        info = storage.stat(f"{s3_bucket}/x")
        assert info.etag == "5d41402abc4b2a76b9719d911017c592"  # the content's MD5
        assert (listed.uri, listed.size_bytes, listed.modified_at) == (info.uri, info.size_bytes, info.modified_at)

    def test_a_folder_is_said_to_be_one(self, s3_bucket: str):
        storage.write_bytes(f"{s3_bucket}/folder/x", b"")
        with pytest.raises(StorageError, match="folder is a folder"):
            storage.stat(f"{s3_bucket}/folder")
        assert storage.is_folder(f"{s3_bucket}/folder") and storage.exists(f"{s3_bucket}/folder")

    def test_emptying_a_bucket_leaves_the_bucket(self, s3_bucket: str):
        storage.write_bytes(f"{s3_bucket}/a/x", b"")
        storage.delete_tree(s3_bucket)
        assert names(s3_bucket) == [] and storage.is_folder(s3_bucket)

    def test_what_is_not_there(self, s3_bucket: str):
        for ask in (storage.stat, storage.open_input, storage.read_bytes):
            with pytest.raises(FileNotFoundError, match=f"^{s3_bucket}/nothing does not exist$"):
                ask(f"{s3_bucket}/nothing")
        assert not storage.exists(f"{s3_bucket}/nothing") and names(f"{s3_bucket}/nothing") == []


class TestRequests:
    def test_each_function_makes_as_few_as_it_can(self, s3_bucket: str, s3_proxy: Proxy):
        uri = f"{s3_bucket}/a/x"
        storage.write_bytes(uri, b"hello")
        assert methods(s3_proxy) == "GET PUT"  # the first is the first contact with the bucket
        storage.stat(uri)
        assert methods(s3_proxy) == "HEAD"
        storage.exists(uri)
        assert methods(s3_proxy) == "HEAD"
        storage.exists(f"{uri}.not")
        assert methods(s3_proxy) == "HEAD GET"
        storage.read_bytes(uri)
        assert methods(s3_proxy) == "HEAD GET"
        storage.read_bytes(uri)
        assert methods(s3_proxy) == "HEAD"  # a small object that has not changed is not fetched twice in a row
        storage.move_file(uri, f"{uri}2")
        assert methods(s3_proxy) == "PUT HEAD DELETE PUT"
        storage.delete_tree(f"{s3_bucket}/a")
        assert methods(s3_proxy) == "HEAD GET POST DELETE"

    def test_three_thousand_objects_in_many_folders(
        self,
        s3_bucket: str,
        s3_proxy: Proxy,
        s3_server: S3Server,
    ):
        folder = s3_server.folder / s3_bucket.removeprefix("s3://") / "in"
        for number in range(3000):
            path = folder / f"day {number % 500}" / f"{number}.mp4"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"x")
        files = list(storage.list_files(f"{s3_bucket}/in"))
        assert len({file.uri for file in files}) == 3000 and {file.size_bytes for file in files} == {1}
        # The server counts folders as objects, which S3 itself does not have.
        assert len(s3_proxy.requests) <= 1 + 4
        s3_proxy.clear()
        storage.delete_tree(f"{s3_bucket}/in")
        assert len(s3_proxy.requests) <= 14
        assert names(s3_bucket) == []


class TestErrors:
    @each_function
    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"AWS_SECRET_ACCESS_KEY": "wrong"}, "access is denied; check the keys"),
            ({"AWS_ACCESS_KEY_ID": "nobody"}, "access is denied; check the keys"),
            ({"AWS_REGION": "eu-west-3"}, "the store is in another region; set it"),
        ],
    )
    def test_wrong_keys_or_region(self, s3_server: S3Server, function, changes, message):
        with s3_at(s3_server.url, **changes):
            begin = time.monotonic()
            with pytest.raises(StorageError, match=f"^s3://{BUCKET}/x: {message}"):
                function(f"s3://{BUCKET}/x")
            assert time.monotonic() - begin < 5

    @each_function
    def test_no_such_bucket(self, s3_server: S3Server, function):
        with s3_at(s3_server.url), pytest.raises(StorageError, match="^s3://other/x: there is no such bucket$"):
            function("s3://other/x")

    @each_function
    def test_nobody_there(self, function):
        begin = time.monotonic()
        with s3_at("http://127.0.0.1:1"), pytest.raises(StorageError, match="^s3://archive/x: .*cannot be reached"):
            function("s3://archive/x")
        assert time.monotonic() - begin < 10

    def test_a_host_that_does_not_exist(self):
        begin = time.monotonic()
        with s3_at("http://nowhere.invalid:7"), pytest.raises(StorageError, match="^s3://archive/x: .*be reached"):
            storage.stat("s3://archive/x")
        assert time.monotonic() - begin < 20

    def test_a_bucket_that_may_only_be_read(self, s3_server: S3Server):
        with running_server("--readonly") as server, s3_at(server.url):
            (server.folder / BUCKET / "tree").mkdir()
            for name in ("x", "tree/y"):
                (server.folder / BUCKET / name).write_bytes(b"hello")
            for function, name in {"write": "x", "move": "x", "delete": "x", "delete tree": "tree"}.items():
                with pytest.raises(StorageError, match=f"^s3://{BUCKET}/{name}.*: access is denied"):
                    FUNCTIONS[function](f"s3://{BUCKET}/{name}")
            assert storage.read_bytes(f"s3://{BUCKET}/x") == b"hello"

    def test_keys_are_in_no_message(self, s3_server: S3Server):
        with s3_at(s3_server.url, AWS_SECRET_ACCESS_KEY="very secret"), pytest.raises(StorageError) as caught:
            storage.stat(f"s3://{BUCKET}/x")
        assert "very secret" not in str(caught.value) and ACCESS_KEY not in str(caught.value).split("/x: ")[1]


class TestOptions:
    def test_options_go_before_the_environment(self, s3_bucket: str, s3_server: S3Server):
        with s3_at("http://127.0.0.1:1", options={"endpoint_override": s3_server.url}, AWS_REGION="eu-west-3"):
            with pytest.raises(StorageError, match="region"):
                storage.write_bytes(f"{s3_bucket}/x", b"hello")
            storage.configure({"endpoint_override": s3_server.url, "region": "us-east-1"})
            storage.write_bytes(f"{s3_bucket}/x", b"hello")
            assert storage.read_bytes(f"{s3_bucket}/x") == b"hello"

    def test_an_address_without_its_scheme(self, s3_bucket: str, s3_server: S3Server):
        address = {"endpoint_override": s3_server.url.removeprefix("http://"), "scheme": "http"}
        with s3_at("http://127.0.0.1:1", options=address):
            assert not storage.exists(f"{s3_bucket}/x")

    def test_another_process_takes_them_over(self, s3_bucket: str, s3_server: S3Server):
        storage.write_bytes(f"{s3_bucket}/x", b"hello")
        storage.configure({"endpoint_override": s3_server.url})
        code = (
            "import pickle, sys; from schemas import storage; storage.configure(pickle.load(sys.stdin.buffer)); "
            f"print(storage.read_bytes('{s3_bucket}/x'))"
        )
        variables = os.environ | environment("http://127.0.0.1:1")
        handed = pickle.dumps(storage.configured())
        answer = subprocess.run([sys.executable, "-c", code], input=handed, env=variables, capture_output=True)
        assert answer.stdout == b"b'hello'\n", answer.stderr

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"endpoint": "x"}, "there is no storage option endpoint; there are .*endpoint_override.*region"),
            ({"secret_key": "hush"}, "secret_key: leave secrets .*AWS_SECRET_ACCESS_KEY in the environment"),
            ({"account_key": "hush"}, "AZURE_STORAGE_KEY"),
            ({"proxy_options": "http://me:hush@proxy:1"}, "proxy_options: leave user names and passwords out"),
            ({"anonymous": "maybe"}, "anonymous cannot be 'maybe'"),
            ({"connect_timeout": "soon"}, "connect_timeout cannot be 'soon'"),
        ],
    )
    def test_what_is_refused(self, options, message):
        with pytest.raises(UsageError, match=message) as caught:
            storage.configure(options)
        assert "hush" not in str(caught.value)
        assert storage.configured() == {}

    def test_an_azure_address_without_an_account(self, monkeypatch):
        monkeypatch.delenv("AZURE_STORAGE_ACCOUNT", raising=False)
        with pytest.raises(UsageError, match="the storage account is missing"):
            storage.stat("abfs://container/x")


class TestFailuresThatPass:
    @each_function
    @pytest.mark.parametrize("how", ["slow down", "error", "close"])
    def test_every_function_goes_on(self, s3_bucket: str, s3_proxy: Proxy, function, how):
        storage.write_bytes(f"{s3_bucket}/x", b"hello")
        storage.write_bytes(f"{s3_bucket}/y/z", b"hello")
        s3_proxy.clear()
        s3_proxy.disturb = lambda number, method, target: how if number <= 4 else None
        function(f"{s3_bucket}/y" if function in (storage.delete_tree, FUNCTIONS["list"]) else f"{s3_bucket}/x")
        assert len(s3_proxy.requests) >= 5

    def test_a_connection_lost_in_the_middle_of_an_object(self, s3_bucket: str, s3_proxy: Proxy):
        data = os.urandom(1 << 20)
        storage.write_bytes(f"{s3_bucket}/x", data)
        s3_proxy.clear()
        s3_proxy.disturb = lambda number, method, target: "half" if method == "GET" and number <= 5 else None
        assert storage.read_bytes(f"{s3_bucket}/x") == data
        assert len(s3_proxy.requests) > 5

    def test_too_many_requests_at_first_contact(self, s3_bucket: str, s3_proxy: Proxy):
        s3_proxy.disturb = lambda number, method, target: "slow down" if number <= 4 else None
        storage.write_bytes(f"{s3_bucket}/x", b"hello")
        assert len(s3_proxy.requests) > 5

    def test_a_failure_that_does_not_pass_ends(self, s3_bucket: str, s3_proxy: Proxy, monkeypatch):
        storage.write_bytes(f"{s3_bucket}/x", b"hello")
        monkeypatch.setattr(remote, "PATIENCE", 2.0)
        s3_proxy.disturb = lambda number, method, target: "slow down"
        begin = time.monotonic()
        with pytest.raises(StorageError, match="the store is overloaded"):
            storage.stat(f"{s3_bucket}/x")
        assert 1 < time.monotonic() - begin < 20

    def test_a_part_that_fails_leaves_nothing(self, s3_bucket: str, s3_proxy: Proxy, monkeypatch):
        storage.write_bytes(f"{s3_bucket}/before", b"")
        monkeypatch.setattr(remote, "PATIENCE", 1.0)
        s3_proxy.disturb = lambda number, method, target: "close" if "partNumber=2" in target else None
        with pytest.raises(StorageError, match="cannot be reached"):
            storage.write_bytes(f"{s3_bucket}/large", bytes(25 << 20))
        s3_proxy.disturb = lambda number, method, target: None
        assert names(s3_bucket) == ["before"]

    def test_killed_in_the_middle_of_a_write(self, s3_bucket: str, s3_proxy: Proxy):
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
    @pytest.mark.parametrize("doing", ["read", "write", "list", "stat"])
    def test_the_server_is_away_for_ten_seconds(self, doing: str):
        with running_server() as server, s3_at(server.url):
            data = os.urandom(12 << 20)
            root = f"s3://{BUCKET}"
            storage.write_bytes(f"{root}/x", data)
            done: collections.Counter[int] = collections.Counter()

            def work(number: int) -> None:
                while time.monotonic() < end:
                    done[number] += 1
                    if doing == "read":
                        with storage.open_input(f"{root}/x") as file:
                            file.seek(done[number] * 1000)
                            assert file.read(1000) == data[done[number] * 1000 :][:1000]
                    elif doing == "write":
                        storage.write_bytes(f"{root}/{number}/{done[number]}", str(done[number]).encode())
                    elif doing == "list":
                        assert names(root) == ["x"]
                    else:
                        assert storage.stat(f"{root}/x").size_bytes == len(data)
                    time.sleep(0.02)

            end = time.monotonic() + 13
            with concurrent.futures.ThreadPoolExecutor(16) as pool, server.away(after=1, seconds=10):
                for future in [pool.submit(work, number) for number in range(16)]:
                    future.result()
            if doing == "write":
                for number in range(16):
                    for count in range(1, done[number] + 1):
                        assert storage.read_bytes(f"{root}/{number}/{count}") == str(count).encode()

    @pytest.mark.slow
    def test_a_patient_process_waits_for_a_server_that_is_not_there_yet(self, tmp_path):
        server = S3Server(tmp_path, port=free_port())
        with s3_at(server.url):
            storage.configure({}, patient=True)
            with concurrent.futures.ThreadPoolExecutor(1) as pool:
                answer = pool.submit(storage.exists, f"s3://{BUCKET}/x")
                time.sleep(5)
                assert not answer.done()
                server.start()
                try:
                    assert answer.result(timeout=60) is False
                finally:
                    server.stop()


class TestRanges:
    """`ObjectFile` over bytes in memory, with a note of what is fetched."""

    @staticmethod
    def file(content: bytes, whole: int, monkeypatch: pytest.MonkeyPatch) -> tuple[ObjectFile, list[tuple[int, int]]]:
        monkeypatch.setattr(object_file, "WHOLE", whole)
        asked: list[tuple[int, int]] = []

        def read_at(offset: int, length: int) -> bytes:
            asked.append((offset, length))
            return content[offset : offset + length]

        return ObjectFile(read_at, len(content), None), asked

    @given(st.lists(st.tuples(st.integers(0, 12_000), st.integers(-1, 3_000)), max_size=30), st.booleans())
    def test_it_reads_like_any_file(self, steps, small):
        content = bytes(range(250)) * 40
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(object_file, "_KEPT", 4_000)
            patch.setattr(object_file, "_MOST_AHEAD", 2_000)
            ours, _ = self.file(content, len(content) if small else 0, patch)
            theirs = io.BytesIO(content)
            for place, length in steps:
                assert ours.seek(place) == theirs.seek(place)
                assert ours.read(length) == theirs.read(length)
                assert ours.tell() == theirs.tell()

    def test_a_jump_reads_what_is_asked_and_reading_on_reads_ahead(self, monkeypatch):
        file, asked = self.file(bytes(1_000_000), 0, monkeypatch)
        for _ in range(7):
            file.read(1000)
        assert asked == [(0, 1000), (1000, 2000), (3000, 4000)]
        file.seek(900_000)
        file.read(10)
        assert asked[3:] == [(900_000, 10)]
        file.seek(500)
        file.read(6000)  # is still there
        assert len(asked) == 4

    def test_a_small_object_is_fetched_once(self, monkeypatch):
        file, asked = self.file(bytes(1000), 1000, monkeypatch)
        file.seek(-10, io.SEEK_END)
        assert file.read() == bytes(10)
        file.seek(0)
        assert file.read(100) == bytes(100)
        assert asked == [(0, 1000)]

    def test_what_was_prefetched_is_not_fetched_again(self, monkeypatch):
        file, asked = self.file(bytes(range(256)) * 100, 0, monkeypatch)
        storage.prefetch(cast(BinaryIO, file), [(0, 100), (10_000, 100), (25_500, 100)])
        assert sorted(asked) == [(0, 100), (10_000, 100), (25_500, 100)]
        file.seek(10_000)
        assert file.read(100) == (bytes(range(256)) * 100)[10_000:10_100]
        assert len(asked) == 3

    def test_an_object_that_got_shorter_is_noticed(self, monkeypatch):
        monkeypatch.setattr(object_file, "WHOLE", 0)
        file = ObjectFile(lambda offset, length: b"short", 1000, None)
        with pytest.raises(OSError, match="changed while it was read"):
            file.read()
