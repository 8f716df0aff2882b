"""The persons of the archive, as the app shows them: who there is, where they appear, and what their tracks show."""

from __future__ import annotations

import dataclasses
import functools
import math
import threading
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import duckdb

from pipelines.reports.content import Gender
from pipelines.reports.timeline import make_gender, most_frequent
from pipelines.results.database import connect
from pipelines.results.persons import VIEWS, read_persons
from pipelines.results.tables import read_video_table
from pipelines.serve.archive import Archive
from pipelines.serve.summaries import made_of
from schemas import storage
from schemas.errors import StorageError, UsageError
from schemas.layout import Layout
from schemas.tables import EMOTION_COLUMNS, EMOTIONS
from transforms.ledger import Row

PAGE_ROWS = 30
MOST_TRACKS = 200
"""Tracks of a person, those that last longest, of which expressions, age and gender are the mean."""
_KEPT_VIDEOS = 5000
"""Videos whose tracks are kept in memory."""

Key = tuple[str, int]
"""A track: `video_id` and `track_id`."""

ORDERS = {
    "seconds": "seconds DESC, person_id",
    "videos": "n_videos DESC, seconds DESC, person_id",
    "name": "lower(name) ASC NULLS LAST, person_id",
    "number": "person_id",
}
"""How the list of persons can be sorted."""

TRACK_ORDERS = {
    "typical": "similarity DESC NULLS LAST, video_id, track_id",
    "doubtful": "similarity ASC NULLS LAST, video_id, track_id",
    "time": "video_id, start_time, track_id",
}
"""How the tracks of a person can be sorted."""

_COLUMNS = ("track_id", "n_samples", "best_timestamp", "emotion", *EMOTION_COLUMNS, "age", "gender", "gender_female")


@dataclasses.dataclass(frozen=True)
class Looks:
    """What the tracks of a person show, in the mean over their samples.

    Attributes:
      emotions: mean probability by emotion; empty where none is known.
      age: in years.
      gender: label of most samples, with the mean probability of female; None where it is unknown.
      portrait: track that is most like the others, and the second of its best sample; None where there is none.
    """

    emotions: dict[str, float]
    age: float | None
    gender: Gender | None
    portrait: tuple[Key, int] | None


class Persons:
    """The persons of an archive; their tables are read again once `facelog persons` has written them anew."""

    def __init__(self, archive: Archive):
        """Reads nothing yet."""
        self._archive = archive
        self._read: tuple[Any, duckdb.DuckDBPyConnection] | None = None
        self._reading = threading.Lock()
        self._kept_tracks = functools.lru_cache(_KEPT_VIDEOS)(self._read_tracks)

    def page(self, text: str = "", order: str = "seconds", number: int = 0) -> tuple[int, list[Row]]:
        """How many persons there are, and the rows of `persons` of one page.

        Args:
          text: part of a name, or a number; empty: all persons.
          order: one of `ORDERS`.
          number: of the page, from 0.

        Raises:
          UsageError: there is no such order.
          StorageError: the tables cannot be read.
        """
        where = "contains(lower(coalesce(name, '')), lower($text)) OR person_id::VARCHAR = trim($text)"
        total = self._ask(f"SELECT count(*) AS n FROM persons WHERE {where}", text=text)[0]["n"]
        question = f"SELECT * FROM persons WHERE {where} ORDER BY {_order(order, ORDERS)} {_part(number)}"
        return total, self._ask(question, text=text)

    def one(self, person: int) -> Row | None:
        """The row of a person; None where there is no such person (any more)."""
        found = self._ask("SELECT * FROM persons WHERE person_id = $person", person=person)
        return found[0] if found else None

    def appearances(self, person: int, order: str = "typical", number: int = 0) -> list[Row]:
        """Rows of `appearances` of one page.

        Args:
          person: whose.
          order: one of `TRACK_ORDERS`.
          number: of the page, from 0.

        Raises:
          UsageError, StorageError: as `page`.
        """
        where = "WHERE person_id = $person"
        question = f"SELECT * FROM appearances {where} ORDER BY {_order(order, TRACK_ORDERS)} {_part(number)}"
        return self._ask(question, person=person)

    def in_video(self, video_id: str) -> dict[int, tuple[int, str | None]]:
        """Number and name of the person of each track of a video."""
        question = "SELECT track_id, person_id, name FROM appearances JOIN persons USING (person_id)"
        rows = self._ask(f"{question} WHERE video_id = $video", video=video_id)
        return {row["track_id"]: (row["person_id"], row["name"]) for row in rows}

    def looks(self, persons: Sequence[int]) -> dict[int, Looks]:
        """What the tracks of some persons show."""
        rows = self._ask(
            "SELECT * FROM appearances WHERE person_id IN (SELECT unnest($persons)) "
            "QUALIFY row_number() OVER (PARTITION BY person_id ORDER BY end_time - start_time DESC) <= $most "
            f"ORDER BY {TRACK_ORDERS['typical']}",
            persons=list(persons),
            most=MOST_TRACKS,
        )
        tracks = self.tracks({row["video_id"] for row in rows})
        own: dict[int, list[Key]] = {person: [] for person in persons}
        for row in rows:
            key = row["video_id"], row["track_id"]
            if key in tracks:
                own[row["person_id"]].append(key)
        return {person: _looks(keys, tracks) for person, keys in own.items()}

    def tracks(self, video_ids: Iterable[str]) -> dict[Key, Row]:
        """Rows of `tracks` of some videos, as far as they can be read."""
        known = self._archive.asked().by_id
        wanted = sorted((video_id, made_of(known[video_id][0])) for video_id in set(video_ids) if video_id in known)
        if self._archive.is_copy:
            with connect(self._archive.out) as tables:
                question = f"SELECT video_id, {', '.join(_COLUMNS)} FROM tracks WHERE video_id IN (SELECT unnest($ids))"
                found = _rows(tables.execute(question, {"ids": [video_id for video_id, _ in wanted]}))
            return {(row["video_id"], row["track_id"]): row for row in found}
        read = storage.at_once(lambda video: self._kept_tracks(*video), wanted)
        return {key: row for tracks in read for key, row in tracks.items()}

    def _read_tracks(self, video_id: str, _: str) -> dict[Key, Row]:
        try:
            rows = read_video_table(self._archive.out, "tracks", video_id).select(list(_COLUMNS)).to_pylist()
        except StorageError:
            return {}
        return {(video_id, row["track_id"]): row for row in rows}

    def _ask(self, question: str, **values: Any) -> list[Row]:
        with self._database().cursor() as cursor:
            return _rows(cursor.execute(question, values))

    def _database(self) -> duckdb.DuckDBPyConnection:
        with self._reading:
            state = [_state(Layout(self._archive.out).persons(name)) for name in VIEWS]
            if self._read is None or self._read[0] != state:
                database = duckdb.connect()
                for name in VIEWS:
                    table = read_persons(self._archive.out, name).replace_schema_metadata(None)
                    database.register("given", table)
                    database.execute(f"CREATE TABLE {name} AS SELECT * FROM given")
                    database.unregister("given")
                self._read = state, database
            return self._read[1]


def _state(uri: str) -> tuple[Any, ...] | None:
    """What tells whether a file has changed; None where it is not there."""
    try:
        info = storage.stat(uri)
    except FileNotFoundError:
        return None
    return info.size_bytes, info.modified_at, info.etag


def _order(name: str, orders: Mapping[str, str]) -> str:
    if name not in orders:
        raise UsageError(f"{name[:40]} is none of {', '.join(orders)}.")
    return orders[name]


def _part(number: int) -> str:
    return f"LIMIT {PAGE_ROWS} OFFSET {PAGE_ROWS * number}"


def _rows(answer: duckdb.DuckDBPyConnection) -> list[Row]:
    names = [column[0] for column in answer.description or []]
    return [dict(zip(names, values, strict=True)) for values in answer.fetchall()]


def _looks(keys: Sequence[Key], tracks: Mapping[Key, Row]) -> Looks:
    rows = [tracks[key] for key in keys]
    means = {name: _mean(rows, column) for name, column in zip(EMOTIONS, EMOTION_COLUMNS, strict=True)}
    return Looks(
        {name: mean for name, mean in means.items() if mean is not None},
        _mean(rows, "age"),
        make_gender(
            most_frequent([row["gender"] for row in rows], [row["n_samples"] for row in rows]),
            math.nan if (female := _mean(rows, "gender_female")) is None else female,
        ),
        (keys[0], int(rows[0]["best_timestamp"])) if rows else None,
    )


def _mean(rows: Sequence[Row], column: str) -> float | None:
    """Mean over the samples of tracks, of those where it is known."""
    known = [(row[column], row["n_samples"]) for row in rows if row[column] is not None]
    total = sum(n for _, n in known)
    return sum(value * n for value, n in known) / total if total else None
