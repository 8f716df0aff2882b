"""Find moments: the questions that people have as SQL, and what comes of an answer."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

from schemas.errors import UsageError
from schemas.tables import EMOTIONS, GENDERS

MOST = 500
"""Moments, or rows, that a page shows."""


@dataclasses.dataclass(frozen=True)
class Question:
    """What a form asks for; None is anything. All have to hold in each second.

    Attributes:
      emotion: smoothed emotion that is likeliest.
      sure: its smoothed probability at least.
      seconds: that it lasts at least, without a break.
      age_from, age_to: smoothed age in years.
      gender: female or male.
      faces_from, faces_to: faces in the picture.
      clear: no quality flag is set.
      name: part of the file's name or folder.
      person: of the archive: number or whole name.
    """

    emotion: str | None = None
    sure: float | None = None
    seconds: float | None = None
    age_from: float | None = None
    age_to: float | None = None
    gender: str | None = None
    faces_from: float | None = None
    faces_to: float | None = None
    clear: bool = False
    name: str | None = None
    person: str | None = None

    @classmethod
    def parse(cls, values: Mapping[str, str]) -> Question:
        """Reads the query of an address, whose names are those of the attributes.

        Raises:
          UsageError: a value is none of its kind.
        """
        given = {name: values[name].strip() for name in values if values[name].strip()}
        return cls(
            emotion=_one_of("emotion", given, EMOTIONS),
            gender=_one_of("gender", given, GENDERS),
            clear=given.get("clear") in ("1", "on", "true"),
            name=given.get("name"),
            person=given.get("person"),
            **{
                name: _number(name, given)
                for name in ("sure", "seconds", "age_from", "age_to", "faces_from", "faces_to")
            },
        )

    @property
    def sql(self) -> str:
        """The question over the views of `connect`."""
        tests = [
            f"emotion_smooth = '{self.emotion}'" if self.emotion else None,
            f"{self._probability} >= {self.sure:g}" if self.sure is not None else None,
            f"age_smooth >= {self.age_from:g}" if self.age_from is not None else None,
            f"age_smooth <= {self.age_to:g}" if self.age_to is not None else None,
            f"gender = '{self.gender}'" if self.gender else None,
            f"n_faces >= {self.faces_from:g}" if self.faces_from is not None else None,
            f"n_faces <= {self.faces_to:g}" if self.faces_to is not None else None,
            "quality_flags = 0" if self.clear else None,
            self._is_person,
        ]
        where = "\n    AND ".join(test for test in tests if test) or "true"
        outer = []
        if self.seconds is not None:
            outer.append(f"count(*) >= {self.seconds:g}")
        if self.name:
            outer.append(f"contains(lower(uri), lower({_text(self.name)}))")
        having = f"\nHAVING {' AND '.join(outer)}" if outer else ""
        persons = (
            "\n  JOIN appearances USING (video_id, track_id) JOIN persons USING (person_id)" if self.person else ""
        )
        mean = f"round(avg({self._probability}), 2)"
        return f"""\
WITH hits AS (
  SELECT faces.*, second - row_number() OVER (PARTITION BY video_id, track_id ORDER BY second) AS run
  FROM faces JOIN timeline USING (video_id, second){persons}
  WHERE {where}),
names AS (SELECT video_id, min(uri) AS uri FROM videos GROUP BY video_id)
SELECT uri, video_id, track_id, min(second) AS start, max(second) + 1 AS "end", count(*) AS seconds,
       {mean} AS {self.emotion or "probability"}, round(avg(age_smooth)) AS age, mode(gender) AS gender
FROM hits JOIN names USING (video_id)
GROUP BY uri, video_id, track_id, run{having}
ORDER BY seconds DESC, 7 DESC, uri, start, track_id
LIMIT {MOST}"""

    @property
    def _probability(self) -> str:
        if self.emotion:
            return f"emotion_smooth_{self.emotion}"
        return f"greatest({', '.join(f'emotion_smooth_{emotion}' for emotion in EMOTIONS)})"

    @property
    def _is_person(self) -> str | None:
        if not self.person:
            return None
        is_number = self.person.isdecimal() and len(self.person) < 10
        return f"person_id = {self.person}" if is_number else f"lower(persons.name) = lower({_text(self.person)})"


def _one_of(name: str, given: Mapping[str, str], known: Sequence[str]) -> str | None:
    value = given.get(name)
    if value is not None and value not in known:
        raise UsageError(f"{name}: {value[:40]} is none of {', '.join(known)}.")
    return value


def _number(name: str, given: Mapping[str, str]) -> float | None:
    if name not in given:
        return None
    try:
        value = float(given[name])
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise UsageError(f"{name}: {given[name][:40]} is no number.")
    return value


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


@dataclasses.dataclass(frozen=True)
class Moment:
    """A stretch of a video that a row names by `video_id`, `start` (`second`, `timestamp`), `end` and `track_id`."""

    video_id: str
    start: float
    end: float
    track_id: int | None


def moment_of(row: Mapping[str, Any]) -> Moment | None:
    """The moment that a row of an answer names; None where it names none."""
    names = ("start", "from_second", "second", "timestamp", "start_time")
    start = next((row[name] for name in names if name in row), None)
    video_id, track = row.get("video_id"), row.get("track_id")
    if not isinstance(video_id, str) or not _is_number(start):
        return None
    end = row.get("end", row.get("end_time"))
    return Moment(
        video_id,
        float(start),  # type: ignore[arg-type]
        float(end) if _is_number(end) else float(start) + 1,  # type: ignore[arg-type]
        int(track) if _is_number(track) else None,  # type: ignore[arg-type]
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
