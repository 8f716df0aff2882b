"""The detector runs at times anchored to the video, and its boxes are where the faces are."""

import itertools

import numpy as np
import pytest

from models.detectors.choose import make_detector
from models.detectors.interface import Picture
from schemas.config import Config
from schemas.faces import Boxes
from tests.clips import Clip, portrait_clip
from tests.transforms.streams import fake_samples, segments_of
from transforms.decode_frames import decode_segment
from transforms.detect_faces import detect_faces
from transforms.track_faces import overlap


def nothing(picture: Picture) -> Boxes:
    return Boxes(np.zeros((0, 4), np.float32), np.zeros(0, np.float32))


class TestGrid:
    def detected(self, times: list[float], every: float, cuts: tuple[float, ...] = ()) -> list[float]:
        samples = fake_samples([np.zeros((4, 4), np.uint8)] * len(times))
        for sample, time in zip(samples, times, strict=True):
            sample.timestamp, sample.is_cut = time, time in cuts
        return [s.timestamp for s in detect_faces(samples, nothing, every=every) if s.detections is not None]

    def test_every_half_second(self):
        times = [i / 4 for i in range(12)]
        assert self.detected(times, 0.5) == [0, 0.5, 1, 1.5, 2, 2.5]
        assert self.detected(times, 1.0) == [0, 1, 2]
        assert self.detected(times, 0.0) == times

    def test_a_cut_is_detected_and_does_not_move_the_grid(self):
        assert self.detected([i / 4 for i in range(9)], 1.0, cuts=(0.75,)) == [0, 0.75, 1, 2]

    def test_the_first_sample_behind_a_point(self):
        assert self.detected([0, 0.3, 0.6, 0.9, 1.3, 2.7, 2.8, 3.0], 0.5) == [0, 0.6, 1.3, 2.7, 3.0]

    def test_neighbouring_segments_detect_at_the_same_times(self, tmp_path):
        clip = portrait_clip(tmp_path / "x.mp4", seconds=9, size=(160, 120), gop=13, moving=True)
        config = Config().override(segment_seconds=2, lost_after=1.5, sample_fps=5.0)

        def detected(segment, config=config) -> list[float]:
            samples = detect_faces(decode_segment(segment, config).samples, nothing, every=0.7)
            return [s.timestamp for s in samples if s.detections is not None]

        found = segments_of(clip.path, config)
        assert len(found) > 2
        everything: set[float] = set()
        for segment, following in itertools.pairwise(found):
            assert segment.end is not None
            tail = [t for t in detected(segment) if t >= segment.end]
            assert len(tail) >= 2
            assert tail == detected(following)[: len(tail)]
            everything |= set(detected(segment)) | set(detected(following))
        (whole,) = segments_of(clip.path, config.override(segment_seconds=1e9))
        assert everything - set(detected(whole)) <= {segment.start for segment in found}
        assert set(detected(whole)) <= everything


@pytest.mark.parametrize("name", ["two_faces", "moving_portrait"])
def test_boxes_of_a_clip(name, request):
    clip: Clip = request.getfixturevalue(name)
    config = Config()
    (segment,) = segments_of(clip.path, config)
    detector = make_detector(config.detection)
    for sample in decode_segment(segment, config).samples:
        truth = clip.boxes[np.argmin(np.abs(clip.times - sample.timestamp))]
        boxes = detector(sample.picture)
        strong = boxes.xywh[boxes.score >= 0] * np.tile(sample.picture.box_scale, 2)
        assert overlap(truth, strong).max(axis=1).min() > 0.5
