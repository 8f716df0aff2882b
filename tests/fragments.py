"""Fragments as the segments of one video would have written them, made from what is known of the whole video."""

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from schemas.tables import OBSERVATIONS, make_table
from schemas.video import Plan
from transforms.write_fragment import Fragment

TAIL = 2.0


def cut_into_fragments(
    plan: Plan,
    columns: Mapping[str, np.ndarray],
    timestamps: np.ndarray,
    *,
    cuts: Collection[float] = (),
    ended: Mapping[int, str] | None = None,
    stats: Mapping[str, Any] | None = None,
) -> list[Fragment]:
    """One fragment for each segment of a plan, each with its tail, as if the tracker had seen each alone.

    Args:
      plan: with the segments.
      columns: observation columns of the whole video.
      timestamps: of all its samples.
      cuts: times of samples that begin a shot.
      ended: reasons by track, for those that do not reach the end of the file.
      stats: what the decoder says of every segment besides the usual.
    """
    fragments = []
    for segment in plan.segments:
        stop = np.inf if segment.end is None else segment.end + TAIL
        rows = np.flatnonzero((columns["timestamp"] >= segment.start) & (columns["timestamp"] < stop))
        seen = timestamps[(timestamps >= segment.start) & (timestamps < stop)]
        own = seen if segment.end is None else seen[seen < segment.end]
        tracks = list(dict.fromkeys(columns["track"][rows].tolist()))  # counted as they appear, in each segment anew
        numbers = {track: number for number, track in enumerate(tracks)}
        table = make_table(
            OBSERVATIONS,
            {
                **{name: values[rows] for name, values in columns.items()},
                "video_id": [segment.video_id] * len(rows),
                "segment": np.full(len(rows), segment.index),
                "track": np.array([numbers[t] for t in columns["track"][rows].tolist()], np.int32),
            },
        )
        last_seen = {t: columns["timestamp"][columns["track"] == t].max() for t in tracks}
        is_cut = np.isin(seen, list(cuts))
        is_cut[:1] = False  # a segment cannot know what was before it
        fragments.append(
            Fragment(
                segment=segment.index,
                start=segment.start,
                end=segment.end,
                table=table,
                timestamps=seen,
                is_cut=is_cut,
                ended={
                    numbers[t]: (ended or {})[t] for t in tracks if t in (ended or {}) and last_seen[t] + 0.5 < stop
                },
                stats={
                    "frames_decoded": len(own),
                    "frames_corrupt": 0,
                    "errors": 0,
                    "damaged_seconds": [],
                    "last_timestamp": own[-1] if len(own) else None,
                    "packet_end": own[-1] + 0.25 if len(own) else None,
                    **(stats or {}),
                },
                wall_seconds=1.5,
                peak_rss_mb=200.0 + segment.index,
            )
        )
    return fragments
