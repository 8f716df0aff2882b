"""Cut the faces of a data set's pictures into chips, a shard of pictures at a time.

A picture that gives no chip is left out and counted by the reason; it does not affect the others.
"""

import dataclasses
from collections import Counter
from pathlib import Path

import apache_beam as beam
import numpy as np

from models.detectors.choose import make_detector
from models.detectors.interface import StillPicture
from models.geometry import cut_chip
from models.landmarks import find_landmarks
from schemas import storage
from schemas.config import Detection
from training.data.own_face import UNREADABLE, Dropped, find_own_face
from training.data.ready_chips import in_channels, training_chip
from training.data.shards import PreparedInfo, ShardDone, write_shard
from training.datasets import DataError, LabelledPicture

MISSING = "the file is missing"
FAILED = "cutting it failed"


@dataclasses.dataclass(frozen=True, eq=False)
class Shard:
    """Pictures that become one file.

    Attributes:
      index: number of the shard, from 0.
      samples: the labelled pictures, not read yet.
    """

    index: int
    samples: tuple[LabelledPicture, ...]


def cut_sample(sample: LabelledPicture, info: PreparedInfo) -> np.ndarray:
    """The chip of a sample with its margin, `info.shape` uint8.

    Raises:
      Dropped: there is none.
    """
    detector = make_detector(Detection(detector=info.detector, min_face=info.min_face))
    in_colour = detector.card.wants_colour and not info.whole_picture
    try:
        image = sample.picture(grey=info.geometry.channels == "grey" and not in_colour)
    except DataError as error:
        missing = isinstance(error.__cause__, FileNotFoundError | KeyError)
        raise Dropped(MISSING if missing else UNREADABLE) from error
    geometry = info.geometry
    if info.whole_picture:
        return training_chip(image, geometry, info.margin)
    grey = in_channels(image, "grey")
    face = find_own_face(StillPicture(image if in_colour else grey), detector)
    landmarks = find_landmarks(grey, face.xywh, face.points).points
    transform = geometry.transforms(landmarks, face.xywh, grey.shape[::-1])[0]
    transform[:, 2] += info.border
    return cut_chip(in_channels(image, geometry.channels), transform, info.size)


def cut_shard(shard: Shard, info: PreparedInfo, folder: Path) -> ShardDone:
    """Cut all chips of a shard and write its file.

    A note on disk names the picture that is being cut. A note from an earlier attempt names the pictures that killed
    it; these are left out.

    Args:
      shard: the pictures.
      info: how chips are cut.
      folder: folder of the prepared data.
    """
    note = _note(folder, shard.index)
    fatal = note.read_text().split() if note.exists() else []
    chips: list[np.ndarray | None] = []
    dropped: Counter[str] = Counter()
    for number, sample in enumerate(shard.samples):
        chip = None
        try:
            if str(number) in fatal:
                raise Dropped(FAILED)
            with storage.plain_errors(str(note)):
                note.write_text(" ".join([*fatal, str(number)]))
            chip = cut_sample(sample, info)
        except Dropped as reason:
            dropped[str(reason)] += 1
        chips.append(chip)
    note.unlink(missing_ok=True)
    return write_shard(folder, info, shard.index, shard.samples, chips, dropped)


@dataclasses.dataclass(eq=False)
class CutShards(beam.PTransform):
    """Shard → ShardDone, once it is durable.

    Attributes:
      info: how chips are cut.
      folder: folder for the shards.
    """

    info: PreparedInfo
    folder: Path

    def expand(self, shards):
        return shards | beam.Map(cut_shard, self.info, self.folder).with_output_types(ShardDone)


def forget_notes(folder: Path) -> None:
    """Remove the notes of a run that was stopped; the pictures in them did not cause that."""
    for note in _note(folder, 0).parent.glob("*.cutting"):
        note.unlink()


def _note(folder: Path, index: int) -> Path:
    return folder / "_work" / f"{index:05d}.cutting"
