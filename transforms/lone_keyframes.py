"""Keyframes that are decoded without the frames before them, and groups of frames that need none before them."""

from collections.abc import Callable, Iterator

import av

_START_CODE = b"\0\0\1"


def decode_alone(context: av.VideoCodecContext, packet: av.Packet) -> list[av.VideoFrame]:
    """The keyframe in a packet, decoded without any other packet; the decoder is as new afterwards.

    It is an empty list where the packet is no whole picture: with intra refresh, an encoder marks frames as keyframes
    from which on the picture is renewed bit by bit.

    Raises:
      FFmpegError: the packet does not decode.
    """
    context.skip_frame = "DEFAULT"
    try:
        return [frame for frame in (*context.decode(packet), *context.decode(None)) if frame.key_frame]
    finally:
        context.flush_buffers()


def closed_groups(context: av.VideoCodecContext) -> Callable[[av.Packet], bool] | None:
    """What tells whether nothing from a packet of this stream on refers to a frame before it; None: nothing does.

    A keyframe alone is not enough: in open groups, pictures that are shown before it refer to both sides.
    """
    if context.name in ("vp8", "vp9"):
        return lambda packet: packet.is_keyframe
    if context.name not in _REFRESHES:
        return None
    extradata = context.extradata or b""
    kind, last, refreshes, at = _REFRESHES[context.name]
    # As mp4 and Matroska store it, a length stands before each unit; elsewhere there are start codes.
    length_size = (extradata[at] & 3) + 1 if len(extradata) > at and extradata[0] == 1 else 0

    def begins(packet: av.Packet) -> bool:
        if not packet.is_keyframe:
            return False
        kinds = (kind(first) for first in _units(bytes(packet), length_size))
        return next((each for each in kinds if each <= last and each), None) in refreshes

    return begins


_REFRESHES: dict[str, tuple[Callable[[int], int], int, tuple[int, ...], int]] = {
    "h264": (lambda first: first & 31, 5, (5,), 4),
    "hevc": (lambda first: first >> 1 & 63, 31, (19, 20), 21),
}
"""By codec: the kind of a unit by its first byte, the last kind that is a picture, the kinds that refer to nothing
before them, and the place of the size of lengths in the stream's header (ISO/IEC 14496-15)."""


def _units(data: bytes, length_size: int) -> Iterator[int]:
    """First byte of each unit of a packet."""
    at = 0
    while length_size and at + length_size < len(data):
        yield data[at + length_size]
        at += length_size + int.from_bytes(data[at : at + length_size], "big")
    while (
        not length_size and (at := data.find(_START_CODE, at) + len(_START_CODE)) >= len(_START_CODE) and at < len(data)
    ):
        yield data[at]
