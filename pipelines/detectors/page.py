"""One page about a comparison of detectors: its figures, and the frames on which they disagree most, side by side."""

from __future__ import annotations

import base64
import dataclasses
import functools
import heapq
import importlib.resources
from collections.abc import Mapping
from pathlib import Path

import cv2
import jinja2
import numpy as np

from pipelines import words
from pipelines.detectors.figures import Comparison
from schemas.faces import Boxes
from transforms.samples import Sample

SHOWN = 24
"""Number of frames on a page."""
_WIDTH = 480
_QUALITY = 80


@dataclasses.dataclass(frozen=True)
class ShownBox:
    """A box on a frame.

    Attributes:
      xywh: shares of the frame's width and height, in percent.
      kind: `all`, `some` or `alone`: who else found the face; or `missed`: a marked face that the detector missed.
      words: what it says when it is pointed at.
    """

    xywh: tuple[float, float, float, float]
    kind: str
    words: str


@dataclasses.dataclass(frozen=True)
class ShownFrame:
    """A frame with the boxes of each detector.

    Attributes:
      uri: of the video.
      seconds: its time.
      picture: `data:` URL of the frame.
      size: width and height of the frame in pixels.
      boxes: by the detector's name.
      counts: how many faces each found.
    """

    uri: str
    seconds: float
    picture: str
    size: tuple[int, int]
    boxes: dict[str, list[ShownBox]]
    counts: dict[str, int]


class Frames:
    """Keeps the frames on which detectors disagree most, and forgets the others."""

    def __init__(self, most: int = SHOWN):
        self._most = most
        self._heap: list[tuple[int, int, ShownFrame]] = []
        self._offered = 0

    def offer(
        self,
        uri: str,
        sample: Sample,
        found: Mapping[str, Boxes],
        others: Mapping[str, np.ndarray],
        missed: Mapping[str, np.ndarray],
        wrong: Mapping[str, np.ndarray],
    ) -> None:
        """Takes a frame if it is among those that are shown.

        Args:
          uri: of the video.
          sample: the frame.
          found: by detector, what it found.
          others: by detector, how many others found each of these faces, too.
          missed: by detector, marked faces [n, 4] that it did not find; empty where none are marked.
          wrong: by detector, which of its boxes are no marked face; empty likewise.
        """
        self._offered += 1
        rivals = len(found) - 1
        rank = sum(int((rivals - count).sum()) for count in others.values())
        if rank == 0 or (len(self._heap) == self._most and rank <= self._heap[0][0]):
            return
        height, width = sample.picture.luma.shape
        size = np.array((width, height, width, height))

        def box(xywh: np.ndarray, kind: str, text: str) -> ShownBox:
            x, y, w, h = (float(value) for value in xywh / size * 100)
            return ShownBox((x, y, w, h), kind, text)

        boxes = {}
        for name, faces in found.items():
            boxes[name] = [
                box(xywh, "all" if n == rivals else "some" if n else "alone", _words(score, n, rivals, false))
                for xywh, score, n, false in zip(
                    faces.xywh, faces.score, others[name], wrong.get(name, [None] * len(faces.score)), strict=True
                )
            ]
            boxes[name] += [box(xywh, "missed", "marked, and not found") for xywh in missed.get(name, ())]
        scaled = sample.picture.bgr(min(1.0, _WIDTH / width))
        _, data = cv2.imencode(".jpg", scaled, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
        url = f"data:image/jpeg;base64,{base64.b64encode(data.tobytes()).decode()}"
        counts = {name: len(faces.score) for name, faces in found.items()}
        frame = ShownFrame(uri, sample.timestamp, url, (width, height), boxes, counts)
        entry = (rank, -self._offered, frame)
        if len(self._heap) < self._most:
            heapq.heappush(self._heap, entry)
        else:
            heapq.heapreplace(self._heap, entry)

    def worst_first(self) -> list[ShownFrame]:
        """The frames that are kept; of two that are alike, the earlier one first."""
        return [frame for _, _, frame in sorted(self._heap, key=lambda entry: entry[:2], reverse=True)]


def _words(score: float, others: int, rivals: int, false: bool | None) -> str:
    who = "the only detector" if rivals == 0 else f"found by {others} of {rivals} others"
    judged = "" if false is None else ", no marked face" if false else ", a marked face"
    return f"score {score:.2f}, {who}{judged}"


def page(comparison: Comparison, frames: Frames) -> bytes:
    """The page: one file, which loads nothing."""
    style = importlib.resources.files("pipelines") / "reports" / "static" / "report.css"
    values = {"result": comparison, "frames": frames.worst_first(), "style": style.read_text("utf-8")}
    return _template().render(**values).encode()


@functools.cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters |= {
        "at": words.at,
        "percent": words.percent,
        "counted": words.counted,
        "name": lambda uri: uri.rsplit("/", 1)[-1],
    }
    return environment.get_template("compare.html.j2")
