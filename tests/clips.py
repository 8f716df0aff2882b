"""Small real clips, made on the spot: a portrait whose face dlib finds, on a flat ground.

Every clip shows the same scene: one head (`faces=2`: two, the second mirrored), each in the middle of its own equal
share of the width; with `moving` it swings from the left edge of its share to the right edge and back every four
seconds. The head's square is 9/10 of the height or of its share of the width, whichever is less, so the face is
about 90 px wide in 320×240 pixels (dlib's smallest without scaling is 80). From `cut_at` on the ground is dark
instead of light, and the head hangs lower and is mirrored; within `away` no head is to be seen.

`Clip` says what to expect: times in seconds from the first frame, boxes in decoded pixels after display rotation.
dlib's boxes come in steps of about 20 % in size, so compare by overlap: intersection over union is 0.6 or more.
"""

import dataclasses
import functools
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import skimage.data
from av.audio.stream import AudioStream
from av.video.reformatter import ColorRange
from av.video.stream import VideoStream

# Where dlib sees the face in the head's square: x, y, width, height as shares of its side (mean over sizes 150–240).
FACE_IN_HEAD = (0.305, 0.315, 0.415, 0.415)

# Divisible by the usual rates, 30000/1001 included, and below MPEG-4's limit of 65535.
TICKS = 60_000

# What each encoder needs to be quick and quiet, and to place keyframes only where `gop` says.
_OPTIONS = {
    "libx264": {"preset": "veryfast", "qp": "18", "x264-params": "scenecut=0"},
    "libx265": {"preset": "ultrafast", "qp": "18", "x265-params": "log-level=error:scenecut=0"},
    "libvpx-vp9": {"deadline": "realtime", "cpu-used": "8", "b": "2M"},
    "mpeg4": {"b": "4M", "sc_threshold": "1000000000"},
    "mpeg2video": {"b": "6M"},  # knows only the rates of television: fps=25
}


@dataclasses.dataclass(frozen=True)
class Clip:
    """A video file and what is in it.

    Attributes:
      path: the file.
      width: pixels after display rotation.
      height: pixels after display rotation.
      times: [n] float64, seconds of each frame from the first.
      boxes: [n, faces, 4] float32 x, y, width, height of each face in decoded pixels after display rotation; NaN where
        it is away.
    """

    path: Path
    width: int
    height: int
    times: np.ndarray
    boxes: np.ndarray


@functools.cache
def head(side: int) -> np.ndarray:
    """[side, side, 3] uint8 RGB: head and shoulders of scikit-image's portrait (public domain, NASA)."""
    square = skimage.data.astronaut()[10:234, 110:334]
    return cv2.resize(square, (side, side), interpolation=cv2.INTER_AREA if side < 224 else cv2.INTER_CUBIC)


def scene(
    time: float,
    *,
    size: tuple[int, int],
    faces: int = 1,
    moving: bool = False,
    cut_at: float | None = None,
    away: tuple[float, float] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """The picture at one time, and where its faces are.

    Args:
      time: seconds.
      size: width, height in pixels.
      faces: number of heads, side by side.
      moving: whether they swing.
      cut_at: second from which another shot is shown.
      away: half-open interval of seconds without a head.

    Returns:
      [H, W, 3] uint8 RGB and [faces, 4] float32 x, y, width, height, NaN while away.
    """
    width, height = size
    second_shot = cut_at is not None and time >= cut_at
    picture = np.full((height, width, 3), 40 if second_shot else 200, np.uint8)
    boxes = np.full((faces, 4), np.nan, np.float32)
    if away and away[0] <= time < away[1]:
        return picture, boxes
    share = width / faces
    side = round(0.9 * min(height, share))
    swing = (1 - np.cos(time * np.pi / 2)) / 2 if moving else 0.5
    for i in range(faces):
        x = round(i * share + swing * (share - side))
        y = height - side if second_shot else 0
        mirrored = (i % 2 == 1) != second_shot
        picture[y : y + side, x : x + side] = head(side)[:, ::-1] if mirrored else head(side)
        left, top, w, h = FACE_IN_HEAD
        boxes[i] = x + side * (1 - left - w if mirrored else left), y + side * top, side * w, side * h
    return picture, boxes


NUMBER_BITS = 10
_NUMBER_ROW = 0.94
"""Middle of the row of squares that say a frame's number, as a share of the height: below the heads."""


def burn_number(picture: np.ndarray, number: int) -> None:
    """Writes a number into a picture [H, W, 3] as a row of black and white squares, the lowest bit first."""
    height, width = picture.shape[:2]
    for bit in range(NUMBER_BITS):
        left, right = (round((bit + side) * width / NUMBER_BITS) for side in (0, 1))
        picture[round((2 * _NUMBER_ROW - 1) * height) :, left:right] = 255 * (number >> bit & 1)


def portrait_clip(
    path: Path,
    *,
    seconds: float = 2.0,
    fps: Fraction | int = 10,
    times: Sequence[float] | None = None,
    size: tuple[int, int] = (320, 240),
    faces: int = 1,
    moving: bool = False,
    cut_at: float | None = None,
    away: tuple[float, float] | None = None,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    full_range: bool = False,
    interlaced: bool = False,
    lossless: bool = False,
    gop: int = 10,
    b_frames: int = 0,
    rotation: int = 0,
    mirrored: bool = False,
    sar: Fraction | None = None,
    start: float = 0.0,
    audio: float = 0.0,
    faststart: bool = False,
    numbered: bool = False,
) -> Clip:
    """Writes the scene as a video file; the ending of `path` says in which container.

    Args:
      path: where to write.
      seconds: length; the last frame is the last multiple of 1 / fps before it.
      fps: frames per second.
      times: seconds of each frame, rising from 0, instead of `seconds` at `fps`: a variable rate.
      size: width, height of the picture as displayed on square pixels.
      faces: see `scene`.
      moving: see `scene`.
      cut_at: see `scene`.
      away: see `scene`.
      codec: libav's name of the encoder.
      pix_fmt: libav's name of the pixel format.
      full_range: luma from 0 to 255 instead of 16 to 235, and marked as such.
      interlaced: coded as interlaced and marked so (both fields show the same time).
      lossless: libx264 only: not a single luma value is changed.
      gop: frames from one keyframe to the next.
      b_frames: the most between two others (libx264 may use fewer).
      rotation: 0, 90, 180 or 270: the picture is stored turned, with a display matrix that turns it back by so many
        degrees counter-clockwise. What is displayed is the same for all.
      mirrored: the picture is stored mirrored, with a display matrix that mirrors it back.
      sar: sample aspect ratio; the width is stored divided by it, and boxes are in stored pixels.
      start: seconds before the first frame in the container's time.
      audio: seconds of silence as a second stream.
      faststart: the index in front (mp4, mov), so that a file cut short still opens.
      numbered: each frame says its number, see `burn_number`.

    Returns:
      What the file holds.
    """
    if sar and rotation % 180:
        raise ValueError("sar is meant of stored pixels: not together with a rotation of 90 or 270 degrees")
    seen = np.arange(np.ceil(seconds * fps)) / float(fps) if times is None else np.asarray(times, float)
    shots = [scene(t, size=size, faces=faces, moving=moving, cut_at=cut_at, away=away) for t in seen]
    boxes = np.stack([box for _, box in shots])
    width = round(size[0] / (sar or 1))
    boxes[..., [0, 2]] *= width / size[0]
    stored_size = (width, size[1]) if rotation % 180 == 0 else (size[1], width)
    # AVI and MPEG-2 have no time stamps of their own, only a rate: their ticks have to be frames.
    time_base = 1 / Fraction(fps) if path.suffix == ".avi" or codec == "mpeg2video" else Fraction(1, TICKS)

    with av.open(path, "w", options={"movflags": "+faststart"} if faststart else {}) as container:
        options = _OPTIONS.get(codec, {}) | ({"qp": "0"} if lossless else {})
        stream = container.add_stream(codec, rate=Fraction(fps), options=options)
        assert isinstance(stream, VideoStream)
        context = stream.codec_context
        context.width, context.height = stored_size
        context.pix_fmt = pix_fmt
        context.time_base = time_base
        context.gop_size = gop
        context.thread_count = 1
        if codec in ("libx264", "libx265", "mpeg4", "mpeg2video"):
            context.max_b_frames = b_frames
        if full_range:
            context.color_range = ColorRange.JPEG
        if interlaced:
            context.flags |= 0x20040000  # AV_CODEC_FLAG_INTERLACED_DCT | AV_CODEC_FLAG_INTERLACED_ME
        if sar:
            context.sample_aspect_ratio = sar
        if rotation or mirrored:
            stream.set_display_rotation(rotation, hflip=mirrored)
        sound = add_silence(container) if audio else None
        for number, (time, (picture, _)) in enumerate(zip(seen, shots, strict=True)):
            if numbered:
                burn_number(picture, number)
            picture = cv2.resize(picture, (width, size[1]), interpolation=cv2.INTER_AREA)
            picture = picture[:, ::-1] if mirrored else picture
            picture = np.rot90(picture, -rotation // 90)
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            if full_range:
                frame = frame.reformat(format=pix_fmt, dst_color_range=ColorRange.JPEG)
            frame.pts = round((time + start) / time_base)
            frame.time_base = time_base
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if sound:
            mux_silence(container, sound, audio)
    return Clip(path, width, size[1], seen, boxes)


def add_silence(container: av.container.OutputContainer) -> AudioStream:
    """A mono AAC stream; call before the first packet of any stream is muxed."""
    stream = container.add_stream("aac", rate=16_000)
    stream.codec_context.layout = "mono"
    return stream


def mux_silence(container: av.container.OutputContainer, stream: AudioStream, seconds: float) -> None:
    """Writes all of a stream from `add_silence`."""
    frame_size = 1024  # AAC's own
    for start in range(0, round(seconds * 16_000), frame_size):
        frame = av.AudioFrame.from_ndarray(np.zeros((1, frame_size), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 16_000
        frame.pts = start
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))
