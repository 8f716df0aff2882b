"""Join the segments of a video: tracks go on across bounds, shots are counted through, each sample stands once.

A segment is read past its end, so the next segment tracks the same samples again. Two tracks that overlap there are the
same face.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

from schemas.faces import NO_STAMP
from transforms.track_faces import assign, overlap
from transforms.write_fragment import Fragment


@dataclasses.dataclass(frozen=True)
class Observations:
    """All samples of a video.

    Attributes:
      columns: observation columns, [n] each, by track and time; `track` counts from 0 by first timestamp, x, y.
      end_reason: of each track: lost, cut or eof.
      timestamps: [k] float64, of every sample.
      shots: [k] int32, shot that each sample belongs to.
    """

    columns: dict[str, np.ndarray]
    end_reason: list[str]
    timestamps: np.ndarray
    shots: np.ndarray

    def __len__(self) -> int:
        """Faces in all samples."""
        return len(self.columns["track"])


def stitch_tracks(fragments: Sequence[Fragment], *, min_iou: float) -> Observations:
    """One video from its fragments.

    Args:
      fragments: in the order of the segments, all of them.
      min_iou: smallest mean overlap of two tracks, over the samples that both saw, to be one.
    """
    pieces = [_columns(fragment) for fragment in fragments]
    last = max((i for i, own in enumerate(_own_samples(fragments)) if own.any()), default=0)
    names: list[dict[int, int]] = []  # of each segment: its tracks' numbers in the video
    reasons: list[str] = []
    for i, (fragment, piece) in enumerate(zip(fragments, pieces, strict=True)):
        known = names[i - 1] if i else {}
        follows = _same(pieces[i - 1], piece, fragment.start, min_iou) if i else {}
        numbers: dict[int, int] = {}
        # Tracks that are in the tail alone count, too: a segment may be shorter than a tail.
        for track in np.unique(piece["track"]).tolist():
            number = known.get(follows.get(track, -1))
            if number is None:
                number = len(reasons)
                reasons.append("")
            numbers[track] = number
            # A track that was still followed at the end of its segment's tail, and is not seen after it, was lost.
            reasons[number] = fragment.ended.get(track, "eof" if i >= last else "lost")
        names.append(numbers)

    own = [_own(piece["timestamp"], fragment.end) for piece, fragment in zip(pieces, fragments, strict=True)]
    columns = {
        name: np.concatenate([piece[name][rows] for piece, rows in zip(pieces, own, strict=True)]) for name in pieces[0]
    }
    columns["track"] = np.concatenate(
        [
            np.array([numbers[t] for t in piece["track"][rows].tolist()], np.int32)
            for piece, rows, numbers in zip(pieces, own, names, strict=True)
        ]
    )
    timestamps, shots = _shots(fragments)
    return _renumbered(Observations(columns, reasons, timestamps, shots))


def _columns(fragment: Fragment) -> dict[str, np.ndarray]:
    table = fragment.table.drop_columns(["video_id", "segment"])
    out = {}
    for name in table.column_names:
        column = table[name].combine_chunks()
        # Integers that may be null stay exact: their nulls become the smallest one.
        out[name] = np.asarray(column.fill_null(NO_STAMP) if name in ("frame", "pts") else column.to_numpy(False))
    return out


def _own_samples(fragments: Sequence[Fragment]) -> list[np.ndarray]:
    return [_own(fragment.timestamps, fragment.end) for fragment in fragments]


def _own(timestamps: np.ndarray, end: float | None) -> np.ndarray:
    return np.ones(len(timestamps), bool) if end is None else timestamps < end


def _boxes(piece: dict[str, np.ndarray], rows: np.ndarray) -> np.ndarray:
    return np.stack([piece[name][rows] for name in ("x", "y", "width", "height")], axis=1)


def _same(before: dict[str, np.ndarray], after: dict[str, np.ndarray], bound: float, min_iou: float) -> dict[int, int]:
    """Track of the later segment → track of the earlier one that is the same face."""
    tail = np.flatnonzero(before["timestamp"] >= bound)
    if not len(tail):
        return {}
    shared = np.flatnonzero(np.isin(after["timestamp"], before["timestamp"][tail]))
    earlier, later = np.unique(before["track"][tail]), np.unique(after["track"][shared])
    total, count = np.zeros((len(earlier), len(later))), np.zeros((len(earlier), len(later)))
    for timestamp in np.unique(after["timestamp"][shared]):
        a, b = tail[before["timestamp"][tail] == timestamp], shared[after["timestamp"][shared] == timestamp]
        place = np.ix_(np.searchsorted(earlier, before["track"][a]), np.searchsorted(later, after["track"][b]))
        total[place] += overlap(_boxes(before, a), _boxes(after, b))
        count[place] += 1
    pairs = assign(total / np.maximum(count, 1), min_iou)
    return {int(later[c]): int(earlier[r]) for r, c in pairs}


def _shots(fragments: Sequence[Fragment]) -> tuple[np.ndarray, np.ndarray]:
    """Times and shots of all samples. Whether a segment begins with a cut is known from the tail of the one before."""
    times, cuts, known = [], [], set[float]()
    for fragment, own in zip(fragments, _own_samples(fragments), strict=True):
        is_cut = fragment.is_cut[own].copy()
        is_cut[:1] |= np.isin(fragment.timestamps[own][:1], list(known))
        known.update(fragment.timestamps[fragment.is_cut].tolist())
        times.append(fragment.timestamps[own])
        cuts.append(is_cut)
    return np.concatenate(times), np.cumsum(np.concatenate(cuts)).astype(np.int32)


def _renumbered(observations: Observations) -> Observations:
    """The same with tracks numbered by first timestamp, then x, then y, and rows sorted by track and time."""
    columns = observations.columns
    rows = np.lexsort((columns["timestamp"], columns["track"]))
    tracks, first = np.unique(columns["track"][rows], return_index=True)
    start = rows[first]
    order = np.lexsort((columns["y"][start], columns["x"][start], columns["timestamp"][start]))
    number = np.empty(len(observations.end_reason), np.int32)
    number[tracks[order]] = np.arange(len(tracks), dtype=np.int32)
    columns = columns | {"track": number[columns["track"]]}
    rows = np.lexsort((columns["timestamp"], columns["track"]))
    reasons = [observations.end_reason[t] for t in tracks[order]]
    return dataclasses.replace(
        observations, columns={name: values[rows] for name, values in columns.items()}, end_reason=reasons
    )
