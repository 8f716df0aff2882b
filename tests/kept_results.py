"""A folder of results with kept observations, made from fragments by the pipeline's own last step."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from schemas import storage
from schemas.config import Config
from schemas.layout import Layout
from schemas.run import Run
from schemas.tables import parquet_bytes
from schemas.video import Plan
from tests.examples import example_info, example_plan, example_row, example_samples, example_track, join_tracks
from tests.fragments import cut_into_fragments
from transforms.ledger import write_row
from transforms.write_fragment import Fragment
from transforms.write_tables import make_tables

TALK, OTHER = "3f" + "0" * 30, "17" + "1" * 30


def make_results(out: Path, *, kept: bool = True) -> Path:
    """Two videos, a copy and a file that could not be read.

    `/videos/talk.mp4` and `/videos/old/talk.mp4`: two segments that meet at 5 s; face 0 is there from 0 to 8 s, so in
    both, face 1 from 5.5 to 9 s. `/videos/=sum.mov`: no face. `/videos/broken.mp4`: corrupt.
    """
    faces = join_tracks(
        example_track(0, example_samples(8.0), x=64.0, y=36.0),
        example_track(1, 5.5 + example_samples(3.5), x=320.0, y=180.0, age=50.0, gender_female=0.1),
    )
    info = example_info(start_offset=0.5)
    row = write_analyzed(out, example_plan(5.0, uri="/videos/talk.mp4", video_id=TALK, info=info), faces, kept=kept)
    write_row(row | {"uri": "/videos/old/talk.mp4"}, _run(out))
    write_analyzed(out, example_plan(uri="/videos/=sum.mov", video_id=OTHER), join_tracks(), kept=False)
    gone = dict.fromkeys(("duration", "width", "height", "n_tracks", "max_faces", "face_seconds"))
    message = "/videos/broken.mp4 is empty."
    broken = {"video_id": None, "status": "corrupt", "error_type": "empty", "error_message": message}
    write_row(example_row("/videos/broken.mp4", **gone, **broken), _run(out))
    return out


def write_analyzed(
    out: Path,
    plan: Plan,
    columns: dict[str, np.ndarray],
    *,
    kept: bool,
    cuts: Sequence[float] = (),
    samples: np.ndarray | None = None,
) -> dict[str, Any]:
    """One video as `assemble_video` leaves it; its row.

    Args:
      out: DIR.
      plan: of the video.
      columns: its observations.
      kept: whether they are kept.
      cuts: times of samples that begin a shot.
      samples: times of all samples; default: four a second for ten seconds.
    """
    run = _run(out)
    fragments = cut_into_fragments(plan, columns, example_samples(10.0) if samples is None else samples, cuts=cuts)
    row, tables = make_tables(plan, fragments, run, started_at=datetime.now(UTC))
    for name, table in tables.items():
        storage.write_bytes(run.layout.table(name, plan.video_id or ""), parquet_bytes(table, run.footer))
    for fragment in fragments if kept else ():
        write_kept(run, plan.video_id or "", fragment)
    write_row(row, run)
    return row


def write_kept(run: Run, video_id: str, fragment: Fragment) -> None:
    """A fragment where kept observations lie."""
    log = {
        "start": fragment.start,
        "end": fragment.end,
        "timestamp": fragment.timestamps.tolist(),
        "is_cut": [int(cut) for cut in fragment.is_cut],
        "ended": fragment.ended,
        "stats": fragment.stats,
        "wall_seconds": fragment.wall_seconds,
        "peak_rss_mb": fragment.peak_rss_mb,
        "parts": 1,
    }
    name = storage.join(run.layout.observations(video_id), f"{fragment.segment:05d}.parquet")
    storage.write_bytes(name, parquet_bytes(fragment.table, run.footer | {"segment": json.dumps(log)}))


def _run(out: Path) -> Run:
    config = Config()
    return Run("run-1", config, Layout(str(out)))
