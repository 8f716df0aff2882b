"""A video's tables as the content of its page."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from models.bundle import bundle_path, weights_sha256
from models.cards import read_card
from pipelines.face_words import FLAGS
from pipelines.reports import timeline
from pipelines.reports.content import Model, Person, Shot, Stretch, Track, VideoReport
from pipelines.reports.timeline import make_age, make_gender, most_frequent, number
from pipelines.reports.words import advice
from pipelines.results.tables import read_video_table
from pipelines.words import UNKNOWN
from schemas.errors import BundleError
from schemas.layout import ROW_TABLES
from schemas.table_files import footer_texts
from schemas.tables import EMOTION_COLUMNS, EMOTIONS
from transforms.ledger import Row

ATTRIBUTES = ("emotion", "age", "gender")

Who = dict[int, tuple[int, str | None]]
"""Of a video: by track, number and name of the archive's person."""


@dataclasses.dataclass(frozen=True)
class Tables:
    """The three tables of a video, and what their footers say."""

    faces: pa.Table
    tracks: pa.Table
    timeline: pa.Table
    footer: dict[str, str]


def read_tables(out: str, video_id: str) -> Tables:
    """One video's tables.

    Raises:
      MissingTableError: one of them is not there.
      StorageError: one of them cannot be read.
    """
    tables = {name: read_video_table(out, name, video_id) for name in ROW_TABLES}
    return Tables(**tables, footer=footer_texts(tables["faces"].schema))


def video_report(page: str, rows: Sequence[Row], tables: Tables, who: Who | None = None) -> VideoReport:
    """Everything that a video's page says, without thumbnails.

    Args:
      page: name of its files, without ending.
      rows: of `videos`: of the file and of its copies, which have the same figures.
      tables: of the video.
      who: the archive's persons, in place of those of the video; None: those of the video.
    """
    row = rows[0]
    faces, seconds = columns_of(tables.faces), columns_of(tables.timeline)
    tracks = _tracks(tables.tracks, faces)
    if who is not None:
        tracks = tuple(dataclasses.replace(t, person_id=who.get(t.track_id, (None, None))[0]) for t in tracks)
    duration = float(len(seconds["second"]))
    models = models_of(tables.footer)
    return VideoReport(
        page=page,
        uris=tuple(row["uri"] for row in rows),
        advice=advice(row["status"], row["error_type"]),
        facts={name: value.isoformat() if hasattr(value, "isoformat") else value for name, value in row.items()},
        configuration=json.loads(tables.footer.get("config_json", "{}")),
        models=models,
        absent=absent(models),
        timeline=timeline.tracks_over_time(
            faces, tracks, duration=duration, sample_seconds=1 / (row["sample_fps"] or row["avg_fps"] or 4.0)
        ),
        counts=timeline.faces_over_time(seconds),
        shares=timeline.emotions_over_time(faces, duration),
        face_seconds_by_emotion=count_emotions(faces["emotion"]),
        tracks=tracks,
        persons=_persons(tracks, dict((who or {}).values())),
        shots=_shots(seconds, tracks) if row.get("keyframe_seconds") is None else (),
        unreadable=_stretches(seconds),
        of_archive=who is not None,
    )


def count_emotions(emotions: Sequence[str | None] | Mapping[str | None, int] | np.ndarray) -> dict[str, int]:
    """Face-seconds by likeliest emotion, in the order of the tables, from one or from counts; unknown ones last."""
    counts = Counter(emotions)
    counts[UNKNOWN] += counts.pop(None, 0)
    return {name: counts[name] for name in (*EMOTIONS, UNKNOWN) if counts[name]}


def models_of(footer: Mapping[str, str]) -> tuple[Model, ...]:
    """The models that a footer names, with what their cards say where the same weights are installed."""
    stated: dict[str, Any] = json.loads(footer.get("models", "{}"))
    return tuple(
        Model(tuple(task.split("_")), m["name"], m["sha256"], m["figures"], **_from_card(m["name"], m["sha256"]))
        for task, m in sorted(stated.items(), key=lambda item: ATTRIBUTES.index(item[0].split("_")[0]))
    )


def absent(models: Sequence[Model]) -> tuple[str, ...]:
    """Attributes that no model was used for."""
    return tuple(name for name in ATTRIBUTES if not any(name in model.attributes for model in models))


def _from_card(name: str, sha256: str) -> dict[str, str]:
    try:
        card = read_card(bundle_path(name))
    except BundleError:
        return {}
    # Another model of the same name: its card says nothing about this one.
    if sha256 not in {card.sha256, weights_sha256(card)}:
        return {}
    return {"description": card.description, "test_data": card.test_data, "limits": card.limits}


def columns_of(table: pa.Table) -> dict[str, np.ndarray]:
    """Columns as numpy; null is NaN in numbers and None in text."""
    columns = {}
    for name in table.column_names:
        column = table[name]
        if pa.types.is_dictionary(column.type):
            column = column.cast(pa.string())
        if pa.types.is_string(column.type):
            columns[name] = np.array(column.to_pylist(), object)
        elif pa.types.is_integer(column.type) and table.schema.field(name).nullable:
            columns[name] = column.cast(pa.float64()).to_numpy()
        elif not pa.types.is_nested(column.type):
            columns[name] = column.to_numpy()
    return columns


def _tracks(table: pa.Table, faces: Mapping[str, np.ndarray]) -> tuple[Track, ...]:
    rows_of: dict[int, list[int]] = {}
    for index, track in enumerate(faces["track_id"].tolist()):
        rows_of.setdefault(track, []).append(index)
    tracks = [_track(row, faces["quality_flags"][rows_of.get(row["track_id"], [])]) for row in table.to_pylist()]
    return tuple(sorted(tracks, key=lambda t: (-t.duration, -t.face_seconds, t.track_id)))


def _track(row: Row, flags: np.ndarray) -> Track:
    shares = {name: number(float(np.mean((flags & bit) > 0)), 3) for bit, name in FLAGS.items()} if len(flags) else {}
    age = [np.nan if row[name] is None else row[name] for name in ("age", "age_low", "age_high")]
    return Track(
        track_id=row["track_id"],
        person_id=row["person_id"],
        shot_id=row["shot_id"],
        start=row["start_time"],
        end=row["end_time"],
        end_reason=row["end_reason"],
        n_samples=row["n_samples"],
        n_detected=row["n_detected"],
        confidence=round(row["confidence_mean"], 3),
        face_seconds=len(flags),
        best_timestamp=row["best_timestamp"],
        box=tuple(round(row[f"best_{side}"], 1) for side in ("x", "y", "width", "height")),
        emotion=row["emotion"],
        emotions={
            name: round(row[column], 4)
            for name, column in zip(EMOTIONS, EMOTION_COLUMNS, strict=True)
            if row[column] is not None
        },
        age=make_age(*age),
        gender=make_gender(row["gender"], np.nan if row["gender_female"] is None else row["gender_female"]),
        flags={name: share for name, share in shares.items() if share},
    )


def _persons(tracks: Sequence[Track], names: Mapping[int, str | None]) -> tuple[Person, ...]:
    groups: dict[int, list[Track]] = {}
    for track in sorted(tracks, key=lambda t: t.start):
        if track.person_id is not None:
            groups.setdefault(track.person_id, []).append(track)
    persons = [_person(number, names.get(number), members) for number, members in groups.items()]
    return tuple(sorted(persons, key=lambda p: (-p.face_seconds, p.person_id)))


def _person(person_id: int, name: str | None, tracks: Sequence[Track]) -> Person:
    named = [name for name in EMOTIONS if any(name in track.emotions for track in tracks)]
    emotions = {name: _weighted([t.emotions.get(name) for t in tracks], tracks) for name in named}
    age = [_weighted([getattr(t.age, part, None) for t in tracks], tracks) for part in ("years", "low", "high")]
    genders = [t.gender.label if t.gender else None for t in tracks]
    return Person(
        person_id=person_id,
        tracks=tuple(track.track_id for track in tracks),
        start=min(track.start for track in tracks),
        end=max(track.end for track in tracks),
        face_seconds=sum(track.face_seconds for track in tracks),
        emotion=max(emotions, key=lambda name: emotions[name]) if emotions else None,
        emotions={name: round(value, 4) for name, value in emotions.items()},
        age=make_age(*age),
        gender=make_gender(
            most_frequent(genders, [track.n_samples for track in tracks]),
            _weighted([t.gender.female if t.gender else None for t in tracks], tracks),
        ),
        name=name,
    )


def _weighted(values: Sequence[float | None], tracks: Sequence[Track]) -> float:
    """Mean by the number of samples, passing over unknown ones; NaN if all are."""
    known = [(value, track.n_samples) for value, track in zip(values, tracks, strict=True) if value is not None]
    return sum(value * n for value, n in known) / max(sum(n for _, n in known), 1) if known else np.nan


def _shots(seconds: Mapping[str, np.ndarray], tracks: Sequence[Track]) -> tuple[Shot, ...]:
    """Shots by the seconds that begin in them, and by the tracks in them, which tell more exactly when they begin."""
    known = np.isfinite(seconds["shot_id"])
    first: dict[int, float] = {}
    for shot, timestamp in zip(seconds["shot_id"][known], seconds["timestamp"][known], strict=True):
        first.setdefault(int(shot), float(timestamp))
    for track in tracks:
        first[track.shot_id] = min(first.get(track.shot_id, track.start), track.start)
    shots = sorted(first)
    starts = [0.0, *(round(first[shot], 3) for shot in shots[1:])]
    end = max([float(seconds["second"][known][-1] + 1) if known.any() else 0.0, *(track.end for track in tracks)])
    in_shot = Counter(track.shot_id for track in tracks)
    bounds = zip(shots, starts, [*starts[1:], end], strict=False)
    return tuple(Shot(shot, start, stop, in_shot[shot]) for shot, start, stop in bounds)


def _stretches(seconds: Mapping[str, np.ndarray]) -> tuple[Stretch, ...]:
    """Runs of seconds that are damaged or missing."""
    bad = np.r_[False, ~seconds["decode_ok"].astype(bool), False].astype(int)
    starts, ends = np.flatnonzero(np.diff(bad) == 1), np.flatnonzero(np.diff(bad) == -1)
    second = seconds["second"]
    return tuple(Stretch(float(second[a]), float(second[b - 1] + 1)) for a, b in zip(starts, ends, strict=True))
