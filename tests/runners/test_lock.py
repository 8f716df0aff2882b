"""The lock on an output folder."""

import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from runners import lock
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


def test_what_is_not_on_disk_gets_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING), lock.hold("s3://bucket/out"):
        assert "s3://bucket/out" in caplog.text
