"""Follow faces from sample to sample.

A detection continues the track that it overlaps most, by an optimal assignment; strong detections choose first, then
weak ones (ByteTrack: Zhang et al., ECCV 2022). A track begins with any detection, and is confirmed by one that is sure
by itself or by two that count; until then its faces do not count, and it ends with the first look at which nothing
continues it. So a face has rows from its first weak moment on, and a hand that looks like one for a moment has none.

A track ends as `lost` when no detection has come for too long, when its box leaves the picture, or when the correlation
tracker, where it is used, finds nothing. All tracks end at a shot cut.
"""

import dataclasses
import functools
from collections.abc import Iterable, Iterator

import apache_beam as beam
import numpy as np
from scipy.optimize import linear_sum_assignment

from models.detectors.choose import Detector, detector_of_run
from schemas.config import Config, Tracking
from schemas.faces import Boxes, TrackedFaces
from schemas.iteration import with_next
from transforms.motion import CorrelationMotion, Motion, SteadyMotion
from transforms.samples import Sample, SegmentStream

_CLEAR, _RIVAL = 0.5, 0.1
"""A detection that overlaps a track by the first continues it without asking the tracker, unless another track or
detection overlaps by the second."""
_ENOUGH = 2
"""Detections that count, after which a track is confirmed."""


def overlap(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Intersection over union of every box in a [n, 4] with every box in b [m, 4], xywh; [n, m] float64 in [0, 1].

    >>> overlap(np.array([[0, 0, 4, 4]]), np.array([[0, 0, 4, 4], [2, 0, 4, 4], [9, 9, 1, 1]])).round(2)
    array([[1.  , 0.33, 0.  ]])
    """
    a, b = a[:, None].astype(np.float64), b[None].astype(np.float64)
    corner = np.minimum(a[..., :2] + a[..., 2:], b[..., :2] + b[..., 2:])
    sides = np.clip(corner - np.maximum(a[..., :2], b[..., :2]), 0, None)
    shared = sides[..., 0] * sides[..., 1]
    union = a[..., 2] * a[..., 3] + b[..., 2] * b[..., 3] - shared
    return shared / np.maximum(union, 1e-9)


def assign(similarity: np.ndarray, threshold: float) -> list[tuple[int, int]]:
    """Pairs (row, column) of the assignment with the greatest sum, without pairs below a threshold.

    >>> assign(np.array([[0.9, 0.8], [0.7, 0.1]]), 0.3)
    [(0, 1), (1, 0)]
    """
    allowed = np.where(similarity >= threshold, similarity, 0)
    rows, columns = linear_sum_assignment(-allowed)
    return [(int(r), int(c)) for r, c in zip(rows, columns, strict=True) if similarity[r, c] >= threshold]


@dataclasses.dataclass(frozen=True)
class TrackerSettings:
    """How detections become tracks, with the detector's values.

    Attributes:
      counts_from: score from which a detection counts.
      sure_from: score from which one detection confirms a track.
      correlates: whether dlib's correlation tracker carries faces in samples without a detection of theirs.
      gap: seconds between two samples from which on the recording has a hole, which ends all tracks.
      lost_after, tracker_threshold, match_iou: as in `schemas.config.Tracking`.
    """

    counts_from: float = 0.0
    sure_from: float = 0.0
    correlates: bool = True
    gap: float = 2.25
    lost_after: float = Tracking.lost_after
    tracker_threshold: float = Tracking.tracker_threshold
    match_iou: float = Tracking.match_iou

    @classmethod
    def of(cls, config: Config) -> "TrackerSettings":
        """Those of a run. A detector that runs on every sample needs no correlation tracker."""
        detector: Detector = detector_of_run(config.detection)
        tracking, fps = config.tracking, config.sampling.sample_fps
        return cls(
            detector.threshold,
            detector.sure_threshold,
            correlates=detector.detect_every > 0,
            gap=tracking.lost_after + (1 / fps if fps else 0.0),
            **dataclasses.asdict(tracking),
        )


class _Track:
    """One face: where it is, where it was last detected, and how much speaks for it."""

    def __init__(self, number: int, motion: Motion):
        self.number = number
        self.is_confirmed = False
        self._motion = motion
        self._counting = 0

    def detect(self, box: np.ndarray, score: float, sample: "_Looked", settings: TrackerSettings) -> None:
        """Takes a detection's box [4] and score."""
        self.box = self.detected_box = box
        self.last_detected = sample.timestamp
        self._motion.detected(box, sample.luma, sample.timestamp)
        self._counting += score >= settings.counts_from
        self.is_confirmed |= score >= settings.sure_from or self._counting >= _ENOUGH

    def advance(self, sample: "_Looked") -> float:
        """Moves the box to where the face should be in the next sample; returns how sure that is."""
        self.box, score = self._motion.advance(sample.luma, sample.timestamp)
        return score


@dataclasses.dataclass(frozen=True)
class _Looked:
    """What is known of a sample before its faces have tracks."""

    luma: np.ndarray
    timestamp: float
    detections: Boxes | None


class FaceTracker:
    """Tracks of one segment, sample by sample."""

    def __init__(self, settings: TrackerSettings):
        """Starts without a track."""
        self._settings = settings
        self._tracks: list[_Track] = []
        self._count = 0
        self._before = -np.inf

    def follow(
        self,
        luma: np.ndarray,
        timestamp: float,
        detections: Boxes | None,
        *,
        is_cut: bool = False,
        is_alone: bool = False,
    ) -> TrackedFaces:
        """The faces of the next sample.

        Args:
          luma: [H, W] uint8.
          timestamp: seconds.
          detections: None where the detector did not run.
          is_cut: whether a new shot begins; all tracks end.
          is_alone: whether the shot has no other sample, so that no second look confirms a face.
        """
        sample = _Looked(luma, timestamp, detections)
        ended: dict[int, str] = {}
        if is_cut or timestamp - self._before >= self._settings.gap:
            ended = {track.number: "cut" if is_cut else "lost" for track in self._tracks}
            self._tracks = []
        self._before = timestamp
        scores: dict[int, float] = {}  # by track number: the tracker's, where it was asked
        matched, new = ([], []) if detections is None else self._match(sample, detections, scores)
        row_of = {track.number: row for track, row in matched}  # of its detection
        for track in list(self._tracks):
            if track.number not in row_of:
                if track.number not in scores:
                    scores[track.number] = track.advance(sample)
                if self._is_lost(track, scores[track.number], sample):
                    ended[track.number] = "lost"
                    self._tracks.remove(track)
        if detections is not None:
            settings = self._settings
            if is_alone:
                settings = dataclasses.replace(settings, sure_from=settings.counts_from)
            for row in new:
                track = _Track(self._count, CorrelationMotion() if self._settings.correlates else SteadyMotion())
                matched.append((track, row))
                row_of[track.number] = row
                self._tracks.append(track)
                self._count += 1
            for track, row in matched:
                track.detect(detections.xywh[row], float(detections.score[row]), sample, settings)
        seen = [track for track in self._tracks if self._settings.correlates or track.number in row_of]
        return _tracked(seen, row_of, scores, detections, ended)

    def _match(
        self, sample: _Looked, detections: Boxes, scores: dict[int, float]
    ) -> tuple[list[tuple[_Track, int]], list[int]]:
        """Which detection continues which track, and which detections are new.

        Where a detection lies on a track's last box and nothing else is near, the tracker is not run.
        """
        boxes = np.array([track.box for track in self._tracks], np.float32).reshape(-1, 4)
        near = overlap(boxes, detections.xywh)
        rivals = near > _RIVAL
        alone = (rivals.sum(axis=1, keepdims=True) <= 1) & (rivals.sum(axis=0, keepdims=True) <= 1)
        clear = np.argwhere((near >= _CLEAR) & alone)
        matched = [(self._tracks[r], int(c)) for r, c in clear]
        tracks = [track for r, track in enumerate(self._tracks) if r not in set(clear[:, 0])]
        rows = [c for c in range(len(detections.score)) if c not in set(clear[:, 1])]
        for track in tracks:
            scores[track.number] = track.advance(sample)
        strong = [row for row in rows if detections.score[row] >= self._settings.counts_from]
        for candidates in (strong, [row for row in rows if row not in strong]):
            if tracks and candidates:
                # A face that was turned away or hidden comes back where it should be or where it was last detected.
                places = np.array([(track.box, track.detected_box) for track in tracks], np.float32)
                near = np.maximum(*(overlap(places[:, i], detections.xywh[candidates]) for i in (0, 1)))
                pairs = assign(near, self._settings.match_iou)
                matched += [(tracks[r], candidates[c]) for r, c in pairs]
                tracks = [track for r, track in enumerate(tracks) if r not in {r for r, _ in pairs}]
        taken = {row for _, row in matched}
        return matched, [row for row in rows if row not in taken]

    def _is_lost(self, track: _Track, score: float, sample: _Looked) -> bool:
        x, y, width, height = track.box
        inside = 0 <= x + width / 2 <= sample.luma.shape[1] and 0 <= y + height / 2 <= sample.luma.shape[0]
        too_long = sample.timestamp - track.last_detected >= self._settings.lost_after
        unbelieved = sample.detections is not None and not track.is_confirmed
        return unbelieved or too_long or not inside or score < self._settings.tracker_threshold


def _tracked(
    tracks: list[_Track],
    row_of: dict[int, int],
    scores: dict[int, float],
    detections: Boxes | None,
    ended: dict[int, str],
) -> TrackedFaces:
    confidence = np.full(len(tracks), np.nan, np.float32)
    points = np.full((len(tracks), 5, 2), np.nan, np.float32)
    if detections is not None:
        at = [i for i, track in enumerate(tracks) if track.number in row_of]
        rows = [row_of[tracks[i].number] for i in at]
        confidence[at] = detections.score[rows]
        if detections.points is not None:
            points[at] = detections.points[rows]
    return TrackedFaces(
        track=np.array([t.number for t in tracks], np.int32),
        xywh=np.array([t.box for t in tracks], np.float32).reshape(-1, 4),
        confidence=confidence,
        track_confidence=np.array([scores.get(t.number, np.nan) for t in tracks], np.float32),
        points=points,
        is_confirmed=np.array([t.is_confirmed for t in tracks], bool),
        ended=ended,
    )


def track_faces(samples: Iterable[Sample], settings: TrackerSettings) -> Iterator[Sample]:
    """Gives each sample its faces, each with its track; is one sample ahead, to know the shots that have only one."""
    tracker, begins = FaceTracker(settings), True
    for sample, following in with_next(samples):
        begins |= sample.is_cut
        ends = following is None or following.is_cut
        sample.faces = tracker.follow(
            sample.picture.luma,
            sample.timestamp,
            sample.detections,
            is_cut=sample.is_cut,
            is_alone=begins and ends,
        )
        begins = False
        yield sample


@dataclasses.dataclass(eq=False)
class TrackFaces(beam.PTransform):
    """SegmentStream → SegmentStream whose samples carry tracked faces.

    Attributes:
      config: the run's configuration.
    """

    config: Config

    def expand(self, streams: beam.PCollection[SegmentStream]) -> beam.PCollection[SegmentStream]:
        step = functools.partial(track_faces, settings=TrackerSettings.of(self.config))
        return streams | beam.Map(SegmentStream.through, "track", step).with_output_types(SegmentStream)
