"""The tables as pyarrow schemas, and the conventions that all of them share.

Probabilities lie in [0, 1], times are seconds, boxes are pixels of the decoded frame after display rotation with the
top left corner in `x, y`. Null means unknown. Emotions stand in the order of FER2013's csv.

Columns of a sample: `confidence` is dlib's margin and `track_confidence` its tracker's peak-to-sidelobe ratio, both
unbounded. `sharpness` is the variance of the Laplacian of the grey chip, and `brightness` its mean (0-255). `face_px`
is the square root of the box's area in square pixels. `pose_std` is the standard deviation of `yaw` in degrees, null
where the detector gives no points of its own. `quality` is the sample's weight in (0, 1] (see
`transforms.crop_faces`).
"""

import functools
import json
from collections.abc import Iterable, Mapping
from importlib import metadata
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from schemas.config import SCHEMA_VERSION, Config

EMOTIONS = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
GENDERS = ("female", "male")
"""Values of `gender`, beside `UNKNOWN_GENDER`. Look one up by its name: no number stands for it anywhere."""

UNKNOWN_GENDER = "unknown"
STATUSES = ("ok", "partial", "no_video", "corrupt", "failed")

SMALL, PROFILE, BLURRED, DARK, AT_BORDER, TRACKER_ONLY = 1, 2, 4, 8, 16, 32
"""Bits of `quality_flags`."""

OWN_COLUMNS = ("wall_seconds", "peak_rss_mb", "started_at", "finished_at", "run_id", "code_version")
"""The columns of `videos` that describe the run: the only ones that may differ between two runs on the same files."""

_FEW_ROWS = 64
"""Rows up to which a table is written without compression and statistics."""

ADDED_COLUMNS = ("pose_std", "keyframe_seconds")
"""Columns that results of older builds lack; they are read as null."""

_name = pa.dictionary(pa.int32(), pa.string())
_utc = pa.timestamp("us", "UTC")


def _schema(columns: Iterable[tuple[str, pa.DataType]], null: Iterable[str] = ()) -> pa.Schema:
    may_be_null = set(null)
    return pa.schema([pa.field(name, kind, nullable=name in may_be_null) for name, kind in columns])


def _floats(*names: str) -> list[tuple[str, pa.DataType]]:
    return [(name, pa.float32()) for name in names]


EMOTION_COLUMNS = tuple(f"emotion_{e}" for e in EMOTIONS)
SMOOTH_COLUMNS = tuple(f"emotion_smooth_{e}" for e in EMOTIONS)
_ages = ("age", "age_std", "age_low", "age_high")
_pose = ("yaw", "pitch", "roll", "pose_std")
_box = ("x", "y", "width", "height")

FACES = _schema(
    [
        ("video_id", pa.string()),
        ("track_id", pa.int32()),
        ("second", pa.int32()),
        ("timestamp", pa.float64()),
        ("frame", pa.int64()),
        ("pts", pa.int64()),
        ("shot_id", pa.int32()),
        ("n_samples", pa.int16()),
        ("n_detected", pa.int16()),
        ("n_tracked", pa.int16()),
        *_floats(*_box, "confidence", "track_confidence", *_pose, "sharpness", "brightness", "face_px"),
        ("emotion", _name),
        *_floats(*EMOTION_COLUMNS, "emotion_entropy", *_ages),
        ("gender", _name),
        *_floats("gender_female"),
        ("emotion_smooth", _name),
        *_floats(*SMOOTH_COLUMNS, "age_smooth", "gender_female_smooth"),
        ("quality_flags", pa.uint16()),
    ],
    null=(
        *("frame", "pts", "confidence", "track_confidence", *_pose, "emotion", *EMOTION_COLUMNS, "emotion_entropy"),
        *(*_ages, "gender", "gender_female", "emotion_smooth", *SMOOTH_COLUMNS, "age_smooth", "gender_female_smooth"),
    ),
)

TRACKS = _schema(
    [
        ("video_id", pa.string()),
        ("track_id", pa.int32()),
        ("shot_id", pa.int32()),
        ("person_id", pa.int32()),
        ("start_time", pa.float64()),
        ("end_time", pa.float64()),
        ("duration", pa.float64()),
        ("start_frame", pa.int64()),
        ("end_frame", pa.int64()),
        ("n_samples", pa.int32()),
        ("n_detected", pa.int32()),
        ("end_reason", _name),
        *_floats("confidence_mean"),
        ("best_timestamp", pa.float64()),
        *_floats("best_x", "best_y", "best_width", "best_height"),
        ("emotion", _name),
        *_floats(*EMOTION_COLUMNS, *_ages),
        ("gender", _name),
        *_floats("gender_female"),
        # 128 values. A fixed_size_list with nulls can be written but not read again (Arrow issue 35692).
        ("embedding", pa.list_(pa.float32())),
    ],
    null=(
        *("person_id", "start_frame", "end_frame", "emotion", *EMOTION_COLUMNS, *_ages),
        *("gender", "gender_female", "embedding"),
    ),
)

TIMELINE = _schema(
    [
        ("video_id", pa.string()),
        ("second", pa.int32()),
        ("timestamp", pa.float64()),
        ("n_samples", pa.int16()),
        ("n_faces", pa.int16()),
        ("shot_id", pa.int32()),
        ("decode_ok", pa.bool_()),
    ],
    null=("timestamp", "n_faces", "shot_id"),
)

VIDEOS = _schema(
    [
        ("uri", pa.string()),
        ("video_id", pa.string()),
        ("size_bytes", pa.int64()),
        ("modified_at", _utc),
        ("etag", pa.string()),
        ("status", _name),
        ("error_type", pa.string()),
        ("error_message", pa.string()),
        ("container", _name),
        ("codec", _name),
        ("pix_fmt", _name),
        ("duration", pa.float64()),
        ("start_offset", pa.float64()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("rotation", pa.int16()),
        ("sample_aspect_ratio", pa.float32()),
        ("avg_fps", pa.float64()),
        ("is_vfr", pa.bool_()),
        ("start_pts", pa.int64()),
        ("time_base", pa.string()),
        ("recorded_at", _utc),
        ("frames_decoded", pa.int64()),
        ("frames_sampled", pa.int64()),
        ("frames_corrupt", pa.int64()),
        ("sample_fps", pa.float32()),
        ("keyframe_seconds", pa.float32()),
        ("n_tracks", pa.int32()),
        ("n_persons", pa.int32()),
        ("max_faces", pa.int32()),
        ("face_seconds", pa.int32()),
        ("config_hash", pa.string()),
        ("algorithm_version", pa.int32()),
        ("wall_seconds", pa.float64()),
        ("peak_rss_mb", pa.float32()),
        ("started_at", _utc),
        ("finished_at", _utc),
        ("run_id", pa.string()),
        ("code_version", pa.string()),
    ],
    null=(
        *("video_id", "size_bytes", "modified_at", "etag", "error_type", "error_message", "container", "codec"),
        *("pix_fmt", "duration", "start_offset", "width", "height", "rotation", "sample_aspect_ratio", "avg_fps"),
        *("is_vfr", "start_pts", "time_base", "recorded_at", "frames_decoded", "frames_sampled", "frames_corrupt"),
        *("sample_fps", "keyframe_seconds", "n_tracks", "n_persons", "max_faces", "face_seconds"),
    ),
)

OBSERVATIONS = _schema(
    [
        ("video_id", pa.string()),
        ("segment", pa.int32()),
        ("track", pa.int32()),
        ("timestamp", pa.float64()),
        ("frame", pa.int64()),
        ("pts", pa.int64()),
        *_floats(*_box, "confidence", "track_confidence", *_pose, "sharpness", "brightness", "face_px", "quality"),
        ("quality_flags", pa.uint16()),
        *_floats(*EMOTION_COLUMNS, "age", "age_std", "gender_female"),
    ],
    null=(
        *("frame", "pts", "confidence", "track_confidence", *_pose),
        *(*EMOTION_COLUMNS, "age", "age_std", "gender_female"),
    ),
)
"""The format of fragments: one row for each sample of each track of a segment; `track` counts within the segment."""

ANNOTATIONS = _schema(
    [
        ("annotation_id", pa.string()),
        ("video_id", pa.string()),
        ("track_id", pa.int32()),
        ("second", pa.int32()),
        ("timestamp", pa.float64()),
        *_floats(*_box),
        ("scope", _name),
        ("kind", _name),
        ("emotion", _name),
        ("comment", pa.string()),
        ("author", pa.string()),
        ("created_at", _utc),
        ("config_hash", pa.string()),
    ],
    null=("emotion", "comment"),
)
"""What people say of a face. `second`, `timestamp` and the box are those of the row of `faces` that they looked at, so
that it is found again when the video was analyzed anew and tracks have other numbers."""

ANNOTATION_SCOPES = ("second", "track")
ANNOTATION_KINDS = ("emotion", "not_a_face", "comment")
"""`emotion`: the column `emotion` is right, whether the tables agree or not. `comment`: a remark alone."""

TABLES = {"faces": FACES, "tracks": TRACKS, "timeline": TIMELINE, "videos": VIDEOS}


@functools.cache
def code_version() -> str:
    """Version of the installed distribution."""
    try:
        return metadata.version("facelog")
    except metadata.PackageNotFoundError:
        return "0+unknown"


def footer(config: Config, run_id: str) -> dict[str, str]:
    """The key-value texts in the footer of every file."""
    models = {
        model.task: {"name": model.name, "sha256": model.sha256, "figures": model.figures} for model in config.models
    }
    identity = config.identity
    embedding = {"name": identity.embedding, "sha256": config.embedding_sha256}
    persons = {"persons": identity.persons, "embedding": json.dumps(embedding)} if identity.persons else {}
    return {
        "schema_version": str(SCHEMA_VERSION),
        "run_id": run_id,
        "config_json": config.canonical_json,
        "code_version": code_version(),
        "emotion_classes": ",".join(EMOTIONS),
        "box_convention": "x, y: top left corner; width, height; pixels of the decoded frame after display rotation",
        "time_convention": "seconds since the first displayed frame; second = floor(timestamp)",
        "models": json.dumps(models, sort_keys=True),
        **persons,
    }


def parquet_bytes(table: pa.Table, footer_texts: Mapping[str, str]) -> bytes:
    """A table as the bytes of a Parquet file: zstd, dictionary strings, the given texts in its footer.

    A table of few rows has neither compression nor statistics: they would make its file larger, and take a third of the
    time that it takes to write.
    """
    is_large = len(table) > _FEW_ROWS
    sink = pa.BufferOutputStream()
    table = table.replace_schema_metadata(dict(footer_texts))
    pq.write_table(table, sink, compression="zstd" if is_large else "none", write_statistics=is_large)
    return sink.getvalue().to_pybytes()


def make_table(schema: pa.Schema, columns: Mapping[str, Any]) -> pa.Table:
    """Columns (numpy arrays, lists or arrow arrays; NaN in float columns means null) as a table of `schema`.

    Raises:
      ValueError: a column that must not be null has a null.
    """
    arrays = []
    for name, plain, is_dictionary, nullable in _fields(schema):
        values = columns[name]
        array = values if isinstance(values, pa.Array) else pa.array(values, type=plain, from_pandas=True)
        if not nullable and array.null_count:
            raise ValueError(f"{name} must not be null")
        arrays.append(array.dictionary_encode() if is_dictionary else array)
    return pa.Table.from_arrays(arrays, schema=schema)


@functools.lru_cache(maxsize=32)
def _fields(schema: pa.Schema) -> list[tuple[str, pa.DataType, bool, bool]]:
    """Of each column: name, type without the dictionary, whether there is a dictionary, whether it may be null."""
    fields = []
    for field in schema:
        is_dictionary = pa.types.is_dictionary(field.type)
        fields.append(
            (field.name, field.type.value_type if is_dictionary else field.type, is_dictionary, field.nullable)
        )
    return fields
