import cv2
import numpy as np
import pytest
from skimage import data

from models.geometry import AGE_GENDER, EMOTION, BoxGeometry, ChipGeometry
from models.landmarks import predict_landmarks
from training.data.own_face import Dropped
from training.data.ready_chips import MARGIN, labelled_chip, ready_chip, training_chip
from training.datasets import LabelledPicture
from training.learning.augment import middle

FACE = np.ascontiguousarray(data.astronaut()[70:175, 165:270])


def test_landmarks_of_a_ready_chip_lie_on_the_geometrys_points() -> None:
    chip = ready_chip(FACE, AGE_GENDER)
    found = predict_landmarks(cv2.cvtColor(chip, cv2.COLOR_RGB2GRAY), np.array([[0, 0, 64, 64]], np.float32))[0]
    assert np.abs(found - AGE_GENDER.targets()).max() < 4


@pytest.mark.parametrize("geometry", [AGE_GENDER, EMOTION])
def test_a_margin_adds_what_is_around_and_moves_nothing(geometry: ChipGeometry) -> None:
    chip = ready_chip(FACE, geometry)
    large = training_chip(FACE, geometry)
    border = round(geometry.size * MARGIN)
    assert large.shape[:2] == (geometry.size + 2 * border,) * 2
    difference = np.abs(middle(large[None], geometry.size)[0].astype(int) - chip)
    assert difference.mean() < 0.5
    assert large[:border].std() > 5


def test_small_pictures_are_taken_whole_whatever_the_geometry() -> None:
    grey = cv2.cvtColor(cv2.resize(FACE, (48, 48), interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY)
    np.testing.assert_array_equal(ready_chip(grey, EMOTION), grey)
    chip = ready_chip(grey, AGE_GENDER)
    assert chip.shape == (64, 64, 3)
    assert np.abs(chip[..., 1].astype(int) - cv2.resize(grey, (64, 64))).max() <= 1
    one_more = cv2.resize(FACE, (65, 65), interpolation=cv2.INTER_AREA)
    whole = cv2.resize(one_more, (64, 64), interpolation=cv2.INTER_AREA)
    assert np.abs(ready_chip(one_more, AGE_GENDER).astype(int) - whole).mean() > 5


def test_a_model_of_boxes_sees_the_whole_picture_in_its_own_channels() -> None:
    geometry = BoxGeometry(32, 0.4, "bgr")
    chip = ready_chip(FACE, geometry)
    whole = cv2.resize(FACE, (32, 32), interpolation=cv2.INTER_AREA)
    assert np.abs(chip[..., ::-1].astype(int) - whole).mean() < 3
    assert training_chip(FACE, geometry).shape == (32, 32, 3)


def test_a_face_with_room_around_it_is_looked_for() -> None:
    portrait = data.astronaut()
    sample = LabelledPicture("a", portrait, room=None)
    chip = labelled_chip(sample, portrait, AGE_GENDER).astype(int)
    assert np.abs(chip - ready_chip(FACE, AGE_GENDER)).mean() < 8
    assert np.abs(chip - ready_chip(portrait, AGE_GENDER)).mean() > 20
    with_margin = labelled_chip(sample, portrait, AGE_GENDER, MARGIN)
    assert np.abs(middle(with_margin[None], AGE_GENDER.size)[0].astype(int) - chip).mean() < 0.5


def test_a_face_that_is_not_found_is_taken_from_where_it_is_said_to_be() -> None:
    picture = np.random.default_rng(0).integers(0, 255, (160, 160), dtype=np.uint8)
    with pytest.raises(Dropped, match="no face found"):
        labelled_chip(LabelledPicture("a", picture, room=None), picture, EMOTION)
    chip = labelled_chip(LabelledPicture("a", picture, room=0.5), picture, BoxGeometry(40, 0.0, "grey"))
    np.testing.assert_array_equal(chip, cv2.resize(picture[40:120, 40:120], (40, 40), interpolation=cv2.INTER_AREA))
