"""Faces of single pictures, at once."""

import time
from typing import Any

import cv2
import numpy as np
import pytest

from pipelines.cameras.live_faces import JpegDecoder, LiveFaces
from pipelines.cameras.warm import load_models
from pipelines.settings import make_config
from schemas.config import Config
from schemas.errors import MediaError
from tests.clips import scene
from transforms.picture import Picture
from transforms.track_faces import overlap


@pytest.fixture(scope="module")
def config() -> Config:
    return make_config(min_face=60)


@pytest.fixture(scope="module")
def bundles(config: Config) -> list[Any]:
    return load_models(config, "cpu")


def jpeg(at: float, **of_scene: Any) -> tuple[bytes, np.ndarray]:
    """A picture of 640×480 as a browser sends it, and where its faces are."""
    picture, boxes = scene(at, size=(640, 480), **of_scene)
    return cv2.imencode(".jpg", picture[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 85])[1].tobytes(), boxes


def test_a_face_keeps_its_track_while_it_moves_and_has_all_its_figures(config: Config, bundles: list[Any]) -> None:
    faces, decoder = LiveFaces(config, bundles), JpegDecoder(10**6)
    for number in range(12):
        data, boxes = jpeg(number / 12, faces=2, moving=True)
        found = faces.look(Picture(decoder.decode(data)), number / 12)
        assert sorted(face["track"] for face in found) == [0, 1]
        near = overlap(np.array([face["box"] for face in found], np.float32), boxes)
        assert near.max(axis=0).min() > 0.6
    for face in found:
        assert sum(face["emotions"]) == pytest.approx(1.0, abs=0.01) and len(face["emotions"]) == 7
        assert face["emotion"] == "happy" and face["words"]["emotion"].startswith("happy ")
        assert "–" in face["words"]["age"] and face["words"]["quality"]
    assert faces.look(Picture(decoder.decode(jpeg(0, away=(0.0, 9.0))[0])), 1.1) == []


def test_a_picture_of_640x480_takes_less_than_a_fifteenth_of_a_second_of_a_core(
    config: Config, bundles: list[Any]
) -> None:
    faces, decoder, seconds = LiveFaces(config, bundles), JpegDecoder(10**6), []
    for number in range(20):
        data, _ = jpeg(number / 15, moving=True)
        began = time.thread_time()
        assert len(faces.look(Picture(decoder.decode(data)), number / 15)) == 1
        seconds.append(time.thread_time() - began)
    assert np.median(seconds) < 1 / 15


def test_many_faces_are_asked_about_in_turn(config: Config, bundles: list[Any]) -> None:
    asked: list[int] = []

    class Counted:
        def __init__(self, bundle: Any):
            self._bundle = bundle

        def predict(self, chips: np.ndarray) -> Any:
            asked.append(len(chips))
            return self._bundle.predict(chips)

    emotion = make_config(min_face=40, age_gender_model=None)
    faces, decoder = LiveFaces(emotion, [Counted(bundles[0])]), JpegDecoder(10**6)
    data, _ = jpeg(0, faces=5)
    first, second = (faces.look(Picture(decoder.decode(data)), at) for at in (0.0, 0.1))
    assert len(first) == len(second) == 5 and asked == [4, 4]
    assert [len(face["emotions"]) for face in first].count(0) == 1
    assert all(face["emotions"] for face in second)


def test_without_models_there_are_boxes() -> None:
    bare = make_config(emotion_model=None, age_gender_model=None)
    (face,) = LiveFaces(bare, []).look(Picture(JpegDecoder(10**6).decode(jpeg(0)[0])), 0.0)
    assert (face["emotions"], face["emotion"]) == ([], None)
    assert face["words"] | {"quality": ""} == dict.fromkeys(("emotion", "age", "gender"), "unknown") | {"quality": ""}


@pytest.mark.parametrize("data", [b"", b"no picture", jpeg(0)[0][:300], b"\x89PNG\r\n\x1a\n" + bytes(100)])
def test_what_is_no_picture_is_said(data: bytes) -> None:
    decoder = JpegDecoder(10**6)
    with pytest.raises(MediaError, match="JPEG"):
        decoder.decode(data)
    assert decoder.decode(jpeg(0)[0]).width == 640  # and the next one is read


def test_too_large_a_picture_is_refused() -> None:
    with pytest.raises(MediaError):
        JpegDecoder(100_000).decode(jpeg(0)[0])
