"""What a comparison of detectors says."""

from __future__ import annotations

import dataclasses
from typing import Any


@dataclasses.dataclass(frozen=True)
class DetectorFigures:
    """What a detector did.

    Attributes:
      name: of the detector.
      min_face: side in pixels of the smallest face that it was asked for.
      threshold: score from which a face counted.
      faces: number of faces that it found.
      alone: number of these that no other detector found.
      cpu_ms: CPU milliseconds a frame, of all threads; None without a frame.
      recall: share of the marked faces that it found; None without marked faces.
      recall_large: the same of those of 48 pixels and more.
      false_boxes: number of its boxes that are no marked face; None without a truth.
    """

    name: str
    min_face: int
    threshold: float
    faces: int
    alone: int
    cpu_ms: float | None
    recall: float | None = None
    recall_large: float | None = None
    false_boxes: int | None = None


@dataclasses.dataclass(frozen=True)
class Comparison:
    """How detectors compare.

    Attributes:
      detectors: the figures of each, in the order of the call.
      shared: by the names of two detectors, the share of the faces of the first that the second found, too; None where
        the first found none.
      videos: number of videos of which frames were seen.
      frames: number of these frames.
      marked: number of marked faces in them; None without a truth.
      marked_large: the same of those of 48 pixels and more.
      judged_frames: number of the frames in which faces are marked; None without a truth.
      unreadable: videos that could not be read, or not to their end, with the reason.
      left_out: detectors that are not installed, with the reason.
    """

    detectors: list[DetectorFigures]
    shared: dict[str, dict[str, float | None]]
    videos: int
    frames: int
    marked: int | None
    marked_large: int | None
    judged_frames: int | None
    unreadable: dict[str, str]
    left_out: dict[str, str]

    def to_json(self) -> dict[str, Any]:
        """All of it, as JSON's own types."""
        return dataclasses.asdict(self)
