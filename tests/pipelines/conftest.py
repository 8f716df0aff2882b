"""Fixtures of whole runs: a configuration without models, so without TensorFlow, and a clip of several segments."""

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from pipelines.cli.main import app
from pipelines.settings import make_config
from schemas.config import Config
from tests.clips import Clip, portrait_clip


@pytest.fixture(scope="session")
def bare() -> Config:
    """No models; segments of a second with a tail of half a second, so that short clips have several."""
    return make_config(emotion_model=None, age_gender_model=None, segment_seconds=1.0, lost_after=0.5)


@pytest.fixture(scope="session")
def four_segments(clips_folder: Path) -> Clip:
    """Two faces that swing, and a cut at 2.3 s: 4 s at 10 fps, a keyframe every second, 480×240."""
    return portrait_clip(
        clips_folder / "four.mp4", seconds=4, size=(480, 240), faces=2, moving=True, cut_at=2.3, gop=10
    )


@pytest.fixture(scope="session")
def facelog() -> Callable[..., Result]:
    """The command line in this process: its arguments, and `input` for standard input."""

    def call(*arguments: object, input: str | None = None) -> Result:
        return CliRunner().invoke(app, [str(argument) for argument in arguments], input=input)

    return call
