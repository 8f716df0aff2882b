"""Pictures of tiles: the whole of them, turned and mirrored as they are displayed."""

import io
from pathlib import Path

import numpy as np
import pytest

from schemas import storage
from schemas.config import Config
from tests.clips import scene
from tests.odd_clips import tiled_picture, truncated
from transforms.decode_frames import decode_segment
from transforms.heif import read_grid
from transforms.probe_video import probe_video


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    shown, _ = scene(0.0, size=(160, 112))
    shown[:40, :60] = (250, 10, 10)  # a corner that tells how it is turned
    return shown


def seen(path: Path) -> np.ndarray:
    plan = probe_video(storage.stat(str(path)), Config())
    assert plan.status == "ok" and plan.info is not None, plan.error_message
    (sample,) = decode_segment(plan.segments[0], Config()).samples
    bgr = sample.picture.bgr(1.0)
    assert bgr.shape[1::-1] == (plan.info.width, plan.info.height)
    return bgr[:, :, ::-1]


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
@pytest.mark.parametrize("mirror", [None, 0, 1])
def test_the_whole_picture_as_it_is_displayed(tmp_path, picture, turns, mirror):
    if mirror is not None and turns not in (0, 1):
        pytest.skip("two turns show how both go together")
    path = tiled_picture(tmp_path / "x.heic", picture, turns=turns, mirror=mirror)
    expected = np.rot90(picture, turns)
    expected = expected if mirror is None else expected[:, ::-1] if mirror else expected[::-1]
    found = seen(path)
    assert found.shape == expected.shape
    assert np.abs(found.astype(int) - expected).mean() < 8


def test_a_tile_that_is_lost_leaves_the_others(tmp_path, picture):
    path = tiled_picture(tmp_path / "x.heic", picture, lost=True)
    plan = probe_video(storage.stat(str(path)), Config())
    stream = decode_segment(plan.segments[0], Config())
    assert len(list(stream.samples)) == 1 and stream.stats.errors > 0


def test_a_picture_that_is_too_large_as_a_whole(tmp_path, picture):
    path = tiled_picture(tmp_path / "x.heic", picture)
    plan = probe_video(storage.stat(str(path)), Config().override(max_pixels=64 * 64 * 2))
    assert (plan.status, plan.error_type) == ("failed", "frame_too_large")
    assert "160x112" in str(plan.error_message)


def test_a_file_cut_off_is_a_row(tmp_path, picture):
    whole = tiled_picture(tmp_path / "x.heic", picture)
    for share in (0.1, 0.3, 0.5, 0.9):
        plan = probe_video(storage.stat(str(truncated(whole, tmp_path / "cut.heic", share=share))), Config())
        assert plan.cut_off or plan.status == "corrupt"
        assert plan.error_type in (None, "unreadable")


def test_damage_of_the_boxes_breaks_nothing(tmp_path, picture):
    data = bytearray(tiled_picture(tmp_path / "x.heic", picture).read_bytes())
    grid = read_grid(io.BytesIO(data), len(data))
    assert grid is not None and (grid.rows, grid.columns, grid.width, grid.height) == (2, 3, 160, 112)
    end = data.index(b"mdat")
    rng = np.random.default_rng(0)
    for place in range(24, end):
        bad = bytearray(data)
        bad[place] = int(rng.integers(256))
        read_grid(io.BytesIO(bad), len(bad))
