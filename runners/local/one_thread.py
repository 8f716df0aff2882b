"""One thread for each worker process, since the processes are the parallelism."""

from collections.abc import Callable


def init_worker(more: Callable[[], object] | None = None) -> None:
    """Limits OpenCV and Arrow to one thread each in this process, then calls `more`."""
    import cv2
    import pyarrow

    cv2.setNumThreads(1)
    pyarrow.set_cpu_count(1)
    pyarrow.set_io_thread_count(1)
    if more is not None:
        more()
