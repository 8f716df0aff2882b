"""Questions to the list of videos: filters, order and pages, as SQL over the table `lines`."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from pipelines.serve import summaries
from pipelines.serve.archive import Snapshot
from schemas.errors import UsageError
from schemas.tables import EMOTIONS, VIDEOS

PAGE_ROWS = 50

_WORDS = {
    "uri": "file with its folder",
    "name": "file",
    "status": "status",
    "duration": "duration, s",
    "recorded_at": "recorded",
    "finished_at": "analyzed",
    "modified_at": "file modified",
    "n_tracks": "tracks",
    "n_persons": "persons",
    "max_faces": "faces at once",
    "face_seconds": "face-seconds",
    **{share: f"share of {emotion}" for share, emotion in zip(summaries.SHARES, EMOTIONS, strict=True)},
    "share_female": "share of female",
    "share_clear": "share of clear faces",
    "age_mean": "mean age",
    "age_youngest": "youngest",
    "age_oldest": "oldest",
}
_HAS = "contains(lower({}), lower(?))"
_OPERATORS = {"ge": "{} >= ?", "le": "{} <= ?", "is": "{} = ?", "not": "{} <> ?", "has": _HAS}
_TEXT_OPERATORS, _OTHER_OPERATORS = ("has", "is", "not"), ("ge", "le", "is", "not")


@dataclasses.dataclass(frozen=True)
class Column:
    """A column that the list can be filtered and sorted by.

    Attributes:
      name: in the table `lines`.
      words: for people.
      kind: text, number, time or truth.
    """

    name: str
    words: str
    kind: str

    @property
    def operators(self) -> tuple[str, ...]:
        """What it can be compared by."""
        return _TEXT_OPERATORS if self.kind == "text" else ("is",) if self.kind == "truth" else _OTHER_OPERATORS


def _kind(field: pa.Field) -> str:
    kind = field.type
    if pa.types.is_boolean(kind):
        return "truth"
    if pa.types.is_timestamp(kind):
        return "time"
    return "number" if pa.types.is_integer(kind) or pa.types.is_floating(kind) else "text"


def _columns() -> dict[str, Column]:
    fields = {field.name: field for field in [pa.field("name", pa.string()), *summaries.SUMS, *VIDEOS]}
    del fields["made_of"], fields["strip"]
    ordered = [*_WORDS, *(name for name in fields if name not in _WORDS)]
    return {name: Column(name, _WORDS.get(name, name), _kind(fields[name])) for name in ordered}


COLUMNS = _columns()
"""All columns of `videos` and of its sums, those that people ask for first."""

_SHOWN = (
    *("uri", "video_id", "status", "error_type", "error_message", "duration", "recorded_at", "finished_at", "n_tracks"),
    *("max_faces", "face_seconds", *summaries.SHARES, "age_mean", "age_youngest", "age_oldest", "share_clear", "strip"),
)


@dataclasses.dataclass(frozen=True)
class Condition:
    """A comparison of a column with a value, as "duration,ge,60" in an address."""

    column: Column
    operator: str
    value: Any

    @classmethod
    def parse(cls, text: str) -> Condition:
        """Reads one.

        Raises:
          UsageError: there is no such column or comparison, or the value is of another kind.
        """
        name, operator, value = (*text.split(",", 2), "", "")[:3]
        column = COLUMNS.get(name)
        if column is None or operator not in column.operators:
            raise UsageError(f"{text[:80]}: give a column of the list, {', '.join(_OPERATORS)}, and a value.")
        return cls(column, operator, _value(column, value))

    @property
    def sql(self) -> str:
        """With a question mark for the value."""
        return _OPERATORS[self.operator].format(f'"{self.column.name}"')


def _value(column: Column, text: str) -> Any:
    try:
        if column.kind == "number":
            number = float(text)
            if not math.isfinite(number):
                raise ValueError
            return number
        if column.kind == "time":
            moment = datetime.fromisoformat(text)
            return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        if column.kind == "truth":
            return {"true": True, "false": False}[text]
    except (ValueError, KeyError):
        raise UsageError(f"{column.words}: {text[:40]} is no {column.kind}.") from None
    return text


@dataclasses.dataclass(frozen=True)
class VideoQuestion:
    """Which videos to list, and how.

    Attributes:
      text: words that all have to be in the uri, in any order, large or small.
      conditions: that all have to hold; what is unknown holds for none.
      order: column to sort by.
      falling: largest first; unknown values stay at the end.
      page: from 0.
    """

    text: str = ""
    conditions: Sequence[Condition] = ()
    order: str = "name"
    falling: bool = False
    page: int = 0

    @classmethod
    def parse(cls, values: Any) -> VideoQuestion:
        """Reads the query of an address: `q`, `where` (again and again), `sort` (with - in front: falling) and `page`.

        Raises:
          UsageError: something in it means nothing.
        """
        order = values.get("sort", "name")
        page = values.get("page", "0")
        if order.removeprefix("-") not in COLUMNS:
            raise UsageError(f"{order[:40]} is no column of the list.")
        if not page.isdecimal() or len(page) > 6:
            raise UsageError(f"{page[:40]} is no page.")
        conditions = [Condition.parse(text) for text in values.getlist("where")]
        return cls(values.get("q", ""), conditions, order.removeprefix("-"), order.startswith("-"), int(page))

    def ask(self, archive: Snapshot) -> tuple[int, list[dict[str, Any]]]:
        """How many videos there are, and the rows of the page."""
        words = self.text.split()
        tests = [_HAS.format("uri") for _ in words] + [condition.sql for condition in self.conditions]
        values = [*words, *(condition.value for condition in self.conditions)]
        where = f"WHERE {' AND '.join(tests)}" if tests else ""
        order = f'"{self.order}" {"DESC" if self.falling else "ASC"} NULLS LAST, uri'
        shown = ", ".join(f'"{name}"' for name in _SHOWN)
        with archive.database.cursor() as cursor:
            (total,) = cursor.execute(f"SELECT count(*) FROM lines {where}", values).fetchone() or (0,)
            part = f"LIMIT {PAGE_ROWS} OFFSET {PAGE_ROWS * self.page}"
            found = cursor.execute(f"SELECT {shown} FROM lines {where} ORDER BY {order} {part}", values)
            return total, [dict(zip(_SHOWN, row, strict=True)) for row in found.fetchall()]
