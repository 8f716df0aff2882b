"""Measures seconds of video per CPU second and the share of each step: the table of docs/performance.md.

usage: python -m benchmarks.speed [--detector NAME] [--min-face N] [VIDEO...]
       default: a minute of 720p that it makes

The floor is a bare loop over the same calls (decode, detect, track) without chips, models, tables or Beam. Everything
runs in this process and is counted in its CPU seconds, which a busy machine changes less than seconds on the clock.
"""

import argparse
import functools
import tempfile
import time
from pathlib import Path
from typing import Any

import apache_beam as beam
import av
import cv2
import dlib
import numpy as np

from benchmarks.clips import minute_720p
from models.bundle import load_bundle
from models.detectors.choose import make_detector
from models.detectors.interface import StillPicture
from models.handlers import FaceModelHandler
from pipelines.analyze import SegmentsToFragments
from pipelines.settings import make_config
from runners.direct import run_direct
from schemas import storage
from schemas.config import Config
from schemas.layout import Layout
from schemas.run import Run
from schemas.step_times import StepTimes
from schemas.video import Plan
from transforms.crop_faces import crop_faces
from transforms.decode_frames import decode_segment
from transforms.follow_faces import follow_faces
from transforms.probe_video import probe_video
from transforms.samples import SegmentStream
from transforms.write_fragment import write_fragment


def by_step(plan: Plan, config: Config, run: Run) -> dict[str, float]:
    """CPU seconds of each step, without Beam."""
    times = StepTimes(time.process_time)
    handlers = [(FaceModelHandler(model), load_bundle(model.name)) for model in config.models]
    for segment in plan.segments:
        stream = decode_segment(segment, config)
        samples = times.each("decode", stream.samples)
        samples = follow_faces(samples, config, times)
        for batch in crop_faces(SegmentStream(segment, samples, stream.stats, times), config):
            for handler, bundle in handlers:
                (batch,) = handler.run_inference([batch], bundle)
            with times.step("write"):
                list(write_fragment(batch, config, run.work, run.run_id))
    return times.seconds


def with_beam(plan: Plan, run: Run, times: int) -> float:
    """CPU seconds of the same segments through the real pipeline, so many times."""
    start = time.process_time()
    segments = list(plan.segments) * times
    run_direct(lambda pipeline: pipeline | beam.Create(segments) | beam.Reshuffle() | SegmentsToFragments(run))
    return time.process_time() - start


def floor(path: str, config: Config) -> float:
    """CPU seconds of a bare loop: decode every frame, detect and track at the same times, no models."""
    start = time.process_time()
    detector = make_detector(config.detection)
    trackers: list[Any] = []
    sample = detection = 0
    with av.open(path) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        first = None
        for frame in container.decode(stream):
            first = frame.time if first is None else first
            at = frame.time - first
            if at + 1e-6 < sample / (config.sampling.sample_fps or 1):
                continue
            sample += 1
            image = frame.to_ndarray(format="rgb24" if detector.card.wants_colour else "gray")
            if at + 1e-6 >= detection * detector.detect_every:
                detection += 1
                found = detector.strong(StillPicture(image))
                trackers = [_tracker(image, *box) for box in found.xywh.tolist()] if detector.detect_every else []
            else:
                for tracker in trackers:
                    tracker.update(image)
    return time.process_time() - start


def _tracker(image: np.ndarray, x: float, y: float, width: float, height: float) -> Any:
    tracker = dlib.correlation_tracker()
    tracker.start_track(image, dlib.drectangle(x, y, x + width, y + height))
    return tracker


def measure(path: str, config: Config, folder: Path) -> None:
    """Print the lines of one clip."""
    plan = probe_video(storage.stat(storage.normalize(path)), config)
    seconds = sum(segment.duration for segment in plan.segments)
    run = functools.partial(Run, "benchmark", config)
    by_step(plan, config, run(Layout(str(folder / "warm"))))  # loads models, fills caches
    bare = min(floor(path, config) for _ in range(3))
    steps = min((by_step(plan, config, run(Layout(str(folder / "steps")))) for _ in range(3)), key=_total)
    beamed = run(Layout(str(folder / "beam")))
    once, thrice = (min(with_beam(plan, beamed, times) for _ in range(2)) for times in (1, 3))
    total = max((thrice - once) / 2, _total(steps))  # a worker builds its pipeline once in its life
    building = max(0.0, once - total)
    size = f"{plan.info.width}x{plan.info.height}" if plan.info else ""
    found_by = f"{config.detection.detector}, --min-face {config.detection.min_face}"
    print(f"{Path(path).name}: {size}, {seconds:.1f} s, {found_by}")
    print(
        f"  floor {seconds / bare:.1f}, facelog {seconds / total:.1f} seconds of video per CPU second; "
        f"once per worker: {building:.2f} s to build the pipeline"
    )
    shares = {**steps, "beam": total - _total(steps)}
    parts = (f"{name} {1e3 * value / seconds:.1f} ms ({value / total:.0%})" for name, value in shares.items())
    print("  " + ", ".join(parts))


def _total(steps: dict[str, float]) -> float:
    return sum(steps.values())


def main() -> None:
    """Measure the clips of the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("videos", nargs="*")
    parser.add_argument("--detector")
    parser.add_argument("--min-face", type=int)
    args = parser.parse_args()
    cv2.setNumThreads(1)
    config = make_config(detector=args.detector, min_face=args.min_face)
    with tempfile.TemporaryDirectory() as folder:
        for path in args.videos or [str(minute_720p(Path(folder)))]:
            measure(path, config, Path(folder))


if __name__ == "__main__":
    main()
