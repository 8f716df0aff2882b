"""The content of the page of persons: who appears in the archive, how long, where, and with what expressions."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import duckdb
import pydantic

from pipelines.reports.content import FORMAT
from pipelines.reports.thumbnails import thumbnails_of
from pipelines.reports.video import Who, count_emotions
from schemas.errors import UsageError
from schemas.tables import code_version
from transforms.ledger import Row

CARDS = 48
"""Persons that have a card, those on screen longest; the others are rows of a table."""
APPEARANCES = 24
"""Appearances of a person that the page names, those most like the person's others."""
FACES = 6
"""Of these, how many are shown as pictures where thumbnails are asked for."""


@dataclasses.dataclass(frozen=True)
class Appearance:
    """A track of a person.

    Attributes:
      video_id, track_id, start, end, similarity: as in `appearances`.
      uri: of the video, of copies the first.
      page: name of the video's page, without ending; None where it has none.
      best_timestamp, box: of the track's best sample.
      thumbnail: that sample, a JPEG as a `data:` URL; None unless asked for.
    """

    video_id: str
    track_id: int
    start: float
    end: float
    similarity: float | None
    uri: str
    page: str | None
    best_timestamp: float
    box: tuple[float, float, float, float]
    thumbnail: str | None = None


@dataclasses.dataclass(frozen=True)
class PersonLine:
    """A person of the archive.

    Attributes:
      person_id, name, n_videos, n_tracks, seconds, is_enrolled: as in `persons`.
      emotions: face-seconds by likeliest emotion, unknown ones under "unknown".
      appearances: some of them, by video and time; none of a person without a card.
    """

    person_id: int
    name: str | None
    n_videos: int
    n_tracks: int
    seconds: float
    is_enrolled: bool
    emotions: dict[str, int]
    appearances: tuple[Appearance, ...] = ()

    @property
    def by_video(self) -> dict[str, list[Appearance]]:
        """The appearances by video."""
        found: dict[str, list[Appearance]] = {}
        for appearance in self.appearances:
            found.setdefault(appearance.uri, []).append(appearance)
        return found


@dataclasses.dataclass(frozen=True)
class PersonsReport:
    """The page of persons.

    Attributes:
      out: DIR.
      code_version: of the facelog that made the report.
      persons: those on screen longest first.
      no_thumbnails: why there are no pictures of some videos though they were asked for, by uri.
      format: of this document.
    """

    out: str
    code_version: str
    persons: tuple[PersonLine, ...]
    no_thumbnails: dict[str, str] = dataclasses.field(default_factory=dict)
    format: int = FORMAT

    def to_json(self) -> bytes:
        """The document."""
        return _persons.dump_json(self, indent=1)


_persons = pydantic.TypeAdapter(PersonsReport)


def who_is_who(connection: duckdb.DuckDBPyConnection, out: str) -> dict[str, Who]:
    """By `video_id`, the archive's person of each track.

    Raises:
      UsageError: no persons were found in DIR.
    """
    found: dict[str, Who] = {}
    query = "SELECT video_id, track_id, person_id, name FROM appearances JOIN persons USING (person_id) ORDER BY ALL"
    for video_id, track_id, person_id, name in connection.sql(query).fetchall():
        found.setdefault(video_id, {})[track_id] = (person_id, name)
    if not found:
        raise UsageError(
            f"There are no persons in {out}. `facelog analyze --persons archive` keeps embeddings, and then `facelog "
            "persons DIR` finds who is who. Persons within a video (--persons within) are on its page anyway."
        )
    return found


def persons_report(
    connection: duckdb.DuckDBPyConnection, out: str, rows: Mapping[str, Row], pages: Mapping[str, str]
) -> PersonsReport:
    """Everything that the page of persons says, without thumbnails.

    Args:
      connection: with the tables as views.
      out: DIR.
      rows: of `videos`, by video_id, of copies the first.
      pages: names of pages by video_id.
    """
    persons = _rows(connection, "SELECT * FROM persons ORDER BY seconds DESC, person_id")
    counted: dict[int, dict[str | None, int]] = {}
    counts = (
        "SELECT person_id, emotion, count(*) AS n FROM appearances JOIN faces USING (video_id, track_id) GROUP BY ALL"
    )
    for person_id, emotion, n in connection.sql(counts).fetchall():
        counted.setdefault(person_id, {})[emotion] = n
    appearances: dict[int, list[Appearance]] = {person["person_id"]: [] for person in persons[:CARDS]}
    chosen = ", ".join(map(str, appearances)) or "NULL"
    query = f"""
        SELECT shown.*, best_timestamp, best_x, best_y, best_width, best_height
        FROM (
          SELECT * FROM appearances WHERE person_id IN ({chosen})
          QUALIFY row_number() OVER (PARTITION BY person_id ORDER BY similarity DESC NULLS LAST, video_id, track_id)
            <= {APPEARANCES}
        ) AS shown JOIN tracks USING (video_id, track_id)"""
    for row in _rows(connection, query):
        if (video := rows.get(row["video_id"])) is not None:
            appearances[row["person_id"]].append(_appearance(row, video["uri"], pages.get(row["video_id"])))
    lines = [
        PersonLine(
            **person,
            emotions=count_emotions(counted.get(person["person_id"], {})),
            appearances=tuple(sorted(appearances.get(person["person_id"], ()), key=lambda a: (a.uri, a.start))),
        )
        for person in persons
    ]
    return PersonsReport(out, code_version(), tuple(lines))


def add_faces(report: PersonsReport, videos: Mapping[str, tuple[Row, list[str]]], *, blur: bool) -> PersonsReport:
    """The report with a few pictures of each person that has a card.

    Args:
      report: of persons.
      videos: by video_id, the row of `videos`, and the file's uri with those of its copies.
      blur: whether the pictures are pixelated.
    """
    wanted: dict[str, list[Appearance]] = {}
    for person in report.persons:
        for appearance in sorted(person.appearances, key=lambda a: -(a.similarity or 0.0))[:FACES]:
            wanted.setdefault(appearance.video_id, []).append(appearance)
    pictures: dict[tuple[str, int], str] = {}
    reasons: dict[str, str] = {}
    for video_id, seen in wanted.items():
        row, uris = videos[video_id]
        found, reason = thumbnails_of(uris, row, seen, blur=blur)
        pictures |= {(video_id, track_id): picture for track_id, picture in found.items()}
        if reason:
            reasons[row["uri"]] = reason
    shown = [
        dataclasses.replace(
            person,
            appearances=tuple(
                dataclasses.replace(a, thumbnail=pictures.get((a.video_id, a.track_id))) for a in person.appearances
            ),
        )
        for person in report.persons
    ]
    return dataclasses.replace(report, persons=tuple(shown), no_thumbnails=reasons)


def _appearance(row: Row, uri: str, page: str | None) -> Appearance:
    return Appearance(
        video_id=row["video_id"],
        track_id=row["track_id"],
        start=row["start_time"],
        end=row["end_time"],
        similarity=row["similarity"],
        uri=uri,
        page=page,
        best_timestamp=row["best_timestamp"],
        box=tuple(round(row[f"best_{side}"], 1) for side in ("x", "y", "width", "height")),
    )


def _rows(connection: duckdb.DuckDBPyConnection, query: str) -> list[dict[str, Any]]:
    return list(connection.sql(query).to_arrow_table().to_pylist())
