"""Find shot cuts, cheaply enough for every sample.

Two samples belong to one shot when most of what the later one shows stood somewhere near in the earlier one: each block
of the later thumbnail, in colour, is looked for around its place in the earlier one. People and cameras move; a cut
replaces. A correlation of whole thumbnails confuses both: it misses shot and reverse shot before the same wall, and
takes a head that leaves the picture for a cut. `docs/detection.md` has the figures.
"""

import dataclasses
import functools
from collections.abc import Iterable, Iterator

import apache_beam as beam
import cv2
import numpy as np

from schemas.config import Config
from transforms.samples import Sample, SegmentStream

_SIZE = (48, 28)
_BLOCKS = (4, 4)
_REACH = (5, 3)
"""Pixels of the thumbnail, across and down, by which a block may have moved."""
_SMALLEST_CHANGE = 0.02
"""Mean change of a thumbnail, as a share of its range, below which there is no cut: noise, for instance."""
_ALIKE = 0.05
"""1 - correlation of two grey thumbnails below which there is no cut: most pairs of samples, which cost no more."""
_FLAT, _FLATTER, _SAME_LEVEL = 6.0, 3.0, 10.0
"""Standard deviations of a block, in levels, below which correlation says nothing (both blocks, or one), and the
difference of mean levels up to which two flat blocks are the same."""


def detect_cuts(samples: Iterable[Sample], *, threshold: float) -> Iterator[Sample]:
    """Marks samples that begin a new shot; a sample of another size than the one before begins one, too.

    Args:
      samples: in order of time; those that are marked already stay so.
      threshold: share of the picture in [0, 1] that has to be new.
    """
    previous, size = None, None
    for sample in samples:
        thumbnail, shape = sample.picture.thumbnail(_SIZE), sample.picture.luma.shape
        if previous is not None and not sample.is_cut:
            sample.is_cut = shape != size or new_share(previous, thumbnail) >= threshold
        previous, size = thumbnail, shape
        yield sample


def new_share(before: np.ndarray, after: np.ndarray) -> float:
    """How much of a thumbnail is new, from 0 (nothing) to 1.

    Args:
      before: [28, 48, 3] uint8, BGR.
      after: the thumbnail of the next sample.
    """
    if cv2.norm(before, after, cv2.NORM_L1) < _SMALLEST_CHANGE * 255 * before.size:
        return 0.0
    if _correlation(*(cv2.cvtColor(thumbnail, cv2.COLOR_BGR2GRAY) for thumbnail in (before, after))) > 1 - _ALIKE:
        return 0.0
    (across, down), (width, height) = _REACH, (n // blocks for n, blocks in zip(_SIZE, _BLOCKS, strict=True))
    around = cv2.copyMakeBorder(before, down, down, across, across, cv2.BORDER_REPLICATE)
    found = [
        _found(
            after[y : y + height, x : x + width],
            before[y : y + height, x : x + width],
            around[y : y + height + 2 * down, x : x + width + 2 * across],
        )
        for y in range(0, height * _BLOCKS[1], height)
        for x in range(0, width * _BLOCKS[0], width)
    ]
    return 1 - sum(found) / len(found)


def _correlation(before: np.ndarray, after: np.ndarray) -> float:
    """Pearson's, of two grey pictures of one size; 0 where one is flat."""
    if min(cv2.meanStdDev(before)[1][0, 0], cv2.meanStdDev(after)[1][0, 0]) < 1:
        return 0.0
    return float(cv2.matchTemplate(before, after, cv2.TM_CCOEFF_NORMED)[0, 0])


def _found(block: np.ndarray, place: np.ndarray, around: np.ndarray) -> float:
    """How well a block [h, w, 3] is found around its place in the picture before, from 0 to 1."""
    (mean, spread), (mean_before, spread_before) = cv2.meanStdDev(block), cv2.meanStdDev(place)
    flat, flat_before = cv2.mean(spread)[0], cv2.mean(spread_before)[0]
    if max(flat, flat_before) < _FLAT:
        return float(cv2.norm(mean, mean_before, cv2.NORM_INF) < _SAME_LEVEL)
    if min(flat, flat_before) < _FLATTER:
        return 0.0
    best = cv2.minMaxLoc(cv2.matchTemplate(around, block, cv2.TM_CCOEFF_NORMED))[1]
    return min(max(best, 0.0), 1.0)


@dataclasses.dataclass(eq=False)
class DetectCuts(beam.PTransform):
    """SegmentStream → SegmentStream whose samples know whether a shot begins with them.

    Attributes:
      config: the run's configuration.
    """

    config: Config

    def expand(self, streams: beam.PCollection[SegmentStream]) -> beam.PCollection[SegmentStream]:
        step = functools.partial(detect_cuts, threshold=self.config.detection.cut_threshold)
        return streams | beam.Map(SegmentStream.through, "cuts", step).with_output_types(SegmentStream)
