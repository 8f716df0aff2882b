"""What people say of faces: the table `annotations`, and how right the other tables are by it."""

from __future__ import annotations

import dataclasses
import re
import uuid
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from pipelines.results.database import connect
from schemas import storage
from schemas.errors import UsageError
from schemas.layout import Layout
from schemas.table_files import read_table
from schemas.tables import (
    ANNOTATION_KINDS,
    ANNOTATION_SCOPES,
    ANNOTATIONS,
    EMOTIONS,
    code_version,
    make_table,
    parquet_bytes,
)
from transforms.ledger import Row

_LONGEST = 2000
_LONGEST_NAME = 100
_ID = re.compile(r"[0-9a-f]{32}")
_SAME_FACE = 0.3
"""Intersection over union from which a face of now is the one that was looked at."""


def annotate_face(out: str, row: Row, face: Mapping[str, Any], said: Mapping[str, Any]) -> dict[str, Any]:
    """Writes one annotation.

    Args:
      out: DIR, normalized.
      row: of `videos`.
      face: row of `faces` that was looked at.
      said: `kind`, `scope`, `author`, and `emotion` or `comment`; see `schemas.tables.ANNOTATIONS`.

    Returns:
      The annotation.

    Raises:
      UsageError: something in `said` is none of its values.
      StorageError: it cannot be written.
    """
    kind, scope, emotion = said.get("kind"), said.get("scope"), said.get("emotion")
    if kind not in ANNOTATION_KINDS or scope not in ANNOTATION_SCOPES:
        raise UsageError("An annotation is an emotion, not_a_face or a comment, of a second or a track.")
    if (emotion in EMOTIONS) != (kind == "emotion"):
        raise UsageError(f"An annotation of an emotion says which one: {', '.join(EMOTIONS)}.")
    author, comment = (
        _clean(said.get(name), most) for name, most in (("author", _LONGEST_NAME), ("comment", _LONGEST))
    )
    if not author:
        raise UsageError("Say who you are, so that others know whose judgement it is.")
    if kind == "comment" and not comment:
        raise UsageError("The comment is empty.")
    made = {
        **{name: face[name] for name in ("video_id", "track_id", "second", "timestamp", "x", "y", "width", "height")},
        **{"annotation_id": uuid.uuid4().hex, "scope": scope, "kind": kind, "emotion": emotion or None},
        **{"comment": comment or None, "author": author, "created_at": datetime.now(UTC)},
        "config_hash": row["config_hash"],
    }
    table = make_table(ANNOTATIONS, {name: [made[name]] for name in ANNOTATIONS.names})
    name = Layout(out).annotation(made["video_id"], made["annotation_id"])
    storage.write_bytes(name, parquet_bytes(table, {"code_version": code_version()}))
    return made


def _clean(text: Any, most: int) -> str:
    return str(text or "").strip()[:most]


def read_annotations(out: str, video_id: str) -> list[dict[str, Any]]:
    """The annotations of a video, the newest first.

    Raises:
      StorageError: one of them cannot be read.
    """
    tables = storage.at_once(lambda uri: read_table(uri, ANNOTATIONS), Layout(out).annotations(video_id))
    rows = [row for table in tables for row in table.to_pylist()]
    return sorted(rows, key=lambda row: row["created_at"], reverse=True)


def remove_annotation(out: str, video_id: str, annotation_id: str) -> None:
    """Removes one annotation.

    Raises:
      UsageError: there is no such.
      StorageError: it cannot be removed.
    """
    name = Layout(out).annotation(video_id, annotation_id) if _ID.fullmatch(annotation_id) else ""
    if not name or not storage.exists(name):
        raise UsageError("This annotation is not there any more.")
    storage.delete_file(name)


@dataclasses.dataclass(frozen=True)
class Score:
    """The tables against what people say.

    Attributes:
      judged: faces that somebody gave an emotion, the newest judgement of each.
      found: of them, those that the tables have now.
      right: of those that were found, the ones whose emotion is the one that was given.
      confusion: numbers by (given, emotion in the tables or "unknown").
      not_faces: faces of which somebody said that they are none.
      still_there: of them, those that the tables have now.
    """

    judged: int
    found: int
    right: int
    confusion: dict[tuple[str, str], int]
    not_faces: int
    still_there: int

    @property
    def accuracy(self) -> float | None:
        """Share of the judged faces that were found whose emotion is right."""
        return self.right / self.found if self.found else None

    def as_json(self) -> dict[str, Any]:
        """The figures for programs."""
        classes = {given for given, _ in self.confusion}
        return {
            "judged": self.judged,
            "found": self.found,
            "right": self.right,
            "accuracy": self.accuracy,
            "recall": {
                name: self.confusion.get((name, name), 0) / sum(n for (g, _), n in self.confusion.items() if g == name)
                for name in EMOTIONS
                if name in classes
            },
            "not_faces": self.not_faces,
            "not_faces_still_there": self.still_there,
        }


# Of several judgements of a face, the newest counts. A judgement of a track is compared with the track's emotion.
_JUDGED = f"""
WITH newest AS (
  SELECT * FROM annotations WHERE kind <> 'comment'
  QUALIFY row_number() OVER (PARTITION BY video_id, second, track_id, scope ORDER BY created_at DESC) = 1),
near AS (
  SELECT newest.annotation_id, newest.kind, newest.emotion AS given,
         CASE newest.scope WHEN 'track' THEN tracks.emotion ELSE faces.emotion END AS told,
         greatest(least(newest.x + newest.width, faces.x + faces.width) - greatest(newest.x, faces.x), 0)
         * greatest(least(newest.y + newest.height, faces.y + faces.height) - greatest(newest.y, faces.y), 0) AS shared,
         newest.width * newest.height + faces.width * faces.height AS areas
  FROM newest JOIN faces USING (video_id, second)
  JOIN tracks ON tracks.video_id = faces.video_id AND tracks.track_id = faces.track_id)
SELECT newest.kind, newest.emotion, best.annotation_id IS NOT NULL AS is_found, best.told
FROM newest LEFT JOIN (
  SELECT * FROM near WHERE shared >= {_SAME_FACE} * (areas - shared)
  QUALIFY row_number() OVER (PARTITION BY annotation_id ORDER BY shared DESC) = 1) AS best USING (annotation_id)"""


def score_annotations(out: str) -> Score:
    """How right the tables of DIR are by what people said; a face is found again by its second and its place.

    Raises:
      UsageError: there are no results in DIR, or nobody has said anything.
      StorageError: something cannot be read.
    """
    with connect(out) as connection:
        rows = connection.sql(_JUDGED).fetchall()
    if not rows:
        raise UsageError(f"{out} holds no judgements: people give them on the pages of `facelog serve {out}`.")
    judged = [(given, told if found else None, found) for kind, given, found, told in rows if kind == "emotion"]
    found = [(given, told or "unknown") for given, told, is_found in judged if is_found]
    none = [is_found for kind, _, is_found, _ in rows if kind == "not_a_face"]
    return Score(
        judged=len(judged),
        found=len(found),
        right=sum(given == told for given, told in found),
        confusion=dict(Counter(found)),
        not_faces=len(none),
        still_there=sum(none),
    )
