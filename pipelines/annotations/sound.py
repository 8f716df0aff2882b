"""The sound of a video that is written again: copied where the new file's container holds it, else encoded anew."""

import contextlib
import io
import math
import os
from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import Any, Literal, Protocol

import av
from av.audio.stream import AudioStream
from av.container import OutputContainer

from pipelines.annotations.matroska import MATROSKA, ROOM, TrackFacts, wav_header
from schemas.config import Config
from schemas.errors import UsageError
from transforms.open_video import open_video, read_packets

AudioChoice = Literal["copy", "aac", "opus", "none"]
"""What becomes of the sound: copied, encoded by one of two codecs, or left out."""

How = Literal["copy", "wav", "aac", "opus"]
"""How a track is written: copied, copied by its name in WAV files, or encoded."""

_ENCODERS = {"aac": "aac", "opus": "libopus"}
_LAYOUTS = {1: "mono", 6: "5.1", 8: "7.1"}
"""By number of channels, those that both encoders take; all others are mixed down to stereo."""
_LAYOUTS_BY_DEFAULT = {"1 channels": "mono", "2 channels": "stereo", "6 channels": "5.1", "8 channels": "7.1"}
"""For containers that want the places of the channels, where the source does not say them."""
_SILENT = {"pcm_u8": b"\x80", "pcm_alaw": b"\xd5", "pcm_mulaw": b"\xff"}
_AAC_RATES = (96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000)
_BITS_A_CHANNEL = 80_000

_TRIED = 8
"""Packets of each track that are written on trial."""
_SEARCHED = 5_000
"""Packets of the file in which they are searched."""

_APART = 0.05
"""Seconds by which encoded sound may be off its time stamps; more is a gap, which is filled with silence."""


class Sound(Protocol):
    """A track of sound in a file that is written."""

    facts: TrackFacts
    """What Matroska has to be told about it."""

    def packets(self, packet: av.Packet | None) -> Iterator[av.Packet]:
        """What is to be written for one of the source's packets; None: at the end."""


def choose_sound(video: str, config: Config, target: str, container: str, choice: AudioChoice) -> dict[int, How]:
    """How each track of a video is written, by the index of its stream.

    Each is written on trial, because libav refuses some sound with the first packet and not by its name.

    Args:
      video: the source.
      config: for opening it.
      target: the file to write; its ending is part of the message.
      container: libav's name of its container.
      choice: what becomes of the sound.

    Raises:
      UsageError: the container does not hold a track.
    """
    if choice == "none":
        return {}
    ways: dict[int, How] = {}
    with open_video(video, config) as (source, _):
        streams = {stream.index: stream for stream in source.streams.audio}
        first: dict[int, list[av.Packet]] = {index: [] for index in streams}
        for number, packet in enumerate(read_packets(source)):
            if isinstance(packet, av.Packet) and packet.stream_index in first:
                first[packet.stream_index].append(packet)
            if number == _SEARCHED or all(len(packets) >= _TRIED for packets in first.values()):
                break
        for index, stream in streams.items():
            codec = stream.codec_context.name if stream.codec_context else "unknown"
            possible: tuple[How, ...] = ("copy", "wav") if choice in ("copy", codec) else ()
            possible += () if choice == "copy" else (choice,)
            how = next((how for how in possible if _is_held(container, stream, how, first[index])), None)
            if how is None:
                raise UsageError(_refusal(target, container, codec, choice))
            ways[index] = how
    return ways


def add_sound(container: OutputContainer, source: AudioStream, how: How) -> Sound:
    """Adds a track to a file that is written.

    Raises:
      ValueError, av.error.FFmpegError: the container does not hold it.
    """
    if how in ("aac", "opus"):
        return _EncodedSound(container, source, how)
    return _CopiedSound(container, source, by_wav_name=how == "wav")


def _is_held(container: str, source: AudioStream, how: How, packets: list[av.Packet]) -> bool:
    """Whether a track can be written, by writing its first packets into memory."""
    if source.codec_context is None or (how == "wav" and container != "matroska"):
        return False
    with contextlib.suppress(ValueError, av.error.FFmpegError):
        with av.open(io.BytesIO(), "w", format=container) as written:
            sound = add_sound(written, source, how)
            for packet in (*packets, None):
                for one in sound.packets(packet):
                    written.mux(one)
        return True
    return False


def _refusal(target: str, container: str, codec: str, choice: AudioChoice) -> str:
    ending = os.path.splitext(target)[1]
    if choice not in ("copy", codec):
        return f"A {ending} file cannot hold sound of the codec {choice}: choose another ending or another --audio."
    remedies = [f"encode it anew with --audio {'opus' if container == 'webm' else 'aac'}"]
    remedies = remedies if container == "matroska" else ["write to .mkv", *remedies]
    return (
        f"A {ending} file cannot hold the sound of this video ({codec}): {', '.join(remedies)}, "
        "or leave the sound out with --no-audio."
    )


class _CopiedSound:
    """A track whose packets are written as they are, each at its time in samples.

    Containers round times, to milliseconds for example, so that several short packets have the same. Where a packet's
    time is that of the sound before it as far as rounding goes, it follows that sound to the sample. A single time far
    from those around it is ignored; packets are left out where times go back for longer, as pictures are.
    """

    def __init__(self, container: OutputContainer, source: AudioStream, *, by_wav_name: bool):
        """Adds the track; `by_wav_name` for codecs that Matroska knows by the header of a WAV file."""
        self.facts = TrackFacts()
        self._rate = source.rate or 90_000
        self._frame_size = source.codec_context.frame_size
        if by_wav_name:
            header = wav_header(source)
            if header is None:
                raise ValueError("a WAV file does not hold it either")
            self.facts = TrackFacts(wav_header=header)
            self._stream: Any = container.add_mux_stream("pcm_s16le", rate=self._rate)
        else:
            self._stream = container.add_stream_from_template(source)
            layout = _LAYOUTS_BY_DEFAULT.get(source.codec_context.layout.name)
            if layout is not None:
                self._stream.codec_context.layout = layout
        if container.format.name in MATROSKA:
            self._stream.metadata["title"] = ROOM
        self._stream.time_base = Fraction(1, self._rate)
        codec = source.codec_context.name
        keeps_gaps = container.format.name not in ("mov", "mp4") or not codec.startswith("pcm_")
        self._silent = None if keeps_gaps else _SILENT.get(codec, b"\0")
        self._held: av.Packet | None = None
        self._newest = -math.inf
        self._before: bytes | None = None
        self._last = self._next = self._spacing = 0

    def packets(self, packet: av.Packet | None) -> Iterator[av.Packet]:
        """The packet before this one, at its time."""
        if self._held is not None:
            at = self._place(self._held, math.inf if packet is None else self._stated(packet))
            if at is not None:
                yield from self._stamped(self._held, at)
        self._held = packet

    def _stated(self, packet: av.Packet) -> float:
        """The sample at which a packet begins according to the file; infinite where it does not say."""
        stamp = packet.pts if packet.dts is None else packet.dts
        return math.inf if stamp is None else float(stamp * (packet.time_base or 0) * self._rate)

    def _place(self, packet: av.Packet, following: float) -> float | None:
        """The sample at which a packet begins; None: it is left out."""
        at, first = self._stated(packet), self._before is None
        if math.isinf(at):
            return None if first else self._next
        too_late = following + self._rate < at and (first or self._newest <= following)
        too_early = at < self._newest <= following < math.inf
        if too_late or too_early:
            return None if first else self._next
        if at < self._newest or (at == self._newest and self._before is not None and bytes(packet) == self._before):
            return None
        self._newest = at
        rounding = min(float((packet.time_base or 0) * self._rate), self._rate / 100)
        return self._next if not first and abs(at - self._next) <= rounding else at

    def _stamped(self, packet: av.Packet, at: float) -> Iterator[av.Packet]:
        """The packet at its time, behind silence where the container does not keep the gap before it."""
        tick = float((packet.time_base or 0) * self._rate)
        stated, exact = (packet.duration or 0) * tick, self._frame_size or 0
        samples = exact if exact and (not stated or abs(stated - exact) <= tick) else round(stated)
        first, before, expected = self._before is None, self._last, self._next
        self._last = round(at) if first else max(round(at), before + 1)
        if not samples:
            samples = self._spacing = self._spacing if first else self._last - before
        self._next = self._last + samples
        self._before = bytes(packet)
        if self._silent is not None and not first and self._last - expected > _APART * self._rate:
            width = packet.size // max(samples, 1)
            for start in range(expected, self._last, self._rate):
                length = min(self._rate, self._last - start)
                yield self._timed(av.Packet(self._silent * (length * width)), start, length)
        yield self._timed(packet, self._last, samples)

    def _timed(self, packet: av.Packet, at: int, samples: int) -> av.Packet:
        packet.stream, packet.time_base = self._stream, Fraction(1, self._rate)
        packet.pts = packet.dts = at
        packet.duration = samples
        return packet


class _EncodedSound:
    """A track that is decoded and encoded; gaps become silence, so that all of it keeps its time."""

    def __init__(self, container: OutputContainer, source: AudioStream, how: How):
        """Adds the track."""
        self.facts = TrackFacts()
        context = source.codec_context
        layout = _LAYOUTS.get(context.channels, "stereo")
        self._rate = 48_000 if how == "opus" else next((r for r in _AAC_RATES if r <= context.sample_rate), 8_000)
        self._decoder = context
        stream: Any = container.add_stream(_ENCODERS[how], rate=self._rate)
        self._stream, encoder = stream, stream.codec_context
        encoder.layout, encoder.time_base = layout, Fraction(1, self._rate)
        encoder.bit_rate = _BITS_A_CHANNEL * encoder.channels
        if container.format.name in MATROSKA:
            stream.metadata["title"] = ROOM
        self._like = {"format": encoder.format.name, "layout": layout}
        self._resampler: tuple[object, av.AudioResampler] | None = None
        self._written: int | None = None
        """Samples up to which the encoder was given sound, from second 0 on."""

    def packets(self, packet: av.Packet | None) -> Iterator[av.Packet]:
        """What the encoder has ready."""
        try:
            frames = self._decoder.decode(packet)
        except av.error.FFmpegError:  # a damaged packet, whose time becomes silence
            frames = []
        for frame in frames:
            yield from self._place(frame)
        if packet is None and self._written is not None:
            yield from self._resample(None)
            yield from self._stream.encode(None)

    def _place(self, frame: av.AudioFrame) -> Iterator[av.Packet]:
        """Encodes a frame at its time: behind silence where there is a gap, and not at all where sound is already."""
        at = self._written if frame.time is None else round(frame.time * self._rate)
        self._written = at if self._written is None else self._written
        gap = 0 if at is None or self._written is None else at - self._written
        if gap < -_APART * self._rate:
            return
        while gap > _APART * self._rate:
            piece = min(gap, self._rate)
            yield from self._encode(_silence(piece, self._rate, self._like))
            gap -= piece
        yield from self._resample(frame)

    def _resample(self, frame: av.AudioFrame | None) -> Iterator[av.Packet]:
        """Encodes a frame of any kind; None: what the resampler has kept back."""
        kind = (frame.format.name, frame.layout.name, frame.sample_rate) if frame else None
        if self._resampler is not None and self._resampler[0] != kind:
            for part in self._resampler[1].resample(None):
                yield from self._encode(part)
            self._resampler = None
        if frame is None:
            return
        if self._resampler is None:
            self._resampler = kind, av.AudioResampler(**self._like, rate=self._rate)
        frame.pts = None
        for part in self._resampler[1].resample(frame):
            yield from self._encode(part)

    def _encode(self, frame: av.AudioFrame) -> Iterator[av.Packet]:
        frame.pts, frame.time_base = self._written or 0, Fraction(1, self._rate)
        self._written = frame.pts + frame.samples
        yield from self._stream.encode(frame)


def _silence(samples: int, rate: int, like: Mapping[str, str]) -> av.AudioFrame:
    frame = av.AudioFrame(like["format"], like["layout"], samples)
    frame.sample_rate = rate
    for plane in frame.planes:
        plane.update(bytes(plane.buffer_size))
    return frame
