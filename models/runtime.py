"""TensorFlow as this project uses it: imported late, quiet, one thread per process, on a device chosen by name.

Worker processes are many and their models small, so each keeps to one thread; the supervising process never imports
TensorFlow at all (it costs two seconds and 400 MB).
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import Any, Literal

from schemas.errors import BundleError

Device = Literal["auto", "cpu", "gpu"]


def configure_tensorflow(device: Device = "cpu", *, threads: int = 1) -> Any:
    """Import TensorFlow and set it up; the first call in a process decides.

    Args:
      device: "cpu" hides any GPU; "gpu" must find one; "auto" takes a GPU where there is one. GPU memory is taken as it
        is needed, so that several processes share one device.
      threads: for one operation and across operations.

    Returns:
      The module `tensorflow`.

    Raises:
      BundleError: device is "gpu" and TensorFlow sees none, or is not one of the three.
    """
    if device not in ("auto", "cpu", "gpu"):
        raise BundleError(f"Device {device!r} is not known; it is auto, cpu or gpu.")
    with _quiet_unless_asked(), _without_jax():
        os.environ["KERAS_BACKEND"] = "tensorflow"  # whatever the user's own programs have
        # TensorFlow takes oneDNN by itself only on CPUs with AVX-512: said here, all take the same code. With AVX2 it
        # needed 0.95 in place of 1.25 ms a face (emotion), and a chip's place in its block changed nothing.
        os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
        import tensorflow as tf

        # All of this can be set only until TensorFlow has run its first operation: later it stands as it was set first.
        with contextlib.suppress(RuntimeError):
            tf.config.threading.set_intra_op_parallelism_threads(threads)
            tf.config.threading.set_inter_op_parallelism_threads(threads)
        gpus = tf.config.list_physical_devices("GPU")
        with contextlib.suppress(RuntimeError):
            if device == "cpu":
                tf.config.set_visible_devices([], "GPU")
            for gpu in gpus if device != "cpu" else ():
                tf.config.experimental.set_memory_growth(gpu, True)
        tf.zeros(())  # the first operation, and with it the last of the messages
    if device == "gpu" and not gpus:
        raise BundleError(
            "A GPU was asked for and TensorFlow sees none. Use --device cpu, or install tensorflow[and-cuda] and a "
            "driver on a machine that has one."
        )
    return tf


@contextlib.contextmanager
def _without_jax() -> Iterator[None]:
    """Keep TensorFlow from importing JAX where that is installed: a second and 100 MB for a converter nobody calls."""
    if "jax" in sys.modules:
        yield
        return
    sys.modules["jax"] = None  # type: ignore[assignment]  # "there is none", says Python's import system
    try:
        yield
    finally:
        del sys.modules["jax"]


@contextlib.contextmanager
def _quiet_unless_asked() -> Iterator[None]:
    """Keep TensorFlow's start from writing on the terminal, unless TF_CPP_MIN_LOG_LEVEL says what the user wants.

    Some of its messages come before its own logging is set up and heed no level, so the file descriptor is redirected.
    """
    if "TF_CPP_MIN_LOG_LEVEL" in os.environ:
        yield
        return
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"  # TensorFlow reads it now, and processes started later shall not
    stderr = os.dup(2)
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
            yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        del os.environ["TF_CPP_MIN_LOG_LEVEL"]
