"""Results for other programs: MOT, OpenFace-like CSV, spreadsheets, subtitles, FiftyOne, RTTM."""

from __future__ import annotations

import dataclasses
import posixpath
from collections.abc import Callable, Iterable, Iterator

from rich.console import Console

from pipelines.exports import fiftyone, mot, openface, rttm, spreadsheet, subtitles
from pipelines.exports.videos import NothingToExportError, Video, choose_videos
from pipelines.progress_bar import with_bar
from schemas import storage
from schemas.errors import FacelogError, StorageError, StorageFullError, UsageError

FORMATS = ("mot", "csv", "openface", "subtitles", "fiftyone", "rttm")
_FROM_OBSERVATIONS = ("mot", "openface")


@dataclasses.dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes:
      files: names, in order.
      left_out: uri and reason of each video that cannot be exported in this format.
      failed: uri and reason of each video whose tables are missing or damaged, or whose files cannot be written.
    """

    files: list[str]
    left_out: list[tuple[str, str]]
    failed: list[tuple[str, str]] = dataclasses.field(default_factory=list)


def export(
    out: str,
    to: str,
    target: str,
    *,
    videos: Iterable[str] = (),
    subtitle_format: str = "ass",
    console: Console | None = None,
) -> Exported:
    """Writes results in the format of another program, one video after the other. One that fails does not end it.

        export("out", "mot", "mot/", videos=["talk.mp4"])

    Args:
      out: DIR, on disk or on an object store.
      to: mot, csv, openface, subtitles, fiftyone or rttm (see docs/exports.md).
      target: a folder, made if it is not there; for fiftyone a JSON file, or a folder that gets `facelog.json`.
      videos: uris, names of files, or ids; none: all.
      subtitle_format: ass or vtt.
      console: where progress is shown; none: nowhere.

    Raises:
      UsageError: no such format, no results in DIR, no such video, or none that can be had in the format.
      StorageError: nothing can be written, or DIR cannot be read.
    """
    if to not in FORMATS:
        raise UsageError(f"--to {to}: choose one of {', '.join(FORMATS)}.")
    if subtitle_format not in subtitles.FORMATS:
        raise UsageError(f"--format {subtitle_format}: choose one of {', '.join(subtitles.FORMATS)}.")
    target, asked = storage.normalize(target), list(videos)
    chosen = choose_videos(out, asked)
    left_out: list[tuple[str, str]] = []
    failed: list[tuple[str, str]] = []

    def leave_out(video: Video, reason: Exception) -> None:
        if isinstance(reason, NothingToExportError):
            left_out.append((video.row["uri"], str(reason)))
            return
        known = isinstance(reason, FacelogError | FileNotFoundError)
        text = str(reason) if known else f"it cannot be exported ({type(reason).__name__}: {reason})"
        failed.append((video.row["uri"], text))

    shown = with_bar(chosen, "exporting", len(chosen), console)
    if to == "csv":
        tables = spreadsheet.export_csv(chosen, target, leave_out, whole=not asked)
        files = list(with_bar(tables, "exporting", len(spreadsheet.TABLES), console))
    elif to == "fiftyone":
        files = list(fiftyone.export_fiftyone(shown, _json_file(target), leave_out))
    else:
        names = rttm.names_of_persons(chosen[0].out) if to == "rttm" else {}
        one = {
            "mot": mot.export_mot,
            "openface": openface.export_openface,
            "subtitles": lambda video, folder: subtitles.export_subtitles(video, folder, form=subtitle_format),
            "rttm": lambda video, folder: rttm.export_rttm(video, folder, names),
        }[to]
        files = [name for video in shown for name in _one_video(video, one, target, leave_out)]
    if to in (*_FROM_OBSERVATIONS, "rttm") and len(left_out) == len(chosen):
        raise UsageError(_nothing(to, chosen[0].out, left_out))
    if not files and failed:
        raise StorageError(failed[0][1])
    return Exported(files, left_out, failed)


def _one_video(
    video: Video,
    write: Callable[[Video, str], Iterator[str]],
    target: str,
    leave_out: Callable[[Video, Exception], None],
) -> list[str]:
    try:
        return list(write(video, target))
    except StorageFullError:
        raise
    except Exception as reason:  # its tables may hold anything
        leave_out(video, reason)
        return []


def _json_file(target: str) -> str:
    return target if target.lower().endswith(".json") else storage.join(target, "facelog.json")


def _nothing(to: str, out: str, left_out: list[tuple[str, str]]) -> str:
    reasons = {reason for _, reason in left_out}
    if reasons == {"its observations were not kept"}:
        return (
            f"--to {to} needs every sample of every face, which {out} does not have: analyze the videos into a new "
            f"folder with `facelog analyze … --keep-observations`."
        )
    uri, reason = left_out[0]
    return f"No video can be had as {to}; {posixpath.basename(uri)}: {reason}."
