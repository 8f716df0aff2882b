"""What a file costs: archives of many pictures, and of many clips of two seconds, each file with one face.

    python -m benchmarks.files [COUNT]

Each kind is analyzed with a third and with all of COUNT files (default 300), by one worker. The difference is what the
further files cost, without the start of the worker: CPU seconds a file, the supervisor's included.
"""

import contextlib
import ctypes
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np

from tests.clips import portrait_clip, scene

_SIZE = (640, 480)
_PR_SET_CHILD_SUBREAPER = 36  # of Linux


def main() -> None:
    """Prints CPU seconds a file for both kinds."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 300
    with tempfile.TemporaryDirectory() as folder:
        for kind, make in (("picture", make_pictures), ("clip of two seconds", make_clips)):
            archive = Path(folder) / kind.split()[0]
            archive.mkdir()
            make(archive, count // 3)
            few = analyze(archive, Path(folder) / f"{archive.name}-few")
            make(archive, count)
            many = analyze(archive, Path(folder) / f"{archive.name}-many")
            cost = (many - few) / (count - count // 3)
            print(f"{cost:.3f} CPU s a {kind} ({count}; the first {count // 3}: {few:.1f} s)", flush=True)


def make_pictures(folder: Path, count: int) -> None:
    """JPEGs of 640×480 with a face, no two alike."""
    for i in range(count):
        picture, _ = scene(i * 4 / count, size=_SIZE, moving=True)
        picture = picture.copy()
        picture[:8, :8] = np.random.default_rng(i).integers(0, 256, (8, 8, 3))
        cv2.imwrite(str(folder / f"{i:06d}.jpg"), picture[..., ::-1])


def make_clips(folder: Path, count: int) -> None:
    """Clips of two seconds of 640×480 with a face: one that was encoded, with other bytes after its end."""
    first = folder.parent / "two_seconds.mp4"
    if not first.exists():
        portrait_clip(first, seconds=2, fps=25, size=_SIZE)
    for i in range(count):
        free = (8 + 8).to_bytes(4, "big") + b"free" + i.to_bytes(8, "big")
        (folder / f"{i:06d}.mp4").write_bytes(first.read_bytes() + free)


def analyze(archive: Path, out: Path) -> float:
    """CPU seconds of an analysis by one worker, the processes that it leaves behind included."""
    # Workers are children of a server, which outlives the supervisor for a moment; it becomes a child of this process.
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    before = os.times()
    command = [sys.executable, "-m", "pipelines.cli", "analyze", str(archive), "--out", str(out)]
    subprocess.run([*command, "--workers", "1"], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    with contextlib.suppress(ChildProcessError):
        while True:
            os.wait()
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


if __name__ == "__main__":
    main()
