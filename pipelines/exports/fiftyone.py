"""A data set for FiftyOne, as `fiftyone.Dataset.from_json(FILE)` reads it: samples, frames with faces, and tracks.

The format is that of FiftyOne's `to_json`, written by hand so that the package and its database are not needed.
Frames count from 1 there and boxes are parts of the picture. Each face and second is a detection on the frame of its
best sample; each track is a temporal detection.
"""

import json
import mimetypes
import posixpath
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from pipelines.exports.videos import NothingToExportError, Video
from schemas import storage

_TEXT, _INT = "fiftyone.core.fields.StringField", "fiftyone.core.fields.IntField"
_ID, _FRAME = "fiftyone.core.fields.ObjectIdField", "fiftyone.core.fields.FrameNumberField"


def _document(kind: str) -> str:
    return f"fiftyone.core.fields.EmbeddedDocumentField({kind})"


_FACTS = {"video_id": _TEXT, "status": _TEXT, "n_tracks": _INT, "max_faces": _INT, "face_seconds": _INT}
_SAMPLE_FIELDS = {
    "id": _ID,
    "filepath": _TEXT,
    "tags": f"fiftyone.core.fields.ListField({_TEXT})",
    "metadata": _document("fiftyone.core.metadata.VideoMetadata"),
    **_FACTS,
    "tracks": _document("fiftyone.core.labels.TemporalDetections"),
}
_FRAME_FIELDS = {"id": _ID, "frame_number": _FRAME, "faces": _document("fiftyone.core.labels.Detections")}
_OF_FACES = (
    *("timestamp", "second", "emotion", "emotion_entropy", "age", "age_low", "age_high", "gender", "gender_female"),
    *("yaw", "pitch", "roll", "pose_std", "sharpness", "quality_flags"),
)
_OF_TRACKS = ("track_id", "age", "age_low", "age_high", "gender", "gender_female", "n_samples")


def export_fiftyone(
    videos: Iterable[Video], file_name: str, left_out: Callable[[Video, Exception], None]
) -> Iterator[str]:
    """Writes all videos into one file, one after the other, and yields its name.

    Args:
      videos: which.
      file_name: of the JSON file.
      left_out: called with each video that a data set of videos cannot hold or that cannot be read, and why.
    """
    name = posixpath.basename(file_name).rpartition(".")[0] or "facelog"
    head = {"name": name, "media_type": "video", "sample_fields": _SAMPLE_FIELDS, "frame_fields": _FRAME_FIELDS}
    head["info"] = {"made_by": "facelog"}
    with storage.open_output(file_name) as file:
        file.write((json.dumps(head, indent=1)[:-2] + ',\n "samples": [').encode())
        number = 0
        for video in videos:
            try:
                sample = json.dumps(_sample(video), ensure_ascii=False, allow_nan=False)
            except Exception as reason:  # its tables may be damaged
                left_out(video, reason)
                continue
            file.write(((",\n" if number else "\n") + sample).encode())
            number += 1
        file.write(b"\n ]\n}\n")
    yield file_name


def _sample(video: Video) -> dict[str, Any]:
    row = video.row
    kind = mimetypes.guess_type(row["uri"])[0] or "video/mp4"
    if kind.startswith("image/"):
        raise NothingToExportError("FiftyOne takes it for a picture, which a data set of videos cannot hold")
    tracks = video.table("tracks").to_pylist()
    frames = _frames(video)
    last = max([*frames, *(track["end_frame"] + 1 for track in tracks if track["end_frame"] is not None), 0])
    fps = row["avg_fps"]
    count = max(round((row["duration"] or 0) * fps), last) if fps else None
    return {
        "filepath": row["uri"],
        "tags": [],
        "metadata": {
            "_cls": "VideoMetadata",
            "size_bytes": row["size_bytes"],
            "mime_type": kind,
            "frame_width": row["width"],
            "frame_height": row["height"],
            "frame_rate": fps,
            "total_frame_count": count,
            "duration": row["duration"],
        },
        "_media_type": "video",
        **{name: row[name] for name in _FACTS},
        "tracks": {
            "_cls": "TemporalDetections",
            "detections": [
                {
                    "_cls": "TemporalDetection",
                    "tags": [],
                    "label": track["emotion"] or "face",
                    "support": [track["start_frame"] + 1, track["end_frame"] + 1],
                    **_known(track, _OF_TRACKS),
                }
                for track in tracks
                if track["start_frame"] is not None and track["end_frame"] is not None
            ],
        },
        "frames": {str(number): frames[number] for number in sorted(frames)},
    }


def _frames(video: Video) -> dict[int, dict[str, Any]]:
    """Frames with faces by their number, those without a number left out."""
    width, height = video.row["width"], video.row["height"]
    frames: dict[int, dict[str, Any]] = {}
    for face in video.table("faces").to_pylist():
        if face["frame"] is None:
            continue
        number = face["frame"] + 1
        empty = {"frame_number": number, "faces": {"_cls": "Detections", "detections": []}}
        frames.setdefault(number, empty)["faces"]["detections"].append(
            {
                "_cls": "Detection",
                "tags": [],
                "label": face["emotion"] or "face",
                "bounding_box": [
                    face["x"] / width,
                    face["y"] / height,
                    face["width"] / width,
                    face["height"] / height,
                ],
                "index": face["track_id"],
                **({} if face["emotion"] is None else {"confidence": face[f"emotion_{face['emotion']}"]}),
                **_known(face, _OF_FACES),
            }
        )
    return frames


def _known(row: dict[str, Any], names: Iterable[str]) -> dict[str, Any]:
    return {name: row[name] for name in names if row[name] is not None}
