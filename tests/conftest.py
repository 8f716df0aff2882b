"""Clips that many tests share, made once for each test process."""

import os
import signal
import sys
import threading
from collections import Counter
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler.loadscope import LoadScopeScheduling

from runners.fork_server import import_ahead
from tests.bundles import no_conversion
from tests.clips import Clip, portrait_clip
from tests.odd_clips import sideways_pair
from tests.s3 import s3_bucket, s3_program, s3_proxy, s3_server  # noqa: F401 (fixtures)
from transforms.open_video import freeze_objects

# Shells start background jobs with SIGINT ignored, and programs that tests start would inherit that:
# Ctrl-C could not end them. What is handled here is not inherited.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN and threading.current_thread() is threading.main_thread():
    signal.signal(signal.SIGINT, signal.default_int_handler)

# TensorFlow takes these once per process, from whoever uses it first, and other values change last bits: tables that
# are compared bit by bit would depend on what ran before. The pipeline and its workers compute with the same ones.
os.environ.update(TF_NUM_INTRAOP_THREADS="1", TF_NUM_INTEROP_THREADS="1", TF_ENABLE_ONEDNN_OPTS="1")

_SHARED_VIDEOS = Path(__file__).parents[2] / "shared" / "videos"


_FLINK, _TRAINING, _NETWORKS = "tests/flink/", "tests/training/", "tests/models/"

_NETWORKS_TOO = ("tests/pipelines/cli/test_models.py", "tests/pipelines/datasets/test_imdb_road.py")
"""Outside of their folder."""

_LONGEST = (
    _FLINK,
    _TRAINING,
    _NETWORKS,
    "tests/pipelines/runs/test_same_tables.py",
    "tests/transforms/job/test_contents.py",
    "tests/pipelines/persons/test_labelled.py",
    "tests/pipelines/runs/test_persons.py",
    "tests/transforms/test_decode_frames.py",
    "tests/pipelines/cli/test_main.py",
    "tests/pipelines/runs/test_bad_input.py",
    "tests/test_trust.py",
    "tests/pipelines/runs/test_scan_then_all.py",
    "tests/pipelines/serve/test_video_page.py",
    "tests/pipelines/runs/test_other_models.py",
    "tests/runners/flink/test_worker_pool.py",
    "tests/pipelines/runs/test_shared_archive.py",
)
"""Files that take a quarter of a minute or more. One at the end would keep one process busy alone."""


def _group(nodeid: str) -> str:
    """What runs in one process: the tests of a file; and more where that saves a start.

    All tests on the Flink cluster, so that there is one; trainings, and what builds networks, since TensorFlow takes
    ten seconds of a processor in each process.
    """
    file = nodeid.partition("::")[0]
    if file in _NETWORKS_TOO:
        return _NETWORKS
    return next((folder for folder in (_FLINK, _TRAINING, _NETWORKS) if file.startswith(folder)), file)


class _ByGroup(LoadScopeScheduling):
    """pytest-xdist's own `loadgroup` does nothing under pytest 9.2, which keeps ids of tests elsewhere."""

    def _split_scope(self, nodeid: str) -> str:
        return _group(nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> _ByGroup:
    """Shares the tests out by groups."""
    return _ByGroup(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks what uses the sample archive, and puts the Flink cluster first, then the longest files, then slow ones."""
    slow: Counter[str] = Counter()
    for item in items:
        if "shared_videos" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.shared)
        slow[_group(item.nodeid)] += item.get_closest_marker("slow") is not None
    first = {name: i for i, name in enumerate(_LONGEST)}
    items.sort(key=lambda item: (first.get(_group(item.nodeid), len(first)), -slow[_group(item.nodeid)]))


def pytest_collection_finish() -> None:
    """Beam's pipelines are built in half the time from here on; where no test has it imported, nothing is."""
    if "apache_beam" in sys.modules:
        from tests.quick_beam import remember

        remember()


_frozen: tuple[object, int] | None = None
"""The test module, and the number of modules imported, when objects were last left out of Python's searches."""


@pytest.hookimpl(trylast=True)  # after the fixtures
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Leaves what exists out of Python's searches for unreachable objects, as commands do before their first video.

    A search comes before each file that is opened (`transforms.open_video`). Among all that a process of the suite has
    imported, it takes half a second of a processor.
    """
    global _frozen
    now = item.getparent(pytest.Module), len(sys.modules)
    if now != _frozen:
        freeze_objects()
        _frozen = now


@pytest.hookimpl(wrapper=True, tryfirst=True)  # so that it writes after all others
def pytest_terminal_summary(terminalreporter: Any) -> Generator[None, None, None]:
    """One line that says what was skipped, and why."""
    yield
    reasons = Counter(_reason(report) for report in terminalreporter.stats.get("skipped", ()))
    if reasons:
        told = "; ".join(f"{number} × {reason}" for reason, number in reasons.most_common())
        terminalreporter.write_line(f"skipped: {told}", yellow=True)


def _reason(report: pytest.TestReport) -> str:
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return reason.removeprefix("Skipped: ").partition("\n")[0]


@pytest.fixture(scope="session")
def shared_videos() -> Path:
    """The sample archive that lies beside the checkout; it is not part of the repository."""
    if not (_SHARED_VIDEOS / "MANIFEST.tsv").exists():
        pytest.skip("the sample archive ../shared/videos is not there")
    return _SHARED_VIDEOS


@pytest.fixture(scope="session")
def clips_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for clips that live as long as the test process."""
    return tmp_path_factory.mktemp("clips")


@pytest.fixture(scope="session")
def portrait(clips_folder: Path) -> Clip:
    """One face at rest: 2 s at 10 fps, 320×240, H.264 in mp4, a keyframe every second."""
    return portrait_clip(clips_folder / "portrait.mp4")


@pytest.fixture(scope="session")
def moving_portrait(clips_folder: Path) -> Clip:
    """One face that swings through the picture once: 4 s at 10 fps, with B-frames."""
    return portrait_clip(clips_folder / "moving.mp4", seconds=4, moving=True, b_frames=2)


@pytest.fixture(scope="session")
def two_faces(clips_folder: Path) -> Clip:
    """Two faces that swing a little, side by side: 4 s at 10 fps, 480×240."""
    return portrait_clip(clips_folder / "two.mp4", seconds=4, size=(480, 240), faces=2, moving=True)


@pytest.fixture(scope="session")
def cut_clip(clips_folder: Path) -> Clip:
    """A face, and from 2.0 s to the end at 4.0 s another shot of it: 10 fps."""
    return portrait_clip(clips_folder / "cut.mp4", seconds=4, cut_at=2.0)


@pytest.fixture(scope="session")
def face_leaves(clips_folder: Path) -> Clip:
    """A face that is away from 1.0 to 4.0 s, of 6 s at 10 fps."""
    return portrait_clip(clips_folder / "away.mp4", seconds=6, away=(1.0, 4.0))


@pytest.fixture(scope="session")
def variable_rate(clips_folder: Path) -> Clip:
    """A face at uneven times, starting 0.852 s into the container's time; nothing from 0.5 to 2.0 s."""
    times = [0.0, 0.04, 0.1, 0.25, 0.5, 2.0, 2.02, 2.3, 2.35]
    return portrait_clip(clips_folder / "variable.mp4", times=times, start=0.852)


@pytest.fixture(scope="session")
def sideways(clips_folder: Path) -> tuple[Clip, Clip]:
    """A moving face, stored upright and stored turned by 90 degrees: 2 s at 10 fps, lossless."""
    return sideways_pair(clips_folder, seconds=2, moving=True)


@pytest.fixture(scope="session")
def no_face(clips_folder: Path) -> Clip:
    """An empty ground: 2 s at 10 fps."""
    return portrait_clip(clips_folder / "no_face.mp4", away=(0.0, 9.0))


@pytest.fixture
def unconverted() -> Iterator[None]:
    """Networks do not convert to LiteRT in this test."""
    with no_conversion():
        yield


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    """Training in tests computes with one thread, for the same reason; also where a fixture of a module trains."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("training.learning.loop.cores", lambda: 1)
        yield


@pytest.fixture(scope="session", autouse=True)
def _one_server_of_workers() -> Iterator[None]:
    """Runs of one test process share the server that their workers are forked off, so it imports what all of them need.

    Otherwise that would depend on which test is the first.
    """
    modules = ["pipelines.analyze", "pipelines.datasets.cut_shards"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("runners.local.supervisor.import_ahead", lambda _: import_ahead(modules))
        yield
