"""How many worker processes fit on this machine, with or without a GPU."""

import logging
import os
import shutil
import subprocess
import sys

_LOG = logging.getLogger(__name__)

GPU_MB_PER_WORKER = 1500
"""GPU memory of a worker: TensorFlow's context, its kernels and both models. An estimate, not measured."""


def worker_count(asked: int | None, device: str) -> int:
    """The number of worker processes to start.

    Args:
      asked: by the user; None: one for each core that this process may use.
      device: "auto", "cpu" or "gpu".
    """
    workers = asked or len(os.sched_getaffinity(0))
    free = None if device == "cpu" else free_gpu_mb()
    if free is not None and (fit := max(1, free // GPU_MB_PER_WORKER)) < workers:
        _LOG.warning(
            "%d workers instead of %d: the GPU has %d MB free, and each takes %d.",
            fit,
            workers,
            free,
            GPU_MB_PER_WORKER,
        )
        return fit
    return workers


def free_gpu_mb() -> int | None:
    """Free memory of the first NVIDIA GPU in MB; None if there is no GPU."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return None
    query = [program, "--query-gpu=memory.free", "--format=csv,noheader,nounits"]
    try:
        answer = subprocess.run(query, capture_output=True, text=True, timeout=20, check=True).stdout
        return int(answer.splitlines()[0])
    except (OSError, subprocess.SubprocessError, ValueError, IndexError):
        return None


def tensorflow_sees_a_gpu() -> bool:
    """Whether TensorFlow can use a GPU of this machine. It is asked in a process of its own, where there is a GPU."""
    if free_gpu_mb() is None:
        return False
    code = "import sys, tensorflow as tf; sys.exit(not tf.config.list_physical_devices('GPU'))"
    try:
        return not subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=120).returncode
    except (OSError, subprocess.SubprocessError):
        return False
