"""Find faces in sampled frames.

Frames are 2-D uint8 luma planes; boxes are (x, y, width, height) in their pixels.
"""

import dataclasses
import functools
import threading
from collections.abc import Callable, Iterable, Iterator

import apache_beam as beam
import cv2
import dlib
import numpy as np

from schemas.config import Config, Detection
from schemas.errors import UsageError
from schemas.faces import Boxes
from transforms.decode_frames import Sample, SampleGrid, SegmentStream

HOG_WINDOW = 80
"""Side of dlib's detection window in pixels: the smallest face that it finds without scaling."""

Detector = Callable[[np.ndarray], Boxes]
"""[H, W] uint8 → the faces in it, best first."""


_of_thread = threading.local()


def _hog() -> dlib.fhog_object_detector:
    """One for each thread: two threads in one detector end the process, as where a worker has several tasks."""
    if not hasattr(_of_thread, "hog"):
        _of_thread.hog = dlib.get_frontal_face_detector()
    return _of_thread.hog


def detect_hog(luma: np.ndarray, *, min_face: int, threshold: float) -> Boxes:
    """Frontal faces by dlib's HOG detector.

    Source: D. King, Max-Margin Object Detection, arXiv 1502.00046, over the features of Dalal and Triggs (CVPR 2005).

    Args:
      luma: [H, W] uint8.
      min_face: side in pixels of the smallest face to find; the frame is scaled by 80 / min_face first, and the cost
        goes with the square of that.
      threshold: dlib's margin below which a detection is dropped.
    """
    scale = HOG_WINDOW / min_face
    height, width = luma.shape
    if min(height, width) * scale < HOG_WINDOW / 2:
        return Boxes(np.zeros((0, 4), np.float32), np.zeros(0, np.float32))
    if scale != 1:
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        luma = cv2.resize(luma, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    rectangles, scores, _ = _hog().run(luma, 0, threshold)
    xywh = np.array([(r.left(), r.top(), r.width(), r.height()) for r in rectangles], np.float32).reshape(-1, 4)
    score = np.array(scores, np.float32)
    order = np.argsort(-score, kind="stable")
    return Boxes(xywh[order] / np.float32(scale), score[order])


DETECTORS: dict[str, Callable[[Detection], Detector]] = {
    "hog": lambda d: functools.partial(detect_hog, min_face=d.min_face, threshold=min(d.threshold, d.keep_threshold)),
}
"""Detectors by name: each makes, from the configuration, a function from luma to boxes."""


def make_detector(detection: Detection) -> Detector:
    """The detector that a configuration names.

    Raises:
      UsageError: there is none of that name.
    """
    if detection.detector not in DETECTORS:
        raise UsageError(f"There is no detector called {detection.detector!r}; known: {', '.join(DETECTORS)}.")
    return DETECTORS[detection.detector](detection)


def detect_faces(samples: Iterable[Sample], detector: Detector, *, every: float) -> Iterator[Sample]:
    """Runs the detector where it is due; the samples in between are left to the tracker.

    Due is the first sample at or after each multiple of `every` seconds of the video, the first of each segment and
    the first of each shot.
    """
    grid = SampleGrid(1 / every if every else None)
    for sample in samples:
        due = grid.takes(sample.timestamp)
        if due or sample.is_first or sample.is_cut:
            grid.pass_over(sample.timestamp)
            sample.detections = detector(sample.picture.luma)
        yield sample


@dataclasses.dataclass(eq=False)
class DetectFaces(beam.PTransform):
    """SegmentStream → SegmentStream whose samples carry detections where they were due.

    Attributes:
      config: the run's configuration.
    """

    config: Config

    def expand(self, streams):
        return streams | beam.Map(_with_detections, self.config).with_output_types(SegmentStream)


def _with_detections(stream: SegmentStream, config: Config) -> SegmentStream:
    detector = make_detector(config.detection)
    return dataclasses.replace(
        stream, samples=detect_faces(stream.samples, detector, every=config.detection.detect_every)
    )
