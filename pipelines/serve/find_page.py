"""The page that finds moments: a form, its SQL, and the answer with a picture of each moment."""

from __future__ import annotations

import base64
import dataclasses
import functools
import io
import json
import threading
from collections.abc import Callable
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from pipelines.queries.query import write_csv, write_json
from pipelines.queries.sandbox import limited_question
from pipelines.reports.thumbnails import read_thumbnails
from pipelines.results.tables import read_video_table
from pipelines.serve import media, pages
from pipelines.serve.archive import Archive
from pipelines.serve.clip_lists import edit_list, playlist
from pipelines.serve.find import MOST, Question, moment_of
from schemas.errors import FacelogError, UsageError
from schemas.tables import EMOTIONS, GENDERS

_LONGEST_SQL = 20_000
_AT_ONCE = threading.Semaphore(2)
"""Pictures that are read at once: each decodes up to ten seconds of a video."""


@dataclasses.dataclass(frozen=True)
class _Face:
    track_id: int
    best_timestamp: float
    box: tuple[float, float, float, float]


def find_routes(archive: Archive) -> list[Route]:
    """The addresses of the search."""

    def show(_: Request) -> Response:
        return pages.page("find.html.j2", here="/find", genders=GENDERS, emotions=EMOTIONS, most=MOST)

    def sql(request: Request) -> Response:
        try:
            return pages.answer({"sql": Question.parse(request.query_params).sql})
        except UsageError as error:
            return pages.refused(error)

    async def find(request: Request) -> Response:
        return await _answered(archive, request, _answer)

    async def csv(request: Request) -> Response:
        return await _answered(archive, request, _as_csv)

    async def m3u(request: Request) -> Response:
        return await _answered(archive, request, functools.partial(_as_clips, playlist, "audio/x-mpegurl"))

    async def edl(request: Request) -> Response:
        return await _answered(archive, request, functools.partial(_as_clips, edit_list, "text/plain"))

    def thumbnail(request: Request) -> Response:
        return _thumbnail(archive, request)

    return [
        Route("/find", show),
        Route("/api/find/sql", sql),
        Route("/api/find", find, methods=["POST"]),
        Route("/api/find/csv", csv, methods=["POST"]),
        Route("/api/find/m3u", m3u, methods=["POST"]),
        Route("/api/find/edl", edl, methods=["POST"]),
        Route("/thumbnail/{video_id}/{track:int}/{second:int}", thumbnail),
    ]


async def _answered(archive: Archive, request: Request, work: Any) -> Response:
    """What `work` makes of the question in the request's body."""
    text = (await request.body())[: _LONGEST_SQL + 1].decode(errors="replace")
    try:
        if len(text) > _LONGEST_SQL:
            raise UsageError(f"The question is longer than {_LONGEST_SQL:,} letters.")
        return await run_in_threadpool(work, archive, text)
    except FacelogError as error:
        return pages.refused(error)


def _rows(archive: Archive, sql: str, most: int) -> tuple[list[str], list[dict[str, Any]]]:
    with limited_question(archive.out, sql, archive.asked().videos) as relation:
        columns, text = list(relation.project("*").columns), io.BytesIO()
        write_json(relation.limit(most), text)
    return columns, json.loads(text.getvalue())


def _answer(archive: Archive, sql: str) -> Response:
    columns, rows = _rows(archive, sql, MOST + 1)
    shown = rows[:MOST]
    known = archive.now.by_id
    moments = [moment_of(row) for row in shown]
    found = [moment if moment and moment.video_id in known else None for moment in moments]
    return pages.answer(
        {
            "columns": columns,
            "rows": [[row[column] for column in columns] for row in shown],
            "moments": [dataclasses.asdict(moment) if moment else None for moment in found],
            "names": {m.video_id: known[m.video_id][0]["uri"].rsplit("/", 1)[-1] for m in found if m},
            "more": len(rows) > MOST,
        }
    )


def _as_csv(archive: Archive, sql: str) -> Response:
    text = io.BytesIO()
    with limited_question(archive.out, sql, archive.asked().videos) as relation:
        write_csv(relation, text, line_end="\r\n")
    return Response(text.getvalue(), media_type="text/csv")


def _as_clips(written: Callable[..., str], kind: str, archive: Archive, sql: str) -> Response:
    _, rows = _rows(archive, sql, MOST)
    moments = [moment for row in rows if (moment := moment_of(row)) is not None]
    if not moments:
        raise UsageError("No row of the answer is a moment: it needs the columns video_id and start (or second).")
    return Response(written(moments, archive.now.by_id), media_type=kind)


def _thumbnail(archive: Archive, request: Request) -> Response:
    rows = archive.asked().by_id.get(request.path_params["video_id"])
    track, second = request.path_params["track"], request.path_params["second"]
    if rows is None:
        raise HTTPException(404)
    try:
        faces = read_video_table(archive.out, "faces", rows[0]["video_id"]).to_pylist()
        face = next((f for f in faces if (f["track_id"], f["second"]) == (track, second)), None)
        if face is None or rows[0]["start_pts"] is None:
            raise HTTPException(404)
        seen = _Face(track, face["timestamp"], (face["x"], face["y"], face["width"], face["height"]))
        with _AT_ONCE:
            picture = read_thumbnails(media.find_file(rows), rows[0], [seen], blur=False).get(track)
    except FacelogError as error:
        raise HTTPException(404, str(error)) from error
    if picture is None:
        raise HTTPException(404)
    data = base64.b64decode(picture.partition(",")[2])
    return Response(data, media_type="image/jpeg", headers={"cache-control": "private, max-age=3600"})
