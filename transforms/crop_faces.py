"""Cut the chips that each model needs of tracked faces, measure their quality, and gather the faces of a segment.

A face counts once a detection of a confirmed track shows it, then or later. Until then its rows wait, and they are
dropped when the track ends first: before a tracker loses a face, it drifts onto the background, and what was never
confirmed was no face.
"""

import collections
import dataclasses
import time
from collections.abc import Container, Iterable, Iterator, Mapping

import apache_beam as beam
import numpy as np

from models.bundle import bundle_path
from models.cards import Card, read_card
from models.detectors.choose import detector_of_run
from models.geometry import Geometry
from models.landmarks import find_landmarks
from schemas.config import Config, Quality
from schemas.faces import EMBEDDING, NO_STAMP, FaceBatch, SegmentLog
from transforms.best_chips import BestChips
from transforms.failures import FAILED, Guard, SegmentFailed
from transforms.pose import pose_columns
from transforms.quality import QUALITY_CHIP, quality_columns
from transforms.samples import Sample, SegmentStream

PART_ROWS = 4096
"""Faces after which a long segment is passed on in parts: at 14 kB of chips each, about 60 MB."""

_AHEAD = 2
"""Samples that are looked ahead for faces that will not count."""

_FLOATS = ("x", "y", "width", "height", "confidence", "track_confidence", "yaw", "pitch", "roll", "pose_std")
_QUALITY = ("sharpness", "brightness", "face_px", "quality")
_DTYPES: dict[str, type[np.generic]] = {
    "track": np.int32,
    "timestamp": np.float64,
    "frame": np.int64,
    "pts": np.int64,
    **dict.fromkeys((*_FLOATS, *_QUALITY), np.float32),
    "quality_flags": np.uint16,
}


def crop_faces(stream: SegmentStream, config: Config, *, part_rows: int = PART_ROWS) -> Iterator[FaceBatch]:
    """The faces of a segment in columns and chips; reads the stream to its end.

    Args:
      stream: with tracked samples.
      config: the run's configuration.
      part_rows: faces after which a part is passed on, at the next whole second.
    """
    return stream.times.each("crop", _crop(stream, config, part_rows))


def _crop(stream: SegmentStream, config: Config, part_rows: int) -> Iterator[FaceBatch]:
    cards = {model.task: read_card(bundle_path(model.name)) for model in config.models}
    best = BestChips.of(config, stream.segment)
    gather = _Gather(stream, cards, config.aggregation.age_gender_samples, best)
    counts_from = detector_of_run(config.detection).threshold
    for sample in without_lost_faces(stream.samples):
        yield from gather.part(part_rows, int(sample.timestamp))
        gather.log(sample)
        if sample.faces is not None:
            gather.end(sample.faces.ended)
            if len(sample.faces.track):
                gather.add(crop_sample(sample, cards, config.quality, counts_from, best))
    yield gather.last()


def without_lost_faces(samples: Iterable[Sample]) -> Iterator[Sample]:
    """The samples without those of their faces that will not count, as far as the next samples show it.

    Such faces need no landmarks and no chips, and three of four show within two samples what they are. So as many
    frames are kept in memory.
    """
    ahead: collections.deque[Sample] = collections.deque()
    for sample in samples:
        if sample.faces is not None and sample.faces.ended:
            _drop_lost(ahead, sample.faces.ended)
        ahead.append(sample)
        if len(ahead) > _AHEAD:
            yield ahead.popleft()
    _drop_lost(ahead, None)
    yield from ahead


def _drop_lost(samples: Iterable[Sample], ended: Container[int] | None) -> None:
    """Drops what comes behind the last face that counts of the tracks that have ended (None: of all)."""
    counted: set[int] = set()
    for sample in reversed(list(samples)):
        if sample.faces is not None:
            tracks = sample.faces.track.tolist()
            counted.update(track for track, counts in zip(tracks, sample.faces.counts, strict=True) if counts)
            is_kept = [track in counted or (ended is not None and track not in ended) for track in tracks]
            if not all(is_kept):
                sample.faces = sample.faces.only(np.array(is_kept))


@dataclasses.dataclass(frozen=True)
class Cropped:
    """Faces of one sample.

    Attributes:
      columns: observation columns, [n] each.
      chips: [n, …] by task.
      counts: [n], whether the face counts: a detection of its confirmed track shows it, then or later.
    """

    columns: dict[str, np.ndarray]
    chips: dict[str, np.ndarray]
    counts: np.ndarray

    @property
    def second(self) -> int:
        """Of the sample."""
        return int(self.columns["timestamp"][0])


def crop_sample(
    sample: Sample,
    cards: Mapping[str, Card],
    limits: Quality,
    counts_from: float,
    best: BestChips | None = None,
) -> Cropped:
    """The faces of a tracked sample, of which there is at least one.

    Args:
      sample: its faces have tracks.
      cards: of the models, by task.
      limits: from which on a face is flagged.
      counts_from: score from which the detector's points are believed.
      best: is offered the faces, too.
    """
    faces, picture = sample.faces, sample.picture
    assert faces is not None
    luma = picture.luma
    # The points of weaker detections are no better than they are: mirrored, they look the same way.
    counts = (faces.confidence >= counts_from)[:, None, None]
    landmarks = find_landmarks(luma, faces.xywh, np.where(counts, faces.points, np.float32(np.nan)))

    def cut(geometry: Geometry) -> np.ndarray:
        transforms = geometry.transforms(landmarks.points, faces.xywh, (luma.shape[1], luma.shape[0]))
        return np.stack([picture.chip(m, geometry.size, geometry.channels) for m in transforms])

    n = len(faces.track)
    columns: dict[str, np.ndarray] = {
        "track": faces.track,
        "timestamp": np.full(n, sample.timestamp),
        "frame": np.full(n, NO_STAMP if sample.frame is None else sample.frame),
        "pts": np.full(n, NO_STAMP if sample.pts is None else sample.pts),
        "confidence": faces.confidence,
        "track_confidence": faces.track_confidence,
        **pose_columns(landmarks),
        "face_px": np.sqrt(faces.xywh[:, 2] * faces.xywh[:, 3]),
    }
    columns |= dict(zip(("x", "y", "width", "height"), (faces.xywh * (picture.box_scale * 2)).T, strict=True))
    grey = cut(QUALITY_CHIP)
    columns |= quality_columns(grey, columns, picture.size, limits)
    if best is not None:
        best.offer(columns, faces, landmarks, picture)
    chips = {t: grey if card.geometry == QUALITY_CHIP else cut(card.geometry) for t, card in cards.items()}
    return Cropped(columns, chips, faces.counts)


class _Gather:
    """Gathers the faces that count, those that wait for a detection, and the log of all samples."""

    def __init__(self, stream: SegmentStream, cards: Mapping[str, Card], best_samples: int, best: BestChips | None):
        self._started = time.monotonic()
        self._stream = stream
        self._cards = cards
        self._best_samples = best_samples
        self._best = best
        self._part = 0
        self._ended: dict[int, str] = {}
        self._samples: list[Cropped] = []
        self._rows = 0
        self._waiting: dict[int, list[tuple[Cropped, int]]] = collections.defaultdict(list)
        self._timestamps: list[float] = []
        self._is_cut: list[bool] = []

    def log(self, sample: Sample) -> None:
        """Notes that a sample was taken, with faces or without."""
        self._timestamps.append(sample.timestamp)
        self._is_cut.append(sample.is_cut)

    def end(self, ended: dict[int, str]) -> None:
        """Drops the rows of these tracks that no detection has confirmed: they have ended."""
        for track, reason in ended.items():
            self._waiting.pop(track, None)
            self._ended[track] = reason

    def add(self, cropped: Cropped) -> None:
        """Takes one sample's faces."""
        self._samples.append(cropped)
        self._rows += len(cropped.counts)
        for row, track in enumerate(cropped.columns["track"].tolist()):
            if not cropped.counts[row]:
                self._waiting[track].append((cropped, row))
                continue
            for earlier, earlier_row in self._waiting.pop(track, ()):
                earlier.counts[earlier_row] = True

    def part(self, rows: int, second: int) -> Iterator[FaceBatch]:
        """The faces before a second, if there are at least `rows`; seconds in which a face still waits stay here."""
        if self._rows < rows:
            return
        until = min([second, *(cropped.second for waiting in self._waiting.values() for cropped, _ in waiting)])
        done = [cropped for cropped in self._samples if cropped.second < until]
        if sum(len(cropped.counts) for cropped in done) >= rows:
            self._samples = self._samples[len(done) :]
            self._rows = sum(len(cropped.counts) for cropped in self._samples)
            yield self._batch(done)

    def last(self) -> FaceBatch:
        """The faces that are left; those that still wait are dropped."""
        return self._batch(self._samples, is_last=True)

    def _batch(self, done: list[Cropped], *, is_last: bool = False) -> FaceBatch:
        columns = {
            name: np.concatenate([np.zeros(0, dtype), *(c.columns[name][c.counts] for c in done)], dtype=dtype)
            for name, dtype in _DTYPES.items()
        }
        n = len(columns["track"])
        every, best = np.arange(n), _best(columns, self._best_samples)
        rows = {task: every if card.rows == "every" else best for task, card in self._cards.items()}
        chips: dict[str, np.ndarray] = {}
        if n:
            chips = {task: np.concatenate([c.chips[task][c.counts] for c in done])[rows[task]] for task in self._cards}
        if self._best is not None:
            rows[EMBEDDING], chips[EMBEDDING] = self._best.take(columns, is_last=is_last)
        log = SegmentLog(
            self._timestamps, self._is_cut, self._ended, self._stream.stats, self._stream.times, self._started
        )
        batch = FaceBatch(self._stream.segment, self._part, is_last, columns, rows, chips, log)
        self._part += 1
        self._timestamps, self._is_cut = [], []
        return batch


def _best(columns: dict[str, np.ndarray], keep: int) -> np.ndarray:
    """Rows of the best `keep` samples of each track and second, in order.

    >>> columns = {"timestamp": [0.0, 0.5, 0.75, 1.0], "track": [0, 0, 0, 0], "quality": [0.5, 0.9, 0.7, 0.1]}
    >>> _best({name: np.array(values) for name, values in columns.items()}, 2)
    array([1, 2, 3])
    """
    second = np.floor(columns["timestamp"])
    order = np.lexsort((columns["timestamp"], -columns["quality"], second, columns["track"]))
    place = np.arange(len(order))
    is_new = np.diff(columns["track"][order], prepend=-1) != 0
    is_new |= np.diff(second[order], prepend=-1) != 0
    rank = place - np.maximum.accumulate(np.where(is_new, place, 0))
    return np.sort(order[rank < keep])


@dataclasses.dataclass(eq=False)
class CropFaces(beam.PTransform):
    """SegmentStream → (its FaceBatches, SegmentFailed); here the stream is read, and frames end.

    Attributes:
      config: the run's configuration.
    """

    config: Config

    def expand(
        self, streams: beam.PCollection[SegmentStream]
    ) -> tuple[beam.PCollection[FaceBatch], beam.PCollection[SegmentFailed]]:
        crop = beam.ParDo(Guard(crop_faces, self.config)).with_outputs(FAILED, main="faces")
        faces, failed = streams | crop
        return faces, failed
