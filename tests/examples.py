"""Small valid values of every kind that the steps hand on: what tests begin with.

Everything belongs to one clip, `/videos/clip.mp4`: 640×360 pixels, four samples a second.
"""

import dataclasses
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
import numpy.typing as npt

from schemas.config import ALGORITHM_VERSION
from schemas.faces import FaceBatch, SegmentLog
from schemas.storage import FileInfo
from schemas.tables import EMOTION_COLUMNS
from schemas.video import Clock, Plan, Segment, VideoInfo

VIDEO_ID = "3f" + "0" * 30
WHEN = datetime(2026, 1, 2, 3, 4, 5, 678901, UTC)
FPS = 4.0
CLOCK = Clock(start_pts=1000, numerator=1, denominator=1000)

_FEATURES = {
    **{"confidence": 1.0, "track_confidence": 9.0, "yaw": 5.0, "pitch": -3.0, "roll": 1.0, "pose_std": 8.0},
    **{"sharpness": 200.0, "brightness": 120.0, "quality": 0.5, "age": 30.0, "age_std": 5.0, "gender_female": 0.9},
    **dict(zip(EMOTION_COLUMNS, (0.05, 0.0, 0.05, 0.7, 0.05, 0.05, 0.1), strict=True)),
}


def example_file(uri: str = "/videos/clip.mp4", **changes: Any) -> FileInfo:
    """A file as it was listed."""
    return dataclasses.replace(FileInfo(uri, 1_000_000, WHEN), **changes)


def example_info(**changes: Any) -> VideoInfo:
    """Facts of a clip of ten seconds."""
    info = VideoInfo(
        container="mov,mp4,m4a,3gp,3g2,mj2",
        codec="h264",
        pix_fmt="yuv420p",
        duration=10.0,
        start_offset=0.0,
        width=640,
        height=360,
        rotation=0,
        sample_aspect_ratio=1.0,
        avg_fps=25.0,
        is_vfr=False,
        start_pts=CLOCK.start_pts,
        time_base="1/1000",
        recorded_at=WHEN,
    )
    return dataclasses.replace(info, **changes)


def example_segment(index: int = 0, start: float = 0.0, end: float | None = None, **changes: Any) -> Segment:
    """A piece of the clip; without an end, its last."""
    segment = Segment(
        file=example_file(),
        video_id=VIDEO_ID,
        index=index,
        clock=CLOCK,
        start=start,
        end=end,
        first_pts=round(start * 1000) + 1000 if index else None,
        seek_to=round(start * 1000) + 1000 if index else None,
        packets_before=round(start * 25),
        duration=(10.0 if end is None else end) - start,
    )
    return dataclasses.replace(segment, **changes)


def example_plan(*bounds: float, uri: str = "/videos/clip.mp4", video_id: str = VIDEO_ID, **changes: Any) -> Plan:
    """What the probe says of the clip; it is cut at `bounds`, seconds."""
    file = example_file(uri)
    starts, ends = (0.0, *bounds), (*bounds, None)
    segments = tuple(
        example_segment(i, start, end, file=file, video_id=video_id)
        for i, (start, end) in enumerate(zip(starts, ends, strict=True))
    )
    plan = Plan(file, video_id, info=example_info(), segments=segments, stated_end=10.0)
    return dataclasses.replace(plan, **changes)


def example_samples(seconds: float = 10.0) -> np.ndarray:
    """Times of the samples of so many seconds, [k] float64."""
    return np.arange(round(seconds * FPS)) / FPS


def example_track(
    track: int, timestamps: Sequence[float] | np.ndarray, *, x: npt.ArrayLike = 10.0, **features: npt.ArrayLike
) -> dict[str, np.ndarray]:
    """Observation columns of a face of 40 pixels at rest, one row for each time.

    Args:
      track: its number.
      timestamps: [n] seconds.
      x: of its box; one value for all or [n].
      **features: other observation columns, the same way; NaN for unknown.
    """
    times = np.asarray(timestamps, np.float64)
    n = len(times)
    values = {**_FEATURES, "x": x, "y": 20.0, "width": 40.0, "height": 40.0, "face_px": 40.0} | features
    columns = {name: np.broadcast_to(np.asarray(value, np.float32), (n,)).copy() for name, value in values.items()}
    return columns | {
        "track": np.full(n, track, np.int32),
        "timestamp": times,
        "frame": np.round(times * 25).astype(np.int64),
        "pts": np.round(times * 1000).astype(np.int64) + 1000,
        "quality_flags": np.zeros(n, np.uint16),
    }


def join_tracks(*tracks: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Columns of several tracks as one, in order of time as they are observed; without any, columns without rows."""
    tracks = tracks or (example_track(0, []),)
    columns = {name: np.concatenate([track[name] for track in tracks]) for name in tracks[0]}
    order = np.lexsort((columns["track"], columns["timestamp"]))
    return {name: values[order] for name, values in columns.items()}


def example_batch(
    segment: Segment | None = None, columns: dict[str, np.ndarray] | None = None, **changes: Any
) -> FaceBatch:
    """The faces of a segment, which has one part, with chips of noise; age and gender are asked for each second row."""
    columns = join_tracks(example_track(0, example_samples(2.0))) if columns is None else columns
    n = len(columns["track"])
    rows = np.arange(0, n, 2)
    random = np.random.default_rng(0)
    batch = FaceBatch(
        segment=segment or example_segment(),
        part=0,
        is_last=True,
        columns=columns,
        chips={
            "emotion": random.integers(0, 256, (n, 48, 48), np.uint8),
            "age_gender": random.integers(0, 256, (len(rows), 64, 64, 3), np.uint8),
        },
        rows={"emotion": np.arange(n), "age_gender": rows},
        log=SegmentLog(np.unique(columns["timestamp"]).tolist(), [False] * len(set(columns["timestamp"]))),
    )
    return dataclasses.replace(batch, **changes)


def example_row(uri: str = "/videos/clip.mp4", **changes: Any) -> dict[str, Any]:
    """A row of `videos`, with all its columns."""
    return {
        **dataclasses.asdict(example_file(uri)),
        **dataclasses.asdict(example_info()),
        **{"video_id": VIDEO_ID, "status": "ok", "error_type": None, "error_message": None},
        **{"frames_decoded": 250, "frames_sampled": 40, "frames_corrupt": 0, "sample_fps": FPS},
        "keyframe_seconds": None,
        **{"n_tracks": 1, "n_persons": None, "max_faces": 1, "face_seconds": 10},
        **{"config_hash": "c" * 64, "algorithm_version": ALGORITHM_VERSION, "wall_seconds": 2.5, "peak_rss_mb": 300.0},
        **{"started_at": WHEN, "finished_at": WHEN, "run_id": "20260102T030405Z-00000000", "code_version": "0.1.0"},
        **changes,
    }
