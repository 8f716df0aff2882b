"""Turn samples into rows: one per face and second, one per track, one per second of the video.

Means are weighted by the quality of the samples. Means of probabilities are probabilities again. A value that no model
gave stays null.
"""

import numpy as np
import pyarrow as pa
from scipy.ndimage import gaussian_filter1d

from models.outputs import INTERVAL_80
from schemas.config import Config
from schemas.faces import NO_STAMP
from schemas.tables import (
    EMOTION_COLUMNS,
    EMOTIONS,
    FACES,
    SMOOTH_COLUMNS,
    TIMELINE,
    TRACKS,
    make_table,
)
from transforms.stitch_tracks import Observations

_BEST = (
    *("timestamp", "x", "y", "width", "height", "confidence", "track_confidence", "yaw", "pitch", "roll"),
    *("pose_std", "sharpness", "brightness", "face_px", "quality_flags"),
)

Columns = dict[str, np.ndarray]


def aggregate_faces(observations: Observations, video_id: str, config: Config, unknown_below: float) -> pa.Table:
    """`faces`: one row for each track and second.

    Args:
      observations: of the whole video.
      video_id: for its column.
      config: the run's configuration.
      unknown_below: probability of the likelier gender below which it is `unknown`.
    """
    data = observations.columns
    second = np.floor(data["timestamp"]).astype(np.int32)
    starts = _starts(data["track"], second)
    best = _best_rows(data["quality"], starts)
    samples = _ends(starts, len(second)) - starts
    detected = _sums((~np.isnan(data["confidence"])).astype(int), starts)
    columns: dict[str, object] = {name: data[name][best] for name in _BEST}
    columns |= {
        "video_id": [video_id] * len(starts),
        "track_id": data["track"][starts],
        "second": second[starts],
        "frame": _stamps(data["frame"][best]),
        "pts": _stamps(data["pts"][best]),
        "shot_id": shot_at(observations, data["timestamp"][best]),
        "n_samples": samples,
        "n_detected": detected,
        "n_tracked": samples - detected,
    }
    means = _means(data, starts)
    columns |= means | _age_interval(means["age"], means["age_std"])
    columns |= _labels(means, unknown_below)
    columns["emotion_entropy"] = _entropy(means)
    weight = _sums(data["quality"].astype(np.float64), starts)
    smooth = _smooth(data["track"][starts], second[starts], weight, means, config.aggregation.smooth_seconds)
    columns |= smooth
    columns["emotion_smooth"] = _arg_max([smooth[name] for name in SMOOTH_COLUMNS])
    return make_table(FACES, columns)


def aggregate_tracks(observations: Observations, video_id: str, unknown_below: float) -> pa.Table:
    """`tracks`: one row for each track. Its age is a weighted median, which a few bad crops do not move."""
    data = observations.columns
    starts = _starts(data["track"])
    n = len(starts)
    ends = _ends(starts, len(data["track"]))
    best = _best_rows(data["quality"], starts)
    means = _means(data, starts)
    for name in ("age", "age_std"):
        pairs = zip(starts, ends, strict=True)
        means[name] = np.array([_median(data[name][a:b], data["quality"][a:b]) for a, b in pairs], np.float32)
    detected = ~np.isnan(data["confidence"])
    first, last = starts, ends - 1
    columns: dict[str, object] = {
        "video_id": [video_id] * n,
        "track_id": data["track"][starts],
        "shot_id": shot_at(observations, data["timestamp"][first]),
        "person_id": pa.nulls(n, pa.int32()),
        "start_time": data["timestamp"][first],
        "end_time": data["timestamp"][last],
        "duration": data["timestamp"][last] - data["timestamp"][first],
        "start_frame": _stamps(data["frame"][first]),
        "end_frame": _stamps(data["frame"][last]),
        "n_samples": ends - starts,
        "n_detected": _sums(detected.astype(int), starts),
        "end_reason": observations.end_reason,
        "confidence_mean": _weighted(np.nan_to_num(data["confidence"]), detected.astype(np.float64), starts),
        "best_timestamp": data["timestamp"][best],
        **{f"best_{name}": data[name][best] for name in ("x", "y", "width", "height")},
        "embedding": pa.nulls(n, TRACKS.field("embedding").type),
    }
    columns |= means | _age_interval(means["age"], means["age_std"])
    columns |= _labels(means, unknown_below)
    return make_table(TRACKS, columns)


def aggregate_timeline(
    observations: Observations,
    faces: pa.Table,
    video_id: str,
    *,
    last_timestamp: float,
    damaged_seconds: set[int],
    missing_until: float | None,
) -> pa.Table:
    """`timeline`: one row for each second, also for those without a face.

    Args:
      observations: of the whole video.
      faces: its table of faces.
      video_id: for its column.
      last_timestamp: of the last displayed frame.
      damaged_seconds: in which something could not be decoded.
      missing_until: stated duration of a truncated file; None if the file is whole.
    """
    n = int(last_timestamp) + 1
    rows = n if missing_until is None else max(n, int(np.ceil(missing_until)))
    second = np.floor(observations.timestamps).astype(int)
    samples = np.bincount(second, minlength=rows)[:rows]
    has_sample = samples > 0
    first = np.searchsorted(second, np.arange(rows))
    first = np.minimum(first, max(len(second) - 1, 0))
    n_faces = np.bincount(faces["second"].to_numpy(), minlength=rows)[:rows]
    ok = np.array([s < n and s not in damaged_seconds for s in range(rows)], bool)
    return make_table(
        TIMELINE,
        {
            "video_id": [video_id] * rows,
            "second": np.arange(rows),
            "timestamp": pa.array(observations.timestamps[first], mask=~has_sample),
            "n_samples": samples,
            "n_faces": pa.array(n_faces.astype(np.int16), mask=~has_sample),
            "shot_id": pa.array(observations.shots[first], mask=~has_sample),
            "decode_ok": ok,
        },
    )


def shot_at(observations: Observations, timestamps: np.ndarray) -> np.ndarray:
    """Shot that the samples at these times belong to."""
    return observations.shots[np.searchsorted(observations.timestamps, timestamps)]


def _starts(*keys: np.ndarray) -> np.ndarray:
    """Rows at which runs of equal keys begin."""
    if not len(keys[0]):
        return np.zeros(0, int)
    changes = np.any([key[1:] != key[:-1] for key in keys], axis=0)
    return np.concatenate([[0], np.flatnonzero(changes) + 1])


def _ends(starts: np.ndarray, n: int) -> np.ndarray:
    """Where runs end, given where they begin and how many rows there are."""
    return np.append(starts[1:], n)[: len(starts)].astype(int)


def _sums(values: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """Sums of each run along the last axis."""
    return np.add.reduceat(values, starts, axis=-1) if len(starts) else values[..., :0]


def _weighted(values: np.ndarray, weights: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """Weighted mean of each run, without its NaN; NaN where a run has no other values.

    Args:
      values: [..., n].
      weights: [n].
      starts: [m] rows at which runs begin.

    Returns:
      [..., m] float32.
    """
    unknown = np.isnan(values)
    weights = np.where(unknown, 0, weights).astype(np.float64)
    total = _sums(weights, starts)
    summed = _sums(np.where(unknown, 0, values).astype(np.float64) * weights, starts)
    return np.divide(summed, total, out=np.full(total.shape, np.nan), where=total > 0).astype(np.float32)


def _means(data: Columns, starts: np.ndarray) -> Columns:
    names = (*EMOTION_COLUMNS, "gender_female", "age")
    # All columns at once: for a picture, the calls cost more than the sums.
    values = np.stack([*(data[name] for name in names), data["age_std"] ** 2])
    *means, variance = _weighted(values, data["quality"], starts)
    return dict(zip(names, means, strict=True)) | {"age_std": np.sqrt(variance)}


def _best_rows(quality: np.ndarray, starts: np.ndarray) -> np.ndarray:
    runs = zip(starts, _ends(starts, len(quality)), strict=True)
    return np.array([a + int(np.argmax(quality[a:b])) for a, b in runs], int)


def _median(values: np.ndarray, weights: np.ndarray) -> float:
    """Weighted median without NaN; NaN where there are no other values."""
    known = ~np.isnan(values)
    values, weights = values[known], weights[known].astype(np.float64)
    if not len(values):
        return float("nan")
    order = np.argsort(values, kind="stable")
    running = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(running, running[-1] / 2)])


def _age_interval(age: np.ndarray, std: np.ndarray) -> Columns:
    return {
        "age_low": np.minimum(age, np.maximum(age - np.float32(INTERVAL_80) * std, 0)),
        "age_high": age + np.float32(INTERVAL_80) * std,
    }


def _arg_max(columns: list[np.ndarray]) -> list[str | None]:
    values = np.stack(columns, axis=1)
    known = ~np.isnan(values).all(axis=1)
    best = np.argmax(np.where(np.isnan(values), -1, values), axis=1)
    return [EMOTIONS[i] if k else None for i, k in zip(best, known, strict=True)]


def _labels(means: Columns, unknown_below: float) -> dict[str, list[str | None]]:
    female = means["gender_female"]
    sure = np.maximum(female, 1 - female) >= unknown_below
    gender = [
        None if np.isnan(f) else ("female" if f >= 0.5 else "male") if s else "unknown"
        for f, s in zip(female, sure, strict=True)
    ]
    return {"emotion": _arg_max([means[name] for name in EMOTION_COLUMNS]), "gender": gender}


def _entropy(means: Columns) -> np.ndarray:
    p = np.stack([means[name] for name in EMOTION_COLUMNS], axis=1).astype(np.float64)
    unknown = np.isnan(p).all(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(np.nan_to_num(p) > 0, -p * np.log(p), 0)
    return np.where(unknown, np.nan, terms.sum(axis=1)).astype(np.float32)


def _smooth(track: np.ndarray, second: np.ndarray, weight: np.ndarray, means: Columns, sigma: float) -> Columns:
    """Means over the seconds around, by a Gaussian of `sigma` seconds and the seconds' weights, within each track."""
    sources = dict(zip(SMOOTH_COLUMNS, EMOTION_COLUMNS, strict=True))
    sources |= {"age_smooth": "age", "gender_female_smooth": "gender_female"}
    if sigma == 0:
        return {name: means[source] for name, source in sources.items()}
    values = np.stack([means[source] for source in sources.values()]).astype(np.float64)
    unknown = np.isnan(values)
    weights = np.where(unknown, 0, weight)
    weighted = np.stack([weights, np.where(unknown, 0, values) * weights])
    out = np.full(values.shape, np.nan, np.float32)
    starts = _starts(track)
    for a, b in zip(starts, _ends(starts, len(track)), strict=True):
        place = second[a:b] - second[a]
        each_second = np.zeros((*weighted.shape[:2], place[-1] + 1))
        each_second[..., place] = weighted[..., a:b]
        total, summed = gaussian_filter1d(each_second, sigma, mode="constant")[..., place]
        smooth = np.divide(summed, total, out=np.full(total.shape, np.nan), where=total > 1e-12)
        out[:, a:b] = np.where(unknown[:, a:b], np.nan, smooth)
    return dict(zip(sources, out, strict=True))


def _stamps(values: np.ndarray) -> pa.Array:
    return pa.array(values, pa.int64(), mask=values == NO_STAMP)
