"""Object storage against a real S3 server: objects, requests, errors and options."""

import os
import pickle
import subprocess
import sys

import pytest

from schemas import storage
from schemas.errors import StorageError, UsageError
from tests.s3 import ACCESS_KEY, BUCKET, Proxy, S3Server, environment, running_server, s3_at
from tests.schemas.conftest import Clock
from tests.schemas.stores import FUNCTIONS, each_function, names

pytestmark = pytest.mark.multiprocess


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
        # Six are enough; a store gives shorter pages while what it lists is being deleted.
        assert len(s3_proxy.requests) <= 30
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
    def test_wrong_keys_or_region(self, s3_server: S3Server, clock: Clock, function, changes, message):
        with (
            s3_at(s3_server.url, **changes),
            pytest.raises(StorageError, match=f"^s3://{BUCKET}/x: {message}"),
        ):
            function(f"s3://{BUCKET}/x")
        assert not clock.pauses  # asking again would not help

    @each_function
    def test_no_such_bucket(self, s3_server: S3Server, function):
        with s3_at(s3_server.url), pytest.raises(StorageError, match="^s3://other/x: there is no such bucket$"):
            function("s3://other/x")

    @each_function
    def test_nobody_there(self, clock: Clock, function):
        with s3_at("http://127.0.0.1:1"), pytest.raises(StorageError, match="^s3://archive/x: .*cannot be reached"):
            function("s3://archive/x")
        assert not clock.pauses

    def test_a_host_that_does_not_exist(self, clock: Clock):
        with s3_at("http://nowhere.invalid:7"), pytest.raises(StorageError, match="^s3://archive/x: .*be reached"):
            storage.stat("s3://archive/x")
        assert not clock.pauses

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
        options = {"endpoint_override": s3_server.url}
        code = (
            "import pickle, sys; from schemas import storage; storage.configure(pickle.load(sys.stdin.buffer)); "
            f"print(storage.read_bytes('{s3_bucket}/x'))"
        )
        variables = os.environ | environment("http://127.0.0.1:1")
        handed = pickle.dumps(options)
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

    def test_an_azure_address_without_an_account(self, monkeypatch):
        monkeypatch.delenv("AZURE_STORAGE_ACCOUNT", raising=False)
        with pytest.raises(UsageError, match="the storage account is missing"):
            storage.stat("abfs://container/x")
