"""What the index page says, as values: its JSON document, from which the page is rendered. See `content` for units."""

from __future__ import annotations

import dataclasses
from datetime import datetime

import pydantic

from pipelines.reports.content import FORMAT, Model


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
      by_keyframes: videos, copies counted once, of which only keyframes were looked at.
      models: of all of them.
      absent: attributes that nothing was used for.
      by_persons: videos, copies counted once, whose persons were told apart because that was asked for.
      n_persons: persons of the archive, who have a page; None: it was not asked for.
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
    by_keyframes: int
    models: tuple[Model, ...]
    absent: tuple[str, ...]
    by_persons: int
    n_persons: int | None
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


_archive = pydantic.TypeAdapter(ArchiveReport)
