"""Nothing that a worker does on the CPU imports TensorFlow, nor a command that reads, reports or queries."""

import subprocess
import sys
from pathlib import Path

import cv2
from skimage import data

from tests.clips import portrait_clip

_COMMANDS = """
import os, sys
from typer.testing import CliRunner
from pipelines.cli.main import app

clip, picture, out = sys.argv[1:]
for command in (
    ["analyze", clip, "--out", out, "--runner", "direct", "--device", "cpu", "--keep-observations"],
    ["status", out],
    ["query", out, "SELECT count(*) FROM faces WHERE emotion IS NOT NULL AND age IS NOT NULL"],
    ["report", out],
    ["export", out, "--to", "csv", "--out", f"{out}/csv"],
    ["image", picture, "--device", "cpu"],
    ["models", "list"],
    ["models", "show", "emotion"],
    ["doctor"],
    ["analyze", clip, "--out", out, "--dry-run"],
):
    done = CliRunner().invoke(app, command)
    assert not done.exit_code, (command, done.output)
    found = {"tensorflow", "keras"} & {*sys.modules}
    assert not found, (command, found)
os._exit(0)  # all these commands in one process leave threads of libraries that do not always end in order
"""


def test_no_command_but_training_imports_tensorflow(tmp_path: Path) -> None:
    clip = portrait_clip(tmp_path / "one.mp4", seconds=2).path
    picture = tmp_path / "one.png"
    cv2.imwrite(str(picture), data.astronaut()[..., ::-1])
    command = [sys.executable, "-c", _COMMANDS, str(clip), str(picture), str(tmp_path / "out")]
    subprocess.run(command, check=True, cwd=Path(__file__).parents[2])
