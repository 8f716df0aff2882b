"""Find out what a file is before its frames are decoded: facts, clock, keyframes, identity.

For any file the answer is a `Plan`: its segments, or the status and the reason that its row in `videos` will give.
"""

import array
import dataclasses
import math
from datetime import UTC, datetime
from fractions import Fraction

import apache_beam as beam
import av
import numpy as np
from av.container import InputContainer

from schemas import storage
from schemas.config import Config
from schemas.errors import MediaError, StorageError
from schemas.storage import FileInfo
from schemas.video import Clock, Plan, VideoInfo
from transforms import media
from transforms.open_video import NoVideoError, open_video, read_frames, read_packets
from transforms.picture import Orientation
from transforms.split_into_segments import Keyframes, split_into_segments
from transforms.video_id import video_id

_REORDERED = 1.0
"""Seconds by which a keyframe may be shown after it is decoded: the 16 frames of H.264 and HEVC at 16 a second."""


def probe_video(file: FileInfo, config: Config) -> Plan:
    """Facts and segments of one file, or the reason why it has none. Raises nothing, for any file."""
    plan = Plan(file, None)

    def end(status: str, error_type: str, message: str) -> Plan:
        return dataclasses.replace(plan, status=status, error_type=error_type, error_message=message)

    try:
        now = storage.stat(file.uri)
        plan = dataclasses.replace(plan, file=dataclasses.replace(now, uri=file.uri))
        size = now.size_bytes or 0
        with storage.open_input(file.uri) as source, storage.plain_errors(file.uri):
            plan = dataclasses.replace(plan, video_id=video_id(source, size))
        if size == 0:
            return end("corrupt", "empty_file", f"{file.uri} is empty (0 bytes).")
        with open_video(file.uri, config) as (container, stream):
            return _probe_stream(container, stream, plan, config)
    except FrameTooLargeError as error:
        return end("failed", "frame_too_large", str(error))
    except NoVideoError as error:
        return end("no_video", "no_video", str(error))
    except MediaError as error:
        return end("corrupt", "unreadable", str(error))
    except FileNotFoundError:
        return end("failed", "not_found", f"{file.uri} does not exist (any more).")
    except StorageError as error:
        if isinstance(error.__cause__, PermissionError):
            return end("failed", "permission_denied", f"{file.uri} may not be read by this user; grant read access.")
        return end("failed", "storage_error", str(error))
    except Exception as error:  # a header may hold anything; one file must not end the run
        return end("failed", "probe_error", f"{file.uri} could not be probed ({type(error).__name__}: {error}).")


class FrameTooLargeError(MediaError):
    """The file's frames are larger than the configuration allows."""


def _first_frame(container: InputContainer, stream: av.VideoStream, uri: str, config: Config) -> av.VideoFrame:
    """The first displayed frame; the stream then stands behind it."""
    limit, pixels = config.sampling.max_pixels, stream.width * stream.height
    size = f"{stream.width}x{stream.height}" if pixels else "a size"
    advice = f"{uri} has frames of {size} over max_pixels = {limit}; raise that setting if you trust the file."
    if pixels > limit:
        raise FrameTooLargeError(advice)
    errors: list[av.error.FFmpegError] = []
    frame = next(read_frames(container, stream, errors), None)
    if frame is not None:
        return frame
    # A stream that libav was not allowed to look into has no size, and its decoder calls that an invalid argument.
    if pixels == 0 and any(isinstance(error, av.error.ArgumentError) for error in errors):
        raise FrameTooLargeError(advice)
    raise MediaError(f"{uri} has a video stream ({stream.codec_context.name}) and not one frame that decodes.")


def _probe_stream(container: InputContainer, stream: av.VideoStream, plan: Plan, config: Config) -> Plan:
    uri = plan.file.uri
    first = _first_frame(container, stream, uri, config)
    packets = _from_index(stream) if _index_is_complete(container, stream) else _walk(uri, config)
    still, raw = media.is_still(container), container.format.name in media.RAW_FORMATS
    clock = _clock(stream, first, has_pts=packets.has_pts or still)

    # Of a raw stream, libav estimates the duration from its bit rate.
    stated = float(stream.duration * _time_base(stream)) if stream.duration and not raw else None
    declared = container.duration / av.time_base if container.duration and not raw else None
    start = float((clock.start_pts or 0) * _time_base(stream))
    start_offset = max(0.0, start - (container.start_time or 0) / av.time_base)
    walked_end = packets.end_seconds - start if packets.end_seconds is not None else None
    duration = stated or declared or (walked_end if clock.has_pts else clock.seconds(packets.count))
    info = _info(container, stream, first)
    info = dataclasses.replace(
        info,
        duration=None if still else duration,
        start_offset=start_offset,
        is_vfr=packets.is_vfr,
        start_pts=clock.start_pts,
    )
    plan = dataclasses.replace(plan, info=info, end=walked_end)
    if clock.has_pts and stated:
        begin = stream.start_time if stream.start_time is not None else clock.start_pts
        plan = dataclasses.replace(plan, stated_end=stated + clock.seconds(begin or 0))
    elif clock.has_pts and declared:
        plan = dataclasses.replace(plan, container_end=declared - start_offset)

    # Each frame of a GIF is painted over the one before, even where a packet is marked as a keyframe. In a raw stream,
    # seeking guesses.
    in_one = still or raw or not clock.has_pts or container.format.name in media.ANIMATED_FORMATS
    keyframes = None if in_one else packets.keyframes
    if keyframes is not None and keyframes.pts is None:
        keyframes = _with_pts(container, stream, keyframes, clock, config)
    segments = split_into_segments(plan.file, plan.video_id or "", clock, info.duration, keyframes, config)
    return dataclasses.replace(plan, segments=segments)


def _time_base(stream: av.VideoStream) -> Fraction:
    return stream.time_base or Fraction(1, 1000)


def _clock(stream: av.VideoStream, first: av.VideoFrame, *, has_pts: bool) -> Clock:
    if has_pts:
        return Clock(first.pts or 0, _time_base(stream).numerator, _time_base(stream).denominator)
    step = 1 / (stream.average_rate or stream.guessed_rate or stream.base_rate or Fraction(25))
    return Clock(None, step.numerator, step.denominator)


def _info(container: InputContainer, stream: av.VideoStream, first: av.VideoFrame) -> VideoInfo:
    """Facts from the header and the first frame; those that need the packets are None."""
    orientation = Orientation.of(first)
    width, height = orientation.display_size(first.width, first.height)
    sar = stream.sample_aspect_ratio or Fraction(1)
    base = _time_base(stream)
    return VideoInfo(
        container=container.format.name,
        codec=stream.codec_context.codec.canonical_name,
        pix_fmt=first.format.name,
        duration=None,
        start_offset=None,
        width=width,
        height=height,
        rotation=orientation.degrees,
        sample_aspect_ratio=float(1 / sar if orientation.transposed else sar),
        avg_fps=float(stream.average_rate) if stream.average_rate else None,
        is_vfr=None,
        start_pts=None,
        time_base=f"{base.numerator}/{base.denominator}",
        recorded_at=_creation_time(container, stream),
    )


@dataclasses.dataclass(frozen=True)
class _Packets:
    count: int
    has_pts: bool
    is_vfr: bool | None
    end_seconds: float | None
    keyframes: Keyframes


def _index_is_complete(container: InputContainer, stream: av.VideoStream) -> bool:
    # Only mov and mp4 state in their header where every packet lies; a fragmented one states no frames there.
    return "mp4" in container.format.name and 0 < stream.frames == len(stream.index_entries)


def _from_index(stream: av.VideoStream) -> _Packets:
    entries = stream.index_entries
    dts = np.fromiter((e.timestamp for e in entries), np.int64, len(entries))
    key = np.fromiter((e.is_keyframe for e in entries), bool, len(entries))
    return _Packets(
        count=len(dts),
        has_pts=True,
        is_vfr=_varies(dts),
        end_seconds=None,
        keyframes=Keyframes(pts=None, seek_to=dts[key], packets_before=np.flatnonzero(key)),
    )


def _walk(uri: str, config: Config) -> _Packets:
    """Reads all packets of the file once, without decoding; for containers without an index."""
    pts, seek_to, key = array.array("q"), array.array("q"), array.array("b")
    count, end = 0, -math.inf
    # Opened anew: not every container can be taken back to its start.
    with open_video(uri, config) as (container, stream):
        for packet in read_packets(container):
            if not isinstance(packet, av.Packet):
                continue
            stamp = packet.pts if packet.pts is not None else packet.dts
            if stamp is not None and packet.time_base:
                end = max(end, float((stamp + (packet.duration or 0)) * packet.time_base))
            if packet.stream_index != stream.index:
                continue
            count += 1
            if packet.pts is not None:
                pts.append(packet.pts)
                seek_to.append(packet.pts if packet.dts is None else min(packet.pts, packet.dts))
                key.append(packet.is_keyframe)
    stamps, keys = np.array(pts, np.int64), np.array(key, bool)
    return _Packets(
        count=count,
        has_pts=len(pts) > 0,
        is_vfr=_varies(np.sort(stamps)),
        end_seconds=end if math.isfinite(end) else None,
        keyframes=Keyframes(stamps[keys], np.array(seek_to, np.int64)[keys], np.flatnonzero(keys)),
    )


def _with_pts(
    container: InputContainer, stream: av.VideoStream, keyframes: Keyframes, clock: Clock, config: Config
) -> Keyframes:
    """Adds presentation times to keyframes whose decoding times alone are known.

    Only keyframes that may start a segment are looked up, by reading one packet each; the others are left out.
    """
    length, last = config.sampling.segment_seconds, 0.0
    rows, pts = [], []
    for row, dts in enumerate(keyframes.seek_to.tolist()):
        if clock.seconds(dts) + _REORDERED < last + length:
            continue
        found = _keyframe_pts(container, stream, dts, ahead=(clock.start_pts or 0) - int(keyframes.seek_to[0]))
        if found is not None:
            rows.append(row)
            pts.append(found)
            last = clock.seconds(found) if clock.seconds(found) >= last + length else last
    stamps = np.array(pts, np.int64)
    return Keyframes(stamps, stamps, keyframes.packets_before[rows])


def _keyframe_pts(container: InputContainer, stream: av.VideoStream, dts: int, ahead: int) -> int | None:
    """PTS of the keyframe with this decoding time; `ahead` is about how much later it is than that time."""
    container.seek(dts + max(ahead, 0), stream=stream)  # mov and mp4 are sought by PTS
    for packet in read_packets(container, stream):
        if not isinstance(packet, av.Packet) or packet.dts is None or packet.dts > dts:
            return None
        if packet.dts == dts:
            return packet.pts
    return None


def _varies(stamps: np.ndarray) -> bool | None:
    """Whether the time between frames differs by more than a fifth, and by more than rounding to ticks explains."""
    if len(stamps) < 3:
        return None
    steps = np.diff(stamps)
    typical = float(np.median(steps))
    return bool(np.abs(steps - typical).max() > max(1.5, 0.2 * typical))


def _creation_time(container: InputContainer, stream: av.VideoStream) -> datetime | None:
    text = container.metadata.get("creation_time") or stream.metadata.get("creation_time")
    try:
        stamp = datetime.fromisoformat(text) if text else None
    except ValueError:
        return None
    if stamp is None:
        return None
    stamp = stamp.replace(tzinfo=UTC) if stamp.tzinfo is None else stamp.astimezone(UTC)
    return stamp if stamp.year > 1970 else None  # encoders without a clock write 1904 or 1970


@dataclasses.dataclass(eq=False)
class ProbeVideo(beam.PTransform):
    """FileInfo → Plan.

    Attributes:
      config: the run's configuration.
    """

    config: Config

    def expand(self, files: beam.PCollection[FileInfo]) -> beam.PCollection[Plan]:
        return files | beam.Map(probe_video, self.config).with_output_types(Plan)
