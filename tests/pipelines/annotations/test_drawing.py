"""Boxes, labels and blur on planes of every kind."""

import av
import cv2
import numpy as np
import pytest

from pipelines.annotations.drawing import BLACK, Canvas, blur_face, fill, label, outline
from pipelines.annotations.frame_copy import upright_copy
from pipelines.colours import EMOTION_COLOURS

BOX = (100.0, 80.0, 40.0, 40.0)
HAPPY = EMOTION_COLOURS["happy"]


def rgb_canvas(height: int = 240, width: int = 320, ground: int = 90) -> Canvas:
    return Canvas(tuple(np.full((height, width), ground, np.uint8) for _ in range(3)))


def noise_canvas() -> Canvas:
    random = np.random.default_rng(0)
    return Canvas(tuple(random.integers(0, 256, (240, 320), np.uint8) for _ in range(3)))


def pixels(canvas: Canvas) -> np.ndarray:
    return np.stack(canvas.planes[:3], axis=-1).copy()


def changed(canvas: Canvas, before: np.ndarray) -> np.ndarray:
    return (pixels(canvas) != before).any(axis=-1)


@pytest.mark.parametrize("full_range", [False, True])
def test_colours_are_those_that_libav_shows(full_range: bool) -> None:
    frame = av.VideoFrame(64, 48, "yuv420p")
    frame.color_range, frame.colorspace = 2 if full_range else 1, 1
    copy, canvas = upright_copy(frame)
    for colour in EMOTION_COLOURS.values():
        fill(canvas, (0, 0, 64, 48), colour)
        shown = copy.to_ndarray(format="rgb24")[20, 20].astype(int)
        assert np.abs(shown - colour).max() <= 6


def test_an_outline_lies_on_the_box() -> None:
    canvas = rgb_canvas()
    before = pixels(canvas)
    outline(canvas, BOX, HAPPY)
    after, touched = pixels(canvas), changed(canvas, before)
    assert tuple(after[80, 120]) == tuple(after[100, 100]) == tuple(after[119, 120]) == HAPPY
    assert not touched[90:110, 110:130].any()
    assert not touched[:78].any() and not touched[122:].any()
    assert (after[touched] == BLACK).all(axis=-1).any()  # the rim


def test_a_weak_outline_is_dashed() -> None:
    strong, weak = rgb_canvas(), rgb_canvas()
    outline(strong, BOX, HAPPY)
    outline(weak, BOX, HAPPY, weak=True)
    rows = [(pixels(canvas)[80, 100:140] == HAPPY).all(axis=-1) for canvas in (strong, weak)]
    assert rows[0].all()
    assert 10 < rows[1].sum() < 35 and np.abs(np.diff(rows[1].astype(int))).sum() >= 3


@pytest.mark.parametrize("box", [(-30, -30, 40, 40), (310, 230, 40, 40), (-50, -50, 900, 900), (400, 400, 9, 9)])
def test_what_lies_outside_is_cut_off(box: tuple[float, ...]) -> None:
    canvas = noise_canvas()
    outline(canvas, box, HAPPY)
    blur_face(canvas, box)
    x, y, width, height = label(canvas, box, [["0  happy 71 %", "34 (27–41)"]], HAPPY)
    assert 0 <= x <= 320 - width and 0 <= y <= 240 - height


def test_a_label_lies_above_its_box_or_below_where_there_is_no_room() -> None:
    assert label(rgb_canvas(), BOX, [["0"]], HAPPY)[1] < 80
    x, y, _, _ = label(rgb_canvas(), (100, 2, 40, 40), [["0"]], HAPPY)
    assert (x, y >= 42) == (100, True)


def test_a_label_keeps_off_others() -> None:
    canvas = rgb_canvas()
    first = label(canvas, BOX, [["0  happy 71 %"]], HAPPY)
    second = label(canvas, (120, 80, 40, 40), [["1  happy 71 %"]], HAPPY, [first])
    assert second[1] >= 120


def test_where_there_is_little_room_less_is_said() -> None:
    texts = (("0  happy 71 %", "34 (27–41)"), ("0  happy 71 %",), ("0",))
    sizes = [label(rgb_canvas(), BOX, [text], HAPPY)[2:] for text in texts]
    for size, blocked in zip(sizes, ([], [(0, 40, 320, 20), (0, 135, 320, 25)], [(120, 0, 200, 240)]), strict=True):
        assert label(rgb_canvas(), BOX, texts, HAPPY, blocked)[2:] == size
    assert label(rgb_canvas(), BOX, texts, HAPPY, [(0, 0, 320, 240)])[2:] == sizes[-1]  # never nothing


@pytest.mark.parametrize("emotion", EMOTION_COLOURS)
def test_text_reads_on_its_ground(emotion: str) -> None:
    canvas = rgb_canvas()
    x, y, width, height = label(canvas, BOX, [["34 (27–41)  female 93 %"]], EMOTION_COLOURS[emotion])
    part = pixels(canvas)[y : y + height, x : x + width]
    light = np.where(part / 255 <= 0.04, part / 255 / 12.92, ((part / 255 + 0.055) / 1.055) ** 2.4)
    luminance = light @ (0.2126, 0.7152, 0.0722)
    ground = light[1, 1] @ (0.2126, 0.7152, 0.0722)
    contrast = [(max(v, ground) + 0.05) / (min(v, ground) + 0.05) for v in (luminance.min(), luminance.max())]
    assert max(contrast) > 4.5  # WCAG 2.2, level AA


def test_every_letter_is_in_the_font() -> None:
    widths = [label(rgb_canvas(), BOX, [[text]], HAPPY)[2] for text in ("27–41", "27\ue000\ue00041")]
    assert widths[0] < widths[1]
    sprites = []
    for text in ("–", "\ue000"):  # the second is in no font
        canvas = rgb_canvas()
        x, y, width, height = label(canvas, BOX, [[text]], HAPPY)
        sprites.append(pixels(canvas)[y : y + height, x : x + min(width, 14)].copy())
    assert sprites[0].shape != sprites[1].shape or (sprites[0] != sprites[1]).any()


def test_labels_grow_with_the_picture() -> None:
    face, text = (100.0, 200.0, 300.0, 300.0), [["0  sad 50 %"]]
    small, large = (label(rgb_canvas(height, 2 * height), face, text, HAPPY)[3] for height in (360, 1080))
    assert large == pytest.approx(3 * small, rel=0.15)


def test_letters_keep_their_shape_on_wide_pixels() -> None:
    wide = Canvas(rgb_canvas().planes, pixel_aspect=2.0)
    assert label(wide, BOX, [["0  sad 50 %"]], HAPPY)[2] * 2 == pytest.approx(
        label(rgb_canvas(), BOX, [["0  sad 50 %"]], HAPPY)[2], abs=5
    )


def test_blur_changes_the_face_and_nothing_far_away() -> None:
    canvas = noise_canvas()
    before = pixels(canvas)
    blur_face(canvas, BOX)
    touched = changed(canvas, before)
    assert touched[80:120, 100:140].mean() > 0.95
    far = np.ones_like(touched)
    far[80 - 40 : 120 + 40, 100 - 40 : 140 + 40] = False
    assert not touched[far].any()


def test_little_is_left_of_a_blurred_face() -> None:
    canvas = noise_canvas()
    blur_face(canvas, BOX)
    face = canvas.planes[0][80:120, 100:140]
    assert len(np.unique(face)) <= 49  # the squares of the face, and no more
    assert (
        cv2.Laplacian(face, cv2.CV_32F).var()
        < 0.2 * cv2.Laplacian(noise_canvas().planes[0][80:120, 100:140], cv2.CV_32F).var()
    )


def test_chroma_is_blurred_and_drawn_as_well() -> None:
    random = np.random.default_rng(1)
    planes = [random.integers(0, 256, shape, np.uint8) for shape in ((240, 320), (120, 160), (120, 160))]
    canvas = Canvas(tuple(planes), (0.299, 0.114))
    before = [plane.copy() for plane in planes]
    blur_face(canvas, BOX)
    assert all(
        (plane[40:60, 50:70] != old[40:60, 50:70]).mean() > 0.9
        for plane, old in zip(planes[1:], before[1:], strict=True)
    )
    outline(canvas, BOX, HAPPY)
    assert planes[1][40, 55] < 80  # yellow has little blue


def test_transparency_is_opaque_where_something_is_drawn() -> None:
    planes = tuple(np.zeros((240, 320), np.uint8) for _ in range(4))
    outline(Canvas(planes), BOX, HAPPY)
    assert planes[3][80, 120] == 255 and planes[3][0, 0] == 0
