"""Commands whose standard output is full or closed, whose working folder is gone, or whose locale is not UTF-8."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.odd_clips import still
from tests.runs import ROOT, command


def run(*words: object, shell: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    """A command with its standard streams as a shell redirects them."""
    return subprocess.run(
        ["sh", "-c", f'exec "$@" {shell}', "sh", *map(str, command(*words))],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        errors="replace",
        timeout=120,
    )


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_standard_output_is_one_sentence() -> None:
    done = run("--version", shell="> /dev/full")
    assert done.returncode == 1
    assert done.stderr == "facelog: standard output cannot be written: No space left on device.\n"
    assert run("--version", shell="> /dev/full 2>&1").returncode == 1


def test_a_closed_standard_output_is_no_error() -> None:
    done = run("--version", shell=">&- <&-")
    assert (done.returncode, done.stderr) == (0, "")


def test_a_reader_that_has_seen_enough_is_no_error() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(command("--version"), cwd=ROOT, stdout=writer, stderr=subprocess.PIPE, text=True, timeout=120)
    os.close(writer)
    assert done.stderr == ""


def test_a_working_folder_that_is_gone_is_one_sentence(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    done = subprocess.run(
        ["sh", "-c", 'cd "$0" && rmdir "$0" && exec "$@"', str(gone), *map(str, command("status", "out"))],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 2
    assert (
        done.stderr
        == "facelog: the working folder does not exist any more (deleted or moved): change to another one.\n"
    )


def test_names_are_utf8_under_any_locale(tmp_path: Path) -> None:
    picture = still(tmp_path / "café.png")
    plain = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = run("analyze", tmp_path, "--out", tmp_path / "out", "--dry-run", **plain)
    assert done.returncode == 0, done.stderr
    assert str(picture.path).replace("é", r"\xe9") in done.stdout and "1 files" in done.stdout
