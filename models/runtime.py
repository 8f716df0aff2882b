"""TensorFlow as this project uses it: imported late, quiet, one thread per process, on a device chosen by name.

There are many worker processes with small models, so each uses one thread. The supervising process never imports
TensorFlow, which takes two seconds and 400 MB.
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
    """Import TensorFlow and set it up; later calls in the same process change nothing.

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
    with quiet(), _without_jax():
        os.environ["KERAS_BACKEND"] = "tensorflow"  # whatever the user's own programs have
        # By itself TensorFlow uses oneDNN only on CPUs with AVX-512; with this all CPUs run the same code. On AVX2 it
        # took 0.95 in place of 1.25 ms a face (emotion), and a chip's result did not depend on its place in the block.
        os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
        import tensorflow as tf

        # All of this can be set only until TensorFlow has run its first operation.
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
    """Keep TensorFlow from importing JAX where it is installed: a second and 100 MB for a converter nobody uses."""
    if "jax" in sys.modules:
        yield
        return
    sys.modules["jax"] = None  # type: ignore[assignment]  # Python's import system then says that there is none
    try:
        yield
    finally:
        del sys.modules["jax"]


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep TensorFlow and LiteRT from writing to the terminal, unless the user has set TF_CPP_MIN_LOG_LEVEL.

    Some messages come before its own logging is set up and ignore the level, so the file descriptor is redirected.
    """
    if "TF_CPP_MIN_LOG_LEVEL" in os.environ:
        yield
        return
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"  # TensorFlow reads it now; processes started later must not see it
    stderr = os.dup(2)
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
            yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        del os.environ["TF_CPP_MIN_LOG_LEVEL"]
