"""Measures what a GPU would do for facelog: decoding, and the models.

usage: python -m benchmarks.gpu [VIDEO]
       default: a minute of 720p that it makes

It prints frames a second of wall time by the decoder on the CPU (one thread) and by that of the GPU (NVDEC through
libav), faces a second by both default models on either, and the GPU's mean use meanwhile, as `nvidia-smi` says it. What
this machine lacks, it says in place of figures. facelog itself decodes on the CPU, whatever --device says: frames of
NVDEC are NV12, so they would make other last digits, and no figure has shown yet that they come faster.
"""

import argparse
import functools
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
from av.codec.hwaccel import HWAccel

from benchmarks.clips import minute_720p
from models.bundle import Bundle, bundle_path, read_bundle
from models.runtime import Device
from pipelines.settings import AGE_GENDER_MODEL, EMOTION_MODEL
from runners.devices import tensorflow_sees_a_gpu

_BLOCKS = (1, 32, 256)
_SECONDS = 2.0
"""Time for which each model is asked."""


def frames_a_second(path: Path, device: str | None = None) -> float:
    """Frames a second of wall time, each copied to memory.

    Args:
      path: of the video.
      device: libav's name of the hardware; None: the CPU.

    Raises:
      FFmpegError: there is no such hardware, or no driver.
    """
    hardware = HWAccel(device, allow_software_fallback=False) if device else None
    start, count = time.perf_counter(), 0
    with av.open(str(path), hwaccel=hardware) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        for frame in container.decode(stream):
            frame.to_ndarray()
            count += 1
    return count / (time.perf_counter() - start)


def faces_a_second(bundle: Bundle, block: int) -> float:
    """Faces a second of wall time, so many in a call."""
    geometry = bundle.card.geometry
    shape = (block, geometry.size, geometry.size, *(() if geometry.channels == "grey" else (3,)))
    chips = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    bundle.predict(chips)
    start, calls = time.perf_counter(), 0
    while (seconds := time.perf_counter() - start) < _SECONDS:
        bundle.predict(chips)
        calls += 1
    return calls * block / seconds


def with_use(measure: Callable[[], float]) -> str:
    """What is measured, and the GPU's mean use meanwhile."""
    shares: list[float] = []
    done = threading.Event()

    def watch() -> None:
        asked = ["nvidia-smi", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits"]
        while not done.wait(0.5):
            try:
                said = subprocess.run(asked, check=True, capture_output=True, text=True).stdout
            except (OSError, subprocess.SubprocessError):
                return
            shares.append(float(said.split()[0]))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        value = measure()
    finally:
        done.set()
        watcher.join()
    return f"{value:.0f} (GPU in use {np.mean(shares):.0f} % of the time)" if shares else f"{value:.0f}"


def decoding(path: Path) -> str:
    """Lines on decoding."""
    lines = [f"frames a second, CPU: {frames_a_second(path):.0f}"]
    try:
        lines.append(f"frames a second, GPU: {with_use(functools.partial(frames_a_second, path, 'cuda'))}")
    except (av.error.FFmpegError, NotImplementedError, RuntimeError, ValueError) as error:
        lines.append(f"frames a second, GPU: none, it cannot be used here ({error})")
    return "\n".join(lines)


def models(device: Device) -> str:
    """Lines on the models of one device."""
    lines = []
    for name in (EMOTION_MODEL, AGE_GENDER_MODEL):
        bundle = read_bundle(bundle_path(name), device)
        for block in _BLOCKS:
            measure = functools.partial(faces_a_second, bundle, block)
            said = with_use(measure) if device == "gpu" else f"{measure():.0f}"
            lines.append(f"faces a second, {device.upper()}, {name}, {block} in a call: {said}")
    return "\n".join(lines)


def main() -> None:
    """Measure the video of the command line, and the models."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("video", nargs="?", type=Path)
    video = parser.parse_args().video
    with tempfile.TemporaryDirectory() as folder:
        print(decoding(video or minute_720p(Path(folder))), flush=True)
    print(models("cpu"), flush=True)
    print(models("gpu") if tensorflow_sees_a_gpu() else "faces a second, GPU: none, TensorFlow sees no GPU here")


if __name__ == "__main__":
    main()
