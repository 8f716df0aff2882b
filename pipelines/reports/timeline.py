"""The timeline of a page: lanes of spans, faces and emotions over time, aggregated before anything is drawn.

The number of spans and bins on a page is limited, however long the video is and however many faces it shows.
"""

from __future__ import annotations

import dataclasses
import heapq
import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from pipelines.reports.content import Age, EmotionShares, FaceCounts, Gender, Lane, Span, Timeline, Track
from schemas.tables import EMOTIONS, SMOOTH_COLUMNS

MAX_SPANS = 1500
"""Spans at most, unless there are more tracks. With 2,000, and 700 counts, a page took the browser 0.5 s of CPU."""
MAX_COUNTS = 600
MAX_SHARES = 100
OWN_LANES = 24
"""Tracks, or persons, that have a lane of their own; where there are more, the others share lanes."""
SHARED_LANES = 12
_MAX_TRACKS = 1500

_WIDTHS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1200, 1800, 3600)
Columns = Mapping[str, np.ndarray]


def bin_width(seconds: float, most: int) -> int:
    """A round width of bins, in seconds, so that at most `most` bins cover the time."""
    hours = math.ceil(seconds / most / 3600)
    return next((width for width in _WIDTHS if seconds <= width * most), max(hours, 1) * 3600)


def tracks_over_time(
    faces: Columns,
    tracks: Sequence[Track],
    *,
    duration: float,
    sample_seconds: float,
    names: Mapping[int, str] | None = None,
) -> Timeline:
    """Lanes and spans.

    Args:
      faces: columns of `faces`, NaN and None for null, sorted by track and second.
      tracks: of the video.
      duration: of the video in seconds, or of the part of it that `faces` are from.
      sample_seconds: between two samples; a span reaches so far past its track's last one.
      names: of persons that have one.
    """
    lanes, left_out = make_lanes(tracks, names)
    lane_of = {track: index for index, lane in enumerate(lanes) for track in lane.tracks}
    drawn = np.isin(faces["track_id"], list(lane_of))
    faces = {name: values[drawn] for name, values in faces.items()}
    by_id = {track.track_id: track for track in tracks}
    width = bin_width(duration, MAX_SPANS)
    while True:
        merged = _merge(faces, width)
        if len(merged) <= MAX_SPANS or width >= max(duration, 1):
            break
        width = next((wider for wider in _WIDTHS if wider > width), width * 2)
    spans = [
        dataclasses.replace(
            span,
            lane=lane_of[span.track],
            start=max(span.start, by_id[span.track].start),
            end=min(span.end, by_id[span.track].end + sample_seconds),
        )
        for span in merged
    ]
    spans.sort(key=lambda span: (span.lane, span.start))
    return Timeline(width, tuple(lanes), tuple(spans), left_out)


def make_lanes(tracks: Sequence[Track], names: Mapping[int, str] | None = None) -> tuple[list[Lane], int]:
    """The lanes of the timeline, and the number of tracks that are in none.

    Persons and tracks that belong to nobody have a lane each, in order of their first appearance. Where there are more
    than `OWN_LANES`, those who are seen longest have one, and the others share as few as hold them. Persons with a
    name are called so.
    """
    groups: dict[tuple[str, int], list[Track]] = {}
    for track in sorted(tracks, key=lambda t: (t.start, t.track_id)):
        is_person = track.person_id is not None
        key = ("Person", track.person_id or 0) if is_person else ("Track", track.track_id)
        groups.setdefault(key, []).append(track)
    longest = sorted(groups, key=lambda key: -sum(track.face_seconds for track in groups[key]))
    chosen = set(longest[:OWN_LANES])
    own = {key: group for key, group in groups.items() if key in chosen}
    called = {("Person", n): name for n, name in (names or {}).items()}
    lanes = [
        Lane(called.get(key, " ".join(map(str, key))), tuple(t.track_id for t in group)) for key, group in own.items()
    ]
    others = [track for key in longest[OWN_LANES:] for track in groups[key]]
    packed = pack(sorted(others, key=lambda t: -t.duration)[:_MAX_TRACKS])
    kept = packed[:SHARED_LANES]
    lanes += [Lane(f"others {i + 1}", tuple(t.track_id for t in row), shared=True) for i, row in enumerate(kept)]
    return lanes, len(others) - sum(len(row) for row in kept)


def pack(tracks: Iterable[Track]) -> list[list[Track]]:
    """Tracks in as few rows as they fit into without overlapping, the fullest row first."""
    rows: list[list[Track]] = []
    free: list[tuple[float, int]] = []  # when each row's last track ends
    for track in sorted(tracks, key=lambda t: (t.start, t.track_id)):
        if free and free[0][0] < track.start - 1:  # a second's row may begin before its track does
            _, row = heapq.heappop(free)
        else:
            row = len(rows)
            rows.append([])
        rows[row].append(track)
        heapq.heappush(free, (track.end, row))
    return sorted(rows, key=lambda row: -sum(track.duration for track in row))


def faces_over_time(timeline: Columns) -> FaceCounts:
    """Faces in each bin of seconds.

    Args:
      timeline: columns `second` and `n_faces` (float, NaN for null), sorted, without gaps.
    """
    counts = timeline["n_faces"]
    width = bin_width(len(counts), MAX_COUNTS)
    mean, most = [], []
    for start in range(0, len(counts), width):
        known = counts[start : start + width]
        known = known[~np.isnan(known)]
        mean.append(round(float(known.mean()), 3) if len(known) else None)
        most.append(int(known.max()) if len(known) else None)
    return FaceCounts(width, tuple(mean), tuple(most))


def emotions_over_time(faces: Columns, duration: float) -> EmotionShares:
    """Mean smoothed probabilities in each bin of seconds."""
    width = bin_width(duration, MAX_SHARES)
    n = math.ceil(max(duration, 1) / width)
    known = np.isfinite(_smooth(faces)).any(axis=1)
    bins = np.minimum(faces["second"][known] // width, n - 1).astype(int)
    seconds = np.bincount(bins, minlength=n)
    shares = {}
    for emotion, values in zip(EMOTIONS, _smooth(faces)[known].T, strict=True):
        if np.isfinite(values).any():
            sums = np.bincount(bins, np.nan_to_num(values), minlength=n)
            pairs = zip(sums.tolist(), seconds.tolist(), strict=True)
            shares[emotion] = tuple(round(total / count, 4) if count else None for total, count in pairs)
    return EmotionShares(width, tuple(seconds.tolist()), shares)


def _smooth(faces: Columns) -> np.ndarray:
    """[n, 7] float, NaN for null."""
    return np.stack([faces[name] for name in SMOOTH_COLUMNS], axis=1)


def _merge(faces: Columns, width: int) -> list[Span]:
    """Spans of bins of a track that follow each other and have the same emotion; lanes are not known here."""
    if not len(faces["second"]):
        return []
    bins, track = faces["second"] // width, faces["track_id"]
    starts = np.flatnonzero(np.r_[True, (bins[1:] != bins[:-1]) | (track[1:] != track[:-1])])
    emotions = _means(_smooth(faces), starts)
    best = np.where(np.isfinite(emotions).any(axis=1), np.nan_to_num(emotions, nan=-1).argmax(axis=1), -1)
    bins, track = bins[starts], track[starts]
    goes_on = (bins[1:] == bins[:-1] + 1) & (track[1:] == track[:-1]) & (best[1:] == best[:-1])
    runs = np.flatnonzero(np.r_[True, ~goes_on])
    rows = starts[runs]  # the first of `faces` in each span
    emotions = _means(_smooth(faces), rows)
    ages = _means(np.stack([faces[name] for name in ("age", "age_low", "age_high")], axis=1), rows)
    female = _means(faces["gender_female"][:, None], rows)[:, 0]
    last = np.r_[runs[1:], len(bins)] - 1
    ends = np.r_[rows[1:], len(faces["second"])]
    return [
        Span(
            lane=0,
            track=int(track[run]),
            start=float(bins[run] * width),
            end=float((bins[last[i]] + 1) * width),
            emotion=EMOTIONS[best[run]] if best[run] >= 0 else None,
            probability=number(emotions[i, best[run]], 3) if best[run] >= 0 else None,
            age=make_age(*ages[i]),
            gender=make_gender(most_frequent(faces["gender"][rows[i] : ends[i]]), female[i]),
        )
        for i, run in enumerate(runs)
    ]


def _means(values: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """Means [k, m] of values [n, m] from each start to the next, passing over NaN; NaN where there is nothing else."""
    known = np.isfinite(values)
    counts = np.add.reduceat(known.astype(np.float64), starts, axis=0)
    sums = np.add.reduceat(np.where(known, values, 0.0), starts, axis=0)
    return np.divide(sums, counts, out=np.full_like(sums, np.nan), where=counts > 0)


def most_frequent(labels: Sequence[str | None] | np.ndarray, weights: Sequence[float] | None = None) -> str | None:
    """The label that occurs most, of equals the first; None if there is none."""
    totals: dict[str, float] = {}
    for label, weight in zip(labels, weights or [1.0] * len(labels), strict=True):
        if label is not None:
            totals[label] = totals.get(label, 0.0) + weight
    return max(totals, key=lambda label: totals[label]) if totals else None


def make_age(years: float, low: float, high: float) -> Age | None:
    """An age of floats that may be NaN."""
    known = number(years, 1)
    return None if known is None else Age(known, number(low, 1), number(high, 1))


def make_gender(label: str | None, female: float) -> Gender | None:
    """A gender of a probability that may be NaN."""
    known = number(female, 3)
    return None if known is None else Gender(label, known)


def number(value: float | None, digits: int) -> float | None:
    """A float for the document; NaN is unknown."""
    return None if value is None or math.isnan(value) else round(float(value), digits)
