"""A small real video to try facelog on, made from the portrait that comes with scikit-image.

Twenty seconds of 640×360 at 25 frames per second, H.264 (MPEG-4 where libav lacks the encoder), without sound:

| seconds | what happens |
| --- | --- |
| 0–6 | a woman's face comes closer and moves from the left to the right |
| 6–8 | she leaves through the right edge |
| 8–10 | nobody |
| 10–12 | she comes back through the left edge |
| 12 | cut |
| 12–20 | she, mirrored and on a darker ground, goes away a little and moves from the right to the left |

The portrait is Eileen Collins, astronaut; NASA, public domain.
"""

import functools
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import skimage.data
from av.video.stream import VideoStream

WIDTH, HEIGHT, FPS, SECONDS = 640, 360, 25, 20

# The head in the portrait: left, top and side of a square in its pixels; and the face in that square, as dlib sees it:
# left, top, width and height as shares of its side.
_HEAD = (110, 10, 224)
_FACE_IN_HEAD = np.array([0.305, 0.315, 0.415, 0.415])

# Seconds; centre of the head from the left and its side, in pixels. At 8 and at 10 seconds it is just outside.
_FIRST_SHOT = ([0, 6, 8, 10, 12], [150, 430, 800, -130, 330], [220, 330, 330, 260, 260])
_SECOND_SHOT = ([12, 20], [440, 220], [340, 240])
_AWAY = (8, 10)
_CUT = 12


def demo_face(time: float) -> np.ndarray | None:
    """Where the demo clip shows the face at `time` seconds: [4] x, y, width, height in pixels, or None.

    Parts of the box may lie outside the picture while the face leaves and comes back.
    """
    if _AWAY[0] <= time < _AWAY[1]:
        return None
    x, y, side = _head_square(time)
    left, top, width, height = _FACE_IN_HEAD
    if time >= _CUT:
        left = 1 - left - width
    return np.array([x + left * side, y + top * side, width * side, height * side])


def demo_frame(time: float) -> np.ndarray:
    """The demo clip's picture at `time` seconds: [360, 640, 3] uint8 RGB."""
    ground, head, mask = _layers(second_shot=time >= _CUT)
    if _AWAY[0] <= time < _AWAY[1]:
        return ground.copy()
    x, y, side = _head_square(time)
    scale = side / len(head)
    place = np.array([[scale, 0, x], [0, scale, y]])
    placed = cv2.warpAffine(head, place, (WIDTH, HEIGHT))
    weight = cv2.warpAffine(mask, place, (WIDTH, HEIGHT))[..., None]
    return (placed * weight + ground * (1 - weight)).astype(np.uint8)


def make_demo_clip(path: str | Path) -> None:
    """Writes the demo clip; the same libraries write the same bytes.

    Args:
      path: an `.mp4`, replaced if it is there.

    Raises:
      av.FFmpegError, OSError: the file cannot be written.
    """
    h264 = "libx264" in av.codecs_available
    with av.open(path, "w", format="mp4", options={"movflags": "+faststart"}) as container:
        stream = container.add_stream(
            "libx264" if h264 else "mpeg4",
            rate=Fraction(FPS),
            options={"preset": "veryfast", "crf": "20"} if h264 else {"b": "2M"},
        )
        assert isinstance(stream, VideoStream)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.codec_context.gop_size = 2 * FPS
        stream.codec_context.thread_count = 1  # with more, the bytes depend on how many
        for i in range(SECONDS * FPS):
            frame = av.VideoFrame.from_ndarray(demo_frame(i / FPS), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def _head_square(time: float) -> tuple[float, float, float]:
    """Left, top and side of the head's square in pixels; it stands on the lower edge."""
    times, centres, sides = _SECOND_SHOT if time >= _CUT else _FIRST_SHOT
    side = float(np.interp(time, times, sides))
    return float(np.interp(time, times, centres)) - side / 2, HEIGHT - side, side


@functools.cache
def _layers(*, second_shot: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The blurred ground [360, 640, 3] uint8, the head [224, 224, 3] uint8, and how much of it covers [224, 224]."""
    portrait = skimage.data.astronaut()
    left, top, size = _HEAD
    head = portrait[top : top + size, left : left + size]
    ground = cv2.resize(cv2.GaussianBlur(cv2.resize(portrait[200:488], (64, 36)), (0, 0), 4), (WIDTH, HEIGHT))
    if second_shot:
        ground, head = ground[:, ::-1] // 3, head[:, ::-1]
    # Whole in the middle, falling to nothing towards the edges; not the lower one, where she stands.
    across = np.clip((1 - np.abs(np.linspace(-1, 1, size))) / 0.2, 0, 1)
    down = np.clip(np.linspace(0, 1, size) / 0.2, 0, 1)
    mask = np.minimum(across[None], down[:, None]).astype(np.float32)
    return np.ascontiguousarray(ground), np.ascontiguousarray(head), mask
