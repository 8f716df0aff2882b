"""What a live source is, and how it is opened: a camera, a stream of the network, or standard input.

Only what is named is opened. Each kind of source has the protocols that it needs and no others, and playlists (HLS,
DASH, sdp, concat), which name further addresses, are refused. A redirection to another address is not followed.
"""

import contextlib
import dataclasses
import errno
import gc
import os
import re
import stat
import urllib.parse
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

import av
from av.container import InputContainer

from schemas.errors import FacelogError, MediaError, UsageError
from transforms.media import VIDEO_FORMATS, video_stream

_STREAMS = {
    "rtsp": "rtsp,rtp,udp,tcp",
    "rtsps": "rtsp,rtsps,rtp,udp,tcp,tls",
    "http": "http,tcp",
    "https": "https,http,tcp,tls",
    "udp": "udp",
}
"""Protocols that libav may use, by the scheme of the source."""

_FORMATS = {"rtsp": "rtsp", "rtsps": "rtsp"}
"""Formats that go with a scheme; others are found out from the content, among the plain containers."""

_OPTIONS: Mapping[str, Mapping[str, str]] = {
    "rtsp": {"rtsp_flags": "prefer_tcp"},
    "rtsps": {"rtsp_flags": "prefer_tcp"},
    "http": {"max_redirects": "0"},
    "https": {"max_redirects": "0"},
    # A large buffer for packets that arrive while a picture is decoded, and old packets dropped when it is full.
    "udp": {"fifo_size": "50000", "overrun_nonfatal": "1", "buffer_size": "4194304"},
}

_LOOK_INTO = {"analyzeduration": "3000000"}
"""Microseconds of a stream that libav reads at most to learn what is in it."""


_OPENING = 10.0
"""Seconds that opening a stream may take at least: what is in it is looked into for three of them."""


class LostError(FacelogError):
    """The source does not open, or gives no more; the text says why."""


@dataclasses.dataclass(frozen=True)
class Source:
    """A live source that the user named.

    Attributes:
      address: as libav opens it, with user name and password if there are any.
      scheme: `device`, `pipe`, or that of the URL.
      shown: the address without user name and password, for messages.
      name: short name in the tables: letters, digits, `-`, `_` and `.`.
      file: standard input; None for other sources.
    """

    address: str
    scheme: str
    shown: str
    name: str
    file: BinaryIO | None = None

    @property
    def ends(self) -> bool:
        """Whether its end is the end: standard input does not come back."""
        return self.scheme == "pipe"

    @property
    def waits(self) -> bool:
        """Whether it waits until it is read, so that it may be read at the pace at which it plays."""
        return self.scheme in ("pipe", "http", "https")


def parse_source(text: str, *, name: str | None = None, stdin: BinaryIO | None = None) -> Source:
    """The source that a text names.

    Args:
      text: `/dev/video0`, `rtsp://…`, `rtsps://…`, `http://…`, `https://…`, `udp://…`, or `-`.
      name: short name in the tables; default: made of the text, without passwords and queries.
      stdin: what `-` stands for.

    Raises:
      UsageError: it names none of these.
    """
    if text == "-":
        if stdin is None:
            raise UsageError("- means standard input, and there is none here.")
        return Source(text, "pipe", "standard input", short_name(name or "stdin"), stdin)
    scheme, is_url, _ = text.partition("://")
    if is_url and scheme.lower() in _STREAMS:
        parts = urllib.parse.urlsplit(text)
        host = parts.netloc.rpartition("@")[2]
        if not host:
            raise UsageError(f"{text} names no host.")
        shown = urllib.parse.urlunsplit((parts.scheme, host, parts.path, "", ""))
        return Source(text, scheme.lower(), shown, short_name(name or f"{host}{parts.path}"))
    if not is_url and text.startswith("/dev/"):
        return Source(text, "device", text, short_name(name or text.removeprefix("/dev/")))
    if not is_url and os.path.exists(text):
        raise UsageError(f"{text} is a file: use `facelog analyze` for it, or send it to standard input (SOURCE: -).")
    kinds = ", ".join(f"{known}://…" for known in _STREAMS)
    raise UsageError(f"{text} is no live source: give a camera (/dev/video0), {kinds}, or - for standard input.")


def short_name(text: str) -> str:
    """A name for the tables: letters, digits, `-`, `_` and `.` alone.

    Raises:
      UsageError: nothing of the text is left.
    """
    name = re.sub(r"[^\w.-]+", "-", text).strip("-.")[:60]
    if not name:
        raise UsageError(f"The name {text} has neither letters nor digits.")
    return name


@contextlib.contextmanager
def open_source(source: Source, *, max_pixels: int, timeout: float) -> Iterator[tuple[InputContainer, av.VideoStream]]:
    """Opens a source and its video stream, to be decoded by one thread.

    Args:
      source: what to open.
      max_pixels: frames of more pixels are not decoded.
      timeout: seconds of silence after which a source of the network counts as lost.

    Raises:
      LostError: it does not open now.
    """
    gc.collect()  # a decoder that is closed lives on until then; see transforms.open_video
    try:
        container = _open(source, max_pixels, timeout)
    except (av.error.FFmpegError, OSError) as error:
        raise LostError(f"{source.shown} does not open ({reason(error)}).") from error
    with container:
        try:
            stream = video_stream(container)
        except MediaError as error:
            raise LostError(f"{source.shown}: {error}") from error
        if stream is None:
            raise LostError(f"{source.shown} has no video.")
        stream.codec_context.thread_count = 1
        stream.codec_context.options = {"max_pixels": str(max_pixels)}
        yield container, stream


def _open(source: Source, max_pixels: int, timeout: float) -> InputContainer:
    options: dict[str, Any] = {
        "options": {"threads": "1", "max_pixels": str(max_pixels)},
        "metadata_errors": "replace",
    }
    if source.scheme == "device":
        return _open_device(source.address, options)
    formats = ",".join(sorted(VIDEO_FORMATS | {"mpjpeg", "rtsp"}))
    limits = {**_LOOK_INTO, "format_whitelist": formats}
    if source.file is not None:
        limits["protocol_whitelist"] = "none"  # no protocol has this name
        return av.open(_OnlyRead(source.file), container_options=limits, **options)
    limits |= {"protocol_whitelist": _STREAMS[source.scheme], **_OPTIONS[source.scheme]}
    return av.open(
        source.address,
        format=_FORMATS.get(source.scheme),
        container_options=limits,
        timeout=(max(timeout, _OPENING), timeout),
        **options,
    )


def _open_device(path: str, options: dict[str, Any]) -> InputContainer:
    """Opens a camera of this machine by Video4Linux."""
    if not stat.S_ISCHR(os.stat(path).st_mode):
        raise UsageError(f"{path} is no camera.")
    try:
        return av.open(path, format="v4l2", **options)
    except PermissionError as error:
        raise LostError(
            f"{path} does not open: this user may not read it. Cameras belong to the group video: "
            "`sudo usermod -aG video USER`, and log in again."
        ) from error
    except OSError as error:
        if error.errno == errno.ENOTTY:  # it knows none of the questions that cameras answer
            raise UsageError(f"{path} is no camera.") from error
        raise


class _OnlyRead:
    """Standard input without its name and without seeking. It gives what is there and does not wait for more."""

    def __init__(self, file: BinaryIO) -> None:
        self.read = getattr(file, "read1", file.read)


def reason(error: BaseException) -> str:
    """Why a source is lost, in a few words and without its address, which may have a password in it."""
    if isinstance(error, av.error.ExitError):
        return "no answer"
    if isinstance(error, av.error.EOFError):
        return "it has ended"
    return str(getattr(error, "strerror", None) or type(error).__name__)
