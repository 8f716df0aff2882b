"""Cut the faces of a data set's pictures into chips, a shard of pictures at a time.

What a picture lacks costs that picture alone: it is left out, and counted by the reason.
"""

import dataclasses
from collections import Counter
from pathlib import Path

import apache_beam as beam
import numpy as np

from models.detectors.hog import detect_hog
from models.geometry import cut_chip
from models.landmarks import predict_landmarks
from schemas import storage
from schemas.config import Detection
from training.data.ready_chips import in_channels, training_chip
from training.data.shards import PreparedInfo, ShardDone, write_shard
from training.datasets import DataError, LabelledPicture

MISSING = "the file is missing"
UNREADABLE = "the picture does not read"
NO_FACE = "no face found"
SEVERAL_FACES = "several faces, none of them alone in the middle"
FAILED = "cutting it failed"

# A set's own face fills about half of its picture's side; looked for from a quarter on, it costs the same however large
# the picture is.
_OWN_FACE = 0.25


class Dropped(Exception):  # noqa: N818 (no error: many pictures are)
    """A picture gives no chip; the text is the reason as it is counted."""


@dataclasses.dataclass(frozen=True, eq=False)
class Shard:
    """Pictures that become one file.

    Attributes:
      index: its number, from 0.
      samples: the pictures, not read yet.
    """

    index: int
    samples: tuple[LabelledPicture, ...]


def own_face(boxes: np.ndarray, size: tuple[int, int]) -> int:
    """Which detection is the face that a picture's labels speak of.

    Pictures of these sets were cut around one face, so it is the one over the picture's middle; where only one face is
    found, that.

    Args:
      boxes: [n, 4], x, y, width, height in pixels.
      size: width and height of the picture.

    Raises:
      Dropped: there is none, or it cannot be told.
    """
    if len(boxes) == 0:
        raise Dropped(NO_FACE)
    if len(boxes) == 1:
        return 0
    middle = np.array(size) / 2
    over = np.flatnonzero(((boxes[:, :2] <= middle) & (middle < boxes[:, :2] + boxes[:, 2:])).all(axis=1))
    if len(over) != 1:
        raise Dropped(SEVERAL_FACES)
    return int(over[0])


def face_box(grey: np.ndarray, min_face: int) -> np.ndarray:
    """The box [1, 4] of a picture's own face by dlib's detector: large faces first, which are cheap to find.

    Args:
      grey: [H, W] uint8.
      min_face: side in pixels of the smallest face to find.

    Raises:
      Dropped: as `own_face`.
    """
    height, width = grey.shape
    large = max(min_face, round(min(height, width) * _OWN_FACE))
    for smallest in dict.fromkeys((large, min_face)):
        boxes = detect_hog(grey, min_face=smallest, threshold=Detection().threshold).xywh
        if len(boxes):
            break
    chosen = own_face(boxes, (width, height))
    return boxes[chosen : chosen + 1]


def cut_sample(sample: LabelledPicture, info: PreparedInfo) -> np.ndarray:
    """The chip of a sample with its margin, `info.shape` uint8.

    Raises:
      Dropped: it has none.
    """
    try:
        image = sample.picture(grey=info.geometry.channels == "grey")
    except DataError as error:
        missing = isinstance(error.__cause__, FileNotFoundError | KeyError)
        raise Dropped(MISSING if missing else UNREADABLE) from error
    geometry = info.geometry
    if info.whole_picture:
        return training_chip(image, geometry, info.margin)
    grey = in_channels(image, "grey")
    box = face_box(grey, info.min_face)
    transform = geometry.transforms(predict_landmarks(grey, box), box, grey.shape[::-1])[0]
    transform[:, 2] += info.border
    return cut_chip(in_channels(image, geometry.channels), transform, info.size)


def cut_shard(shard: Shard, info: PreparedInfo, folder: Path) -> ShardDone:
    """Cut all chips of a shard and write its file.

    While it goes on, a note says which picture is being cut. Found when the shard is begun, it names pictures that
    ended earlier attempts; these are left out.

    Args:
      shard: what to cut.
      info: how.
      folder: of the prepared data.
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
      folder: where the shards go.
    """

    info: PreparedInfo
    folder: Path

    def expand(self, shards):
        return shards | beam.Map(cut_shard, self.info, self.folder).with_output_types(ShardDone)


def forget_notes(folder: Path) -> None:
    """Remove the notes of a run that was stopped: nothing is known against the pictures that they name."""
    for note in _note(folder, 0).parent.glob("*.cutting"):
        note.unlink()


def _note(folder: Path, index: int) -> Path:
    return folder / "_work" / f"{index:05d}.cutting"
