"""Faces are found where they are, at the size asked for."""

import numpy as np
import pytest

from models.detectors.hog import detect_hog
from tests.clips import FACE_IN_HEAD, scene
from tests.models.detectors.heads import grey_scene, tilted_head
from transforms.track_faces import overlap


@pytest.mark.parametrize("min_face", [40, 60, 80])
@pytest.mark.parametrize("faces", [1, 2])
def test_faces_are_where_they_are(min_face, faces):
    luma, boxes = grey_scene((300 * faces, 270), faces=faces)
    found = detect_hog(luma, min_face=min_face, threshold=0.0)
    assert len(found.score) == faces
    assert overlap(boxes, found.xywh).max(axis=1).min() > 0.6
    assert list(found.score) == sorted(found.score, reverse=True)
    assert found.xywh.dtype == found.score.dtype == np.float32


@pytest.mark.parametrize(("side", "sizes"), [(115, [40]), (165, [40, 60]), (240, [40, 60, 80]), (370, [40, 80, 120])])
def test_min_face_is_the_smallest_that_is_found(side, sizes):
    """Faces of 48, 68, 100 and 154 pixels on a large ground; dlib finds them down to 0.8 of its window."""
    picture, _ = scene(0.0, size=(round(side / 0.9), round(side / 0.9)))
    luma = np.full((480, 640), 200, np.uint8)
    small = (picture @ np.array([0.299, 0.587, 0.114])).astype(np.uint8)
    luma[: len(small), : len(small)] = small
    face = FACE_IN_HEAD[2] * side
    for min_face in sizes:
        assert len(detect_hog(luma, min_face=min_face, threshold=0.0).score) == 1
    assert len(detect_hog(luma, min_face=round(1.6 * face), threshold=0.0).score) == 0


def test_the_threshold_keeps_what_scores_as_high():
    luma = tilted_head()
    weak = detect_hog(luma, min_face=80, threshold=-1.0)
    best = float(weak.score[0])
    assert len(weak.score) > 1
    assert len(detect_hog(luma, min_face=80, threshold=best - 0.01).score) == 1
    assert len(detect_hog(luma, min_face=80, threshold=best + 0.01).score) == 0


@pytest.mark.parametrize("shape", [(1, 1), (8, 8), (3, 400), (79, 79), (200, 200)])
def test_pictures_without_a_face(shape):
    found = detect_hog(np.full(shape, 128, np.uint8), min_face=80, threshold=0.0)
    assert found.xywh.shape == (0, 4) and found.score.shape == (0,)
