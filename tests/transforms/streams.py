"""The fused steps as one call, for tests."""

import functools
from pathlib import Path

import cv2
import numpy as np

from schemas import storage
from schemas.config import Config
from schemas.video import Segment
from transforms.decode_frames import decode_segment
from transforms.follow_faces import follow_faces
from transforms.probe_video import probe_video
from transforms.samples import Sample, SegmentStream


def segments_of(path: Path, config: Config) -> tuple[Segment, ...]:
    """The segments of a file."""
    return probe_video(storage.stat(str(path)), config).segments


def tracked(segment: Segment, config: Config) -> SegmentStream:
    """A segment decoded, cut, detected and tracked."""
    stream = decode_segment(segment, config)
    return stream.through("follow", functools.partial(follow_faces, config=config))


def tracked_file(path: Path, config: Config) -> list[Sample]:
    """All samples of a file of one segment."""
    (segment,) = segments_of(path, config)
    return list(tracked(segment, config).samples)


class FakePicture:
    """A picture [h, w] or, in RGB, [h, w, 3] that has luma and a thumbnail alone."""

    def __init__(self, image: np.ndarray):
        self._rgb = np.repeat(image[..., None], 3, axis=2) if image.ndim == 2 else image
        self.luma = cv2.cvtColor(self._rgb, cv2.COLOR_RGB2GRAY)

    def thumbnail(self, size: tuple[int, int]) -> np.ndarray:
        """As `Picture.thumbnail`."""
        return cv2.resize(self._rgb[:, :, ::-1], size, interpolation=cv2.INTER_AREA)


def fake_samples(images: list[np.ndarray], fps: float = 4.0) -> list[Sample]:
    """Samples of pictures made up."""
    return [Sample(i / fps, i, i, FakePicture(image), i == 0) for i, image in enumerate(images)]  # type: ignore[arg-type]
