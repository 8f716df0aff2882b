"""The lock on an output folder."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from runners import lock
from runners.flink.rest import is_alive
from runners.lease import HeldError, JobLease, Lease, end_lease, read_lease, write_lease
from schemas.errors import FacelogError, StorageError


def test_a_second_run_is_told_who_holds_it(tmp_path: Path) -> None:
    out = tmp_path / "new" / "out"
    with lock.hold(str(out)):
        who = json.loads((out / "_work" / "lock").read_text())
        assert who["pid"] == os.getpid()
        with pytest.raises(FacelogError, match=rf"being written by PID {os.getpid()} .* since 20\d\d-") as caught:
            lock.hold(str(out)).__enter__()
        assert who["host"] in str(caught.value)
    with lock.hold(str(out)):
        pass


def test_a_shorter_name_replaces_a_longer_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for command in (["facelog", "x" * 1000], ["facelog"]):
        monkeypatch.setattr("sys.argv", command)
        with lock.hold(str(tmp_path)):
            assert json.loads((tmp_path / "_work" / "lock").read_text())["command"] == " ".join(command)


def test_a_holder_without_a_name_yet(tmp_path: Path) -> None:
    with lock.hold(str(tmp_path)):
        (tmp_path / "_work" / "lock").write_text("")
        with pytest.raises(FacelogError, match="another run"):
            lock.hold(str(tmp_path)).__enter__()


@pytest.mark.multiprocess
def test_kill_9_gives_it_back(tmp_path: Path) -> None:
    program = (
        "import sys; from runners import lock\nwith lock.hold(sys.argv[1]): print('held', flush=True); sys.stdin.read()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)],
        cwd=Path(__file__).parents[2],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        with pytest.raises(FacelogError, match=f"PID {process.pid}"):
            lock.hold(str(tmp_path)).__enter__()
        process.kill()
    with lock.hold(str(tmp_path)):
        pass


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="Not a directory"):
        lock.hold(str(tmp_path / "file")).__enter__()


def test_an_object_store_is_held_by_a_lease(s3_bucket: str) -> None:
    out = f"{s3_bucket}/out"
    assert lock.holder(out) is None
    with lock.hold(out):
        with pytest.raises(HeldError, match=rf"{out} is being written by PID {os.getpid()} "):
            lock.hold(out).__enter__()
        assert f"PID {os.getpid()}" in (lock.holder(out) or "")
    with lock.hold(out):
        pass
    assert read_lease(out) is None


def test_a_lease_that_nobody_renews_is_over(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    for age, held in ((timedelta(seconds=30), True), (timedelta(minutes=3), False)):
        write_lease(str(tmp_path), Lease(run_id="r", who="PID 1", since=now - age, renewed_at=now - age))
        assert (lock.holder(str(tmp_path)) == "PID 1") is held


@pytest.mark.parametrize(("alive", "said"), [(True, "written by job 17 of the cluster at h:8081"), (False, None)])
def test_a_job_holds_a_folder_for_as_long_as_its_cluster_says(tmp_path: Path, alive: bool, said: str | None) -> None:
    long_ago = datetime(2020, 1, 1, tzinfo=UTC)
    job = JobLease(master="h:8081", job_id="17", asked="x")
    write_lease(str(tmp_path), Lease(run_id="r", who="PID 1", since=long_ago, renewed_at=long_ago, job=job))
    if said is None:
        with lock.hold(str(tmp_path), is_alive=lambda job: alive):
            assert lock.holder(str(tmp_path)) is not None  # by this process
        return
    with pytest.raises(HeldError, match=said):
        lock.hold(str(tmp_path), is_alive=lambda job: alive).__enter__()
    assert lock.holder(str(tmp_path), is_alive=lambda job: alive) == "job 17 of the cluster at h:8081"


def test_a_job_whose_cluster_is_silent_may_be_alive(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    job = JobLease(master="127.0.0.1:1", job_id="17", asked="x")
    write_lease(str(tmp_path), Lease(run_id="r", who="PID 1", since=now, renewed_at=now, job=job))
    with pytest.raises(FacelogError, match=r"cannot be known \(no Flink job manager.*remove .*lease\.json"):
        lock.hold(str(tmp_path), is_alive=is_alive).__enter__()
    with pytest.raises(FacelogError, match=r"cannot be known \(the cluster at 127.0.0.1:1 was not asked\)"):
        lock.hold(str(tmp_path)).__enter__()


def test_the_end_of_one_run_leaves_the_lease_of_another(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    write_lease(str(tmp_path), Lease(run_id="theirs", who="PID 1", since=now, renewed_at=now))
    end_lease(str(tmp_path), "ours")
    assert read_lease(str(tmp_path)) is not None
    end_lease(str(tmp_path), "theirs")
    assert read_lease(str(tmp_path)) is None
