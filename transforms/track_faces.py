"""Follow faces from sample to sample.

A detection continues the track that it overlaps most, by an optimal assignment; between detections dlib's correlation
tracker carries the box. Weak detections may continue a track, but never begin one (ByteTrack: Zhang et al., ECCV 2022);
without them, a face that turns aside for three seconds comes back as another track. A track ends as `lost` when the
tracker's score falls or no detection has come for too long. All tracks end at a shot cut.
"""

import dataclasses
import functools
from collections.abc import Iterable, Iterator

import apache_beam as beam
import dlib
import numpy as np
from scipy.optimize import linear_sum_assignment

from models.detectors.choose import make_detector
from schemas.config import Config, Tracking
from schemas.faces import Boxes, TrackedFaces
from transforms.samples import Sample, SegmentStream

_CLEAR, _RIVAL = 0.5, 0.1
"""A detection that overlaps a track by the first continues it without asking the tracker, unless another track or
detection overlaps by the second."""


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


class _Track:
    """One face: its last box, and dlib's tracker once it is needed."""

    def __init__(self, number: int, box: np.ndarray, luma: np.ndarray, timestamp: float):
        self.number = number
        self.detect(box, luma, timestamp)

    def detect(self, box: np.ndarray, luma: np.ndarray, timestamp: float) -> None:
        """Takes a detection's box; the tracker starts anew from it when it is needed next."""
        self.box = self.detected_box = box
        self.last_detected = timestamp
        self._start_from: tuple[np.ndarray, np.ndarray] | None = (luma, box)

    def advance(self, luma: np.ndarray) -> float:
        """Moves the box to where the tracker finds it in the next sample; returns the peak-to-sidelobe ratio."""
        if self._start_from is not None:
            before, (x, y, width, height) = self._start_from
            self._tracker = dlib.correlation_tracker()
            self._tracker.start_track(before, dlib.drectangle(x, y, x + width - 1, y + height - 1))
            self._start_from = None
        score = self._tracker.update(luma)
        place = self._tracker.get_position()
        self.box = np.array((place.left(), place.top(), place.width(), place.height()), np.float32)
        return score


class FaceTracker:
    """Tracks of one segment, sample by sample.

    Source of the tracker: Danelljan et al., Accurate Scale Estimation for Robust Visual Tracking (BMVC 2014).
    """

    def __init__(self, tracking: Tracking, *, begin_threshold: float = 0.0):
        """Starts without a track; detections that score below `begin_threshold` begin none."""
        self._settings = tracking
        self._begin = begin_threshold
        self._tracks: list[_Track] = []
        self._count = 0

    def follow(
        self, luma: np.ndarray, timestamp: float, detections: Boxes | None, *, is_cut: bool = False
    ) -> TrackedFaces:
        """The faces of the next sample.

        Args:
          luma: [H, W] uint8.
          timestamp: seconds.
          detections: None where the detector did not run.
          is_cut: whether a new shot begins; all tracks end.
        """
        ended: dict[int, str] = {}
        if is_cut:
            ended = {track.number: "cut" for track in self._tracks}
            self._tracks = []
        scores: dict[int, float] = {}  # by track number: the tracker's, where it was asked
        confidence: dict[int, float] = {}
        matched, new = ([], []) if detections is None else self._match(luma, detections, scores)
        continued = {track.number for track, _ in matched}
        for track in self._tracks:
            if track.number not in continued and track.number not in scores:
                scores[track.number] = track.advance(luma)
        for track, row in matched:
            assert detections is not None
            track.detect(detections.xywh[row], luma, timestamp)
            confidence[track.number] = float(detections.score[row])
        for track in list(self._tracks):
            if track.number not in continued and self._is_lost(track, scores[track.number], timestamp, luma):
                ended[track.number] = "lost"
                self._tracks.remove(track)
        for row in new:
            assert detections is not None
            track = _Track(self._count, detections.xywh[row], luma, timestamp)
            confidence[track.number] = float(detections.score[row])
            self._tracks.append(track)
            self._count += 1
        return TrackedFaces(
            track=np.array([t.number for t in self._tracks], np.int32),
            xywh=np.array([t.box for t in self._tracks], np.float32).reshape(-1, 4),
            confidence=np.array([confidence.get(t.number, np.nan) for t in self._tracks], np.float32),
            track_confidence=np.array([scores.get(t.number, np.nan) for t in self._tracks], np.float32),
            ended=ended,
        )

    def _match(
        self, luma: np.ndarray, detections: Boxes, scores: dict[int, float]
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
            scores[track.number] = track.advance(luma)
        strong = [row for row in rows if detections.score[row] >= self._begin]
        for candidates in (strong, [row for row in rows if row not in strong]):
            if tracks and candidates:
                # A face that was turned away or hidden comes back where the tracker went or where it was last detected.
                places = np.array([(track.box, track.detected_box) for track in tracks], np.float32)
                near = np.maximum(*(overlap(places[:, i], detections.xywh[candidates]) for i in (0, 1)))
                pairs = assign(near, self._settings.match_iou)
                matched += [(tracks[r], candidates[c]) for r, c in pairs]
                tracks = [track for r, track in enumerate(tracks) if r not in {r for r, _ in pairs}]
        taken = {row for _, row in matched}
        return matched, [row for row in strong if row not in taken]

    def _is_lost(self, track: _Track, score: float, timestamp: float, luma: np.ndarray) -> bool:
        x, y, width, height = track.box
        inside = 0 <= x + width / 2 <= luma.shape[1] and 0 <= y + height / 2 <= luma.shape[0]
        too_long = timestamp - track.last_detected >= self._settings.lost_after
        return too_long or not inside or score < self._settings.tracker_threshold


def track_faces(samples: Iterable[Sample], tracking: Tracking, *, begin_threshold: float = 0.0) -> Iterator[Sample]:
    """Gives each sample its faces, each with its track."""
    tracker = FaceTracker(tracking, begin_threshold=begin_threshold)
    for sample in samples:
        sample.faces = tracker.follow(sample.picture.luma, sample.timestamp, sample.detections, is_cut=sample.is_cut)
        yield sample


@dataclasses.dataclass(eq=False)
class TrackFaces(beam.PTransform):
    """SegmentStream → SegmentStream whose samples carry tracked faces.

    Attributes:
      config: the run's configuration.
    """

    config: Config

    def expand(self, streams: beam.PCollection[SegmentStream]) -> beam.PCollection[SegmentStream]:
        tracking, begin = self.config.tracking, make_detector(self.config.detection).threshold
        step = functools.partial(track_faces, tracking=tracking, begin_threshold=begin)
        return streams | beam.Map(SegmentStream.through, "track", step).with_output_types(SegmentStream)
