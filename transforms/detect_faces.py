"""Find faces in sampled frames, where detection is due."""

import dataclasses
from collections.abc import Callable, Iterable, Iterator

import apache_beam as beam

from models.detectors.choose import detector_of_run
from models.detectors.interface import Picture
from schemas.config import Config
from schemas.faces import Boxes
from transforms.samples import Sample, SampleGrid, SegmentStream


def detect_faces(samples: Iterable[Sample], detector: Callable[[Picture], Boxes], *, every: float) -> Iterator[Sample]:
    """Runs the detector where it is due; the samples in between are left to the tracker.

    It is due at the first sample at or after each multiple of `every` seconds of the video, and at the first sample of
    each segment and of each shot.
    """
    grid = SampleGrid(1 / every if every else None)
    before: Sample | None = None
    for sample in samples:
        due = grid.takes(sample.timestamp)
        if due or sample.is_first or sample.is_cut:
            grid.pass_over(sample.timestamp)
            is_same = before is not None and sample.picture is before.picture  # it stays on the screen
            sample.detections = before.detections if before is not None and is_same else None
            if sample.detections is None:
                sample.detections = detector(sample.picture)
        before = sample
        yield sample


@dataclasses.dataclass(eq=False)
class DetectFaces(beam.PTransform):
    """SegmentStream → SegmentStream whose samples carry detections where they were due.

    Attributes:
      config: the run's configuration.
    """

    config: Config

    def expand(self, streams: beam.PCollection[SegmentStream]) -> beam.PCollection[SegmentStream]:
        return streams | beam.Map(_with_detections, self.config).with_output_types(SegmentStream)


def _with_detections(stream: SegmentStream, config: Config) -> SegmentStream:
    detector = detector_of_run(config.detection)
    return stream.through("detect", lambda samples: detect_faces(samples, detector, every=detector.detect_every))
