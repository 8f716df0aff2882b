"""The files of videos: found by content, sent in ranges, and never named in an address."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Sequence

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from schemas import storage
from schemas.config import Config
from schemas.errors import FacelogError
from schemas.layout import LIVE
from transforms.ledger import Row
from transforms.open_video import open_video, read_frames
from transforms.picture import Orientation
from transforms.video_id import video_id

_CHUNK = 1 << 18
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")

_PLAYED = {".webm": ("vp8", "vp9", "av1"), **dict.fromkeys((".mp4", ".m4v", ".mov"), ("h264", "vp9", "av1"))}
"""By ending of the name, codecs that all browsers play; the container has to be the one that the ending says."""
_CONTAINERS = {".webm": "matroska"}
_PIXELS = ("yuv420p", "yuvj420p")
_TYPES = {".webm": "video/webm"}


class GoneError(FacelogError):
    """No file of a video is there any more."""


def find_file(rows: Sequence[Row]) -> str:
    """The file of a video: the first of its copies that is there with the content that was analyzed.

    Args:
      rows: of `videos`: of the file and its copies.

    Raises:
      GoneError: there is none; it says why.
    """
    reasons = []
    for row in rows:
        uri = row["uri"]
        if uri.startswith(LIVE):
            reasons.append("The pictures of a live source were not kept.")
            continue
        try:
            info = storage.stat(uri)
            is_known = (info.size_bytes, info.modified_at) == (row["size_bytes"], row["modified_at"])
            if is_known or _content(uri, info.size_bytes or 0, str(info.modified_at)) == row["video_id"]:
                return uri
            reasons.append(f"{uri} is another file than the one that was analyzed.")
        except FileNotFoundError:
            reasons.append(f"{uri} is not there any more.")
        except (FacelogError, OSError) as error:
            reasons.append(str(error))
    raise GoneError(" ".join(reasons[:3]))


@functools.lru_cache(1000)
def _content(uri: str, size: int, modified: str) -> str:
    with storage.open_input(uri) as file, storage.plain_errors(uri):
        return video_id(file, size)


def is_played(uri: str, row: Row) -> bool:
    """Whether browsers play a file as it is, and show its pictures at the times that the tables have.

    Not where something is unusual: damage, time stamps that jump, a cropped or mirrored picture.
    """
    ending = uri[uri.rfind(".") :].lower()
    return (
        row["codec"] in _PLAYED.get(ending, ())
        and (row["container"] or "").startswith(_CONTAINERS.get(ending, "mov"))
        and row["pix_fmt"] in _PIXELS
        and (row["status"], row["error_message"], row["start_pts"] is None) == ("ok", None, False)
        and not _is_mirrored(uri, str(row["modified_at"]))
    )


@functools.lru_cache(1000)
def _is_mirrored(uri: str, _: str) -> bool:
    with open_video(uri, Config()) as (container, stream):
        for frame in read_frames(container, stream):
            shown = Orientation.of(frame)
            return (shown.flip_x != shown.flip_y) != shown.transposed
    return False


def send(request: Request, uri: str) -> Response:
    """A file, or the range of it that a player asks for.

    Raises:
      FileNotFoundError, StorageError: it cannot be read.
    """
    size = storage.stat(uri).size_bytes or 0
    kind = _TYPES.get(uri[uri.rfind(".") :].lower(), "video/mp4")
    headers = {"accept-ranges": "bytes", "cache-control": "private, max-age=3600"}
    asked = request.headers.get("range")
    start, end = 0, size - 1
    if asked is not None:
        found = _bounds(asked, size)
        if found is None:
            return Response(status_code=416, headers=headers | {"content-range": f"bytes */{size}"})
        start, end = found
        headers["content-range"] = f"bytes {start}-{end}/{size}"
    headers["content-length"] = str(end - start + 1)
    if request.method == "HEAD":
        return Response(status_code=206 if asked else 200, headers=headers, media_type=kind)
    return StreamingResponse(_parts(uri, start, end), 206 if asked else 200, headers, kind)


def _bounds(asked: str, size: int) -> tuple[int, int] | None:
    """First and last byte of a single range; None where it means nothing or lies behind the end."""
    match = _RANGE.fullmatch(asked.strip())
    if match is None or match[1] == match[2] == "":
        return None
    if match[1] == "":
        start, end = max(size - int(match[2]), 0), size - 1
    else:
        start, end = int(match[1]), min(int(match[2]) if match[2] else size - 1, size - 1)
    return (start, end) if start <= end else None


def _parts(uri: str, start: int, end: int) -> Iterator[bytes]:
    with storage.open_input(uri) as file:
        file.seek(start)
        left = end - start + 1
        while left > 0 and (data := file.read(min(_CHUNK, left))):
            left -= len(data)
            yield data
