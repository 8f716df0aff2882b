"""What a detector is given, what it says, and what is known about it."""

import dataclasses
import functools
import hashlib
import importlib.metadata
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np

from schemas.errors import BundleError
from schemas.faces import Boxes

_REMEDY = "install the package again, or give a file with --detector-model"


class Picture(Protocol):
    """What a detector may ask for. `transforms.picture.Picture` is one of a frame of a video."""

    @property
    def luma(self) -> np.ndarray:
        """[H, W] uint8, contiguous."""

    def bgr(self, scale: float) -> np.ndarray:
        """[h, w, 3] uint8 in full range, contiguous; h and w are those of luma times `scale`, rounded."""


class StillPicture:
    """A picture in memory."""

    def __init__(self, image: np.ndarray):
        """Of [H, W] or, in RGB, [H, W, 3] uint8."""
        self._image = image

    @functools.cached_property
    def luma(self) -> np.ndarray:
        """[H, W] uint8, contiguous."""
        grey = self._image if self._image.ndim == 2 else cv2.cvtColor(self._image, cv2.COLOR_RGB2GRAY)
        return np.ascontiguousarray(grey)

    def bgr(self, scale: float) -> np.ndarray:
        """[h, w, 3] uint8; a grey picture three times the same."""
        small = resized(self._image, scaled_size(self._image.shape[1::-1], scale))
        return cv2.cvtColor(small, cv2.COLOR_GRAY2BGR if small.ndim == 2 else cv2.COLOR_RGB2BGR)


def scaled_size(size: tuple[int, int], scale: float) -> tuple[int, int]:
    """Width and height times a scale, in whole pixels, at least 1."""
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def resized(plane: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A picture or a plane of one, at another width and height; the same memory where it has them already."""
    if plane.shape[1::-1] == size:
        return plane
    smaller = size[0] * size[1] < plane.shape[0] * plane.shape[1]
    return cv2.resize(plane, size, interpolation=cv2.INTER_AREA if smaller else cv2.INTER_LINEAR)


@functools.cache
def checksum(path: Path) -> str:
    """Sha256 of a file of weights, or of all files of a folder in the order of their names.

    Raises:
      BundleError: it cannot be read.
    """
    digest = hashlib.sha256()
    try:
        for file in sorted(path.iterdir()) if path.is_dir() else [path]:
            digest.update(file.read_bytes())
    except OSError as error:
        raise BundleError(f"The weights {path} cannot be read ({error.strerror}).") from error
    return digest.hexdigest()


def squares(xywh: np.ndarray, *, side: float = 1.0, lower: float) -> np.ndarray:
    """Boxes as dlib's HOG detector would draw them, for which dlib's landmarks were made.

    Args:
      xywh: [n, 4] float32, as another detector draws them.
      side: of the square, in means of a box's width and height.
      lower: how much the centre moves down, in heights of a box.

    Returns:
      [n, 4] float32.
    """
    x, y, width, height = xywh.T
    sides = (width + height) * (side / 2)
    return np.stack([x + (width - sides) / 2, y + (0.5 + lower) * height - sides / 2, sides, sides], axis=1)


class NotInstalledError(BundleError):
    """The package that brings a detector's weights is not installed."""


def file_of_package(package: str, name: str, remedy: str) -> Path:
    """A file or folder in an installed package, which is not imported.

    Args:
      package: its name, as pip knows it.
      name: of the file, below the folder of all packages.
      remedy: what to do where the package is missing, for the error.

    Raises:
      NotInstalledError: the package is not installed.
    """
    try:
        found = importlib.metadata.distribution(package)
    except importlib.metadata.PackageNotFoundError as error:
        raise NotInstalledError(f"The package {package} is not installed: {remedy}.") from error
    return Path(str(found.locate_file(name)))


def checked_weights(path: Path, sha256: str, *, of: str = "detector", remedy: str = _REMEDY) -> Path:
    """The same path, once it is certain that these are the weights that are meant.

    Args:
      path: of the weights.
      sha256: that they have.
      of: whose weights they are, for the error.
      remedy: what to do where they are others, for the error.

    Raises:
      BundleError: they are missing or others.
    """
    if (found := checksum(path)) != sha256:
        raise BundleError(
            f"The weights {path} of the {of} are not those that facelog knows (sha256 {found[:12]}…, not "
            f"{sha256[:12]}…): {remedy}."
        )
    return path


@dataclasses.dataclass(frozen=True)
class DetectorCard:
    """A detector: its function, the values that are its own, and where it comes from.

    Attributes:
      find: finds the faces in a picture, best first. Its arguments are the picture, `min_face` (side in pixels of the
        smallest face to find), `threshold` (score below which a face is left out) and, for a detector with weights,
        `path` (of these). Several threads may search at once, each its own picture.
      threshold: score from which a detection counts, unless the configuration says another: two of them confirm a
        track, and in a single picture each is a face.
      sure_threshold: likewise, score from which one detection confirms a track by itself.
      keep_threshold: likewise, score from which a detection may continue a track, or begin one that is not confirmed.
      min_face: likewise, side in pixels of the smallest face to find.
      detect_every: likewise, seconds between two runs of it.
      source: whose work it is.
      licence: of its code and its weights.
      scores: the lowest and the highest score that it can give.
      wants_colour: whether `find` asks for colour.
      weights: gives the file or folder of its weights, whose checksum goes into `config_hash`; raises BundleError where
        they are missing or damaged. None: it has no weights that could be exchanged.
      extra: the extra of facelog that brings it; empty: it comes with facelog.
    """

    find: Callable[..., Boxes]
    threshold: float
    sure_threshold: float
    keep_threshold: float
    min_face: int
    detect_every: float
    source: str
    licence: str
    scores: tuple[float, float] = (0.0, 1.0)
    wants_colour: bool = False
    weights: Callable[[], Path] | None = None
    extra: str = ""
