"""Measures what a scan by keyframes costs beside a run of everything: a table of docs/performance.md.

usage: python -m benchmarks.keyframes [VIDEO...]
       default: 20 s of 640x360 with one face and a keyframe every 2, 5 and 10 s, which it makes

The scan reads each clip thirty times in a row. Both run in this process, probe included and the start of a worker left
out, and are counted in its CPU seconds.
"""

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import cv2

from benchmarks.clips import looped
from benchmarks.speed import by_step
from pipelines.settings import make_config
from schemas import storage
from schemas.config import Config
from schemas.layout import Layout
from schemas.run import Run
from tests.clips import portrait_clip
from transforms.probe_video import probe_video

_TIMES = 30


def twenty_seconds(folder: Path, keyframe_seconds: int) -> Path:
    """One moving face, H.264 with B-frames."""
    options: dict[str, Any] = {"fps": 25, "size": (640, 360), "moving": True, "b_frames": 2}
    path = folder / f"keyframe_every_{keyframe_seconds}_s.mp4"
    return portrait_clip(path, seconds=20, gop=25 * keyframe_seconds, **options).path


def speed(path: Path, config: Config, folder: Path) -> tuple[float, str]:
    """Seconds of video per CPU second, and milliseconds of each step for a second of video."""
    start = time.process_time()
    plan = probe_video(storage.stat(storage.normalize(str(path))), config)
    steps = {"probe": time.process_time() - start}
    steps |= by_step(plan, config, Run("benchmark", config, Layout(str(folder))))
    seconds = sum(segment.duration for segment in plan.segments)
    told = ", ".join(f"{name} {1e3 * spent / seconds:.2f}" for name, spent in steps.items())
    return seconds / sum(steps.values()), told


def main() -> None:
    """Measure the clips of the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("videos", nargs="*", type=Path)
    videos = parser.parse_args().videos
    cv2.setNumThreads(1)
    config = make_config()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for path in videos or [twenty_seconds(folder, every) for every in (2, 5, 10)]:
            speed(path, config.override(keyframes=True), folder / "warm")  # loads models, fills caches
            long = looped(path, folder / f"long_{path.name}", _TIMES)
            scan, steps = speed(long, config.override(keyframes=True), folder / "scan")
            whole, _ = speed(path, config, folder / "whole")
            print(f"{path.name}: scan {scan:.0f}, everything {whole:.1f} seconds of video per CPU second", end="")
            print(f" ({scan / whole:.0f} times as fast); ms for a second of video: {steps}", flush=True)


if __name__ == "__main__":
    main()
