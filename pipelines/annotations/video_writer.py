"""Write a video: pictures encoded at about their source's quality, its sound, and its name only when it is done."""

import contextlib
import os
import uuid
from collections.abc import Iterator, Mapping
from fractions import Fraction
from types import TracebackType
from typing import Any, Self

import av
from av.audio.stream import AudioStream
from av.codec.context import Flags
from av.container import OutputContainer
from av.video.stream import VideoStream

from pipelines.annotations.matroska import MATROSKA, ROOM, TrackFacts, describe_tracks
from pipelines.annotations.sound import How, add_sound
from schemas import storage
from schemas.errors import StorageError, UsageError

_H264 = ("libx264", "libopenh264", "mpeg4")
_VP9 = ("libvpx-vp9", "libvpx")
_CONTAINERS = {
    ".mp4": ("mp4", _H264),
    ".m4v": ("mp4", _H264),
    ".mov": ("mov", _H264),
    ".mkv": ("matroska", _H264),
    ".webm": ("webm", _VP9),
}
"""By ending: libav's name of the container, and the encoders that are tried in turn."""

_MORE_THAN_H264 = {"hevc": 1.7, "vp9": 1.7, "av1": 2.2, "vvc": 2.5}
"""Bits that H.264 needs for the quality that these give with one."""

_OPTIONS = {
    # Constant quality, visually that of the source; the bit rate's limit keeps a poor source from growing.
    "libx264": {"crf": "18", "preset": "fast"},
    "libvpx-vp9": {"crf": "24", "deadline": "realtime", "cpu-used": "6", "row-mt": "1"},
    "libvpx": {"crf": "10", "deadline": "realtime", "cpu-used": "6"},
}
_LEAST_RATE = 300_000
"""Bits a second that thin lines and letters need, even on a source of less."""


def container_of(path: str) -> str:
    """Name, as libav has it, of the container that a file's ending means.

    Raises:
      UsageError: it means none that is written here.
    """
    ending = os.path.splitext(path)[1].lower()
    if ending not in _CONTAINERS:
        raise UsageError(f"{path}: the ending says the container; give one of {', '.join(_CONTAINERS)}.")
    return _CONTAINERS[ending][0]


class VideoWriter:
    """One video stream that is encoded, and its sound.

    Args:
      path: where to write; its ending says the container.
      video: the source's stream, whose clock, quality and shape of pixels are kept.
      sound: the source's streams of sound, and how each is written.
      like: a frame as it will be written: its size, which has to be even, and its colours.
      pixel_aspect: width of a displayed pixel over its height.
      time_base: seconds of a tick of the new file.
      bit_rate: bits a second of the source's pictures; None where nobody knows.
      gop: most frames from one keyframe to the next; None: the encoder decides.

    Raises:
      StorageError: (also later) it cannot be written.
    """

    def __init__(
        self,
        path: str,
        video: VideoStream,
        sound: Mapping[AudioStream, How],
        like: av.VideoFrame,
        *,
        pixel_aspect: Fraction,
        time_base: Fraction,
        bit_rate: float | None,
        gop: int | None = None,
    ):
        """Opens a dot-named file beside it, which gets its name at the end of `with`, unless something failed."""
        self._path = path
        folder, name = os.path.split(path)
        self._temporary = os.path.join(folder, f".{uuid.uuid4().hex}{os.path.splitext(name)[1]}")
        container = container_of(path)
        moves_index = {"movflags": "+faststart"} if container in ("mp4", "mov") else {}
        with self._said_of_this_file():
            os.makedirs(folder, exist_ok=True)
            # With `file:` no name is taken for that of a protocol.
            self._container: OutputContainer = av.open(
                f"file:{self._temporary}", "w", format=container, options=moves_index
            )
        try:
            with self._said_of_this_file():
                self._video = self._add_video(video, like, pixel_aspect, time_base, bit_rate)
                if gop is not None:
                    self._video.codec_context.gop_size = gop
                self._sound = {stream.index: add_sound(self._container, stream, how) for stream, how in sound.items()}
        except BaseException:
            self._give_up()
            raise
        display = (max(1, round(like.width * pixel_aspect)), like.height)
        self._facts = {
            1: TrackFacts(display=display if pixel_aspect != 1 else None),
            **{number: sound.facts for number, sound in enumerate(self._sound.values(), start=2)},
        }

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self._give_up()
            return
        try:
            with self._said_of_this_file():
                self._container.mux(self._video.encode(None))
                for sound in self._sound.values():
                    self._container.mux(list(sound.packets(None)))
                self._container.close()
                if self._container.format.name in MATROSKA:
                    describe_tracks(self._temporary, self._facts)
                with open(self._temporary, "rb") as file:
                    os.fsync(file.fileno())
                storage.move_file(self._temporary, self._path)
        except BaseException:
            self._give_up()
            raise

    def write_frame(self, frame: av.VideoFrame) -> None:
        """Encodes a frame; PTS have to rise."""
        with self._said_of_this_file():
            self._container.mux(self._video.encode(frame))

    def write_sound(self, packet: av.Packet) -> None:
        """Writes what becomes of a packet of one of the streams."""
        with self._said_of_this_file():
            self._container.mux(list(self._sound[packet.stream_index].packets(packet)))

    @contextlib.contextmanager
    def _said_of_this_file(self) -> Iterator[None]:
        """What writing raises as errors about this file: the caller is busy with reading another."""
        try:
            with storage.plain_errors(self._path):
                yield
        except FileNotFoundError as error:
            raise StorageError(f"{self._path} cannot be written: its folder is not there.") from error
        except (ValueError, av.error.FFmpegError) as error:
            raise StorageError(
                f"{self._path} cannot be written (libav: {getattr(error, 'strerror', None) or error}); "
                "another ending, or --no-audio, may help."
            ) from error

    def _give_up(self) -> None:
        with contextlib.suppress(OSError, ValueError, av.error.FFmpegError):  # what cannot be written has been said
            self._container.close()
        with contextlib.suppress(OSError):
            os.unlink(self._temporary)

    def _add_video(
        self,
        source: VideoStream,
        like: av.VideoFrame,
        pixel_aspect: Fraction,
        time_base: Fraction,
        bit_rate: float | None,
    ) -> VideoStream:
        codec = next(name for name in _CONTAINERS[os.path.splitext(self._path)[1].lower()][1] if _can_encode(name))
        limit = max(_LEAST_RATE, round(2 * _MORE_THAN_H264.get(source.codec_context.name, 1.0) * (bit_rate or 0)))
        options = dict(_OPTIONS.get(codec, {}))
        if codec == "libx264" and bit_rate:
            options |= {"maxrate": str(limit), "bufsize": str(2 * limit)}
        stream: Any = self._container.add_stream(codec, rate=source.average_rate or Fraction(25), options=options)
        context = stream.codec_context
        context.width, context.height, context.pix_fmt = like.width, like.height, "yuv420p"
        context.time_base = time_base
        context.sample_aspect_ratio = pixel_aspect
        context.color_range, context.colorspace = like.color_range, like.colorspace
        context.flags |= Flags.frame_duration  # else the last frame is shown for as long as the one before it
        context.color_primaries, context.color_trc = like.color_primaries, like.color_trc
        if self._container.format.name in MATROSKA:
            stream.metadata["title"] = ROOM
        if codec != "libx264":
            context.bit_rate = limit if bit_rate else 4_000_000
        return stream


def _can_encode(name: str) -> bool:
    try:
        return bool(av.Codec(name, "w"))
    except ValueError:  # av.codec.UnknownCodecError
        return False
