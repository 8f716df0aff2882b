"""The demo clip shows at each second what its docstring says."""

import itertools
from pathlib import Path

import av
import dlib
import numpy as np
import pytest

from pipelines.runs.demo_clip import FPS, HEIGHT, SECONDS, WIDTH, demo_face, demo_frame, make_demo_clip


@pytest.fixture(scope="module")
def frames(demo: Path) -> list[np.ndarray]:
    """Of the clip that `facelog demo` made."""
    with av.open(demo / "out" / "demo.mp4") as container:
        stream = container.streams.video[0]
        decoded = list(container.decode(stream))
        assert stream.average_rate == FPS
        assert stream.start_time == 0
        assert len(decoded) == SECONDS * FPS
        return [frame.to_ndarray(format="gray") for frame in decoded]


def test_faces_are_where_it_says(frames: list[np.ndarray]) -> None:
    detector = dlib.get_frontal_face_detector()
    assert frames[0].shape == (HEIGHT, WIDTH)
    for i in range(0, len(frames), FPS // 2):
        time = i / FPS
        face = demo_face(time)
        found = detector(frames[i])
        if face is None:
            assert not found
        elif face[0] >= 0 and face[0] + face[2] <= WIDTH - 60:
            (rectangle,) = found
            centre = rectangle.dcenter()
            assert abs(centre.x - face[0] - face[2] / 2) < 0.15 * face[2]
            assert abs(centre.y - face[1] - face[3] / 2) < 0.15 * face[3]
            assert abs(rectangle.width() / face[2] - 1) < 0.2


def test_timeline() -> None:
    def centre(time: float) -> float:
        face = demo_face(time)
        assert face is not None
        return face[0] + face[2] / 2

    assert 0 < centre(0) < centre(3) < centre(5.9) < WIDTH  # comes closer, to the right
    assert demo_face(0)[2] < demo_face(5.9)[2]  # type: ignore[index]
    assert centre(7.9) > WIDTH  # out on the right
    assert demo_face(8) is None and demo_face(9.9) is None
    assert centre(10) < 0 < centre(11.9)  # back through the left edge
    assert centre(12) > centre(19.9)  # away, to the left
    assert demo_face(12)[2] > demo_face(19.9)[2]  # type: ignore[index]


def test_the_only_cut_is_at_12_seconds(frames: list[np.ndarray]) -> None:
    jumps = np.array([np.abs(a.astype(int) - b).mean() for a, b in itertools.pairwise(frames)])
    assert np.argmax(jumps) == 12 * FPS - 1
    assert np.delete(jumps, 12 * FPS - 1).max() < jumps.max() / 4


def test_deterministic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.runs.demo_clip.SECONDS", 2)
    for name in "ab":
        make_demo_clip(tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    np.testing.assert_array_equal(demo_frame(9.0), demo_frame(8.0))
