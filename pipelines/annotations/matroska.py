"""Facts about a track that libav writes into Matroska only on conditions which PyAV cannot meet.

The shape of VP9's pixels is such a fact, because PyAV does not set it for a stream, and so are codecs that Matroska
holds by the name that they have in WAV files, because PyAV asks libav for codecs with a name of their own alone. The
file is written with `ROOM` as the track's title. When it is complete, `describe_tracks` puts the facts in that place.
"""

import dataclasses
import io
import struct
import zlib
from collections.abc import Iterable, Iterator, Mapping
from typing import BinaryIO

import av
from av.audio.stream import AudioStream

MATROSKA = frozenset({"matroska", "webm"})
"""libav's names of the containers that are Matroska."""

ROOM = "-" * 480
"""Title of a track that is described later; nothing of it is left then."""

_MOST_PRIVATE = 400
"""Bytes of a WAV header that fit into that room."""

_SEGMENT, _TRACKS, _ENTRY, _VOID, _CRC = 0x18538067, 0x1654AE6B, 0xAE, 0xEC, 0xBF
_NUMBER, _NAME, _CODEC, _PRIVATE = 0xD7, 0x536E, 0x86, 0x63A2
_VIDEO, _DISPLAY_WIDTH, _DISPLAY_HEIGHT = 0xE0, 0x54B0, 0x54BA
_AUDIO, _CHANNELS, _RATE, _BITS = 0xE1, 0x9F, 0xB5, 0x6264


@dataclasses.dataclass(frozen=True)
class TrackFacts:
    """What is to be said about a track.

    Attributes:
      display: width and height at which the picture is displayed.
      wav_header: the track's codec is the one that this header of a WAV file names.
    """

    display: tuple[int, int] | None = None
    wav_header: bytes | None = None


def wav_header(source: AudioStream) -> bytes | None:
    """The header (WAVEFORMATEX) that a stream's sound has in a WAV file; None where a WAV file does not hold it."""
    file = io.BytesIO()
    try:
        with av.open(file, "w", format="wav") as container:
            container.add_stream_from_template(source)
            container.start_encoding()
    except (ValueError, av.error.FFmpegError):
        return None
    data = file.getvalue()
    at = data.find(b"fmt ", 12)
    header = data[at + 8 : at + 8 + int.from_bytes(data[at + 4 : at + 8], "little")]
    return header + bytes(2) if len(header) == 16 else header if len(header) <= _MOST_PRIVATE else None


def describe_tracks(path: str, facts: Mapping[int, TrackFacts]) -> None:
    """Writes facts into a finished Matroska or WebM file, whose tracks have the title `ROOM`.

    Args:
      path: the file.
      facts: of the tracks, by their number, from 1.
    """
    with open(path, "r+b") as file:
        start, size = _find_tracks(file)
        file.seek(start)
        entries = [
            (name, _describe(content, facts) if name == _ENTRY else content)
            for name, content in _elements(file.read(size))
            if name not in (_CRC, _VOID)
        ]
        written = b"".join(_element(name, content) for name, content in entries)
        # A checksum is 6 bytes, and padding at least 2.
        padding = size - 6 - len(written)
        written += bytes([_VOID]) + ((1 << 56) | (padding - 9)).to_bytes(8) + bytes(padding - 9)
        file.seek(start)
        file.write(_element(_CRC, zlib.crc32(written).to_bytes(4, "little")) + written)


def _describe(entry: bytes, facts: Mapping[int, TrackFacts]) -> bytes:
    children = dict(_elements(entry))
    children.pop(_NAME, None)
    children.pop(_VOID, None)
    fact = facts.get(int.from_bytes(children[_NUMBER]), TrackFacts())
    if fact.display is not None:
        video = dict(_elements(children[_VIDEO]))
        video |= {_DISPLAY_WIDTH: _number(fact.display[0]), _DISPLAY_HEIGHT: _number(fact.display[1])}
        children[_VIDEO] = _join(video.items())
    if fact.wav_header is not None:
        _, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", fact.wav_header)
        audio = {_CHANNELS: _number(channels), _RATE: struct.pack(">d", rate)} | (
            {_BITS: _number(bits)} if bits else {}
        )
        children |= {_CODEC: b"A_MS/ACM", _PRIVATE: fact.wav_header, _AUDIO: _join(audio.items())}
    return _join(children.items())


def _find_tracks(file: BinaryIO) -> tuple[int, int]:
    """Where the content of the element with all tracks begins, and its size."""
    at = 0
    while True:
        file.seek(at)
        head = file.read(12)
        name, size, length = _head(head)
        if name == _TRACKS:
            return at + length, size
        at += length + (0 if name == _SEGMENT else size)


def _head(data: bytes) -> tuple[int, int, int]:
    """Of an element: its name, the size of its content, and the bytes before that content."""
    n = 9 - data[0].bit_length()
    m = 9 - data[n].bit_length()
    size = int.from_bytes(data[n : n + m]) & ((1 << 7 * m) - 1)
    return int.from_bytes(data[:n]), size, n + m


def _elements(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at < len(data):
        name, size, length = _head(data[at : at + 12])
        yield name, data[at + length : at + length + size]
        at += length + size


def _element(name: int, content: bytes) -> bytes:
    n = next(n for n in range(1, 9) if len(content) < (1 << 7 * n) - 1)
    return name.to_bytes((name.bit_length() + 7) // 8) + (len(content) | 1 << 7 * n).to_bytes(n) + content


def _join(elements: Iterable[tuple[int, bytes]]) -> bytes:
    return b"".join(_element(name, content) for name, content in elements)


def _number(value: int) -> bytes:
    return value.to_bytes(max(1, (value.bit_length() + 7) // 8))
