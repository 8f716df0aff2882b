"""Fixtures of whole runs: configurations, a clip of several segments, and runs that are made once for all tests."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from pipelines.cli.main import app
from pipelines.runs.analyze_archive import analyze
from pipelines.settings import make_config
from schemas.config import Config
from tests.clips import portrait_clip
from tests.runs import made_once, run_facelog


@pytest.fixture(scope="session")
def bare() -> Config:
    """No models; segments of a second with a tail of half a second, so that short clips have several."""
    return make_config(emotion_model=None, age_gender_model=None, segment_seconds=1.0, lost_after=0.5)


@pytest.fixture(scope="session")
def four_segments(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two faces that swing, and a cut at 2.3 s: 4 s at 10 fps, a keyframe every second, 480×240."""

    def make(folder: Path) -> None:
        portrait_clip(folder / "four.mp4", seconds=4, size=(480, 240), faces=2, moving=True, cut_at=2.3, gop=10)

    return made_once(tmp_path_factory, "four_segments", make) / "four.mp4"


@pytest.fixture(scope="session")
def reference(tmp_path_factory: pytest.TempPathFactory, four_segments: Path, bare: Config) -> Path:
    """The tables of `four_segments` without models, by an undisturbed run in one process."""
    return made_once(tmp_path_factory, "reference", lambda out: _analyze(four_segments, out, bare))


@pytest.fixture(scope="session")
def with_models() -> Config:
    """As `bare`, but with the shipped models."""
    return make_config(segment_seconds=1.0, lost_after=0.5)


@pytest.fixture(scope="session")
def reference_with_models(tmp_path_factory: pytest.TempPathFactory, four_segments: Path, with_models: Config) -> Path:
    """As `reference`, with the shipped models."""
    return made_once(tmp_path_factory, "reference_with_models", lambda out: _analyze(four_segments, out, with_models))


def _analyze(clip: Path, out: Path, config: Config) -> None:
    assert analyze(str(clip), str(out), config=config, runner="direct").exit_status == 0


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """A browser without a window."""
    pytest.importorskip("selenium", reason="selenium is not installed")
    from tests.browser import chromium_with

    with chromium_with() as browser:
        yield browser


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `facelog demo` leaves: `out/`, and `output.txt` with what it writes to the terminal."""

    def make(folder: Path) -> None:
        done = run_facelog("demo", "--out", folder / "out", "--workers=1")  # TensorFlow starts once for each
        assert done.returncode == 0, done.stderr
        (folder / "output.txt").write_text(done.stdout)

    return made_once(tmp_path_factory, "demo", make)


@pytest.fixture(scope="session")
def facelog() -> Callable[..., Result]:
    """The command line in this process: its arguments, and `input` for standard input."""

    def call(*arguments: object, input: str | None = None) -> Result:
        return CliRunner().invoke(app, [str(argument) for argument in arguments], input=input)

    return call
