"""Where each face of a video is at any time, and what the tables say about it.

With `DIR/observations` every sample of a track is known, four a second by default; without, only the best one of each
second. In between, a box moves evenly.
"""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from pipelines.face_words import age_words, emotion_words, gender_words
from pipelines.results.tables import read_video_table
from schemas.config import Config
from schemas.layout import Layout
from schemas.table_files import read_footer
from schemas.tables import EMOTION_COLUMNS, SMOOTH_COLUMNS
from transforms.observations import read_observations
from transforms.stitch_tracks import Observations

Row = Mapping[str, Any]

_SCAN_HOLD = 0.5
"""Seconds for which a face of a scan is shown. Nobody knows how long it stays, and one frame would not be seen."""


@dataclasses.dataclass(frozen=True)
class Caption:
    """The label of a face.

    Attributes:
      lines: of text.
      emotion: decides the colour; None if unknown.
      weak: whether the tables flag the quality of this second.
    """

    lines: tuple[str, ...]
    emotion: str | None
    weak: bool

    @property
    def texts(self) -> tuple[tuple[str, ...], ...]:
        """The whole label, its first line, and the number alone, for places with less and less room."""
        return self.lines, self.lines[:1], (self.lines[0].split()[0],)


@dataclasses.dataclass(frozen=True)
class ShownFace:
    """A face at one time.

    Attributes:
      box: [4] x, y, width, height in decoded pixels of the upright frame.
      caption: what is said of it.
    """

    box: np.ndarray
    caption: Caption


@dataclasses.dataclass(frozen=True)
class FacePath:
    """One track: its number, [n] times in order, [n, 4] boxes, and its captions by second."""

    track_id: int
    times: np.ndarray
    boxes: np.ndarray
    seconds: np.ndarray
    captions: list[Caption]

    def at(self, time: float) -> ShownFace:
        """Box and caption; before the first sample those of the first, behind the last those of the last."""
        box = np.array([np.interp(time, self.times, column) for column in self.boxes.T])
        row = int(np.searchsorted(self.seconds, np.floor(time), side="right")) - 1
        return ShownFace(box, self.captions[max(row, 0)])


class FacePaths:
    """The faces of one video.

    Attributes:
      paths: of the tracks, in the order of their numbers.
      holds: [n] seconds for which each is shown behind its last sample.
      from_observations: whether every sample is known, and not one a second alone.
      n_tracks: how many tracks there are.
    """

    def __init__(self, paths: list[FacePath], holds: np.ndarray, *, from_observations: bool, unseen: float):
        """Takes tracks.

        Args:
          paths: see the class.
          holds: see the class.
          from_observations: see the class.
          unseen: seconds that a face may be in the picture before its first sample or behind its last.
        """
        self.paths = paths
        self._starts = np.array([path.times[0] for path in paths])
        self._ends = np.array([path.times[-1] for path in paths])
        self.holds = holds
        self._unseen = unseen
        self.from_observations = from_observations
        self.n_tracks = len(paths)

    def at(self, time: float) -> Iterator[ShownFace]:
        """The faces at a time, in seconds since the first displayed frame."""
        return self._among((self._starts <= time) & (time <= self._ends + self.holds), time)

    def around(self, time: float) -> Iterator[ShownFace]:
        """The faces at a time and shortly before or after their tracks: all that have to be blurred."""
        return self._among((self._starts - self._unseen <= time) & (time <= self._ends + self._unseen), time)

    def _among(self, chosen: np.ndarray, time: float) -> Iterator[ShownFace]:
        for row in np.flatnonzero(chosen):
            yield self.paths[row].at(time)


def caption(face: Row, person: Row, known: frozenset[str] = frozenset({"emotion", "age", "gender"})) -> Caption:
    """What is said of a face: its number, the emotion now, age and gender; what is unknown is a question mark.

    Args:
      face: row of `faces`; the emotion is the smoothed one.
      person: row of `tracks`, or the same row of `faces`: where age and gender are taken from.
      known: attributes that a model was used for; others are not mentioned.
    """
    emotion = face["emotion_smooth"]
    first, second = [str(face["track_id"])], []
    if "emotion" in known:
        first.append(emotion_words(emotion, emotion and face[f"emotion_smooth_{emotion}"], unknown="?"))
    if "age" in known:
        second.append(age_words(person["age"], person["age_low"], person["age_high"], unknown="age ?"))
    if "gender" in known:
        second.append(gender_words(person["gender"], person["gender_female"], unknown="gender ?"))
    lines = tuple("  ".join(words) for words in (first, second) if words)
    return Caption(lines, emotion, bool(face["quality_flags"]))


def read_settings(out: str, video_id: str) -> Config:
    """The settings that a video was analyzed with.

    Raises:
      StorageError: its tables cannot be read.
    """
    return Config.from_canonical(read_footer(Layout(out).table("faces", video_id)).get("config_json", "{}"))


def read_paths(out: str, video_id: str, config: Config) -> FacePaths:
    """The faces of a video.

    Args:
      out: DIR.
      video_id: of the video.
      config: as `read_settings` gives it.

    Raises:
      StorageError: its tables cannot be read.
    """
    faces, tracks = (read_video_table(out, name, video_id).to_pylist() for name in ("faces", "tracks"))
    known = known_attributes(faces)
    by_track: dict[int, list[Row]] = {track["track_id"]: [] for track in tracks}
    for face in faces:
        by_track[face["track_id"]].append(face)
    observations = read_observations(out, video_id)
    paths = []
    for track in tracks:
        rows = by_track[track["track_id"]]
        times, boxes = _best(track, rows) if observations is None else _samples(observations, track["track_id"])
        captions = [caption(face, track, known) for face in rows]
        paths.append(FacePath(track["track_id"], times, boxes, np.array([face["second"] for face in rows]), captions))
    period = 1 / config.sampling.sample_fps if config.sampling.sample_fps else 0.1
    # A cut lies somewhere between two samples: what is held there may stand in the next shot.
    holds = np.array([0.0 if track["end_reason"] == "cut" else period for track in tracks])
    if config.sampling.keyframes:
        holds[:] = _SCAN_HOLD
    # A face may have come right after the detector ran, and a track ends with its last detection.
    every = config.detection.detect_every
    unseen = max(0.5, (0.5 if every is None else every) + period)
    return FacePaths(paths, holds, from_observations=observations is not None, unseen=unseen)


def known_attributes(faces: list[dict[str, Any]]) -> frozenset[str]:
    """The attributes that a model was used for."""
    columns = {"emotion": (*EMOTION_COLUMNS, *SMOOTH_COLUMNS), "age": ("age",), "gender": ("gender_female",)}
    return frozenset(
        name for name, of in columns.items() if any(face[column] is not None for face in faces for column in of)
    )


def _best(track: Row, rows: list[Row]) -> tuple[np.ndarray, np.ndarray]:
    """The best sample of each second; the first and the last box stand until the track's ends."""
    boxes = [[face[name] for name in ("x", "y", "width", "height")] for face in rows]
    times = [face["timestamp"] for face in rows]
    ends = (track["start_time"], track["end_time"])
    return np.array([ends[0], *times, ends[1]]), np.array([boxes[0], *boxes, boxes[-1]])


def _samples(observations: Observations, track: int) -> tuple[np.ndarray, np.ndarray]:
    columns = observations.columns
    first, last = np.searchsorted(columns["track"], [track, track + 1])
    boxes = np.stack([columns[name][first:last] for name in ("x", "y", "width", "height")], axis=1)
    return columns["timestamp"][first:last], boxes
