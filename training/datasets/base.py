"""A data set as a sequence of labelled pictures, whatever its form on disk."""

from __future__ import annotations

import collections
import dataclasses
import functools
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol, runtime_checkable

import cv2
import numpy as np

from schemas.errors import UsageError
from training.datasets.labels import is_label


class ZipPath(zipfile.Path):
    """A place inside a zip that can be pickled: the other process opens the zip by its name, once."""

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return _in_zip, (str(self.root.filename), self.at)


def _in_zip(file: str, name: str) -> ZipPath:
    return ZipPath(_open_zip(file), name)


@functools.lru_cache(maxsize=4)
def _open_zip(file: str) -> zipfile.ZipFile:
    return ZipPath(file).root


# A place in a folder or inside a zip, which is read in place.
AnyPath = Path | zipfile.Path

AROUND = 0.5
"""Room around a face whose box a data set states, on each side, as a share of the box's longer side."""

# Errors of reading a file that is missing, damaged, or compressed in a way that Python does not know.
READ_ERRORS = (OSError, KeyError, RuntimeError, zipfile.BadZipFile, zlib.error)


class DataError(UsageError):
    """A data set is not as expected; the message names the file, and the row if there is one."""


@runtime_checkable
class Unread(Protocol):
    """Pixels that are in no picture file and are read when they are asked for, such as a frame of a video."""

    def read(self) -> np.ndarray:
        """[H, W, 3] uint8 RGB.

        Raises:
          DataError: they cannot be read.
        """


@dataclasses.dataclass(frozen=True, eq=False, slots=True)
class LabelledPicture:
    """A picture and its labels; labels that the data set does not have are None.

    Attributes:
      name: path below the root with `/`, or `file.csv:row`; unique in the data set, and the same on every machine.
      source: the picture's file, or its pixels, [H, W] or [H, W, 3] uint8 RGB, or what reads them.
      splits: names of the splits that it is in, first the folder at the first level or the csv's Usage. Pictures in
        FER2013's folders also have the official split that the file name tells (`Training`, `PublicTest`,
        `PrivateTest`).
      group: pictures of the same group (subject, photograph) stay in one part of a split; None: it is a group alone.
      emotion: one of `schemas.tables.EMOTIONS`.
      votes: shares [7] of all votes that each of EMOTIONS has, float32; their sum is below 1 if people saw others.
      age: lowest and highest age in years; both are the same for an exact age.
      female: apparent gender.
      race: race in the data set's own words.
      room: room around the face on each side, as a share of the face's side. 0: the face fills the picture. None: it is
        not known, so the face has to be searched for.
      box: x, y, width and height of the face in pixels, if the data set tells it. `picture` is then the face with
        AROUND on each side, and `room` is AROUND.
    """

    name: str
    source: AnyPath | np.ndarray | Unread
    splits: tuple[str, ...] = ()
    group: str | None = None
    emotion: str | None = None
    votes: np.ndarray | None = None
    age: tuple[float, float] | None = None
    female: bool | None = None
    race: str | None = None
    room: float | None = 0.0
    box: tuple[float, float, float, float] | None = None

    def picture(self, *, grey: bool = False) -> np.ndarray:
        """The pixels, uint8: [H, W] in grey, else [H, W, 3] RGB.

        Raises:
          DataError: the file is missing or cannot be decoded.
        """
        if isinstance(self.source, np.ndarray):
            pixels = self.source
        elif isinstance(self.source, Unread):
            pixels = self.source.read()
        else:
            try:
                data = self.source.read_bytes()
            except READ_ERRORS as error:
                raise DataError(f"{self.name}: the picture cannot be read ({error}).") from error
            pixels = decode(data, self.name, grey=grey)
        return _as_channels(pixels if self.box is None else _face_with_room(pixels, self.box), grey=grey)


@dataclasses.dataclass(frozen=True, eq=False)
class DataSet:
    """A data set, whose pictures can be read any number of times.

    Attributes:
      kind: name of the reader: `fer2013`, `imdb`, `utkface` …
      root: folder, or place inside a zip.
      read: iterates over the labelled pictures, lazily and always in the same order; counts those that it leaves out.
      size: number of pictures before any is left out, if it is known without reading them all.
    """

    kind: str
    root: AnyPath
    read: Callable[[collections.Counter[str]], Iterator[LabelledPicture]]
    size: int | None = None

    def samples(
        self, dropped: collections.Counter[str] | None = None, split: str | None = None
    ) -> Iterator[LabelledPicture]:
        """The labelled pictures of one split, or of all.

        Args:
          dropped: counter of pictures that are left out, by reason.
          split: name of a split, in any case; None and "all" take all pictures.

        Raises:
          DataError: a file or row is wrong, or the split has no pictures (raised at the end).
        """
        counter = collections.Counter() if dropped is None else dropped
        if split is None or split.lower() == "all":
            yield from self.read(counter)
            return
        others: set[str] = set()
        found = False
        for sample in self.read(counter):
            if split.lower() in (name.lower() for name in sample.splits):
                found = True
                yield sample
            else:
                others.update(sample.splits)
        if not found:
            known = f"it has {', '.join(sorted(others))}" if others else "it has no splits"
            raise DataError(f"{self.root} has no split {split}: {known}.")


def open_root(path: Path) -> AnyPath:
    """The root of a data set in a folder or zip. Folders that hold only one other folder are skipped.

    A folder whose name is a label (a split, an emotion, an age) is not skipped.

    Raises:
      DataError: there is no such folder or zip, or it cannot be opened.
    """
    if not path.is_dir() and not (path.is_file() and zipfile.is_zipfile(path)):
        raise DataError(f"{path} is neither a folder nor a zip: give the data set's folder or zip.")
    try:
        root: AnyPath = path if path.is_dir() else ZipPath(path)
        while (inner := _only_folder(root)) is not None:
            root = inner
    except READ_ERRORS as error:
        raise DataError(f"{path} cannot be read: {error}.") from error
    return root


def decode(data: bytes, name: str, *, grey: bool = False) -> np.ndarray:
    """A picture file's pixels, uint8: [H, W] in grey, else [H, W, 3] RGB.

    Raises:
      DataError: the file cannot be decoded; the message names it by `name`.
    """
    flags = cv2.IMREAD_GRAYSCALE if grey else cv2.IMREAD_COLOR_RGB
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flags) if data else None
    except cv2.error:  # for instance, more pixels than OpenCV allows
        image = None
    if image is None:
        raise DataError(f"{name}: the picture does not decode; unpack the data set again, or remove the file.")
    return image


def is_hidden(name: str) -> bool:
    """Whether a file belongs to the operating system, not to the data set, by its name."""
    return name.startswith(".") or name in ("__MACOSX", "Thumbs.db", "desktop.ini")


def _only_folder(root: AnyPath) -> AnyPath | None:
    entries: Iterator[AnyPath] = (entry for entry in root.iterdir() if not is_hidden(entry.name))
    first, second = next(entries, None), next(entries, None)
    return None if first is None or second is not None or is_label(first.name) or not first.is_dir() else first


def _face_with_room(pixels: np.ndarray, box: tuple[float, float, float, float]) -> np.ndarray:
    """The square around a box with AROUND on each side; beyond the picture its nearest pixel is repeated."""
    x, y, width, height = box
    side = max(1, round(max(width, height) * (1 + 2 * AROUND)))
    left, top = round(x + (width - side) / 2), round(y + (height - side) / 2)
    rows = np.clip(np.arange(top, top + side), 0, pixels.shape[0] - 1)
    columns = np.clip(np.arange(left, left + side), 0, pixels.shape[1] - 1)
    return np.ascontiguousarray(pixels[rows][:, columns])


def _as_channels(pixels: np.ndarray, *, grey: bool) -> np.ndarray:
    if grey and pixels.ndim == 3:
        return cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    if not grey and pixels.ndim == 2:
        return cv2.cvtColor(pixels, cv2.COLOR_GRAY2RGB)
    return pixels
