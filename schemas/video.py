"""What is known of a file before its pictures are looked at: facts, clock, segments.

All of it is small and picklable: these are the values that cross process and machine borders. Pixels never do.
"""

import dataclasses
from datetime import datetime
from fractions import Fraction

import pydantic

from schemas.storage import FileInfo


@dataclasses.dataclass(frozen=True)
class Clock:
    """Turns presentation time stamps into seconds since the first displayed frame.

    Attributes:
      start_pts: PTS of the first displayed frame; None where the container has no PTS at all.
      numerator: of the time base, in seconds per tick (of the frame duration where there is no PTS).
      denominator: of the same.
    """

    start_pts: int | None
    numerator: int
    denominator: int

    def seconds(self, ticks: int) -> float:
        """Seconds at a PTS (or, without PTS, at the rank of a frame)."""
        return float((ticks - (self.start_pts or 0)) * Fraction(self.numerator, self.denominator))

    @property
    def has_pts(self) -> bool:
        """Whether the container has time stamps."""
        return self.start_pts is not None


@dataclasses.dataclass(frozen=True)
class VideoInfo:
    """The facts of a file that opens and has a picture; columns of `videos` by the same names.

    Attributes:
      container: libav's name of the format.
      codec: name of the codec.
      pix_fmt: pixel format of the first frame.
      duration: seconds, as stated by stream or container, else from the last packet.
      start_offset: seconds from the container's start to the first displayed frame.
      width: of the displayed frame (after rotation), in decoded pixels.
      height: likewise.
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
    """A contiguous piece of one video: the unit of work, of attempts and of resuming.

    Attributes:
      file: the file as it was listed.
      video_id: see `transforms.video_id`.
      index: number of the segment, from 0.
      clock: time of the video.
      start: second of its first frame.
      end: second at which the next segment starts; None: the end of the file.
      first_pts: PTS of its first keyframe; None: the beginning of the file.
      seek_to: time stamp (stream ticks) to seek to for that keyframe.
      packets_before: packets of the stream before that keyframe, in decoding order.
      duration: about how many seconds it has, for limits and progress.
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


@dataclasses.dataclass(frozen=True)
class Plan:
    """What the probe found out: a file with its segments, or the reason why there are none.

    Attributes:
      file: the file as it was listed.
      video_id: 32 hex digits; None if the bytes could not be read.
      status: `ok` as far as the probe can see, or `no_video`, `corrupt`, `failed`.
      error_type: short name of what is wrong.
      error_message: the same as a sentence.
      info: the facts; None if it did not open.
      segments: what is to be done.
      end: second at which the last packet of any stream ends, where the packets were walked.
      stated_end: second at which the video ends by its own stream's header.
      container_end: second at which it ends by the container's header, where the stream states nothing.
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

    def to_json(self) -> bytes:
        """The plan as JSON."""
        return _plan.dump_json(self)

    @staticmethod
    def from_json(data: bytes) -> "Plan":
        """The plan that `to_json` wrote."""
        return _plan.validate_json(data)


_plan = pydantic.TypeAdapter(Plan)
