"""Object stores and Hadoop, by `pyarrow.fs`.

Requests that fail for a passing reason (a lost connection, a server that restarts, too many requests) are repeated for
two minutes. The first request to a bucket is not, because the user would wait that long to hear of a wrong address.
"""

import contextlib
import dataclasses
import functools
import random
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import TypeVar

import pyarrow as pa
from pyarrow import fs

from schemas.errors import StorageError, UsageError
from schemas.storage.errors import is_passing, is_unreachable, plain_errors
from schemas.storage.file_info import FileInfo, time_of
from schemas.storage.object_file import ObjectFile
from schemas.storage.options import abfs_arguments, check_options, gs_arguments, s3_arguments
from schemas.storage.walk import SkipEntry, UnreadableFolder

_SCHEMES = frozenset({"s3", "gs", "gcs", "abfs", "abfss", "hdfs", "viewfs"})
# On these stores an object appears once it is complete. hdfs and viewfs have files that grow while they are written.
_PUT_SCHEMES = frozenset({"s3", "gs", "gcs", "abfs", "abfss"})

PATIENCE = 120.0
"""Seconds for which a failing request is repeated."""

_LONGEST_PAUSE = 8.0

_Answer = TypeVar("_Answer")
_Request = Callable[[fs.FileSystem, str], _Answer]

_options: dict[str, str] = {}
_patient = False
_reached: set[tuple[str, str]] = set()


def configure(options: Mapping[str, str], *, patient: bool = False) -> None:
    """See `schemas.storage.configure`."""
    global _options, _patient
    check_options(options)
    _options, _patient = dict(options), patient
    _reached.clear()
    connect.cache_clear()


def resolve(uri: str) -> tuple[fs.FileSystem, str]:
    """The file system of a name (one per scheme and bucket in each process) and the path in it."""
    scheme, authority, key = _split(uri)
    if scheme not in _SCHEMES:
        raise UsageError(
            f"{uri}: facelog cannot read {scheme}://; it knows local files, s3://, gs://, abfs://, hdfs://"
        )
    if not authority and scheme in _PUT_SCHEMES:
        raise UsageError(f"{uri}: the name of the bucket is missing")
    if ":" in authority.rpartition("@")[0]:
        raise UsageError(f"{scheme}://…: leave keys out of addresses (they would be stored); use the environment")
    with plain_errors(f"{scheme}://{authority}"):
        file_system, root = connect(scheme, authority)
    return file_system, f"{root.rstrip('/')}/{key}".rstrip("/") or "/"


def ask(uri: str, request: _Request[_Answer]) -> _Answer:
    """A store's answer to a request, which is repeated while it fails for a passing reason.

    Args:
      uri: the name that the request is about.
      request: called with file system and path; doing it twice must have the effect of doing it once.

    Raises:
      FileNotFoundError: as `request` raises it.
      StorageError: anything else that went wrong.
    """
    file_system, path = resolve(uri)
    with plain_errors(uri):
        _reach(uri, file_system, path)
        return _again(lambda: request(file_system, path))


@functools.cache
def connect(scheme: str, authority: str) -> tuple[fs.FileSystem, str]:
    """A file system and the path of the bucket in it."""
    if scheme == "s3":
        arguments = s3_arguments(_options)
        if arguments["region"] is None:
            arguments["region"] = _again(lambda: fs.resolve_s3_region(authority), wait_for_network=_patient)
        # All threads of a client share one budget of Arrow's own retries, and with 16 threads one outage of ten seconds
        # used it up for good. So these retries bridge single failures, and `_again` longer ones. With a delayed open, a
        # small file is one PUT instead of three requests of a multipart upload.
        retries = fs.AwsStandardS3RetryStrategy(max_attempts=3)
        return fs.S3FileSystem(**arguments, retry_strategy=retries, allow_delayed_open=True), authority
    if scheme in ("gs", "gcs"):
        return fs.GcsFileSystem(**gs_arguments(_options)), authority
    if scheme in ("abfs", "abfss"):
        container, _, host = authority.rpartition("@")
        account = host.partition(".")[0] if container else None
        return fs.AzureFileSystem(**abfs_arguments(_options, account)), container or authority
    return fs.FileSystem.from_uri(f"{scheme}://{authority}")


def stat(uri: str) -> FileInfo:
    """Size, time and etag of one object; one request on S3."""

    def look(file_system: fs.FileSystem, path: str) -> FileInfo:
        if not uri.startswith("s3://"):
            return _stat_and_open(uri, file_system, path)
        try:
            with file_system.open_input_file(path) as file:
                facts = _facts(file)
                time = datetime.fromisoformat(facts["last-modified"]) if "last-modified" in facts else None
                return FileInfo(uri, file.size(), time, facts.get("etag"))
        except FileNotFoundError:
            return _stat_and_open(uri, file_system, path)  # finds out what there is instead

    return ask(uri, look)


def kind(uri: str) -> fs.FileType:
    """Whether a name is a file, a folder or nothing; on S3 one request for a file, otherwise two."""
    return ask(uri, lambda file_system, path: file_system.get_file_info(path).type)


def open_input(uri: str) -> ObjectFile:
    """An object to read; makes one request, and its reader makes more."""
    file = ask(uri, lambda file_system, path: file_system.open_input_file(path))
    facts = _facts(file)

    def read_at(offset: int, length: int) -> bytes:
        with plain_errors(uri):
            return _again(lambda: file.read_at(length, offset))

    return ObjectFile(read_at, file.size(), (uri, facts["etag"], file.size()) if "etag" in facts else None)


def walk(root: str, recursive: bool, skip: SkipEntry, unreadable: UnreadableFolder) -> Iterator[FileInfo]:
    """Everything under a name; on S3 one request for each thousand objects."""
    try:
        found = ask(
            root,
            lambda file_system, path: file_system.get_file_info(
                fs.FileSelector(path, allow_not_found=True, recursive=recursive)
            ),
        )
    except StorageError as error:
        unreadable(root, error)
        return
    skipped = functools.cache(skip)
    prefix = resolve(root)[1].strip("/")
    start = len(prefix) + 1 if prefix else 0
    found.reverse()
    while found:
        info = found.pop()  # a long list shrinks while it is used
        if info.type == fs.FileType.Directory:
            continue
        parts = info.path.lstrip("/")[start:].split("/")
        if not any(skipped("/".join([root, *parts[:depth]])) for depth in range(1, len(parts))) and not skip(
            f"{root}/{'/'.join(parts)}"
        ):
            yield _info(f"{root}/{'/'.join(parts)}", info)


def write_bytes(uri: str, data: bytes) -> None:
    """One put, or a multipart upload that shows all or nothing; on Hadoop, a temporary file that is renamed."""

    def put(file_system: fs.FileSystem, path: str) -> None:
        with file_system.open_output_stream(path) as stream:
            stream.write(data)

    def write_and_rename(file_system: fs.FileSystem, path: str) -> None:
        folder, _, name = path.rpartition("/")
        temporary = f"{folder}/.{uuid.uuid4().hex}.tmp"
        file_system.create_dir(folder or "/", recursive=True)
        put(file_system, temporary)
        with contextlib.suppress(FileNotFoundError):  # Hadoop does not rename onto a file
            file_system.delete_file(f"{folder}/{name}")
        file_system.move(temporary, f"{folder}/{name}")

    ask(uri, put if _split(uri)[0] in _PUT_SCHEMES else write_and_rename)


def copy_file(source: str, target: str) -> bool:
    """Copies within a store; returns False if the two names are in different stores or buckets."""
    if _split(source)[:2] != _split(target)[:2] or _split(source)[0] not in _PUT_SCHEMES:
        return False
    target_path = resolve(target)[1]
    ask(source, lambda file_system, path: file_system.copy_file(path, target_path))
    return True


def delete_file(uri: str) -> None:
    """Removes an object; FileNotFoundError if there is none."""
    ask(uri, lambda file_system, path: file_system.delete_file(path))


def delete_tree(uri: str) -> None:
    """Removes all objects under a name, a thousand a request on S3; FileNotFoundError if there are none."""

    def delete(file_system: fs.FileSystem, path: str) -> None:
        if _split(uri)[2]:
            file_system.delete_dir(path)
        else:  # the bucket itself stays
            file_system.delete_dir_contents(path, accept_root_dir=True)

    ask(uri, delete)


def _split(uri: str) -> tuple[str, str, str]:
    """Scheme, bucket and key."""
    scheme, rest = uri.split("://", 1)
    authority, _, key = rest.partition("/")
    return scheme, authority, key


def _reach(uri: str, file_system: fs.FileSystem, path: str) -> None:
    """Makes the first request to a bucket: a listing, whose answer says what is wrong; HEAD gives only a status."""
    scheme, authority, _ = _split(uri)
    if (scheme, authority) in _reached or scheme not in _PUT_SCHEMES:
        return
    try:
        nothing = fs.FileSelector(f"{path}/.facelog")
        _again(lambda: file_system.get_file_info(nothing), wait_for_network=_patient)
    except (FileNotFoundError, NotADirectoryError):
        pass  # the bucket answers
    except OSError as error:
        if "ACCESS_DENIED" not in str(error):  # one may read without being allowed to list
            raise
    _reached.add((scheme, authority))


def _again(request: Callable[[], _Answer], *, wait_for_network: bool = True) -> _Answer:
    """The answer to a request, which is repeated with growing pauses while it fails for a passing reason."""
    pause, end = 0.5, None
    while True:
        try:
            return request()
        except OSError as error:
            now = time.monotonic()
            end = end or now + PATIENCE
            hopeless = not is_passing(error) or (is_unreachable(error) and not wait_for_network)
            if hopeless or now + pause > end:
                raise
        time.sleep(random.uniform(pause / 2, pause))
        pause = min(2 * pause, _LONGEST_PAUSE)


def _facts(file: pa.NativeFile) -> dict[str, str]:
    """A store's metadata of an object, by name in lower case."""
    return {key.lower(): value.decode().strip('"') for key, value in (file.metadata() or {}).items()}


def _stat_and_open(uri: str, file_system: fs.FileSystem, path: str) -> FileInfo:
    info = file_system.get_file_info(path)
    if info.type == fs.FileType.NotFound:
        raise FileNotFoundError(f"{uri} does not exist")
    if info.type == fs.FileType.Directory:
        raise StorageError(f"{uri} is a folder")
    with file_system.open_input_file(path) as file:
        return dataclasses.replace(_info(uri, info), etag=_facts(file).get("etag"))


def _info(uri: str, info: fs.FileInfo) -> FileInfo:
    time = None if info.mtime_ns is None else time_of(info.mtime_ns)
    return FileInfo(uri, info.size, time.replace(microsecond=0) if time and uri.startswith("s3://") else time)
