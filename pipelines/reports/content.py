"""What a video's page says, as values: its JSON document, from which the page is rendered.

Times are seconds since the first displayed frame, probabilities lie in [0, 1], boxes are pixels of the picture as it is
displayed. None means unknown. Emotions are probabilities (or counts) by name; none known is an empty dict.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import pydantic

from pipelines.face_words import FLAGS
from schemas.tables import PROFILE

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

    @property
    def is_brief(self) -> bool:
        """Whether it lasts less than a second."""
        return self.duration < 1

    @property
    def is_in_profile(self) -> bool:
        """Whether the head is turned away in most of its seconds."""
        return self.flags.get(FLAGS[PROFILE], 0.0) > 0.5


@dataclasses.dataclass(frozen=True)
class Person:
    """All tracks of one face in a video; means are weighted by samples, the gender is that of most samples.

    The number counts within the video, unless the archive's persons were asked for, who may have a name.
    """

    person_id: int
    tracks: tuple[int, ...]
    start: float
    end: float
    face_seconds: int
    emotion: str | None
    emotions: dict[str, float]
    age: Age | None
    gender: Gender | None
    name: str | None = None


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
      of_archive: whether persons have the archive's numbers and names, and a page of their own.
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
    of_archive: bool = False
    format: int = FORMAT

    @property
    def shown_tracks(self) -> tuple[Track, ...]:
        """Tracks with a card of their own: those that are not brief, or all where all are (stills, for instance)."""
        return tuple(track for track in self.tracks if not track.is_brief) or self.tracks

    @property
    def brief_tracks(self) -> tuple[Track, ...]:
        """Tracks that are collected in a table, so that they do not drown the rest."""
        return self.tracks[len(self.shown_tracks) :]

    def tracks_of(self, person: Person) -> tuple[Track, ...]:
        """The tracks of a person, in order of time."""
        return tuple(sorted((t for t in self.tracks if t.track_id in person.tracks), key=lambda t: t.start))

    @property
    def persons_asked(self) -> str | None:
        """How far persons were asked for: "within" or "archive"; None: not at all."""
        asked: str | None = self.configuration.get("identity", {}).get("persons")
        return asked

    def to_json(self) -> bytes:
        """The document."""
        return _video.dump_json(self, indent=1)

    @staticmethod
    def from_json(data: bytes) -> VideoReport:
        """The value that `to_json` wrote; times in `facts` stay text."""
        return _video.validate_json(data)


_video = pydantic.TypeAdapter(VideoReport)
