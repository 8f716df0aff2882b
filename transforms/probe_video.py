"""Find out what a file is before its frames are decoded: facts, clock, keyframes, identity.

For any file the answer is a `Plan`: its segments, or the status and the reason that its row in `videos` will give.
"""

import dataclasses
from collections.abc import Iterator
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
from schemas.video import Clock, Note, Plan, Segment, VideoInfo
from transforms import media
from transforms.container_crop import container_crop
from transforms.cut_off import has_another_behind, is_animated_webp, what_is_missing
from transforms.heif import Grid, decode_grid, grid_of
from transforms.list_packets import RESTARTS, Packets, list_packets, with_pts
from transforms.measure_length import measure_length
from transforms.open_video import NoVideoError, open_video, read_frames
from transforms.picture import Orientation
from transforms.split_into_segments import Keyframes, segment_seconds, split_into_segments
from transforms.video_id import video_id

_LATEST_START = 60.0
"""Seconds of sound before the first frame that are believed where time stamps had to be corrected."""

_SLOWEST, _FASTEST = 1, 240
"""Stated frames a second that are believed where nothing else tells the time."""

_LONGEST_HELD = 3600.0
"""Seconds beyond which no picture counts without a new frame."""

_MOST_REST = 0.05
"""Share of a file behind the last packet beyond which something has not been read."""

_PLACES = 5
"""Jumps whose places a note names."""


def probe_video(file: FileInfo, config: Config) -> Plan:
    """Facts and segments of one file, or the reason why it has none. Raises nothing, for any file."""
    plan = Plan(file, None)

    def end(status: str, error_type: str, message: str) -> Plan:
        return dataclasses.replace(plan, status=status, error_type=error_type, error_message=message)

    animated = False
    try:
        now = storage.stat(file.uri)
        plan = dataclasses.replace(plan, file=dataclasses.replace(now, uri=file.uri))
        size = now.size_bytes or 0
        with storage.open_input(file.uri) as source, storage.plain_errors(file.uri):
            plan = dataclasses.replace(plan, video_id=video_id(source, size), cut_off=what_is_missing(source, size))
            animated = is_animated_webp(source)
        if size == 0:
            return end("corrupt", "empty_file", f"{file.uri} is empty (0 bytes).")
        with open_video(file.uri, config) as (container, stream):
            return _probe_stream(container, stream, plan, config)
    except FrameTooLargeError as error:
        return end("failed", "frame_too_large", str(error))
    except MediaError as error:
        if isinstance(error, NoVideoError) and not (error.has_nothing and plan.cut_off):
            return end("no_video", "no_video", str(error))
        if animated:
            sentence = f"{file.uri} is an animated WebP, which libav does not read; convert it to GIF or mp4."
            return end("corrupt", "animated_webp", sentence)
        missing = f" It was cut off ({plan.cut_off}); copy it again." if plan.cut_off else ""
        return end("corrupt", "unreadable", f"{str(error).rstrip('.')}.{missing}" if missing else str(error))
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


def _first_frame(
    container: InputContainer, stream: av.VideoStream, grid: Grid | None, uri: str, config: Config
) -> av.VideoFrame:
    """The first displayed frame; the stream then stands behind it."""
    limit, pixels = config.sampling.max_pixels, stream.width * stream.height
    size = f"{stream.width}x{stream.height}" if pixels else "a size"
    advice = f"{uri} has frames of {size} over max_pixels = {limit}; raise that setting if you trust the file."
    if pixels > limit:
        raise FrameTooLargeError(advice)
    errors: list[av.error.FFmpegError] = []
    if grid is not None:
        if grid.width * grid.height > limit:
            raise FrameTooLargeError(advice.replace(size, f"{grid.width}x{grid.height}"))
        return decode_grid(container, grid, errors)
    frame = next(read_frames(container, stream, errors), None)
    if frame is not None:
        return frame
    # A stream that libav was not allowed to look into has no size, and its decoder calls that an invalid argument.
    if pixels == 0 and any(isinstance(error, av.error.ArgumentError) for error in errors):
        raise FrameTooLargeError(advice)
    raise MediaError(f"{uri} has a video stream ({stream.codec_context.name}) and not one frame that decodes.")


def _probe_stream(container: InputContainer, stream: av.VideoStream, plan: Plan, config: Config) -> Plan:
    grid = grid_of(plan.file.uri, container)
    first = _first_frame(container, stream, grid, plan.file.uri, config)
    packets = list_packets(plan.file.uri, container, stream, config)
    still = media.is_still(container)
    clock = _clock(stream, first, packets, has_pts=packets.has_pts or (still and packets.corrections.usable))
    length = measure_length(container, stream, packets, clock)
    if plan.cut_off and length.end is not None and length.duration is not None:
        length = dataclasses.replace(length, duration=min(length.duration, length.end))
    start = float((clock.start_pts or 0) * _time_base(stream))
    start_offset = max(0.0, start - (container.start_time or 0) / av.time_base)
    info = dataclasses.replace(
        _info(container, stream, first, grid),
        duration=None if still else length.duration,
        start_offset=start_offset if start_offset <= _LATEST_START or not packets.corrections else 0.0,
        avg_fps=_rate(stream, packets, clock),
        is_vfr=packets.is_vfr,
        start_pts=clock.start_pts,
    )
    plan = dataclasses.replace(
        plan,
        info=info,
        end=length.end,
        stated_end=length.stated_end,
        container_end=length.container_end,
        has_unread_streams=packets.rest > _MOST_REST,
        has_unread_file=_has_unread_file(container, packets, plan.file),
        notes=(
            *_notes_on_stamps(plan.file.uri, packets, clock),
            *length.notes(plan.file.uri),
            *_notes_on_streams(plan.file.uri, container, stream),
        ),
    )
    # In a GIF, each frame is painted over the one before, also over one that is marked as a keyframe.
    is_scan = config.sampling.keyframes and packets.has_others and container.format.name not in media.ANIMATED_FORMATS
    seconds = segment_seconds(config.sampling, is_scan=is_scan)
    segments = split_into_segments(
        plan.file,
        plan.video_id or "",
        clock,
        info.duration,
        _keyframes(container, stream, packets, clock, seconds),
        seconds,
        hold=_hold(stream, packets, info.duration),
        is_scan=is_scan,
    )
    return dataclasses.replace(plan, segments=segments)


def _has_unread_file(container: InputContainer, packets: Packets, file: FileInfo) -> bool:
    """Whether a second file lies behind the first, in a format of which libav reads the first alone."""
    name, size = container.format.name, file.size_bytes or 0
    goes_on = container.format.flags & RESTARTS or name in media.RAW_FORMATS | media.ANIMATED_FORMATS
    if goes_on or media.is_still(container):
        return False
    with storage.open_input(file.uri) as source, storage.plain_errors(file.uri):
        return has_another_behind(source, size, packets.read_to)


def _hold(stream: av.VideoStream, packets: Packets, duration: float | None) -> float:
    """Seconds for which a picture counts at most: a minute, three times what is usual in a slide show, or all alone."""
    rates = packets.rates(_time_base(stream))
    usual = 3 / rates[1] if rates else duration or 0.0
    return min(_LONGEST_HELD, max(Segment.hold, usual))


def _keyframes(
    container: InputContainer, stream: av.VideoStream, packets: Packets, clock: Clock, seconds: float
) -> Keyframes | None:
    """Keyframes at which segments of some length may begin; None where the file is one segment."""
    # Each frame of a GIF is painted over the one before, even where a packet is marked as a keyframe. In a raw stream,
    # and where time stamps begin anew, seeking guesses.
    name = container.format.name
    if media.is_still(container) or name in media.RAW_FORMATS or name in media.ANIMATED_FORMATS:
        return None
    if not clock.has_pts or packets.corrections:
        return None
    keyframes = packets.keyframes
    if keyframes.pts is None:
        return with_pts(container, stream, keyframes, clock, seconds)
    early = int(np.searchsorted(packets.shown, clock.start_pts or 0))  # frames before the first that decodes
    return dataclasses.replace(keyframes, packets_before=keyframes.packets_before - early)


def _notes_on_streams(uri: str, container: InputContainer, stream: av.VideoStream) -> Iterator[Note]:
    """What is said of a file with several pictures at a time."""
    if not media.is_still(container) and (others := media.other_videos(container, stream)):
        which = f"number {stream.index} of {stream.width}x{stream.height}"
        yield Note("other_streams", f"{uri}: video streams beside the one that was analyzed ({which}): {others}.")
    if (crop := container_crop(uri, container, stream)) is not None:
        shown = f"{stream.width - crop.left - crop.right}x{stream.height - crop.top - crop.bottom}"
        sentence = f"{uri}: its container shows {shown} of {stream.width}x{stream.height} pixels, from {crop.left}, "
        yield Note("container_crop", f"{sentence}{crop.top} on; the whole picture was analyzed, and boxes count in it.")


def _notes_on_stamps(uri: str, packets: Packets, clock: Clock) -> Iterator[Note]:
    """What readers of the tables should know of the file's time stamps."""
    if not packets.corrections.usable:
        rate = Fraction(clock.denominator, clock.numerator)
        sentence = f"{uri} has time stamps that are no clock: its frames are counted, at {float(rate):g} a second."
        yield Note("no_clock", sentence)
        return
    if packets.jumps_at:
        places = [f"{clock.seconds(ticks):.1f}" for ticks in packets.jumps_at]
        where = ", ".join(places[:_PLACES]) + (" s, …" if len(places) > _PLACES else " s")
        times = "once" if len(places) == 1 else f"{len(places)} times"
        yield Note("stamps_jump", f"{uri}: its time stamps jump {times}, at {where}; all parts are on one clock.")
    if strays := len(packets.corrections.strays):
        yield Note("stray_stamps", f"{uri}: frames whose time stamps are far out of line and were left out: {strays}.")


def _time_base(stream: av.VideoStream) -> Fraction:
    return stream.time_base or Fraction(1, 1000)


def _clock(stream: av.VideoStream, first: av.VideoFrame, packets: Packets, *, has_pts: bool) -> Clock:
    base, corrections = _time_base(stream), packets.corrections
    if has_pts:
        start = first.pts or 0
        if corrections and len(packets.shown) and (corrections.strays or start != packets.shown[0]):
            start = int(packets.shown[0])  # the frame that decodes first may be a stray
        return Clock(start, base.numerator, base.denominator, corrections.jumps, corrections.strays)
    rates = (stream.average_rate, stream.guessed_rate, stream.base_rate)
    rate = next((rate for rate in rates if rate and _SLOWEST <= rate <= _FASTEST), Fraction(25))
    return Clock(None, rate.denominator, rate.numerator)


def _rate(stream: av.VideoStream, packets: Packets, clock: Clock) -> float | None:
    """Frames a second, as stated if the frames agree, else as they are."""
    if not packets.corrections.usable:
        return clock.denominator / clock.numerator
    if not stream.average_rate:
        return None
    stated, seen = float(stream.average_rate), packets.rates(_time_base(stream))
    return stated if not seen or any(0.5 <= stated / rate <= 2 for rate in seen) else seen[0]


def _info(container: InputContainer, stream: av.VideoStream, first: av.VideoFrame, grid: Grid | None) -> VideoInfo:
    """Facts from the header and the first frame; those that need the packets are None."""
    orientation = Orientation.of(first)
    width, height = orientation.display_size(first.width, first.height)
    sar = stream.sample_aspect_ratio or Fraction(1)
    sar = sar if sar > 0 else Fraction(1)
    base = _time_base(stream)
    return VideoInfo(
        container=container.format.name,
        codec=stream.codec_context.codec.canonical_name,
        pix_fmt=first.format.name,
        duration=None,
        start_offset=None,
        width=width,
        height=height,
        rotation=grid.degrees if grid else orientation.degrees,
        sample_aspect_ratio=float(1 / sar if orientation.transposed else sar),
        avg_fps=None,
        is_vfr=None,
        start_pts=None,
        time_base=f"{base.numerator}/{base.denominator}",
        recorded_at=_creation_time(container, stream),
    )


def _creation_time(container: InputContainer, stream: av.VideoStream) -> datetime | None:
    text = container.metadata.get("creation_time") or stream.metadata.get("creation_time")
    try:
        stamp = datetime.fromisoformat(text) if text else None
        if stamp is None:
            return None
        stamp = stamp.replace(tzinfo=UTC) if stamp.tzinfo is None else stamp.astimezone(UTC)
    except (ValueError, OverflowError):  # no date, or one that lies outside of the calendar in UTC
        return None
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
