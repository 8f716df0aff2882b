"""The list of videos, its search, and the progress of a run."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from pipelines import words
from pipelines.reports.words import STATUSES, advice
from pipelines.results.status import Status
from pipelines.serve import pages
from pipelines.serve.archive import Archive
from pipelines.serve.summaries import SHARES
from pipelines.serve.video_list import COLUMNS, PAGE_ROWS, VideoQuestion
from schemas.errors import FacelogError, UsageError
from schemas.tables import EMOTIONS


def archive_routes(archive: Archive) -> list[Route]:
    """The addresses of the list."""

    def show(_: Request) -> Response:
        columns = [
            {"name": c.name, "words": c.words, "kind": c.kind, "operators": c.operators} for c in COLUMNS.values()
        ]
        return pages.page("archive.html.j2", out=archive.out, columns=columns, here="/")

    def videos(request: Request) -> Response:
        now = archive.asked()
        try:
            total, rows = VideoQuestion.parse(request.query_params).ask(now)
        except UsageError as error:
            return pages.refused(error)
        return pages.answer(
            {"total": total, "page_rows": PAGE_ROWS, "snapshot": now.number, "videos": [_line(row) for row in rows]}
        )

    def status(_: Request) -> Response:
        try:
            state = archive.status()
        except FacelogError as error:
            return pages.refused(error, 503)
        return pages.answer(_state(archive, state))

    return [Route("/", show), Route("/api/videos", videos), Route("/api/status", status)]


def _line(row: dict[str, Any]) -> dict[str, Any]:
    """A row of the list, in words."""
    folder, _, name = row["uri"].rpartition("/")
    shares = {emotion: row[share] for emotion, share in zip(EMOTIONS, SHARES, strict=True) if row[share]}
    ages = [row[name] for name in ("age_youngest", "age_oldest") if row[name] is not None]
    return {
        "name": name,
        "folder": folder,
        "video_id": row["video_id"] if row["status"] in ("ok", "partial") else None,
        "status": row["status"],
        "status_words": STATUSES[row["status"]],
        "reason": None if row["status"] == "ok" else row["error_message"] or row["error_type"],
        "advice": advice(row["status"], row["error_type"]),
        "duration": None if row["duration"] is None else words.lasting(row["duration"]),
        "tracks": _count(row["n_tracks"]),
        "at_once": _count(row["max_faces"]),
        "face_seconds": _count(row["face_seconds"]),
        "strip": row["strip"],
        "strip_words": ", ".join(f"{name} {words.percent(share)}" for name, share in _falling(shares)) or None,
        "ages": None if not ages else "–".join(dict.fromkeys(f"{age:.0f}" for age in ages)),
        "recorded": None if row["recorded_at"] is None else f"{row['recorded_at']:%Y-%m-%d %H:%M}",
    }


def _falling(shares: dict[str, float]) -> list[tuple[str, float]]:
    return sorted(shares.items(), key=lambda item: -item[1])


def _count(number: int | None) -> str | None:
    return None if number is None else f"{number:,}"


def _state(archive: Archive, state: Status) -> dict[str, Any]:
    """What the top of the list says: what there is, how far a run is, and how far the sums are."""
    now = archive.now
    contents = [own[0] for own in now.by_id.values()]
    lines = []
    if state.state == "running" and state.progress:
        left = state.seconds_left
        lines.append(
            f"A run is going on: {words.percent(state.progress.share)} done, "
            f"{words.counted(state.progress.assembled, 'file')} finished"
            + (f", about {words.lasting(left)} left." if left is not None else ".")
        )
    elif state.state == "stopped":
        lines.append("The last run was stopped; the same command goes on where it was.")
    if now.summed < len(contents):
        lines.append(f"Sums of {now.summed:,} of {words.counted(len(contents), 'video')} are made; the others follow.")
    return {
        "snapshot": now.number,
        "running": state.state == "running" or now.summed < len(contents),
        "share": state.progress.share if state.progress and state.state == "running" else None,
        "lines": lines,
        "tiles": {
            "files": f"{len(now.rows):,}",
            "problems": f"{sum(row['status'] != 'ok' for row in now.rows.values()):,}",
            "length": words.lasting(sum(row["duration"] or 0.0 for row in contents)),
            "faces": f"{sum(row['face_seconds'] or 0 for row in contents):,}",
        },
    }
