"""A clip with sound, and the results of one face in it."""

from pathlib import Path

import pytest

from tests.annotated import track, write_results
from tests.clips import Clip, portrait_clip


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Clip:
    """Two seconds with sound."""
    return portrait_clip(tmp_path_factory.mktemp("annotate") / "clip.mp4", audio=2.0, b_frames=2)


@pytest.fixture(scope="session")
def results(clip: Clip, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """DIR with one face in the second half second and after it."""
    out = tmp_path_factory.mktemp("results")
    write_results(clip.path, out, track(0, 0.5, 1.25))
    return out
