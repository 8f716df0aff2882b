"""Thumbnails: each track's best sample as a small picture from the video file, pixelated on request."""

from __future__ import annotations

import base64
import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import av
import cv2
import numpy as np

from pipelines.reports.content import VideoReport
from schemas import storage
from schemas.config import Config
from schemas.errors import FacelogError
from schemas.layout import LIVE
from schemas.video import Clock
from transforms.decode_frames import decode_segment
from transforms.open_video import open_video
from transforms.picture import Picture
from transforms.probe_video import probe_video
from transforms.video_id import video_id

_SIZE = 112
_AROUND = 1.5
"""Side of a thumbnail's part of the picture, in sides of the face's box."""
_BLOCKS = 8
"""Pixels across in a pixelated thumbnail: light and pose remain, but nobody can be recognised."""
_QUALITY = 82
_SAME = 0.001
"""Seconds by which the time of the wanted frame may differ: samples are frames, so only rounding makes a difference."""
_SEEK_BACK = 10.0


class Seen(Protocol):
    """A face at one time: x, y, width and height of its box, and the second of a frame."""

    @property
    def track_id(self) -> int: ...
    @property
    def best_timestamp(self) -> float: ...
    @property
    def box(self) -> tuple[float, float, float, float]: ...


def add_thumbnails(report: VideoReport, tracks: int, *, blur: bool) -> VideoReport:
    """The report with pictures of its first tracks; where there are none, `no_thumbnails` says why.

    Args:
      report: of a video whose file may be there or not.
      tracks: how many, the longest first.
      blur: whether they are pixelated.
    """
    wanted = report.tracks[:tracks]
    if not wanted:
        return report
    pictures, reason = thumbnails_of(report.uris, report.facts, wanted, blur=blur)
    if reason:
        return dataclasses.replace(report, no_thumbnails=reason)
    shown = tuple(dataclasses.replace(t, thumbnail=pictures.get(t.track_id)) for t in report.tracks)
    return dataclasses.replace(report, tracks=shown)


def thumbnails_of(
    uris: Sequence[str], facts: Mapping[str, Any], tracks: Sequence[Seen], *, blur: bool
) -> tuple[dict[int, str], str | None]:
    """Pictures of tracks from the first of a video's files that is still the one that was analyzed.

    Args:
      uris: of the file and its copies.
      facts: its row of `videos`.
      tracks: whose best samples are wanted.
      blur: whether they are pixelated.

    Returns:
      The pictures as `data:` URLs by track; and, where there are none, why.
    """
    if facts["start_pts"] is None:
        return {}, "The file has no time stamps by which a picture can be found."
    reasons = []
    for uri in uris:
        try:
            _check(uri, facts["video_id"])
            return read_thumbnails(uri, facts, tracks, blur=blur), None
        except FileNotFoundError:
            reasons.append(f"{uri} is not there any more.")
        except (FacelogError, OSError, av.error.FFmpegError) as error:
            reasons.append(str(error))
    return {}, " ".join(reasons)


def _check(uri: str, wanted: str) -> None:
    """Raises FacelogError unless the file is the one that was analyzed."""
    if uri.startswith(LIVE):
        raise FacelogError("The pictures of a live source were not kept.")
    size = storage.stat(uri).size_bytes or 0
    with storage.open_input(uri) as file, storage.plain_errors(uri):
        if video_id(file, size) != wanted:
            raise FacelogError(f"{uri} is another file than the one that was analyzed.")


def read_thumbnails(uri: str, facts: Mapping[str, Any], tracks: Sequence[Seen], *, blur: bool) -> dict[int, str]:
    """Pictures as `data:` URLs by track; a time at which nothing decodes has none."""
    ordered = sorted(tracks, key=lambda t: t.best_timestamp)
    if facts["duration"] is None or "time stamps" in (facts["error_message"] or ""):
        return _read_through(uri, ordered, blur=blur)
    numerator, denominator = (int(part) for part in facts["time_base"].split("/"))
    clock = Clock(facts["start_pts"], numerator, denominator)
    aspect = facts["sample_aspect_ratio"] or 1.0
    pictures: dict[int, str] = {}
    with open_video(uri, Config()) as (container, stream):
        for track in ordered:
            frame = _frame_at(container, stream, clock, track.best_timestamp)
            if frame is not None:
                pictures[track.track_id] = _picture(Picture(frame, aspect), track.box, blur=blur)
    return pictures


def _read_through(uri: str, tracks: Sequence[Seen], *, blur: bool) -> dict[int, str]:
    """The same by reading the file from its start: of a picture, and where its time stamps are no way to seek."""
    config = Config().override(sample_fps=float("inf"))
    pictures: dict[int, str] = {}
    for segment in probe_video(storage.stat(uri), config).segments:
        for sample in decode_segment(segment, config).samples:
            for track in tracks:
                if abs(sample.timestamp - track.best_timestamp) <= _SAME:
                    pictures[track.track_id] = _picture(sample.picture, track.box, blur=blur)
            if len(pictures) == len(tracks):
                return pictures
    return pictures


def _frame_at(container: Any, stream: av.VideoStream, clock: Clock, time: float) -> av.VideoFrame | None:
    """The frame of a time; None where none of that time decodes. Some containers seek too far, so also from before."""
    for earlier in (0.0, _SEEK_BACK):
        ticks = (clock.start_pts or 0) + round((time - earlier) * clock.denominator / clock.numerator)
        try:
            container.seek(ticks, stream=stream)
            for frame in container.decode(stream):
                seconds = -1.0 if frame.pts is None else clock.seconds(frame.pts)
                if abs(seconds - time) <= _SAME:
                    return frame
                if seconds > time:
                    break
        except av.error.FFmpegError:
            continue
    return None


def _picture(picture: Picture, box: tuple[float, float, float, float], *, blur: bool) -> str:
    scale_x, scale_y = picture.box_scale
    x, y, width, height = (value / scale for value, scale in zip(box, (scale_x, scale_y) * 2, strict=True))
    scale = _SIZE / (max(width, height, 1.0) * _AROUND)
    shift_x, shift_y = (_SIZE / 2 - scale * middle for middle in (x + width / 2, y + height / 2))
    chip = picture.chip(np.array([[scale, 0, shift_x], [0, scale, shift_y]]), _SIZE, "bgr")
    if blur:
        small = cv2.resize(np.ascontiguousarray(chip), (_BLOCKS, _BLOCKS), interpolation=cv2.INTER_AREA)
        chip = cv2.resize(small, (_SIZE, _SIZE), interpolation=cv2.INTER_NEAREST)
    _, data = cv2.imencode(".jpg", np.ascontiguousarray(chip), [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    return f"data:image/jpeg;base64,{base64.b64encode(data.tobytes()).decode()}"
