"""What a report says, as values: the JSON document of a video and that of the archive. Pages are rendered from these.

Times are seconds since the first displayed frame, probabilities lie in [0, 1], boxes are pixels of the picture as it is
displayed. None means unknown. Emotions are probabilities (or counts) by name; none known is an empty dict.
"""

from __future__ import annotations

import dataclasses
from datetime import datetime
from typing import Any

import pydantic

FORMAT = 1
"""Raised when a field of the documents changes its meaning or goes."""


@dataclasses.dataclass(frozen=True)
class Age:
    """Apparent age in years; `low` to `high` is the 80 % interval."""

    years: float
    low: float | None
    high: float | None


@dataclasses.dataclass(frozen=True)
class Gender:
    """Apparent gender: female, male or unknown; `female` is the probability of the first."""

    label: str | None
    female: float


@dataclasses.dataclass(frozen=True)
class Model:
    """A model as the footers of the tables name it.

    Attributes:
      attributes: what the run took from it.
      name: of the bundle, or its path.
      sha256: of its weights.
      figures: test figures, all of them.
      description: from its card; None where the bundle is not installed with the same weights.
      test_data: likewise.
      limits: likewise: what it cannot know.
    """

    attributes: tuple[str, ...]
    name: str
    sha256: str
    figures: dict[str, float]
    description: str | None = None
    test_data: str | None = None
    limits: str | None = None


@dataclasses.dataclass(frozen=True)
class Track:
    """A face from its appearance until it is lost or the shot ends.

    Attributes:
      track_id, person_id, shot_id, start, end, end_reason, n_samples, n_detected, confidence: as in `tracks`.
      face_seconds: seconds that it was seen in.
      best_timestamp: of its best sample.
      box: x, y, width, height of its best sample.
      emotion: likeliest over the track.
      emotions: mean probabilities over the track.
      age: over the track.
      gender: over the track.
      flags: share of its seconds whose best sample has this flag, by the flag's name; those without any are left out.
      thumbnail: its best sample, a JPEG as a `data:` URL; None unless asked for.
    """

    track_id: int
    person_id: int | None
    shot_id: int
    start: float
    end: float
    end_reason: str
    n_samples: int
    n_detected: int
    confidence: float
    face_seconds: int
    best_timestamp: float
    box: tuple[float, float, float, float]
    emotion: str | None
    emotions: dict[str, float]
    age: Age | None
    gender: Gender | None
    flags: dict[str, float]
    thumbnail: str | None = None

    @property
    def duration(self) -> float:
        """Seconds from its first to its last sample."""
        return self.end - self.start


@dataclasses.dataclass(frozen=True)
class Person:
    """All tracks of one face in a video; means are weighted by samples, the gender is that of most samples."""

    person_id: int
    tracks: tuple[int, ...]
    start: float
    end: float
    face_seconds: int
    emotion: str | None
    emotions: dict[str, float]
    age: Age | None
    gender: Gender | None


@dataclasses.dataclass(frozen=True)
class Lane:
    """A row of the timeline.

    Attributes:
      label: what it is called.
      tracks: whose spans lie in it.
      shared: whether these are different faces, put into one row because they do not overlap.
    """

    label: str
    tracks: tuple[int, ...]
    shared: bool = False


@dataclasses.dataclass(frozen=True)
class Span:
    """A stretch of one track with one emotion; figures are means over it, emotions smoothed ones."""

    lane: int
    track: int
    start: float
    end: float
    emotion: str | None
    probability: float | None
    age: Age | None
    gender: Gender | None


@dataclasses.dataclass(frozen=True)
class Timeline:
    """The tracks over time.

    Attributes:
      bin_seconds: what time was divided into before runs of one emotion were merged.
      lanes: from top to bottom.
      spans: by lane and start.
      tracks_left_out: shortest tracks that are in no lane, because there are too many.
    """

    bin_seconds: int
    lanes: tuple[Lane, ...]
    spans: tuple[Span, ...]
    tracks_left_out: int


@dataclasses.dataclass(frozen=True)
class FaceCounts:
    """Faces over time, one value for each `bin_seconds` from 0; None where no sample could be taken."""

    bin_seconds: int
    mean: tuple[float | None, ...]
    most: tuple[int | None, ...]


@dataclasses.dataclass(frozen=True)
class EmotionShares:
    """Emotions over time, for each `bin_seconds` from 0.

    Attributes:
      bin_seconds: width.
      face_seconds: seconds of faces with a known emotion in each.
      shares: by emotion, mean smoothed probability in each; None without a face.
    """

    bin_seconds: int
    face_seconds: tuple[int, ...]
    shares: dict[str, tuple[float | None, ...]]


@dataclasses.dataclass(frozen=True)
class Shot:
    """From a cut to the next, to the second."""

    shot_id: int
    start: float
    end: float
    tracks: int


@dataclasses.dataclass(frozen=True)
class Stretch:
    """A stretch of time that was damaged or missing."""

    start: float
    end: float


@dataclasses.dataclass(frozen=True)
class VideoReport:
    """A video's page.

    Attributes:
      page: name of its files, without ending.
      uris: its file, and copies of it.
      advice: what can be done about a status that is not `ok`.
      facts: its row of `videos`, as it is.
      configuration: of the run.
      models: that were used.
      absent: attributes that no model was used for.
      timeline: tracks over time.
      counts: faces over time.
      shares: emotions over time.
      face_seconds_by_emotion: seconds of faces by their likeliest emotion, unknown ones under "unknown".
      tracks: longest first.
      persons: those that were seen longest first; empty where nobody was identified.
      shots: in order.
      unreadable: stretches that are damaged or missing.
      no_thumbnails: why there are no pictures though they were asked for.
      format: of this document.
    """

    page: str
    uris: tuple[str, ...]
    advice: str | None
    facts: dict[str, Any]
    configuration: dict[str, Any]
    models: tuple[Model, ...]
    absent: tuple[str, ...]
    timeline: Timeline
    counts: FaceCounts
    shares: EmotionShares
    face_seconds_by_emotion: dict[str, int]
    tracks: tuple[Track, ...]
    persons: tuple[Person, ...]
    shots: tuple[Shot, ...]
    unreadable: tuple[Stretch, ...]
    no_thumbnails: str | None = None
    format: int = FORMAT

    def to_json(self) -> bytes:
        """The document."""
        return _video.dump_json(self, indent=1)

    @staticmethod
    def from_json(data: bytes) -> VideoReport:
        """The value that `to_json` wrote; times in `facts` stay text."""
        return _video.validate_json(data)


@dataclasses.dataclass(frozen=True)
class VideoLine:
    """A row of the archive's table.

    Attributes:
      uri: of the file.
      page: name of its page, without ending; None where it has none.
      status: as in `videos`.
      reason: what was wrong with it.
      advice: what can be done about it.
      duration, width, height, codec, n_tracks, max_faces, face_seconds, wall_seconds, finished_at: as in `videos`.
      emotions: face-seconds by likeliest emotion, unknown ones under "unknown".
    """

    uri: str
    page: str | None
    status: str
    reason: str | None
    advice: str | None
    duration: float | None
    width: int | None
    height: int | None
    codec: str | None
    n_tracks: int | None
    max_faces: int | None
    face_seconds: int | None
    wall_seconds: float
    finished_at: datetime
    emotions: dict[str, int]

    @property
    def name(self) -> str:
        """The file without its folder."""
        return self.uri.rsplit("/", 1)[-1]


@dataclasses.dataclass(frozen=True)
class Distribution:
    """How face-seconds (or seconds) are distributed.

    Attributes:
      seconds: by class; unknown ones under "unknown".
      tracks: the same in tracks, where that was counted.
      expected: by class, seconds by the sum of probabilities instead of the likeliest class.
    """

    seconds: dict[str, int]
    tracks: dict[str, int] = dataclasses.field(default_factory=dict)
    expected: dict[str, float] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Figures:
    """Distributions over the archive, copies counted once.

    Attributes:
      emotions: face-seconds.
      ages: face-seconds and tracks, by ten years.
      genders: face-seconds and tracks.
      faces: seconds, by the number of faces in them.
      age_interval: median width of the 80 % interval of the tracks' ages, years.
    """

    emotions: Distribution
    ages: Distribution
    genders: Distribution
    faces: Distribution
    age_interval: float | None


@dataclasses.dataclass(frozen=True)
class LastRun:
    """The run that noted itself last in DIR; `finished_at` is None of one that was stopped or goes on."""

    run_id: str
    runner: str
    command: str
    started_at: datetime
    finished_at: datetime | None


@dataclasses.dataclass(frozen=True)
class ArchiveReport:
    """The index page.

    Attributes:
      out: DIR.
      code_version: of the facelog that made the report.
      last_run: None where none has noted itself.
      statuses: files by status.
      video_seconds: of the videos that could be read, copies counted once.
      wall_seconds: computing time, all workers together.
      n_videos: different contents that could be read.
      n_tracks, face_seconds: of them.
      configurations: how many different ones made the tables.
      models: of all of them.
      absent: attributes that nothing was used for.
      figures: distributions over the archive.
      no_figures: why there are none.
      videos: failures first, then by uri.
      format: of this document.
    """

    out: str
    code_version: str
    last_run: LastRun | None
    statuses: dict[str, int]
    video_seconds: float
    wall_seconds: float
    n_videos: int
    n_tracks: int
    face_seconds: int
    configurations: int
    models: tuple[Model, ...]
    absent: tuple[str, ...]
    figures: Figures | None
    no_figures: str | None
    videos: tuple[VideoLine, ...]
    format: int = FORMAT

    @property
    def problems(self) -> tuple[VideoLine, ...]:
        """Files that are not ok, or whose tables are not there."""
        return tuple(video for video in self.videos if video.status != "ok" or video.reason)

    def to_json(self) -> bytes:
        """The document."""
        return _archive.dump_json(self, indent=1)


_video = pydantic.TypeAdapter(VideoReport)
_archive = pydantic.TypeAdapter(ArchiveReport)
