"""The page of a video: its picture with faces drawn upon, its timeline, and what is known of a face at any time."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from pipelines.annotations.face_paths import FacePath, FacePaths, read_paths, read_settings
from pipelines.face_words import age_words, flag_words, gender_words
from pipelines.reports import charts
from pipelines.reports.pages import MOST_ROWS
from pipelines.reports.video import read_tables
from pipelines.results.tables import read_video_table
from pipelines.serve import media, pages
from pipelines.serve.archive import Archive
from pipelines.serve.lanes import PERSON, Lanes, widest_bin
from pipelines.serve.persons import Persons
from pipelines.serve.previews import Previews
from pipelines.serve.security import CHART_POLICY
from pipelines.serve.summaries import made_of
from schemas.errors import FacelogError, StorageError, UsageError
from schemas.tables import EMOTION_COLUMNS, EMOTIONS
from transforms.ledger import Row

WINDOW = 300
"""Seconds of faces that a page asks for at once."""
_KEPT = 4
"""Videos whose faces are kept in memory."""


def video_routes(archive: Archive, previews: Previews, persons: Persons) -> list[Route]:
    """The addresses of a video."""
    videos = _Videos(archive, previews, persons)
    of = "/api/video/{video_id}"
    return [
        Route("/video/{video_id}", videos.show),
        Route("/media/{video_id}", videos.send),
        Route("/preview/{video_id}", videos.send_preview),
        Route(of + "/source", videos.source, methods=["GET", "POST"]),
        Route(of + "/faces/{window:int}", videos.faces),
        Route(of + "/timeline", videos.timeline),
    ]


@dataclasses.dataclass(frozen=True)
class FacesOfVideo:
    """The paths of a video's faces, and its rows of `faces` by track and second."""

    paths: FacePaths
    rows: Mapping[tuple[int, int], Row]

    def between(self, start: float, end: float) -> list[dict[str, Any]]:
        """The tracks that are seen between two times, with their boxes and what is said of them, for a page."""
        tracks = []
        for path, hold in zip(self.paths.paths, self.paths.holds, strict=True):
            if path.times[0] < end and path.times[-1] + hold >= start:
                tracks.append(self._track(path, float(hold), start, end))
        return tracks

    def _track(self, path: FacePath, hold: float, start: float, end: float) -> dict[str, Any]:
        # One sample more on either side, between which and those inside a box moves.
        first = max(int(path.times.searchsorted(start, "right")) - 1, 0)
        last = int(path.times.searchsorted(end)) + 1
        seconds = [
            {"second": int(second), **self._second(path.track_id, int(second)), **dataclasses.asdict(caption)}
            for second, caption in zip(path.seconds, path.captions, strict=True)
            if start - 1 <= second < end
        ]
        return {
            "track": path.track_id,
            "hold": hold if last > len(path.times) else 0.0,
            "times": [round(float(time), 6) for time in path.times[first:last]],
            "boxes": [[round(float(side), 2) for side in box] for box in path.boxes[first:last]],
            "seconds": seconds,
        }

    def _second(self, track: int, second: int) -> dict[str, Any]:
        row = self.rows[track, second]
        known = {name: row[column] for name, column in zip(EMOTIONS, EMOTION_COLUMNS, strict=True)}
        age = {name: row[name] for name in ("age", "age_low", "age_high")}
        return {
            "probabilities": {name: round(value, 6) for name, value in known.items() if value is not None},
            "measured": row["emotion"],
            **{name: None if years is None else round(years, 1) for name, years in age.items()},
            "age_words": age_words(*age.values(), note="80 %: "),
            "gender_words": gender_words(row["gender"], row["gender_female"]),
            "flags": flag_words(row["quality_flags"]),
        }


class _Videos:
    def __init__(self, archive: Archive, previews: Previews, persons: Persons):
        self._archive, self._previews, self._persons = archive, previews, persons
        self._faces = functools.lru_cache(_KEPT)(self._read_faces)
        self._lanes = functools.lru_cache(_KEPT)(self._read_lanes)

    def show(self, request: Request) -> Response:
        rows = self._rows(request)
        if self._archive.is_copy:
            text = "This is a compact copy, which holds the tables of all videos together."
            advice = "look at single videos with the folder that the copy was made from"
            return pages.refusal(409, rows[0]["uri"].rsplit("/", 1)[-1], text, advice=advice)
        try:
            lanes, who = self._lanes_of(rows), self._persons.in_video(rows[0]["video_id"])
        except StorageError as error:
            return pages.refusal(409, rows[0]["uri"].rsplit("/", 1)[-1], str(error))
        choices = lanes.choices(who)
        report = lanes.drawn(choices[0], who)
        figure = charts.timeline_figure(report)
        known = {
            "id": rows[0]["video_id"],
            "width": (rows[0]["width"] or 0) * (rows[0]["sample_aspect_ratio"] or 1.0),
            "boxes": [rows[0]["width"], rows[0]["height"]],
            "height": rows[0]["height"],
            "length": max(rows[0]["duration"] or 0.0, len(report.counts.mean) * report.counts.bin_seconds),
            "fps": rows[0]["avg_fps"] or 25.0,
            "period": 1 / (rows[0]["sample_fps"] or rows[0]["avg_fps"] or 25.0),
            "cuts": [shot.start for shot in report.shots[1:]],
            "tracks": sorted([track.start, track.track_id] for track in report.tracks),
            "window": WINDOW,
            "persons": {track: [person, name] for track, (person, name) in who.items()},
            "by": choices[0],
            "bins": widest_bin(report),
            "covers": figure["layout"]["xaxis"]["range"],
        }
        return pages.page(
            "video.page.html.j2",
            policy=CHART_POLICY,
            report=report,
            facts=report.facts,
            known=known,
            figure=figure,
            choices=choices,
            most_rows=MOST_ROWS,
        )

    async def source(self, request: Request) -> Response:
        """Where the page finds something to play; POST begins a preview."""
        rows = self._rows(request)
        return pages.answer(await run_in_threadpool(self._source, rows, request.method == "POST"))

    def send(self, request: Request) -> Response:
        try:
            return media.send(request, media.find_file(self._rows(request)))
        except (FacelogError, FileNotFoundError) as error:
            raise HTTPException(404, str(error)) from error

    def send_preview(self, request: Request) -> Response:
        path = self._previews.find(self._rows(request)[0]["video_id"])
        if path is None:
            raise HTTPException(404, "There is no preview of this video.")
        return media.send(request, str(path))

    def faces(self, request: Request) -> Response:
        row, start = self._rows(request)[0], request.path_params["window"] * WINDOW
        try:
            faces = self._faces(row["video_id"], made_of(row))
        except StorageError as error:
            return pages.refused(error, 409)
        found = faces.between(start, start + WINDOW)
        return pages.answer({"observed": faces.paths.from_observations, "tracks": found})

    def timeline(self, request: Request) -> Response:
        """The figure of the timeline with other lanes, or of a part of it."""
        rows, given = self._rows(request), request.query_params
        try:
            part = (_seconds(given["from"]), _seconds(given["to"])) if "from" in given and "to" in given else None
            who = self._persons.in_video(rows[0]["video_id"])
            return pages.answer(self._lanes_of(rows).figure(given.get("by", PERSON), who, part))
        except FacelogError as error:
            return pages.refused(error)

    def _lanes_of(self, rows: list[Row]) -> Lanes:
        return self._lanes(rows[0]["video_id"], made_of(rows[0]), tuple(row["uri"] for row in rows))

    def _read_lanes(self, video_id: str, _: str, __: tuple[str, ...]) -> Lanes:
        return Lanes(self._archive.now.by_id[video_id], read_tables(self._archive.out, video_id))

    def _rows(self, request: Request) -> list[Row]:
        rows = self._archive.asked().by_id.get(request.path_params["video_id"])
        if rows is None:
            raise HTTPException(404, "There is no video of this id with tables.")
        return rows

    def _source(self, rows: list[Row], begin: bool) -> dict[str, Any]:
        video_id = rows[0]["video_id"]
        try:
            uri = media.find_file(rows)
            if not begin and media.is_played(uri, rows[0]):
                return {"kind": "file", "address": f"/media/{video_id}"}
            if self._previews.find(video_id) is not None:
                return {"kind": "preview", "address": f"/preview/{video_id}"}
            state = self._previews.progress(video_id)
            if begin:
                state = self._previews.make(video_id, uri, read_settings(self._archive.out, video_id))
            return {"kind": "none"} if state is None else {"kind": "making"} | dataclasses.asdict(state)
        except FacelogError as error:
            return {"kind": "gone", "reason": str(error)}

    def _read_faces(self, video_id: str, _: str) -> FacesOfVideo:
        out = self._archive.out
        paths = read_paths(out, video_id, read_settings(out, video_id))
        faces = read_video_table(out, "faces", video_id).to_pylist()
        return FacesOfVideo(paths, {(face["track_id"], face["second"]): face for face in faces})


def _seconds(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise UsageError(f"{text[:40]} is no time in seconds.") from None
