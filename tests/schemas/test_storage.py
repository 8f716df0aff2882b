import errno
import os
import resource
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pyarrow.fs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import storage
from schemas.errors import StorageError, StorageFullError, UsageError


def listed(folder: Path | str, **options) -> dict[str, int | None]:
    """Name below the folder → size, of all that `list_files` gives; each once."""
    files = list(storage.list_files(str(folder), **options))
    names = [file.uri.removeprefix(f"{folder}/") for file in files]
    assert len(set(names)) == len(names)
    return {name: file.size_bytes for name, file in zip(names, files, strict=True)}


class TestNames:
    @pytest.mark.parametrize(
        ("given_name", "expected"),
        [
            ("/a/b.mp4", "/a/b.mp4"),
            ("/a//b/./c/", "/a/b/c"),
            ("file:///a/b%20c.mp4", "/a/b c.mp4"),
            ("file://localhost/a", "/a"),
            ("/a/b%20c.mp4", "/a/b%20c.mp4"),
            ("s3://bucket/a//b%20c/", "s3://bucket/a//b%20c"),
            ("gs://bucket/", "gs://bucket"),
        ],
    )
    def test_normalize(self, given_name, expected):
        assert storage.normalize(given_name) == expected

    def test_relative_names_are_absolute(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        assert storage.normalize("-x [1].mp4") == f"{tmp_path}/-x [1].mp4"

    @given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1))
    def test_normalizing_twice_is_normalizing_once(self, text):
        once = storage.normalize("/" + text)
        assert storage.normalize(once) == once

    def test_links_stay_but_behind_a_link_dotdot_is_its_targets_parent(self, tmp_path):
        (tmp_path / "far/inner").mkdir(parents=True)
        (tmp_path / "far/x").touch()
        (tmp_path / "link").symlink_to("far/inner")
        assert storage.normalize(f"{tmp_path}/link") == f"{tmp_path}/link"
        assert storage.normalize(f"{tmp_path}/link/../x") == f"{tmp_path}/far/x"
        assert storage.normalize(f"{tmp_path}/far/inner/../x") == f"{tmp_path}/far/x"

    def test_join(self):
        assert storage.join("s3://b/", "faces", "bucket=3f", "x.parquet") == "s3://b/faces/bucket=3f/x.parquet"
        assert storage.join("/", "a") == "/a"

    @pytest.mark.parametrize("uri", ["http://x/y.mp4", "rtsp://x/y", "s3:///key", "s3://key:secret@bucket/x"])
    def test_addresses_that_are_refused(self, uri):
        with pytest.raises(UsageError) as caught:
            storage.stat(uri)
        assert "secret" not in str(caught.value)


class TestLocalFiles:
    def test_what_is_written_is_read_and_parents_are_made(self, tmp_path):
        uri = f"{tmp_path}/a/b/ü [1].bin"
        storage.write_bytes(uri, b"old")
        storage.write_bytes(uri, b"new")
        assert storage.read_bytes(uri) == b"new"
        assert os.listdir(tmp_path / "a/b") == ["ü [1].bin"]
        assert (tmp_path / "a/b/ü [1].bin").stat().st_mode & 0o777 == 0o666 & ~_umask()

    def test_the_name_appears_when_all_is_on_the_disk(self, tmp_path, monkeypatch):
        steps: list[tuple[str, object]] = []
        fsync, replace = os.fsync, os.replace

        def noted_fsync(descriptor: int) -> None:
            steps.append(("fsync", os.readlink(f"/proc/self/fd/{descriptor}")))
            fsync(descriptor)

        def noted_replace(source: str, target: str) -> None:
            assert Path(source).read_bytes() == b"12345"
            assert Path(source).parent == tmp_path and Path(source).name.startswith(".")
            steps.append(("replace", source))
            replace(source, target)

        monkeypatch.setattr(os, "fsync", noted_fsync)
        monkeypatch.setattr(os, "replace", noted_replace)
        storage.write_bytes(f"{tmp_path}/x", b"12345")
        temporary = steps[0][1]
        assert steps == [("fsync", temporary), ("replace", temporary), ("fsync", str(tmp_path))]

    @pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
    @pytest.mark.parametrize("step", ["fsync", "replace", "makedirs"])
    def test_a_full_disk_leaves_the_old_file_and_nothing_else(self, tmp_path, monkeypatch, code, step):
        storage.write_bytes(f"{tmp_path}/x", b"old")

        def full(*args, **kwargs):
            raise OSError(code, os.strerror(code))

        monkeypatch.setattr(os, step, full)
        with pytest.raises(StorageFullError, match=f"{tmp_path}"):
            storage.write_bytes(f"{tmp_path}/x", b"new")
        assert (tmp_path / "x").read_bytes() == b"old"
        assert os.listdir(tmp_path) == ["x"]

    def test_a_real_limit_on_file_size(self, tmp_path):
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
        try:
            with pytest.raises(StorageFullError):
                storage.write_bytes(f"{tmp_path}/x", bytes(200_000))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert os.listdir(tmp_path) == []

    def test_a_file_written_in_pieces_gets_its_name_at_the_end(self, tmp_path):
        with storage.open_output(f"{tmp_path}/a/x") as file:
            file.write(b"one ")
            assert not any(not name.startswith(".") for name in os.listdir(tmp_path / "a"))
            file.write(b"two")
        assert storage.read_bytes(f"{tmp_path}/a/x") == b"one two"
        with pytest.raises(KeyboardInterrupt), storage.open_output(f"{tmp_path}/a/x") as file:
            file.write(b"three")
            raise KeyboardInterrupt
        assert storage.read_bytes(f"{tmp_path}/a/x") == b"one two" and os.listdir(tmp_path / "a") == ["x"]

    def test_writing_over_a_folder_or_below_a_file(self, tmp_path):
        (tmp_path / "folder").mkdir()
        (tmp_path / "file").touch()
        for uri in (f"{tmp_path}/folder", f"{tmp_path}/file/x"):
            with pytest.raises(StorageError, match=str(tmp_path)):
                storage.write_bytes(uri, b"x")
        assert sorted(os.listdir(tmp_path)) == ["file", "folder"]

    def test_times_are_whole_microseconds_rounded_down(self, tmp_path):
        (tmp_path / "x").write_bytes(b"abc")
        os.utime(tmp_path / "x", ns=(0, 1_700_000_000_123_456_999))
        info = storage.stat(f"file://{tmp_path}/x")
        assert info == storage.FileInfo(
            f"{tmp_path}/x", 3, datetime(2023, 11, 14, 22, 13, 20, 123456, tzinfo=UTC), etag=None
        )

    def test_what_is_no_regular_file_is_refused_at_once(self, tmp_path):
        os.mkfifo(tmp_path / "pipe.mp4")
        with pytest.raises(StorageError, match="pipe.mp4 is no regular file"):
            storage.open_input(f"{tmp_path}/pipe.mp4")
        with pytest.raises(StorageError, match="is a folder"):
            storage.stat(str(tmp_path))
        with pytest.raises(FileNotFoundError, match="nothing.mp4 does not exist"):
            storage.open_input(f"{tmp_path}/nothing.mp4")

    def test_exists_and_is_folder(self, tmp_path):
        (tmp_path / "dangling").symlink_to("nothing")
        assert storage.exists(str(tmp_path)) and storage.is_folder(str(tmp_path))
        assert storage.exists(f"{tmp_path}/dangling") and not storage.is_folder(f"{tmp_path}/dangling")
        assert not storage.exists(f"{tmp_path}/nothing")

    def test_moving_replaces_and_makes_parents(self, tmp_path):
        storage.write_bytes(f"{tmp_path}/a", b"a")
        storage.write_bytes(f"{tmp_path}/to/b", b"b")
        storage.move_file(f"{tmp_path}/a", f"{tmp_path}/to/b")
        storage.move_file(f"{tmp_path}/to/b", f"{tmp_path}/new/c")
        assert listed(tmp_path) == {"new/c": 1}

    def test_moving_to_another_disk_copies(self, tmp_path, monkeypatch):
        replace = os.replace

        def other_disk(source, target):
            if Path(source).parent != Path(target).parent:
                raise OSError(errno.EXDEV, "Invalid cross-device link")
            replace(source, target)

        monkeypatch.setattr(os, "replace", other_disk)
        storage.write_bytes(f"{tmp_path}/a/x", b"content")
        storage.move_file(f"{tmp_path}/a/x", f"{tmp_path}/b/x")
        assert listed(tmp_path) == {"b/x": 7}

    def test_deleting(self, tmp_path):
        storage.write_bytes(f"{tmp_path}/keep/x", b"x")
        storage.write_bytes(f"{tmp_path}/gone/y", b"y")
        (tmp_path / "gone/link").symlink_to("../keep")
        storage.delete_tree(f"{tmp_path}/gone")
        storage.delete_tree(f"{tmp_path}/gone")
        storage.delete_file(f"{tmp_path}/nothing")
        assert listed(tmp_path) == {"keep/x": 1}
        storage.delete_file(f"{tmp_path}/keep/x")
        assert listed(tmp_path) == {}

    def test_free_bytes_of_a_folder_to_be(self, tmp_path):
        free = storage.free_bytes(f"{tmp_path}/not/yet")
        assert free == pytest.approx(shutil.disk_usage(tmp_path).free, rel=0.05)


class TestListing:
    def test_a_tree_with_all_that_may_lie_in_it(self, tmp_path):
        for name in ("b/c/deep.mp4", "b/one", "z"):
            storage.write_bytes(f"{tmp_path}/{name}", b"x")
        os.mkfifo(tmp_path / "pipe")
        (tmp_path / "dangling").symlink_to("nothing")
        (tmp_path / "a_link_to_b").symlink_to("b")
        (tmp_path / "b/c/loop").symlink_to("..")
        (tmp_path / "b/to_itself").symlink_to("to_itself")
        everything = {"b/c/deep.mp4": 1, "b/one": 1, "z": 1, "pipe": None, "dangling": None, "b/to_itself": None}
        assert listed(tmp_path) == everything
        assert listed(tmp_path, recursive=False) == {"z": 1, "pipe": None, "dangling": None}

    def test_a_folder_only_reached_by_a_link(self, tmp_path):
        storage.write_bytes(f"{tmp_path}/far/x", b"x")
        (tmp_path / "root").mkdir()
        (tmp_path / "root/link").symlink_to("../far")
        assert listed(tmp_path / "root") == {"link/x": 1}

    def test_what_is_skipped_is_not_entered(self, tmp_path):
        for name in ("a/x", "b/x", "c"):
            storage.write_bytes(f"{tmp_path}/{name}", b"")
        asked = []

        def skip(uri: str) -> bool:
            asked.append(uri.removeprefix(f"{tmp_path}/"))
            return uri.endswith("/a")

        assert listed(tmp_path, skip=skip) == {"b/x": 0, "c": 0}
        assert sorted(asked) == ["a", "b", "b/x", "c"]

    def test_a_folder_that_cannot_be_read(self, tmp_path, monkeypatch):
        for name in ("barred/x", "open/x"):
            storage.write_bytes(f"{tmp_path}/{name}", b"")
        scandir = os.scandir

        def guarded(path):  # permissions would not hold root back
            if path.endswith("barred"):
                raise PermissionError(errno.EACCES, "Permission denied")
            return scandir(path)

        monkeypatch.setattr(os, "scandir", guarded)
        told = []
        assert listed(tmp_path, unreadable=lambda folder, error: told.append((folder, str(error)))) == {"open/x": 0}
        assert told == [(f"{tmp_path}/barred", f"{tmp_path}/barred: Permission denied")]
        with pytest.raises(StorageError, match="barred: Permission denied"):
            list(storage.list_files(str(tmp_path)))

    def test_a_folder_that_is_not_there_is_empty(self, tmp_path):
        assert listed(tmp_path / "nothing") == {}


@pytest.fixture(params=["hdfs", pytest.param("s3", marks=pytest.mark.multiprocess)])
def bucket(request, tmp_path, monkeypatch) -> Iterator[str]:
    """An empty bucket: of an S3 server, or a pretended one of Hadoop (folders and files that grow)."""
    if request.param == "s3":
        yield request.getfixturevalue("s3_bucket")
        return
    local = pyarrow.fs.LocalFileSystem()
    monkeypatch.setattr(storage.remote, "connect", lambda *_: (pyarrow.fs.SubTreeFileSystem(str(tmp_path), local), "/"))
    yield "hdfs://node:8020"


class TestRemote:
    def test_there_and_back(self, bucket):
        uri = f"{bucket}/day 1/x%20y ü.bin"
        data = bytes(range(256)) * 10_000
        storage.write_bytes(uri, b"first")
        storage.write_bytes(uri, data)
        assert storage.read_bytes(uri) == data
        info = storage.stat(uri)
        assert (info.uri, info.size_bytes) == (uri, len(data))
        assert info.modified_at is not None and abs((datetime.now(UTC) - info.modified_at).total_seconds()) < 60
        assert listed(bucket) == {"day 1/x%20y ü.bin": len(data)}
        assert listed(bucket, recursive=False) == {}
        assert listed(bucket, skip=lambda name: name.endswith("/day 1")) == {}
        assert listed(f"{bucket}/nothing") == {}
        with storage.open_input(uri) as file:
            assert file.seekable()
            assert file.seek(-256, os.SEEK_END) == len(data) - 256
            assert file.read() == data[-256:]
            assert file.seek(1) == 1
            assert file.read(2) == b"\1\2"
        storage.move_file(uri, f"{bucket}/moved")
        assert storage.exists(f"{bucket}/moved") and not storage.exists(uri)
        assert storage.is_folder(bucket) and not storage.is_folder(f"{bucket}/moved")
        storage.delete_file(f"{bucket}/moved")
        storage.delete_file(f"{bucket}/moved")
        storage.delete_tree(f"{bucket}/day 1")
        storage.delete_tree(f"{bucket}/day 1")
        assert listed(bucket) == {}
        assert storage.free_bytes(uri) is None

    def test_what_is_not_there(self, bucket):
        for ask in (storage.stat, storage.open_input, storage.read_bytes):
            with pytest.raises(FileNotFoundError, match="nothing does not exist"):
                ask(f"{bucket}/nothing")


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
