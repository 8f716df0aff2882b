"""Open media files by their content, never by their name, and as nothing but media.

libav opens far more than media: a concat script or a playlist called `c.mp4` reads other people's files, a text file
becomes a film of itself, and a picture named `x_%d.jpg` a sequence. So libav gets no name, no protocol, and a list of
plain containers and picture formats. It probes for all formats it knows, and refuses one that is not on the list.

Damage inside a stream raises an exception of `av` where it is decoded; libav prints nothing (PyAV's default).
"""

import contextlib
import errno
import io
import os
from collections.abc import Iterator
from typing import Any, BinaryIO

import av
from av.container import InputContainer
from av.sidedata.sidedata import Type
from av.stream import Disposition
from av.video.stream import VideoStream

from schemas import storage
from schemas.errors import FacelogError, MediaError
from transforms.transport_stream import JoinedProgrammes, join_programmes


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Elementary streams: no header, no index, mostly no time stamps; they cannot be sought.
RAW_FORMATS = _words("av1 cavsvideo dirac evc h261 h263 h264 hevc m4v mjpeg mpegvideo obu vc1 vvc")
# Left out on purpose, though they hold pictures: concat, hls, dash, imf, image2, mlv, vobsub and sdp open other files,
# tty draws text, svg_pipe may load what it names, mpjpeg and rtp are for networks, lavfi makes pictures up.
VIDEO_FORMATS = RAW_FORMATS | _words(
    "asf avi dhav dv flv gxf ivf kux live_flv matroska mov mpeg mpegts mxf nsv nut nuv ogg pva rm ty wtv yuv4mpegpipe"
)
STILL_FORMATS = _words("bmp_pipe j2k_pipe jpeg_pipe jpegxl_pipe pgm_pipe png_pipe ppm_pipe tiff_pipe webp_pipe")
ANIMATED_FORMATS = _words("apng gif jpegxl_anim")
# These hold no video; they are opened so that their row in `videos` can say so.
SOUND_FORMATS = _words("aac ac3 aiff amr ape au caf dts eac3 flac loas mp3 mpc mpc8 tta w64 wav wv")
# Formats without a magic number. libav also sees them in files that are no media: in 14 of 5787 files without a media
# ending in /usr and /etc (Debian 12, libavformat 62), all of them taken for mp3, h263 or mpeg.
_GUESSED = _words("aac ac3 amr dts eac3 h261 h263 loas m4v mp3 mpeg mpegvideo")

MEDIA_SUFFIXES = frozenset(
    "." + ending
    for ending in _words("""
        264 265 3g2 3gp 3gpp amv asf av1 avc avi dav divx dv dvr-ms f4v flv gxf h261 h263 h264 h265 hevc ivf kux m1v
        m2p m2t m2ts m2v m4v mj2 mjpeg mjpg mk3d mkv mod mov mp4 mpe mpeg mpg mpv mts mxf nsv nut nuv obu ogm ogv ogx
        pva qt rm rmvb tod ts ty vc1 vob vvc webm wmv wtv xvid y4m
        apng avif bmp gif heic heif j2k jfif jp2 jpe jpeg jpg jxl pgm png ppm tif tiff webp
        aac ac3 aif aiff amr ape au caf dts eac3 flac m4a mka mp2 mp3 mpc oga ogg opus tta w64 wav wma wv
    """)
)

_ALSO_TEXT = frozenset({".au", ".dts", ".mod", ".mts", ".nut", ".ts"})
"""Endings that source code has as well: TypeScript and Qt's translations, Go, device trees, Squirrel."""

_COVERS = Disposition.attached_pic | Disposition.timed_thumbnails
_DEFAULT_WEIGHT = 5_000_000
_FPS_OF_THUMBNAILS, _LARGEST_THUMBNAIL = 2, 176 * 144

# 16 MiB and 20 s: in television recorded from the air, the first keyframe can be that far away, and libav's 5 MB and
# 5 s then leave the size of the picture unknown. A file that states its parameters at once is not read so far.
_LIMITS = {"probesize": str(16 << 20), "analyzeduration": str(20_000_000)}

# In a transport stream, the programme may get other PIDs; its streams then go on instead of new ones beginning. Another
# programme is joined to it by `transport_stream.py`.
_DEMUXER = {"merge_pmt_versions": "1"}

# Bytes that libav asks for at once. With its own 32 KiB, probe and segments of 15 small files were 181 requests to an
# object store, and with these 109.
_BUFFER = 256 << 10


_FARTHEST = 2**62
"""A place in a file that no file reaches."""


def _unknown_side_data(cls: type[Type], value: int) -> Any:
    member: Any = object.__new__(cls)
    member._name_, member._value_ = f"UNKNOWN_{value}", value
    return member


# PyAV 18.1 has no names for side data that libav 8.1 gives to frames of EXIF and stereo files (29 to 31). Without this,
# it raises ValueError for all side data of such a frame, the display matrix included.
Type._missing_ = classmethod(_unknown_side_data)  # type: ignore[assignment, method-assign]


@contextlib.contextmanager
def open_media(source: str | BinaryIO, *, max_pixels: int | None = None) -> Iterator[InputContainer]:
    """A media file, open for demuxing and decoding; closed at the end of `with`.

    Args:
      source: name of a file (see `schemas.storage`), or a binary file object that can be sought, which stays open.
      max_pixels: when libav looks into the streams, it decodes no frame of more pixels; else a decompression bomb
        would go off there.

    Raises:
      MediaError: it does not open as video, picture or sound; the text is for the user.
      FileNotFoundError, StorageError: it cannot be read.
    """
    with contextlib.ExitStack() as stack:
        if isinstance(source, str):
            name, file = source, stack.enter_context(storage.open_input(source))
        else:
            name, file = str(getattr(source, "name", "the file")), source
        yield stack.enter_context(_open(file, name, max_pixels))


def sniff(uri: str) -> bool:
    """Whether a file holds media that `open_media` opens, under any name; False if it cannot be read."""
    try:
        with open_media(uri) as container:
            if container.format.name not in _GUESSED:
                return len(container.streams) > 0
            # A video CD's `.dat` is MPEG with pictures; what is taken for MPEG by mistake has none.
            return container.format.name == "mpeg" and video_stream(container) is not None
    except (FacelogError, OSError):
        return False


def is_named_as_media(uri: str) -> bool:
    """Whether a file's name ends like media, and is not that of a text: `main.ts` of TypeScript.

    Only files of such endings are looked into. Text that is called `.mp4` is a download that failed, and no other kind.
    """
    ending = os.path.splitext(uri)[1].lower()
    return ending in MEDIA_SUFFIXES and not (ending in _ALSO_TEXT and _is_text(uri))


def _is_text(uri: str) -> bool:
    """Whether a file begins with a text; False if it is empty or cannot be read."""
    try:
        with storage.open_input(uri) as file, storage.plain_errors(uri):
            start = file.read(4096)
    except (FacelogError, OSError):
        return False
    if start.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "\0" not in start[: len(start) // 2 * 2].decode("utf-16", "replace")
    printable = sum(byte >= 32 or byte in b"\t\n\f\r" for byte in start)
    return printable > 0 and printable == len(start)


def video_stream(container: InputContainer) -> VideoStream | None:
    """The stream to analyze; None where there is none.

    Of several streams with a decoder that are no cover art and no thumbnails, it is the one that libav's programs show:
    one that is marked as the default before others, and the largest of these, the first of equal ones.

    Raises:
      MediaError: there is video, and no decoder for it.
    """
    streams = [stream for stream in container.streams.video if not stream.disposition & _COVERS]
    decodable = [stream for stream in streams if stream.codec_context is not None]
    if streams and not decodable:
        raise MediaError("there is no decoder for its video in this build of libav; convert the file to H.264")
    largest = max(map(_area, decodable), default=0)
    return max(decodable, key=lambda stream: _prominence(stream, largest), default=None)


def other_videos(container: InputContainer, stream: VideoStream) -> int:
    """How many other video streams there are, besides cover art and the tiles of a picture."""
    parts = _COVERS | Disposition.dependent
    return sum(not other.disposition & parts for other in container.streams.video if other is not stream)


def _area(stream: VideoStream) -> int:
    return stream.width * stream.height


def _prominence(stream: VideoStream, largest: int) -> tuple[bool, int]:
    # Writers mark the first stream as the default, also where it is a thumbnail: a small one, or one of few frames.
    is_slow = stream.average_rate is not None and stream.average_rate <= _FPS_OF_THUMBNAILS
    is_small = 4 * _area(stream) <= largest and (is_slow or _area(stream) <= _LARGEST_THUMBNAIL)
    # In ffmpeg, too, a default stream weighs as much as 5,000,000 pixels.
    is_default = bool(stream.disposition & Disposition.default)
    return stream.frames != 1 and not is_small, _area(stream) + _DEFAULT_WEIGHT * is_default


def is_still(container: InputContainer) -> bool:
    """Whether it is one picture and no film; a GIF or APNG is one if it has a single frame.

    Reads up to two packets of a GIF or APNG, and seeks back to the start of the container.
    """
    if container.format.name in STILL_FORMATS:
        return True
    # AVIF and HEIC stills are a mov container with a brand of their own; `avis` and `hevc` are their sequences.
    if "mov" in container.format.name:
        return container.metadata.get("major_brand", "").strip() in {"avif", "heic", "heix", "mif1"}
    if container.format.name not in ANIMATED_FORMATS:
        return False
    container.seek(0)
    packets = 0
    for packet in container.demux(video=0):
        packets += packet.size > 0
        if packets > 1:
            break
    container.seek(0)
    return packets == 1


def has_tiles(container: InputContainer) -> bool:
    """Whether it is a picture some of whose streams are parts of a larger one."""
    return any(s.disposition & Disposition.dependent for s in container.streams.video) and is_still(container)


class _Nameless:
    """A file object without its name, which libav would look at."""

    def __init__(self, file: BinaryIO | JoinedProgrammes) -> None:
        self.read, self.tell = file.read, file.tell
        self._file = file

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Goes to a place. One before the start, to which damage sends libav, is its own error and none of the disk."""
        if whence == io.SEEK_SET and not 0 <= offset < _FARTHEST:
            return -errno.EINVAL
        try:
            return self._file.seek(offset, whence)
        except ValueError:
            return -errno.EINVAL
        except OSError as error:
            if error.errno in (errno.EINVAL, errno.EOVERFLOW):
                return -errno.EINVAL
            raise


def _open(file: BinaryIO | JoinedProgrammes, name: str, max_pixels: int | None) -> InputContainer:
    formats = VIDEO_FORMATS | STILL_FORMATS | ANIMATED_FORMATS | SOUND_FORMATS
    nothing = "none"  # no protocol has this name, so a demuxer that asks for another file gets none
    limits = _LIMITS | _DEMUXER | {"format_whitelist": ",".join(sorted(formats)), "protocol_whitelist": nothing}
    codec = {"threads": "1"} | ({"max_pixels": str(max_pixels)} if max_pixels else {})
    nameless: Any = _Nameless(file)
    with storage.plain_errors(name):  # an exception of the file object passes through libav unchanged
        try:
            container = av.open(
                nameless, options=codec, container_options=limits, metadata_errors="replace", buffer_size=_BUFFER
            )
            if container.format.name == "mpegts" and not isinstance(file, JoinedProgrammes):
                place = file.tell()
                if (joined := join_programmes(file, file.seek(0, io.SEEK_END))) is not None:
                    container.close()
                    joined.seek(0)
                    return _open(joined, name, max_pixels)
                file.seek(place)
            return container
        except av.error.FFmpegError as error:
            raise MediaError(_why(name, file, error)) from error


def _why(name: str, file: BinaryIO | JoinedProgrammes, error: av.error.FFmpegError) -> str:
    if not file.seek(0, io.SEEK_END):
        return f"{name} is empty (0 bytes)"
    if isinstance(error, av.error.ArgumentError):  # what libav answers for a format that is not on the list
        return f"{name} is no container of video or picture that facelog opens (text, playlists and scripts are none)"
    return (
        f"{name} does not open as video or picture (libav: {error.strerror}); "
        "it may be cut off or no media file: copy it again, or see what `ffprobe` says"
    )
