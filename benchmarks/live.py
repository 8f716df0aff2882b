"""Measures live sources over minutes: memory, what is dropped, and the camera's page in Chromium.

usage: python -m benchmarks.live command|page [MINUTES]

`command` feeds a clip of a moving face, again and again, to `facelog live` in this process, with a new row each minute.
`page` opens the camera's page in Chromium, whose camera plays such a clip of 640×480 at 30 pictures a second.
"""

import contextlib
import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import cv2

from pipelines.cameras.watch import live
from schemas.process import memory_mb
from tests.clips import portrait_clip, scene

_EVERY = 30.0


def watch_command(minutes: float) -> None:
    """Print memory every half minute, and the sums at the end."""
    with tempfile.TemporaryDirectory() as folder:
        clip = portrait_clip(Path(folder) / "clip.mp4", seconds=8, fps=25, size=(640, 480), moving=True, gop=25).path
        reading, writing = os.pipe()
        threading.Thread(target=_play, args=(clip, writing, 60 * minutes), daemon=True).start()
        threading.Thread(target=_tell, daemon=True).start()
        began = time.process_time()
        with open(reading, "rb") as stdin:
            done = live("-", f"{folder}/out", stdin=stdin, video_seconds=60.0, say=print)
        print(f"{done.videos} rows, {done.seconds:.0f} s, {done.face_seconds} face-seconds, {done.counts}")
        print(f"{(time.process_time() - began) / done.seconds:.3f} s of CPU for a second")


def _play(clip: Path, target: int, seconds: float) -> None:
    """Writes a transport stream that repeats a clip."""
    with open(target, "wb") as file, av.open(file, "w", format="mpegts") as out, av.open(str(clip)) as source:
        stream = source.streams.video[0]
        copy, length, shift = out.add_stream_from_template(stream), stream.duration or 0, 0
        while shift * stream.time_base < seconds:  # type: ignore[operator]
            source.seek(0)
            for packet in source.demux(stream):
                if packet.dts is not None and packet.pts is not None:
                    packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
                    packet.stream = copy
                    out.mux(packet)
            shift += length


def _tell() -> None:
    while True:
        print(f"{memory_mb('VmRSS'):.0f} MB, most so far {memory_mb('VmHWM'):.0f} MB", flush=True)
        time.sleep(_EVERY)


def watch_page(minutes: float) -> None:
    """Print the page's figures and the memory of app and page every half minute, and medians at the end."""
    from tests.browser import Page
    from tests.made_tables import write_video

    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        clip, out = Path(folder) / "camera.mjpeg", Path(folder) / "out"
        with clip.open("wb") as file:
            for number in range(120):
                picture, _ = scene(number / 30, size=(640, 480), moving=True)
                file.write(cv2.imencode(".jpg", picture[:, :, ::-1])[1].tobytes())
        write_video(out)
        page = Page(*stack.enter_context(_opened(clip, out)))
        page.one("#start").click()
        rates, delays = [], []
        for _ in range(round(60 * minutes / _EVERY)):
            time.sleep(_EVERY)
            figures = page.run("({...document.getElementById('figures').dataset})")
            heap = page.run("performance.memory.usedJSHeapSize") / 1e6
            rates.append(float(figures["rate"]))
            delays.append(float(figures["delay"]))
            print(
                f"{rates[-1]:.1f} answers a second, delay {delays[-1]:.0f} ms; app {memory_mb('VmRSS'):.0f} MB, "
                f"page {heap:.0f} MB",
                flush=True,
            )
        print(f"medians: {statistics.median(rates):.1f} a second, {statistics.median(delays):.0f} ms")


@contextlib.contextmanager
def _opened(clip: Path, out: Path) -> Iterator[tuple[Any, str]]:
    """Chromium with a camera, and the address of the page."""
    from pipelines.serve.app import make_app
    from tests.browser import chromium_with
    from tests.pipelines.serve.conftest import running

    camera = ("use-fake-ui-for-media-stream", "use-fake-device-for-media-stream")
    with (
        running(make_app(str(out))) as home,
        chromium_with(*camera, f"use-file-for-fake-video-capture={clip}", "enable-precise-memory-info") as browser,
    ):
        yield browser, f"{home}/camera"


if __name__ == "__main__":
    how, length = sys.argv[1], float(sys.argv[2]) if len(sys.argv) > 2 else 5.0
    {"command": watch_command, "page": watch_page}[how](length)
