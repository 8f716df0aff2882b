"""The pages of persons: all of them, each with its appearances, and what people decide about them."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from pipelines import words
from pipelines.persons.decide import merge_persons, name_person, not_person, split_person, undo_decision
from pipelines.persons.decisions import Decision, read_decisions
from pipelines.reports.charts import gender_words
from pipelines.serve import pages
from pipelines.serve.archive import Archive
from pipelines.serve.persons import MOST_TRACKS, PAGE_ROWS, Looks, Persons
from schemas.errors import FacelogError, UsageError
from transforms.ledger import Row

_LONGEST = 100_000
_MOST_AT_ONCE = 200
"""Persons or tracks that one decision names at most."""
_LONGEST_NAME = 100
_LISTED = 20
"""Decisions that a page lists, the newest first."""
_SHOWN, _LEAST = 3, 0.01
"""Expressions that are named at most, and the least mean probability of one that is named."""
_ONE_AT_A_TIME = threading.Lock()


def persons_routes(archive: Archive, persons: Persons) -> list[Route]:
    """The addresses of persons."""
    shown = _Shown(archive, persons)
    return [
        Route("/persons", shown.all),
        Route("/person/{person:int}", shown.one),
        Route("/api/persons", shown.some),
        Route("/api/persons/looks", shown.looks),
        Route("/api/persons/decisions", shown.decide, methods=["GET", "POST"]),
        Route("/api/persons/decisions/{number:int}", shown.undo, methods=["DELETE"]),
        Route("/api/person/{person:int}", shown.appearances),
    ]


class _Shown:
    def __init__(self, archive: Archive, persons: Persons):
        self._archive, self._persons = archive, persons

    def all(self, _: Request) -> Response:
        return pages.page("persons.html.j2", here="/persons", most=MOST_TRACKS)

    def one(self, request: Request) -> Response:
        person = request.path_params["person"]
        if self._persons.one(person) is None:
            text = f"There is no person {person}, or not any more: it may have become another one."
            return pages.refusal(404, "Nobody", text, advice="look at the list of persons")
        return pages.page("person.html.j2", person=person, most=MOST_TRACKS)

    def some(self, request: Request) -> Response:
        def found() -> dict[str, Any]:
            given = request.query_params
            total, rows = self._persons.page(given.get("q", ""), given.get("sort", "seconds"), _page(request))
            return {"total": total, "page_rows": PAGE_ROWS, "persons": [_told(row) for row in rows]} | self._state()

        return _answered(found)

    def looks(self, request: Request) -> Response:
        def found() -> dict[str, Any]:
            numbers = [int(text) for text in request.query_params.getlist("person") if text.isdecimal()]
            looks = self._persons.looks(numbers[:PAGE_ROWS])
            return {str(person): _looks(each) for person, each in looks.items()}

        return _answered(found)

    def appearances(self, request: Request) -> Response:
        person = request.path_params["person"]

        def found() -> dict[str, Any]:
            row = self._persons.one(person)
            if row is None:
                raise UsageError(f"There is no person {person} any more.")
            rows = self._persons.appearances(person, request.query_params.get("sort", "typical"), _page(request))
            tracks = self._persons.tracks({each["video_id"] for each in rows})
            moments = [self._moment(each, tracks.get((each["video_id"], each["track_id"]))) for each in rows]
            return {"person": _told(row), "page_rows": PAGE_ROWS, "appearances": moments} | self._state()

        return _answered(found)

    async def decide(self, request: Request) -> Response:
        """Lists decisions; POST makes one."""
        body = await request.body() if request.method == "POST" else b""
        return await run_in_threadpool(_answered, lambda: self._decided(body))

    def undo(self, request: Request) -> Response:
        return _answered(
            lambda: self._changed(lambda: [undo_decision(self._archive.out, request.path_params["number"])])
        )

    def _decided(self, body: bytes) -> dict[str, Any]:
        if body:
            said = _said(body)
            return self._changed(lambda: _decide(self._archive.out, said))
        return self._state() | {"decisions": self._decisions()}

    def _changed(self, change: Callable[[], list[Decision]]) -> dict[str, Any]:
        if self._archive.is_copy:
            raise UsageError("This is a compact copy; decide about persons in the folder that it was made from.")
        with _ONE_AT_A_TIME:
            made = change()
        others = [one.other_id for one in made if one.kind != "name"]
        return self._state() | {"decisions": self._decisions(), "others": others}

    def _decisions(self) -> list[dict[str, Any]]:
        newest = read_decisions(self._archive.out)[: -_LISTED - 1 : -1]
        return [{"number": one.number, "words": _words(one), "at": one.decided_at[:16]} for one in newest]

    def _state(self) -> dict[str, Any]:
        return {"writable": not self._archive.is_copy}

    def _moment(self, row: Row, track: Row | None) -> dict[str, Any]:
        known = self._archive.now.by_id.get(row["video_id"])
        return {
            "video": row["video_id"] if known else None,
            "name": known[0]["uri"].rsplit("/", 1)[-1] if known else "a video that is not here",
            "track": row["track_id"],
            "key": f"{row['video_id']}:{row['track_id']}",
            "start": row["start_time"],
            "end": row["end_time"],
            "alike": None if row["similarity"] is None else round(row["similarity"], 2),
            "emotion": track and track["emotion"],
            "second": int(track["best_timestamp"] if track else row["start_time"]),
        }


def _answered(work: Callable[[], dict[str, Any]]) -> Response:
    try:
        return pages.answer(work())
    except FacelogError as error:
        return pages.refused(error)


def _page(request: Request) -> int:
    text = request.query_params.get("page", "0")
    if not text.isdecimal() or len(text) > 6:
        raise UsageError(f"{text[:40]} is no page.")
    return int(text)


def _told(row: Row) -> dict[str, Any]:
    """A person, in words."""
    return {
        "id": row["person_id"],
        "name": row["name"],
        "seconds": words.lasting(row["seconds"]),
        "videos": words.counted(row["n_videos"], "video"),
        "tracks": words.counted(row["n_tracks"], "track"),
        "n_tracks": row["n_tracks"],
        "enrolled": row["is_enrolled"],
    }


def _looks(looks: Looks) -> dict[str, Any]:
    falling = sorted(looks.emotions.items(), key=lambda item: -item[1])
    shown = [f"{name} {words.percent(mean)}" for name, mean in falling[:_SHOWN] if mean >= _LEAST]
    said = [None if looks.age is None else f"age {looks.age:.0f}", gender_words(looks.gender)]
    portrait = looks.portrait
    return {
        "emotions": {name: round(mean, 4) for name, mean in looks.emotions.items()},
        "emotion_words": ", ".join(shown) or "expressions unknown",
        "words": ", ".join(text for text in said if text),
        "portrait": portrait and {"video": portrait[0][0], "track": portrait[0][1], "second": portrait[1]},
    }


def _said(body: bytes) -> dict[str, Any]:
    try:
        said = json.loads(body[:_LONGEST])
    except ValueError:
        said = None
    if not isinstance(said, dict) or not _is_number(said.get("person")):
        raise UsageError("A decision is a JSON object with a person.")
    return said


def _decide(out: str, said: dict[str, Any]) -> list[Decision]:
    """Makes the decision that a page sent; a merge of several persons is several decisions."""
    person, kind = said["person"], said.get("kind")
    if kind == "name":
        return [name_person(person, str(said.get("name") or "")[:_LONGEST_NAME], out)]
    if kind == "merge":
        others = said.get("others")
        if not isinstance(others, list) or not 0 < len(others) <= _MOST_AT_ONCE or not all(map(_is_number, others)):
            raise UsageError("Say which other persons it is.")
        return [merge_persons(person, other, out) for other in others]
    tracks = said.get("tracks")
    if kind not in ("split", "not") or not isinstance(tracks, list) or not 0 < len(tracks) <= _MOST_AT_ONCE:
        raise UsageError("Choose the tracks that it is about.")
    return [(split_person if kind == "split" else not_person)(person, [str(track) for track in tracks], out)]


def _is_number(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**31


def _words(decision: Decision) -> str:
    """A decision as people say it."""
    person, tracks = f"person {decision.person_id}", words.counted(len(decision.tracks), "track")
    if decision.person_id is None:
        person = "a person"
    if decision.kind == "name":
        return f"{person} is {decision.name}" if decision.name else f"{person} has no name"
    other = "another person" if decision.other_id is None else f"person {decision.other_id}"
    return {
        "merge": f"{other} is {person}: {tracks}",
        "split": f"{tracks} of {person}: {other}",
        "not": f"{tracks} not {person}: now {other}",
    }[decision.kind]
