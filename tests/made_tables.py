"""Folders of results that no run made: tables of invented faces, aggregated and written as the pipeline does it."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from schemas import storage
from schemas.config import Config
from schemas.layout import Layout
from schemas.run import Run
from schemas.tables import EMOTION_COLUMNS, EMOTIONS, TRACKS, make_table, parquet_bytes
from tests.examples import example_row, example_samples, example_track, join_tracks
from transforms.aggregate_seconds import aggregate_faces, aggregate_timeline, aggregate_tracks
from transforms.ledger import write_row
from transforms.stitch_tracks import Observations

Columns = dict[str, np.ndarray]


def feeling(track: int, start: float, emotions: Sequence[str], *, x: float = 10.0, **features: Any) -> Columns:
    """A track from `start` on that shows each of the emotions for one second (probability 0.7)."""
    times = start + example_samples(len(emotions))
    columns = example_track(track, times, x=x, **features)
    for name, column in zip(EMOTIONS, EMOTION_COLUMNS, strict=True):
        shown = np.repeat([0.7 if name == emotion else 0.05 for emotion in emotions], len(times) // len(emotions))
        columns[column] = shown.astype(np.float32)
    return columns


def write_video(
    out: Path,
    uri: str = "/videos/clip.mp4",
    tracks: Sequence[Columns] = (),
    *,
    seconds: float = 10.0,
    persons: Mapping[int, int] | None = None,
    cuts: Sequence[float] = (),
    damaged: Sequence[int] = (),
    missing_until: float | None = None,
    config: Config | None = None,
    video_id: str | None = None,
    **row: Any,
) -> str:
    """One video's tables and its row.

    Args:
      out: DIR.
      uri: of the file.
      tracks: observation columns, see `tests.examples.example_track`; numbers from 0 in order of time.
      seconds: that the video lasts.
      persons: person of each track, where somebody was identified.
      cuts: times at which a shot begins.
      damaged: seconds that could not be decoded.
      missing_until: second that a truncated file says it reaches to.
      config: of the run.
      video_id: default: made from the uri.
      **row: columns of `videos` that are to be different.

    Returns:
      The video_id.
    """
    config = config or Config()
    run = Run("run-1", config, Layout(str(out)))
    video_id = video_id or hashlib.sha256(uri.encode()).hexdigest()[:32]
    samples = example_samples(seconds)
    shots = np.searchsorted(np.asarray(cuts, float), samples, side="right").astype(np.int32)
    columns = join_tracks(*tracks)
    order = np.lexsort((columns["timestamp"], columns["track"]))
    columns = {name: values[order] for name, values in columns.items()}
    n_tracks = len(np.unique(columns["track"]))
    observations = Observations(columns, ["lost"] * n_tracks, samples, shots)
    faces = aggregate_faces(observations, video_id, config, 0.7)
    timeline = aggregate_timeline(
        observations,
        faces,
        video_id,
        last_timestamp=seconds - 0.25,
        damaged_seconds=set(damaged),
        missing_until=missing_until,
    )
    tables = {
        "faces": faces,
        "tracks": _with_persons(aggregate_tracks(observations, video_id, 0.7), persons),
        "timeline": timeline,
    }
    for name, table in tables.items():
        storage.write_bytes(run.layout.table(name, video_id), parquet_bytes(table, run.footer))
    times = np.unique(columns["timestamp"], return_counts=True)[1]
    figures = {
        "video_id": video_id,
        "duration": seconds,
        "n_tracks": n_tracks,
        "n_persons": len(set(persons.values())) if persons else None,
        "max_faces": int(times.max(initial=0)),
        "face_seconds": len(faces),
        "frames_sampled": len(samples),
        "config_hash": config.hash,
    }
    write_row(example_row(uri, **(figures | row)), run)
    return video_id


def write_failure(out: Path, uri: str, status: str, error_type: str, message: str | None, **row: Any) -> None:
    """The row of a file that could not be used."""
    gone = dict.fromkeys(("duration", "width", "height", "codec", "n_tracks", "max_faces", "face_seconds"))
    values = {"video_id": None, "status": status, "error_type": error_type, "error_message": message, **gone, **row}
    write_row(example_row(uri, **values), Run("run-1", Config(), Layout(str(out))))


def _with_persons(tracks: pa.Table, persons: Mapping[int, int] | None) -> pa.Table:
    if not persons:
        return tracks
    columns = {name: tracks[name].combine_chunks() for name in TRACKS.names}
    columns["person_id"] = pa.array([persons.get(track) for track in tracks["track_id"].to_pylist()], pa.int32())
    return make_table(TRACKS, {**columns, **_plain(tracks)})


def _plain(table: pa.Table) -> dict[str, list[Any]]:
    """Dictionary columns as lists, which `make_table` encodes again."""
    return {f.name: table[f.name].to_pylist() for f in table.schema if pa.types.is_dictionary(f.type)}
