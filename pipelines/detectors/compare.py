"""Run several detectors on the same frames of videos: what each finds, what they agree on, and what it costs."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import av
import numpy as np
from rich.console import Console

from models.detectors.choose import Detector, make_detector
from models.detectors.interface import NotInstalledError, StillPicture
from pipelines.detectors.figures import Comparison, DetectorFigures
from pipelines.detectors.matching import Marked, Truth, same_faces, similarity
from pipelines.detectors.page import Frames, page
from pipelines.inputs import Inputs
from pipelines.progress_bar import with_bar
from schemas import storage
from schemas.config import Config, Detection
from schemas.errors import FacelogError, MediaError, UsageError
from schemas.faces import Boxes
from schemas.storage import FileInfo
from transforms.decode_frames import decode_segment
from transforms.probe_video import probe_video
from transforms.samples import Sample

USUAL = ("yunet", "hog", "haar", "mtcnn")
"""Detectors that are compared unless the call names others; of these, one that is not installed is left out."""
_WHOLE = 1e9
"""Seconds of a segment, so that every video is read in one piece."""


def compare_detectors(
    videos: Inputs | Sequence[str] | str,
    *,
    detectors: Sequence[str] | None = None,
    truth: str | None = None,
    out: str | None = None,
    sample_fps: float = 1.0,
    min_face: int | None = None,
    console: Console | None = None,
) -> Comparison:
    """Runs detectors on the same frames.

    A face counts from the detector's own threshold on, in each frame by itself: nothing is followed over time.

        figures = compare_detectors("talk.mp4", detectors=["yunet", "hog"]).detectors
        print({each.name: each.faces for each in figures})

    Args:
      videos: files, folders, globs or URLs, of videos or pictures.
      detectors: their names; default: `USUAL`, without those that are not installed.
      truth: csv file with faces that somebody marked; see `pipelines.detectors.matching.Truth`.
      out: file for a page that shows the frames on which the detectors disagree most; None: no page.
      sample_fps: frames a second.
      min_face: side in pixels of the smallest face to find; default: each detector's own.
      console: where to show a progress bar.

    Raises:
      UsageError: there is no video or no such detector, or the truth cannot be read or is of other videos.
      BundleError: a detector's weights are missing or damaged.
      StorageError: the page cannot be written.
    """
    files = Inputs.of(videos).match("")
    marks = Truth(truth) if truth is not None else None
    if marks is not None and not any(_clip(file.uri) in marks for file in files.files):
        raise UsageError(f"The truth {truth} marks faces in none of these videos.")
    chosen, left_out = _load(detectors, min_face)
    config = Config().override(sample_fps=sample_fps, segment_seconds=_WHOLE)
    tally = _Tally(chosen, marks)
    unreadable = dict(files.missing)
    for file in with_bar(files.files, "comparing", len(files.files), console):
        try:
            for sample in _samples(file, config):
                tally.add(file.uri, sample)
        except (FacelogError, OSError, av.error.FFmpegError) as error:
            unreadable[file.uri] = str(error)
    result = tally.result(unreadable, left_out)
    if out is not None:
        storage.write_bytes(storage.normalize(out), page(result, tally.shown))
    return result


def _load(names: Sequence[str] | None, min_face: int | None) -> tuple[dict[str, Detector], dict[str, str]]:
    """The detectors by name, ready to look at frames, and those that are not installed with the reason."""
    nothing = StillPicture(np.zeros((96, 96, 3), np.uint8))
    chosen, left_out = {}, {}
    for name in dict.fromkeys(USUAL if names is None else names):
        try:
            detector = make_detector(Detection(detector=name, min_face=min_face))
            detector.strong(nothing)  # networks are loaded when they are first needed; that is no frame's cost
            chosen[name] = detector
        except NotInstalledError as error:
            if names is not None:
                raise
            left_out[name] = str(error)
    if not chosen:
        raise UsageError("Name at least one detector.")
    return chosen, left_out


def _clip(uri: str) -> str:
    """The name by which a truth knows a video."""
    return Path(uri).stem


def _samples(file: FileInfo, config: Config) -> Iterator[Sample]:
    """The sampled frames of a video.

    Raises:
      MediaError: it cannot be read.
    """
    plan = probe_video(file, config)
    if not plan.segments:
        raise MediaError(plan.error_message or f"{file.uri} has no frames.")
    for segment in plan.segments:
        for sample in decode_segment(segment, config).samples:
            if sample.timestamp < (math.inf if segment.end is None else segment.end):
                yield sample


class _Tally:
    """Counts what detectors find, frame by frame.

    Attributes:
      shown: the frames for the page.
    """

    def __init__(self, detectors: Mapping[str, Detector], truth: Truth | None):
        self._detectors, self._truth = detectors, truth
        self.shown = Frames()
        self._seconds = dict.fromkeys(detectors, 0.0)
        self._faces: Counter[str] = Counter()
        self._alone: Counter[str] = Counter()
        self._both: Counter[tuple[str, str]] = Counter()
        self._judged: dict[str, Counter[str]] = {name: Counter() for name in detectors}
        self._marked: Counter[str] = Counter()
        self._seen: set[tuple[str, int]] = set()
        self._frames: Counter[str] = Counter()

    def add(self, uri: str, sample: Sample) -> None:
        """Runs all detectors on a frame."""
        picture = sample.picture
        _ = picture.luma  # so that no detector pays for it
        found: dict[str, Boxes] = {}
        for name, detector in self._detectors.items():
            start = time.process_time()
            found[name] = detector.strong(picture)
            self._seconds[name] += time.process_time() - start
            self._faces[name] += len(found[name].score)
        self._frames[uri] += 1
        others = self._compare(found)
        missed, wrong = self._judge(uri, sample, found)
        self.shown.offer(uri, sample, found, others, missed, wrong)

    def _compare(self, found: Mapping[str, Boxes]) -> dict[str, np.ndarray]:
        """How many other detectors found each face of a detector."""
        names = list(found)
        others = {name: np.zeros(len(found[name].score), int) for name in names}
        for place, one in enumerate(names):
            for other in names[place + 1 :]:
                pairs = same_faces(similarity(found[one].xywh, found[other].xywh))
                self._both[one, other] += len(pairs)
                self._both[other, one] += len(pairs)
                for row, column in pairs:
                    others[one][row] += 1
                    others[other][column] += 1
        for name in names:
            self._alone[name] += int((others[name] == 0).sum())
        return others

    def _judge(
        self, uri: str, sample: Sample, found: Mapping[str, Boxes]
    ) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """The marked faces that each detector missed, [n, 4], and which of its boxes are none, [m] bool."""
        second = Truth.second(sample.timestamp)
        clip = _clip(uri)
        if self._truth is None or clip not in self._truth or second is None or (uri, second) in self._seen:
            return {}, {}
        self._seen.add((uri, second))
        height, width = sample.picture.luma.shape
        marked = self._truth.marked(clip, sample.timestamp, (width, height))
        self._marked.update(_count(marked, np.ones(len(marked.boxes), bool)))
        missed, wrong = {}, {}
        for name, boxes in found.items():
            hit, wrong[name] = marked.judge(boxes.xywh)
            self._judged[name].update(_count(marked, hit), false=int(wrong[name].sum()))
            missed[name] = marked.boxes[~hit & marked.counts]
        return missed, wrong

    def result(self, unreadable: dict[str, str], left_out: dict[str, str]) -> Comparison:
        """The figures."""
        frames, names, judged = sum(self._frames.values()), list(self._detectors), self._truth is not None
        return Comparison(
            detectors=[
                DetectorFigures(
                    name=name,
                    min_face=detector.min_face,
                    threshold=detector.threshold,
                    faces=self._faces[name],
                    alone=self._alone[name],
                    cpu_ms=1000 * self._seconds[name] / frames if frames else None,
                    recall=_share(self._judged[name]["faces"], self._marked["faces"]),
                    recall_large=_share(self._judged[name]["large"], self._marked["large"]),
                    false_boxes=self._judged[name]["false"] if judged else None,
                )
                for name, detector in self._detectors.items()
            ],
            shared={
                one: {other: _share(self._both[one, other], self._faces[one]) for other in names if other != one}
                for one in names
            },
            videos=len(self._frames),
            frames=frames,
            marked=self._marked["faces"] if judged else None,
            marked_large=self._marked["large"] if judged else None,
            judged_frames=len(self._seen) if judged else None,
            unreadable=unreadable,
            left_out=left_out,
        )


def _count(marked: Marked, chosen: np.ndarray) -> dict[str, int]:
    counted = chosen & marked.counts
    return {"faces": int(counted.sum()), "large": int((counted & marked.is_large).sum())}


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
