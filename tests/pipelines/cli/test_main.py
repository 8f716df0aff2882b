"""The command line: output, exit statuses, and errors in one sentence."""

import logging
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import ClassVar

import pytest
from typer.testing import Result

from models.bundle import bundle_names
from pipelines.settings import AGE_GENDER_MODEL, EMOTION_MODEL
from runners.lock import hold
from tests.clips import portrait_clip
from tests.runs import BARE, ROOT
from tests.tables import assert_whole, rows, statuses, videos

Facelog = Callable[..., Result]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A face for half a second."""
    return portrait_clip(tmp_path_factory.mktemp("cli") / "clip.mp4", seconds=0.5).path


@pytest.fixture
def analyze(facelog: Facelog, tmp_path: Path) -> Facelog:
    """`facelog analyze` without models, in this process, into `tmp_path / "out"`."""
    options = ("--out", tmp_path / "out", "--runner", "DirectRunner", *BARE)

    def call(*arguments: object, input: str | None = None) -> Result:
        return facelog("analyze", *options, *arguments, input=input)

    return call


@pytest.mark.parametrize("command", [(), ("analyze",), ("demo",), ("models",), ("models", "show"), ("doctor",)])
def test_help(facelog: Facelog, command: tuple[str, ...]) -> None:
    result = facelog(*command, "--help")
    assert result.exit_code == 0
    assert f"Usage: {' '.join(('facelog', *command))} " in result.stdout


def test_version(facelog: Facelog) -> None:
    assert facelog("--version").stdout == f"facelog {metadata.version('facelog')}\n"


def test_models(facelog: Facelog) -> None:
    listed = facelog("models", "list").stdout
    assert all(name in listed for name in bundle_names())
    for name in (EMOTION_MODEL, AGE_GENDER_MODEL):
        assert f'"name": "{name}"' in facelog("models", "show", name, "--json").stdout
    unknown = facelog("models", "show", "nonsense")
    assert unknown.exit_code != 0 and "nonsense" in unknown.stderr and "Traceback" not in unknown.stderr


def test_doctor(facelog: Facelog) -> None:
    result = facelog("doctor")
    assert result.exit_code == 0, result.stdout
    for name in ("apache-beam", "ai-edge-litert", "tensorflow", "dlib", "landmarks", EMOTION_MODEL):
        assert name in result.stdout
    assert "LiteRT runs it on the CPU" in result.stdout
    assert "missing" not in result.stdout and "damaged" not in result.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere.mp4"], ["nowhere.mp4", "no such file"]),
        (["*.nothing"], ["*.nothing", "nothing matches"]),
        ([""], ["INPUT is empty"]),
        (["CLIP", "--sample-fps", "many"], ["--sample-fps many", "all"]),
        (["CLIP", "--sample-fps", "0"], ["sample_fps", "above 0"]),
        (["CLIP", "--sample-fps", "-1"], ["sample_fps", "above 0"]),
        (["CLIP", "--sample-fps", "nan"], ["sample_fps"]),
        (["CLIP", "--newer-than", "yesterday"], ["--newer-than yesterday", "36h"]),
        (["CLIP", "--config", "nowhere.toml"], ["nowhere.toml", "cannot be read"]),
        (["CLIP", "--config", "CLIP"], ["not UTF-8"]),
        (["CLIP", "--config", "BAD"], ["min_fase", "known"]),
        (["CLIP", "--runner", "sparc"], ["sparc", "local"]),
        (["CLIP", "--emotion-model", AGE_GENDER_MODEL], [AGE_GENDER_MODEL, "not emotion"]),
        (["CLIP", "--log-file", "CLIP/x.log"], ["x.log", "cannot be written"]),
        (["ftp://server/clip.mp4"], ["ftp://"]),
    ],
)
def test_a_wrong_call_is_one_sentence_and_2(
    analyze: Facelog, clip: Path, tmp_path: Path, arguments: list[str], words: list[str]
) -> None:
    (tmp_path / "bad.toml").write_text("min_fase = 40\n")
    names = {"CLIP": str(clip), "BAD": str(tmp_path / "bad.toml"), "CLIP/x.log": f"{clip}/x.log"}
    result = analyze(*(names.get(argument, argument) for argument in arguments))
    assert result.exit_code == 2, result.output
    assert result.stderr.startswith("facelog: ") and result.stderr.count("\n") == 1, result.stderr
    assert all(word in result.stderr for word in words), result.stderr
    assert not rows(tmp_path / "out", "videos")


@pytest.mark.parametrize(
    "arguments", [["--workers", "0"], ["--limit", "0"], ["--settle", "-1"], ["--min-face", "5"], ["--nonsense"]]
)
def test_an_option_out_of_range_is_2(analyze: Facelog, clip: Path, arguments: list[str]) -> None:
    result = analyze(clip, *arguments)
    assert result.exit_code == 2
    assert arguments[0] in result.stderr and "Traceback" not in result.stderr


def test_a_folder_that_another_run_writes_is_1(analyze: Facelog, clip: Path, tmp_path: Path) -> None:
    with hold(str(tmp_path / "out")):
        result = analyze(clip)
    assert result.exit_code == 1
    assert result.stderr.startswith(f"facelog: {tmp_path / 'out'} is being written by PID {os.getpid()}")
    assert result.stderr.count("\n") == 1


def test_out_that_is_a_file_is_one_sentence(facelog: Facelog, clip: Path) -> None:
    result = facelog("analyze", clip, "--out", clip, "--runner=direct", *BARE)
    assert result.exit_code in (1, 2)
    assert str(clip) in result.stderr and result.stderr.count("\n") == 1


def test_a_list_on_standard_input(analyze: Facelog, clip: Path, tmp_path: Path) -> None:
    gone = tmp_path / "gone.mp4"
    result = analyze("-", input=f"{clip}\n{gone}\n")
    assert result.exit_code == 3
    assert statuses(tmp_path / "out") == {"clip.mp4": "ok", "gone.mp4": "failed"}
    row = videos(tmp_path / "out")["gone.mp4"]
    assert (row["error_type"], row["video_id"], row["size_bytes"]) == ("not_found", None, None)
    assert f"failed  {gone} is on the list and does not exist" in result.stdout
    # It is there now: the same list is done, and what was done is not done again.
    shutil.copy(clip, gone)
    result = analyze("-", input=f"{clip}\n{gone}\n")
    assert result.exit_code == 0
    assert re.search(r"1\s+of them done before", result.stdout)


@pytest.fixture
def folder(clip: Path, tmp_path: Path) -> Path:
    """Three copies, one of them from the year 2001, and one in a folder of its own."""
    folder = tmp_path / "in"
    for name in ("old.mp4", "new.mp4", "raw/-dash.mp4"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(clip, path)
        os.utime(path, (0, time.time() - 3600))
    os.utime(folder / "old.mp4", (0, 1_000_000_000))
    return folder


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ((), {"old.mp4", "new.mp4", "-dash.mp4"}),
        (("--exclude", "old*"), {"new.mp4", "-dash.mp4"}),
        (("--exclude", "old*", "--exclude", "*/raw"), {"new.mp4"}),
        (("--limit", "1"), {"new.mp4"}),
        (("--newer-than", "2010-01-01"), {"new.mp4", "-dash.mp4"}),
        (("--newer-than", "1h"), set()),
        (("--settle", "7200"), {"old.mp4"}),
    ],
)
def test_which_files(
    analyze: Facelog, folder: Path, tmp_path: Path, options: tuple[str, ...], expected: set[str]
) -> None:
    result = analyze(folder, "--dry-run", *options)
    assert result.exit_code == 0
    listed = {name for name in ("old.mp4", "new.mp4", "-dash.mp4") if name in result.stdout}
    assert listed == expected
    assert f"{len(expected)} files" in result.stdout
    assert not (tmp_path / "out").exists()  # a dry run writes nothing


def test_dry_run_counts_what_is_done(analyze: Facelog, folder: Path, tmp_path: Path) -> None:
    assert analyze(folder, "--limit", "1").exit_code == 0
    result = analyze(folder, "--dry-run")
    assert "2 files" in result.stdout and "1 more are done already" in result.stdout
    assert "new.mp4" not in result.stdout
    assert set(statuses(tmp_path / "out")) == {"new.mp4"}


def test_a_name_that_begins_with_a_dash(analyze: Facelog, folder: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(folder / "raw")
    assert analyze("--", "-dash.mp4").exit_code == 0
    assert statuses(tmp_path / "out") == {"-dash.mp4": "ok"}


def test_quiet_and_log_file(analyze: Facelog, clip: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.mp4").write_text("text\n")
    result = analyze(clip, tmp_path / "bad.mp4", "--quiet", "--log-file", tmp_path / "logs" / "run.log")
    assert (result.exit_code, result.output) == (3, "")
    log = (tmp_path / "logs" / "run.log").read_text()
    assert re.search(r"^[\d-]+ [\d:,]+ WARNING \S+: corrupt: .*bad\.mp4", log, re.MULTILINE)
    assert f"{clip}: tables written" in log
    left = [getattr(handler, "baseFilename", "") for handler in logging.getLogger().handlers]
    assert not any(name.endswith("run.log") for name in left)


def test_options_win_over_the_file(analyze: Facelog, clip: Path, tmp_path: Path) -> None:
    (tmp_path / "settings.toml").write_text('sample_fps = "all"\n[detection]\nmin_face = 100\n')
    assert analyze(clip, "--config", tmp_path / "settings.toml", "--dry-run").exit_code == 0
    assert analyze(clip, "--config", tmp_path / "settings.toml").exit_code == 0
    assert videos(tmp_path / "out")["clip.mp4"]["sample_fps"] is None
    assert analyze(clip, "--config", tmp_path / "settings.toml", "--sample-fps", "2").exit_code == 0
    assert videos(tmp_path / "out")["clip.mp4"]["sample_fps"] == 2


def test_keyframes(analyze: Facelog, tmp_path: Path) -> None:
    clip = portrait_clip(tmp_path / "scan.mp4", seconds=4, gop=20).path
    assert analyze(clip, "--keyframes", "--dry-run").exit_code == 0
    (tmp_path / "settings.toml").write_text("keyframes = true\n")
    result = analyze(clip, "--config", tmp_path / "settings.toml")
    assert re.search(r"1\s+of them by keyframes alone, 2\.0 s apart", result.stdout)
    assert videos(tmp_path / "out")["scan.mp4"]["keyframe_seconds"] == 2
    assert "1 more are done already" in analyze(clip, "--keyframes", "--dry-run").stdout
    assert analyze(clip, "--config", tmp_path / "settings.toml", "--no-keyframes").exit_code == 0
    assert videos(tmp_path / "out")["scan.mp4"]["keyframe_seconds"] is None


def test_help_is_quick() -> None:
    """Beam and TensorFlow take seconds to import, which nobody waits for who only asks."""
    listed = subprocess.run(
        [sys.executable, "-c", "import sys, pipelines.cli.main; print(*sys.modules)"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert not {"apache_beam", "tensorflow", "av", "cv2", "pyarrow"} & set(listed)


class TestDemo:
    pytestmark: ClassVar = [pytest.mark.slow, pytest.mark.multiprocess]

    def test_tables(self, demo: Path) -> None:
        assert (demo / "out" / "demo.mp4").exists()
        (row,) = rows(demo / "out", "videos")
        assert (row["status"], row["duration"]) == ("ok", 20.0)
        faces = [second["n_faces"] for second in rows(demo / "out", "timeline")]
        assert faces[:6] == [1] * 6 and faces[8:10] == [0, 0] and faces[13:] == [1] * 7
        assert any(track["end_reason"] == "cut" for track in rows(demo / "out", "tracks"))
        assert_whole(demo / "out")

    def test_report(self, demo: Path) -> None:
        pages, told = demo / "out" / "reports", (demo / "output.txt").read_text()
        assert f"in a browser: {pages}/index.html" in told and f"facelog report {demo}/out" in told
        assert len(list(pages.glob("demo-*.html"))) == 1

    def test_what_it_suggests_to_type_works(self, demo: Path, capsys: pytest.CaptureFixture[str]) -> None:
        program, option, code = shlex.split((demo / "output.txt").read_text().splitlines()[-1])
        assert (program, option) == ("python", "-c")
        exec(code, {})
        assert "emotion" in capsys.readouterr().out

    def test_the_example_of_the_readme_works(self, demo: Path, capsys: pytest.CaptureFixture[str]) -> None:
        examples = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
        (example,) = (text for text in examples if "import pandas" in text)
        exec(example.replace("out/faces", f"{demo}/out/faces"), {})
        assert "emotion" in capsys.readouterr().out

    def test_again(self, facelog: Facelog, demo: Path) -> None:
        again = facelog("demo", "--out", demo / "out")
        assert again.exit_code == 0 and re.search(r"1\s+of them done before", again.stdout)
