"""The fused steps as one call, for tests."""

from pathlib import Path

import numpy as np

from models.detectors.choose import make_detector
from schemas import storage
from schemas.config import Config
from schemas.video import Segment
from transforms.decode_frames import Sample, SegmentStream, decode_segment
from transforms.detect_cuts import detect_cuts
from transforms.detect_faces import detect_faces
from transforms.probe_video import probe_video
from transforms.track_faces import track_faces


def segments_of(path: Path, config: Config) -> tuple[Segment, ...]:
    """The segments of a file."""
    return probe_video(storage.stat(str(path)), config).segments


def tracked(segment: Segment, config: Config) -> SegmentStream:
    """A segment decoded, cut, detected and tracked."""
    stream = decode_segment(segment, config)
    samples = detect_cuts(stream.samples, threshold=config.detection.cut_threshold)
    samples = detect_faces(samples, make_detector(config.detection), every=config.detection.detect_every)
    samples = track_faces(samples, config.tracking, begin_threshold=config.detection.threshold)
    return SegmentStream(segment, samples, stream.stats)


def tracked_file(path: Path, config: Config) -> list[Sample]:
    """All samples of a file of one segment."""
    (segment,) = segments_of(path, config)
    return list(tracked(segment, config).samples)


class FakePicture:
    """A picture that has only luma."""

    def __init__(self, luma: np.ndarray):
        self.luma = luma


def fake_samples(lumas: list[np.ndarray], fps: float = 4.0) -> list[Sample]:
    """Samples of pictures made up."""
    return [Sample(i / fps, i, i, FakePicture(luma), i == 0) for i, luma in enumerate(lumas)]  # type: ignore[arg-type]
