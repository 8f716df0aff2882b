"""The cuts of the clips are found, and no others."""

import cv2
import numpy as np
import pytest

from schemas.config import Config
from tests.clips import portrait_clip
from tests.transforms.streams import fake_samples, segments_of
from transforms.decode_frames import decode_segment
from transforms.detect_cuts import detect_cuts

_THRESHOLD = Config().detection.cut_threshold


def cuts(path, sample_fps: float = 4.0) -> list[float]:
    config = Config().override(sample_fps=sample_fps)
    (segment,) = segments_of(path, config)
    samples = decode_segment(segment, config).samples
    return [s.timestamp for s in detect_cuts(samples, threshold=_THRESHOLD) if s.is_cut]


@pytest.mark.parametrize("fps", [1.0, 4.0, 10.0, float("inf")])
def test_a_cut_is_found_at_its_first_sample(cut_clip, fps):
    assert cuts(cut_clip.path, fps) == [2.0]


def test_a_moving_face_is_no_cut(moving_portrait, two_faces):
    assert cuts(moving_portrait.path) == []
    assert cuts(two_faces.path) == []


def test_a_still_picture_is_no_cut(portrait, no_face):
    assert cuts(portrait.path) == []
    assert cuts(no_face.path) == []


def test_noise_on_a_flat_ground_is_no_cut():
    rng = np.random.default_rng(0)
    lumas = [np.clip(120 + rng.normal(0, 12, (120, 160)), 0, 255).astype(np.uint8) for _ in range(8)]
    assert not any(s.is_cut for s in detect_cuts(fake_samples(lumas), threshold=_THRESHOLD))


def test_a_flat_picture_before_or_after_another_is_a_cut():
    ramp = np.tile(np.linspace(0, 255, 160).astype(np.uint8), (120, 1))
    black = np.zeros((120, 160), np.uint8)
    found = [s.is_cut for s in detect_cuts(fake_samples([ramp, black, black, ramp, ramp]), threshold=_THRESHOLD)]
    assert found == [False, True, False, True, False]


def test_light_that_changes_is_no_cut():
    ramp = np.tile(np.linspace(0, 120, 160).astype(np.uint8), (120, 1))
    assert not any(s.is_cut for s in detect_cuts(fake_samples([ramp, ramp + 100, ramp]), threshold=_THRESHOLD))


def _scene(wall: tuple[int, int, int], shirt: tuple[int, int, int], head: int, x: int = 60) -> np.ndarray:
    """A head and shoulders before a wall with some pictures on it, [120, 160, 3] RGB."""
    rng = np.random.default_rng(head)
    rgb = np.full((120, 160, 3), wall, np.uint8)
    for at in range(0, 160, 40):
        rgb[10:30, at + 5 : at + 30] = np.array(wall) // 2
    rgb[85:, x - 15 : x + 55] = shirt
    rgb[35:85, x : x + 40] = cv2.resize(rng.integers(60, 220, (6, 5, 3), np.uint8), (40, 50))
    return rgb


def test_shot_and_reverse_shot_before_the_same_wall_is_a_cut():
    """Grey thumbnails correlate: the wall is the same, and a head is a head."""
    one, other = _scene((150, 140, 120), (40, 60, 150), 1, x=20), _scene((120, 140, 150), (150, 50, 60), 2, x=100)
    found = [s.is_cut for s in detect_cuts(fake_samples([one, one, other, other]), threshold=_THRESHOLD)]
    assert found == [False, False, True, False]


def test_a_head_that_leaves_is_no_cut():
    steps = [_scene((150, 140, 120), (40, 60, 150), 1, x=x) for x in (20, 34, 48, 62, 76, 90, 104)]
    empty = _scene((150, 140, 120), (150, 140, 120), 1, x=104)
    empty[35:85, 104:144] = (150, 140, 120)
    assert not any(s.is_cut for s in detect_cuts(fake_samples([*steps, empty]), threshold=_THRESHOLD))


def test_a_camera_that_turns_is_no_cut():
    rng = np.random.default_rng(5)
    world = cv2.resize(rng.integers(0, 256, (20, 80, 3), np.uint8), (480, 120), interpolation=cv2.INTER_CUBIC)
    pan = [np.ascontiguousarray(world[:, 14 * i : 14 * i + 160]) for i in range(20)]
    assert not any(s.is_cut for s in detect_cuts(fake_samples(pan), threshold=_THRESHOLD))


def test_another_size_begins_a_shot():
    ramp = np.tile(np.linspace(0, 255, 160).astype(np.uint8), (120, 1))
    found = [s.is_cut for s in detect_cuts(fake_samples([ramp, ramp[:60, :80], ramp[:60, :80]]), threshold=1.0)]
    assert found == [False, True, False]


def test_a_stream_that_changes_its_size(tmp_path):
    small = portrait_clip(tmp_path / "a.ts", size=(160, 120), codec="mpeg2video", fps=25, gop=25)
    large = portrait_clip(tmp_path / "b.ts", size=(320, 240), codec="mpeg2video", fps=25, gop=25, start=2.0)
    (tmp_path / "x.ts").write_bytes(small.path.read_bytes() + large.path.read_bytes())
    config = Config()
    (segment,) = segments_of(tmp_path / "x.ts", config)
    samples = list(detect_cuts(decode_segment(segment, config).samples, threshold=_THRESHOLD))
    sizes = [s.picture.luma.shape for s in samples]
    assert set(sizes) == {(120, 160), (240, 320)}
    assert [s.is_cut for s in samples].index(True) == sizes.index((240, 320))


def test_the_archive(shared_videos):
    assert cuts(shared_videos / "faces/mother_daughter.mp4") == []
    assert cuts(shared_videos / "faces/walkers.gif") == []
    talk_show = cuts(shared_videos / "faces/talk_show_cuts.mp4")
    for time in (0.7, 2.74, 7.04):  # seen by eye
        assert [t for t in talk_show if time <= t < time + 0.26]
    assert len(talk_show) == 3  # none where a head that fills half of the picture leaves it, at 1.7
