"""Open a video's stream and read it: packets in decoding order, or frames; damaged places are passed over."""

import contextlib
import functools
import gc
import itertools
from collections.abc import Iterator

import av
from av.container import InputContainer

from schemas import storage
from schemas.config import Config
from schemas.errors import MediaError
from transforms import media

_MAX_READ_ERRORS = 1000
"""Damaged places in a row after which reading stops; each costs one failed read."""


class NoVideoError(MediaError):
    """The file opens and has no video stream.

    Attributes:
      has_nothing: whether it has no sound either, as where the description of its streams is cut off.
    """

    def __init__(self, message: str, *, has_nothing: bool = False):
        super().__init__(message)
        self.has_nothing = has_nothing


@contextlib.contextmanager
def open_video(uri: str, config: Config) -> Iterator[tuple[InputContainer, av.VideoStream]]:
    """Opens a file and its video stream, to be decoded by one thread; the decoder refuses frames over `max_pixels`.

    Raises:
      NoVideoError: the file has no video stream.
      MediaError: the file does not open, or there is no decoder for it.
      FileNotFoundError, StorageError: the file cannot be read; also raised later, while it is read.
    """
    _free_closed_files()
    max_pixels = config.sampling.max_pixels
    with media.open_media(uri, max_pixels=max_pixels) as container, storage.plain_errors(uri):
        try:
            stream = media.video_stream(container)
        except MediaError as error:
            raise MediaError(f"{uri}: {error}") from error
        if stream is None:
            raise NoVideoError(f"{uri} has no video stream.", has_nothing=not container.streams.audio)
        stream.codec_context.thread_count = 1
        stream.codec_context.options = {"max_pixels": str(max_pixels)}
        yield container, stream


def freeze_objects() -> None:
    """Leaves the objects that exist now out of Python's search for unreachable ones.

    That search frees the decoders of closed files each time that a file is opened; see `_free_closed_files`. It is
    called once before the first file. Call it again when something large was loaded since: with TensorFlow's million
    objects in the search, ten pictures took 43 s, and without them 2 s (two busy cores).
    """
    gc.collect()
    gc.freeze()


_freeze_once = functools.cache(freeze_objects)


def _free_closed_files() -> None:
    """Frees the decoders of files that were closed.

    PyAV's containers and streams refer to each other, so a decoder with its frames (8 MB at 320x240) lives on until
    Python looks for such cycles. Beside TensorFlow's million objects Python looks too rarely: 250 MB more after two
    hours of video.
    """
    _freeze_once()
    gc.collect()


def read_packets(container: InputContainer, *streams: av.stream.Stream) -> Iterator[av.Packet | av.error.FFmpegError]:
    """Packets in decoding order; for a damaged place, its error comes in place of a packet, and reading goes on."""
    errors = 0
    while errors < _MAX_READ_ERRORS:
        try:
            for packet in container.demux(*streams):
                if packet.size:
                    errors = 0
                    yield packet
            return
        # PyAV raises IndexError at the end of some files with streams that begin behind the header; see `Packets.rest`.
        except (av.error.EOFError, IndexError):
            return
        except av.error.FFmpegError as error:
            errors += 1
            yield error


def undiscarded(packet: av.Packet) -> av.Packet:
    """The same packet without the flag by which decoders drop its frame."""
    new = av.Packet(bytes(packet))
    new.pts, new.dts, new.time_base, new.duration = packet.pts, packet.dts, packet.time_base, packet.duration
    new.stream, new.is_keyframe = packet.stream, packet.is_keyframe
    return new


def read_frames(
    container: InputContainer, stream: av.VideoStream, errors: list[av.error.FFmpegError] | None = None
) -> Iterator[av.VideoFrame]:
    """Frames in the decoder's order; damaged places are passed over, and their errors added to `errors`."""
    for packet in itertools.chain(read_packets(container, stream), [None]):
        try:
            if isinstance(packet, av.error.FFmpegError):
                raise packet
            yield from stream.codec_context.decode(packet)
        except av.error.EOFError:
            return
        except av.error.FFmpegError as error:
            if errors is not None:
                errors.append(error)
