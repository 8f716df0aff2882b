"""Addresses by which pages read, add and remove annotations."""

from __future__ import annotations

import json
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from pipelines.results.corrections import annotate_face, read_annotations, remove_annotation
from pipelines.results.tables import read_video_table
from pipelines.serve import pages
from pipelines.serve.archive import Archive
from schemas.errors import FacelogError, UsageError
from transforms.ledger import Row

_LONGEST = 10_000


def correction_routes(archive: Archive) -> list[Route]:
    """What lies below a video's annotations."""

    def row_of(request: Request) -> Row:
        rows = archive.asked().by_id.get(request.path_params["video_id"])
        if rows is None:
            raise HTTPException(404)
        return rows[0]

    def answered(video_id: str) -> Response:
        found = read_annotations(archive.out, video_id)
        return pages.answer({"writable": not archive.is_copy, "annotations": [_told(each) for each in found]})

    async def annotations(request: Request) -> Response:
        row = row_of(request)
        body = await request.body() if request.method == "POST" else b""
        try:
            return await run_in_threadpool(_add_or_list, archive, row, body, answered)
        except FacelogError as error:
            return pages.refused(error)

    def remove(request: Request) -> Response:
        row = row_of(request)
        try:
            remove_annotation(archive.out, row["video_id"], request.path_params["annotation_id"])
        except FacelogError as error:
            return pages.refused(error)
        return answered(row["video_id"])

    of = "/api/video/{video_id}/annotations"
    return [
        Route(of, annotations, methods=["GET", "POST"]),
        Route(of + "/{annotation_id}", remove, methods=["DELETE"]),
    ]


def _add_or_list(archive: Archive, row: Row, body: bytes, answered: Any) -> Response:
    if body:
        if archive.is_copy:
            raise UsageError("This is a compact copy; annotations belong into the folder that it was made from.")
        said = _said(body)
        faces = read_video_table(archive.out, "faces", row["video_id"]).to_pylist()
        face = next((f for f in faces if (f["track_id"], f["second"]) == (said.get("track"), said.get("second"))), None)
        if face is None:
            raise UsageError("The tables have no such face in this second.")
        annotate_face(archive.out, row, face, said)
    return answered(row["video_id"])


def _said(body: bytes) -> dict[str, Any]:
    try:
        said = json.loads(body[:_LONGEST])
    except ValueError:
        said = None
    if not isinstance(said, dict):
        raise UsageError("An annotation is a JSON object.")
    return said


def _told(annotation: dict[str, Any]) -> dict[str, Any]:
    shown = ("annotation_id", "track_id", "second", "scope", "kind", "emotion", "comment", "author")
    return {name: annotation[name] for name in shown} | {"created_at": f"{annotation['created_at']:%Y-%m-%d %H:%M}"}
