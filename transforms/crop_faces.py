"""Cut the chips that each model needs of tracked faces, with the quality of each face, and gather them by segment.

What the tracker alone carried counts only once a later detection confirms the track: until then its rows wait, and
when the track ends first they are dropped, for a tracker drifts onto the background before it is lost.
"""

import collections
import dataclasses
import time
from collections.abc import Iterator
from typing import Any

import apache_beam as beam
import cv2
import numpy as np

from models.bundle import bundle_path
from models.cards import read_card
from models.geometry import EMOTION, Geometry
from models.landmarks import predict_landmarks
from schemas.config import Config, Quality
from schemas.faces import FaceBatch
from schemas.tables import AT_BORDER, BLURRED, DARK, PROFILE, SMALL, TRACKER_ONLY
from transforms.decode_frames import Sample, SegmentStream
from transforms.failures import FAILED, Guard
from transforms.pose import head_pose

PART_ROWS = 4096
"""Faces after which a long segment is passed on in parts: at 14 kB of chips each, about 60 MB."""

_FLOATS = ("x", "y", "width", "height", "confidence", "track_confidence", "yaw", "pitch", "roll")
_QUALITY = ("sharpness", "brightness", "face_px", "quality")
_DTYPES: dict[str, type[np.generic]] = {
    "track": np.int32,
    "timestamp": np.float64,
    "frame": np.int64,
    "pts": np.int64,
    **dict.fromkeys((*_FLOATS, *_QUALITY), np.float32),
    "quality_flags": np.uint16,
}
NO_STAMP = -(2**63)
"""Stands for "unknown" in integer columns until they become a table."""


def sharpness(chip: np.ndarray) -> float:
    """Variance of the Laplacian of a grey chip [s, s] uint8; measured at the chip's scale, so faces compare.

    Source: Pech-Pacheco et al., Diatom autofocusing in brightfield microscopy, ICPR 2000.
    """
    return float(cv2.Laplacian(chip, cv2.CV_32F).var())


def quality_score(
    face_px: np.ndarray, sharp: np.ndarray, brightness: np.ndarray, yaw: np.ndarray, flags: np.ndarray
) -> np.ndarray:
    """How far a crop can be trusted, in (0, 1]: the weight of a sample in its second, and what "best" means.

    A product of size, sharpness, light and frontality, each saturating, halved at the border and where only the
    tracker saw the face. All arguments and the result: [n].
    """
    size = np.clip(face_px / 96, 0.05, 1)
    focus = sharp / (sharp + 100)
    light = np.clip(np.minimum(brightness, 255 - brightness) / 60, 0.1, 1)
    frontal = np.cos(np.radians(np.clip(np.nan_to_num(np.abs(yaw), nan=60.0), 0, 80)))
    halved = np.where(flags & AT_BORDER, 0.5, 1) * np.where(flags & TRACKER_ONLY, 0.5, 1)
    return np.maximum(size * (0.1 + 0.9 * focus) * light * frontal * halved, 1e-3).astype(np.float32)


@dataclasses.dataclass(frozen=True)
class _Cropper:
    """Geometry and limits of one run."""

    quality: Quality
    geometries: dict[str, Geometry]

    def crop(self, sample: Sample) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """Observation columns and chips of one sample's faces."""
        faces, picture = sample.faces, sample.picture
        assert faces is not None
        luma = picture.luma
        landmarks = predict_landmarks(luma, faces.xywh)

        def cut(geometry: Geometry) -> np.ndarray:
            transforms = geometry.transforms(landmarks, faces.xywh, (luma.shape[1], luma.shape[0]))
            return np.stack([picture.chip(m, geometry.size, geometry.channels) for m in transforms])

        grey = cut(EMOTION)  # what sharpness and brightness are measured on, whichever models there are
        chips = {task: grey if geometry == EMOTION else cut(geometry) for task, geometry in self.geometries.items()}
        pose = head_pose(landmarks)
        columns: dict[str, np.ndarray] = {
            "track": faces.track,
            "timestamp": np.full(len(faces.track), sample.timestamp),
            "frame": np.full(len(faces.track), NO_STAMP if sample.frame is None else sample.frame),
            "pts": np.full(len(faces.track), NO_STAMP if sample.pts is None else sample.pts),
            "confidence": faces.confidence,
            "track_confidence": faces.track_confidence,
            "yaw": pose[:, 0],
            "pitch": pose[:, 1],
            "roll": pose[:, 2],
            "sharpness": np.array([sharpness(chip) for chip in grey], np.float32),
            "brightness": grey.mean(axis=(1, 2)).astype(np.float32),
            "face_px": np.sqrt(faces.xywh[:, 2] * faces.xywh[:, 3]),
        }
        columns |= dict(zip(("x", "y", "width", "height"), (faces.xywh * (picture.box_scale * 2)).T, strict=True))
        columns["quality_flags"] = self._flags(columns, picture.size)
        columns["quality"] = quality_score(
            *(columns[name] for name in ("face_px", "sharpness", "brightness", "yaw", "quality_flags"))
        )
        return columns, chips

    def _flags(self, columns: dict[str, np.ndarray], size: tuple[int, int]) -> np.ndarray:
        limits, (width, height) = self.quality, size
        left, top = columns["x"], columns["y"]
        border = (left < 0) | (top < 0) | (left + columns["width"] > width) | (top + columns["height"] > height)
        bits = (
            (SMALL, columns["face_px"] < limits.small_px),
            (PROFILE, np.abs(columns["yaw"]) > limits.profile_degrees),
            (BLURRED, columns["sharpness"] < limits.blurred_below),
            (DARK, columns["brightness"] < limits.dark_below),
            (AT_BORDER, border),
            (TRACKER_ONLY, np.isnan(columns["confidence"])),
        )
        return np.sum([np.where(is_set, bit, 0) for bit, is_set in bits], axis=0).astype(np.uint16)


def chip_geometries(config: Config) -> dict[str, Geometry]:
    """How chips for each model are cut, by the model's task."""
    return {model.task: read_card(bundle_path(model.name)).geometry.chip() for model in config.models}


def crop_faces(stream: SegmentStream, config: Config, *, part_rows: int = PART_ROWS) -> Iterator[FaceBatch]:
    """The faces of a segment in columns and chips; reads the stream to its end.

    Args:
      stream: with tracked samples.
      config: the run's configuration.
      part_rows: faces after which a part is passed on, at the next whole second.
    """
    cropper = _Cropper(config.quality, chip_geometries(config))
    gather = _Gather(stream, config.aggregation.age_gender_samples)
    for sample in stream.samples:
        yield from gather.part(part_rows, int(sample.timestamp))
        gather.log(sample)
        if sample.faces is not None:
            gather.end(sample.faces.ended)
            if len(sample.faces.track):
                gather.add(*cropper.crop(sample))
    yield gather.last()


@dataclasses.dataclass(frozen=True)
class _Cropped:
    """Faces of one sample, and which of them count: those that a detection has confirmed, then or later."""

    columns: dict[str, np.ndarray]
    chips: dict[str, np.ndarray]
    counts: np.ndarray

    @property
    def second(self) -> int:
        return int(self.columns["timestamp"][0])


class _Gather:
    """Faces that count, faces that wait for a detection, and what else is to be said of the samples."""

    def __init__(self, stream: SegmentStream, age_gender_samples: int):
        self._started = time.monotonic()
        self._stream = stream
        self._keep = age_gender_samples
        self._part = 0
        self._ended: dict[int, str] = {}
        self._samples: list[_Cropped] = []
        self._rows = 0
        self._waiting: dict[int, list[tuple[_Cropped, int]]] = collections.defaultdict(list)
        self._new_log()

    def _new_log(self) -> None:
        self._log: dict[str, list[Any]] = {"timestamp": [], "is_cut": []}

    def log(self, sample: Sample) -> None:
        """Note that a sample was taken, with faces or without."""
        self._log["timestamp"].append(sample.timestamp)
        self._log["is_cut"].append(sample.is_cut)

    def end(self, ended: dict[int, str]) -> None:
        """Tracks have ended: what waits for their next detection is void."""
        for track, reason in ended.items():
            self._waiting.pop(track, None)
            self._ended[track] = reason

    def add(self, columns: dict[str, np.ndarray], chips: dict[str, np.ndarray]) -> None:
        """Take one sample's faces."""
        cropped = _Cropped(columns, chips, ~np.isnan(columns["confidence"]))
        self._samples.append(cropped)
        self._rows += len(cropped.counts)
        for row, track in enumerate(columns["track"].tolist()):
            if not cropped.counts[row]:
                self._waiting[track].append((cropped, row))
                continue
            for earlier, earlier_row in self._waiting.pop(track, ()):
                earlier.counts[earlier_row] = True

    def part(self, rows: int, second: int) -> Iterator[FaceBatch]:
        """What lies before a second, if that is as much as `rows`; seconds in which a face still waits stay here."""
        if self._rows < rows:
            return
        until = min([second, *(cropped.second for waiting in self._waiting.values() for cropped, _ in waiting)])
        done = [cropped for cropped in self._samples if cropped.second < until]
        if sum(len(cropped.counts) for cropped in done) >= rows:
            self._samples = self._samples[len(done) :]
            self._rows = sum(len(cropped.counts) for cropped in self._samples)
            yield self._batch(done, {})

    def last(self) -> FaceBatch:
        """What is left; what waits is void."""
        log = {"ended": self._ended, "stats": self._stream.stats, "started": self._started}
        return self._batch(self._samples, log, is_last=True)

    def _batch(self, done: list[_Cropped], log: dict[str, Any], *, is_last: bool = False) -> FaceBatch:
        columns = {
            name: np.concatenate([np.zeros(0, dtype), *(c.columns[name][c.counts] for c in done)], dtype=dtype)
            for name, dtype in _DTYPES.items()
        }
        chips: dict[str, np.ndarray] = {}
        if len(columns["track"]):
            chips = {name: np.concatenate([c.chips[name][c.counts] for c in done]) for name in done[0].chips}
        best = _best(columns, self._keep)
        chips = {task: of if task == "emotion" else of[best] for task, of in chips.items()}
        batch = FaceBatch(self._stream.segment, self._part, is_last, columns, chips, best, self._log | log)
        self._part += 1
        self._new_log()
        return batch


def _best(columns: dict[str, np.ndarray], keep: int) -> np.ndarray:
    """Rows of the best `keep` samples of each track and second, in order."""
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

    def expand(self, streams):
        crop = beam.ParDo(Guard(crop_faces, self.config)).with_outputs(FAILED, main="faces")
        faces, failed = streams | crop
        return faces, failed
