"""What is known of a video besides its pixels: facts, clock, segments, and the errors that the decoder met.

These values are small and can be pickled, because they travel between processes and machines.
"""

import dataclasses
from datetime import datetime

import pydantic

from schemas.storage import FileInfo


@dataclasses.dataclass(frozen=True)
class Jump:
    """A place in a file at which its time stamps begin anew, as where two recordings were joined.

    Attributes:
      packet: number of the first packet of the video behind it, in the order of the file.
      ticks: what has to be added to the stamps from there on, so that the clock is continuous.
      is_wrap: whether only the bits of the stamps ran over, so that nothing was joined.
    """

    packet: int
    ticks: int
    is_wrap: bool = False


@dataclasses.dataclass(frozen=True)
class Clock:
    """Turns presentation time stamps into seconds since the first displayed frame.

    Attributes:
      start_pts: PTS of the first displayed frame; None where the container has no PTS that can be used.
      numerator: numerator of the time base, in seconds per tick; without PTS a tick is a frame.
      denominator: denominator of the time base.
      jumps: where the stamps in the file begin anew; `transforms.continuous_clock` puts packets on one clock.
      strays: numbers of packets whose stamps are far out of line; their frames are left out.
    """

    start_pts: int | None
    numerator: int
    denominator: int
    jumps: tuple[Jump, ...] = ()
    strays: tuple[int, ...] = ()

    def seconds(self, ticks: int) -> float:
        """Seconds at a PTS (or, without PTS, at the rank of a frame)."""
        # Python divides whole numbers exactly, and five times as fast as it makes a Fraction.
        return (ticks - (self.start_pts or 0)) * self.numerator / self.denominator

    @property
    def has_pts(self) -> bool:
        """Whether the container has time stamps."""
        return self.start_pts is not None


@dataclasses.dataclass(frozen=True)
class VideoInfo:
    """The facts of a file that opens and has a picture; `videos` has columns of the same names.

    Attributes:
      container: libav's name of the format.
      codec: name of the codec.
      pix_fmt: pixel format of the first frame.
      duration: seconds, as stated by stream or container, else from the last packet.
      start_offset: seconds from the container's start to the first displayed frame.
      width: of the displayed frame (after rotation), in decoded pixels.
      height: of the displayed frame, in decoded pixels.
      rotation: degrees that the stored picture is turned clockwise for display.
      sample_aspect_ratio: width of a displayed pixel over its height.
      avg_fps: frames a second.
      is_vfr: whether the time between frames varies.
      start_pts: PTS of the first displayed frame.
      time_base: seconds per tick, as "1/30000".
      recorded_at: the container's creation time, UTC.
    """

    container: str
    codec: str
    pix_fmt: str
    duration: float | None
    start_offset: float | None
    width: int
    height: int
    rotation: int
    sample_aspect_ratio: float
    avg_fps: float | None
    is_vfr: bool | None
    start_pts: int | None
    time_base: str
    recorded_at: datetime | None


@dataclasses.dataclass(frozen=True)
class Segment:
    """A contiguous piece of one video: the unit that is analyzed, repeated after a failure, and skipped once done.

    Attributes:
      file: the file as it was listed.
      video_id: see `transforms.video_id`.
      index: number of the segment, from 0.
      clock: turns time stamps of the video into seconds.
      start: second of its first frame.
      end: second at which the next segment starts; None: the end of the file.
      first_pts: PTS of its first keyframe; None: the beginning of the file.
      seek_to: time stamp (stream ticks) to seek to for that keyframe.
      packets_before: frames of the stream before that keyframe, in decoding order, without those that are never shown.
      duration: approximate length in seconds, for time limits and progress.
      hold: seconds for which a picture counts at most while no other frame comes.
      keyframes: whether only keyframes are decoded.
    """

    file: FileInfo
    video_id: str
    index: int
    clock: Clock
    start: float
    end: float | None
    first_pts: int | None
    seek_to: int | None
    packets_before: int
    duration: float
    hold: float = 60.0
    keyframes: bool = False


@dataclasses.dataclass
class DecodeStats:
    """Frames and errors that the decoder met in a segment, without the overlap with the next one.

    Attributes:
      frames_decoded: frames that the decoder returned.
      frames_corrupt: damaged packets, frames that the decoder marks as damaged, and frames out of order.
      errors: number of damaged packets only; one is enough to make a file `partial`.
      damaged_seconds: seconds of the video in which a packet or frame was damaged.
      last_timestamp: second of the last displayed frame that was decoded or skipped; None if there was none.
      packet_end: second at which the last readable packet ends.
    """

    frames_decoded: int = 0
    frames_corrupt: int = 0
    errors: int = 0
    damaged_seconds: set[int] = dataclasses.field(default_factory=set)
    last_timestamp: float | None = None
    packet_end: float | None = None

    def shown(self, timestamp: float) -> None:
        """Notes a frame of the segment that was decoded, or skipped because no sample needs it."""
        self.last_timestamp = max(self.last_timestamp or 0.0, timestamp)

    def damage(self, timestamp: float | None) -> None:
        """Notes a packet that could not be read or decoded; one without a time counts at the last frame."""
        self.errors += 1
        self.frames_corrupt += 1
        timestamp = self.last_timestamp if timestamp is None else timestamp
        if timestamp is not None and timestamp >= 0:
            self.damaged_seconds.add(int(timestamp))


@dataclasses.dataclass(frozen=True)
class Note:
    """Something that readers of a video's tables should know; the video is `ok` all the same.

    Attributes:
      kind: short name.
      sentence: the same for people.
    """

    kind: str
    sentence: str


@dataclasses.dataclass(frozen=True)
class Plan:
    """What the probe found: a file with its segments, or the reason why it has none.

    Attributes:
      file: the file as it was listed.
      video_id: 32 hex digits; None if the bytes could not be read.
      status: `ok` if the probe found nothing wrong, else `no_video`, `corrupt` or `failed`.
      error_type: short name of what is wrong.
      error_message: the same as a sentence.
      info: the facts; None if it did not open.
      segments: the pieces to analyze.
      end: second at which the last packet of any stream ends; None unless all packets were read.
      stated_end: second at which the video ends according to its stream's header.
      container_end: second at which it ends according to the container's header; for streams that state no end.
      cut_off: what in its structure shows that its end is missing; None: nothing does.
      has_unread_file: whether another file was joined to it, in a format of which libav reads the first alone.
      has_unread_streams: whether a large part of it has streams that its beginning does not show and nobody read.
      notes: what readers of its tables should know.
    """

    file: FileInfo
    video_id: str | None
    status: str = "ok"
    error_type: str | None = None
    error_message: str | None = None
    info: VideoInfo | None = None
    segments: tuple[Segment, ...] = ()
    end: float | None = None
    stated_end: float | None = None
    container_end: float | None = None
    cut_off: str | None = None
    has_unread_streams: bool = False
    has_unread_file: bool = False
    notes: tuple[Note, ...] = ()

    @property
    def is_scan(self) -> bool:
        """Whether only keyframes of the file are looked at."""
        return any(segment.keyframes for segment in self.segments)

    def to_json(self) -> bytes:
        """The plan as JSON."""
        return _plan.dump_json(self)

    @staticmethod
    def from_json(data: bytes) -> "Plan":
        """The plan that `to_json` wrote."""
        return _plan.validate_json(data)


_plan = pydantic.TypeAdapter(Plan)


@dataclasses.dataclass(frozen=True)
class WholeVideo(Segment):
    """A segment that is all of its video, with the plan that the video's tables are made by.

    Attributes:
      plan: of the video.
    """

    plan: Plan = dataclasses.field(kw_only=True)

    @classmethod
    def of(cls, plan: Plan) -> "WholeVideo":
        """The only segment of a plan."""
        (segment,) = plan.segments
        return cls(**vars(segment), plan=plan)
