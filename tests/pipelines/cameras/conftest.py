"""Ports of this machine, and clips as a camera sends them."""

from pathlib import Path

import pytest

from tests.clips import portrait_clip
from tests.s3 import free_port as any_port


@pytest.fixture
def free_port() -> int:
    """A port that nobody listens on."""
    return any_port()


@pytest.fixture(scope="session")
def swinging(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two faces that swing for three seconds, in Matroska at 10 fps."""
    path = tmp_path_factory.mktemp("swinging") / "clip.mkv"
    portrait_clip(path, seconds=3, size=(480, 240), faces=2, moving=True, gop=10)
    return path


@pytest.fixture(scope="session")
def short(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """One face for a second, in Matroska at 10 fps."""
    path = tmp_path_factory.mktemp("short") / "clip.mkv"
    portrait_clip(path, seconds=1)
    return path.read_bytes()
