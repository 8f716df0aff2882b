"""Faces are found where they are, at the size asked for, at times anchored to the video."""

import itertools

import cv2
import numpy as np
import pytest

from models.detectors.choose import make_detector
from models.detectors.hog import detect_hog
from schemas.config import Config
from schemas.errors import UsageError
from schemas.faces import Boxes
from tests.clips import FACE_IN_HEAD, Clip, portrait_clip, scene
from tests.transforms.streams import fake_samples, segments_of
from transforms.decode_frames import decode_segment
from transforms.detect_faces import detect_faces
from transforms.track_faces import overlap


def grey(size: tuple[int, int], **options) -> tuple[np.ndarray, np.ndarray]:
    picture, boxes = scene(0.0, size=size, **options)
    return (picture @ np.array([0.299, 0.587, 0.114])).astype(np.uint8), boxes


def tilted() -> np.ndarray:
    """A head that leans: one clear detection and one that scores below 0."""
    luma, _ = grey((300, 270))
    return cv2.warpAffine(luma, cv2.getRotationMatrix2D((150, 135), 20, 1), (300, 270), borderValue=200)


def nothing(luma: np.ndarray) -> Boxes:
    return Boxes(np.zeros((0, 4), np.float32), np.zeros(0, np.float32))


class TestHog:
    @pytest.mark.parametrize("min_face", [40, 60, 80])
    @pytest.mark.parametrize("faces", [1, 2])
    def test_faces_are_where_they_are(self, min_face, faces):
        luma, boxes = grey((300 * faces, 270), faces=faces)
        found = detect_hog(luma, min_face=min_face, threshold=0.0)
        assert len(found.score) == faces
        assert overlap(boxes, found.xywh).max(axis=1).min() > 0.6
        assert list(found.score) == sorted(found.score, reverse=True)
        assert found.xywh.dtype == found.score.dtype == np.float32

    @pytest.mark.parametrize(
        ("side", "sizes"), [(115, [40]), (165, [40, 60]), (240, [40, 60, 80]), (370, [40, 80, 120])]
    )
    def test_min_face_is_the_smallest_that_is_found(self, side, sizes):
        """Faces of 48, 68, 100 and 154 pixels on a large ground; dlib finds them down to 0.8 of its window."""
        picture, _ = scene(0.0, size=(round(side / 0.9), round(side / 0.9)))
        luma = np.full((480, 640), 200, np.uint8)
        small = (picture @ np.array([0.299, 0.587, 0.114])).astype(np.uint8)
        luma[: len(small), : len(small)] = small
        face = FACE_IN_HEAD[2] * side
        for min_face in sizes:
            assert len(detect_hog(luma, min_face=min_face, threshold=0.0).score) == 1
        assert len(detect_hog(luma, min_face=round(1.6 * face), threshold=0.0).score) == 0

    def test_the_threshold_keeps_what_scores_as_high(self):
        luma = tilted()
        weak = detect_hog(luma, min_face=80, threshold=-1.0)
        best = float(weak.score[0])
        assert len(weak.score) > 1
        assert len(detect_hog(luma, min_face=80, threshold=best - 0.01).score) == 1
        assert len(detect_hog(luma, min_face=80, threshold=best + 0.01).score) == 0

    @pytest.mark.parametrize("shape", [(1, 1), (8, 8), (3, 400), (79, 79), (200, 200)])
    def test_pictures_without_a_face(self, shape):
        found = detect_hog(np.full(shape, 128, np.uint8), min_face=80, threshold=0.0)
        assert found.xywh.shape == (0, 4) and found.score.shape == (0,)

    def test_an_unknown_detector(self):
        with pytest.raises(UsageError, match="no detector called 'cnn'; known: hog"):
            make_detector(Config().override(detector="cnn").detection)

    def test_weak_detections_reach_the_tracker(self):
        luma = tilted()
        config = Config().override(min_face=80, threshold=0.0, keep_threshold=-1.0)
        assert make_detector(config.detection)(luma).score.min() < 0


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
        boxes = detector(sample.picture.luma)
        strong = boxes.xywh[boxes.score >= 0] * np.tile(sample.picture.box_scale, 2)
        assert overlap(truth, strong).max(axis=1).min() > 0.5
