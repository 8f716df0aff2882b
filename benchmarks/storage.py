"""Measures reading videos from an object store: seconds, requests and bytes of a probe and of all segments.

usage: python -m benchmarks.storage [--delay SECONDS] [VIDEO...]      default: a minute of 720p, and ten of them

Each video lies on an S3 server of its own (versitygw, see tests/s3.py) behind a proxy that delays every request as long
as a real store takes to answer (default 0.02 s). It is read in three ways: by ranges with read-ahead, as
facelog does (small files whole); with a fixed read-ahead of 1 MiB; and fetched whole each time it is opened. Only
the probe's first frames are decoded, so the seconds are those of reading.
"""

import argparse
import collections
import contextlib
import io
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, cast
from unittest import mock

from benchmarks.clips import looped, minute_720p
from schemas import storage
from schemas.config import Config
from schemas.storage import remote
from schemas.video import Segment
from tests.s3 import BUCKET, Proxy, running_server, s3_at
from transforms.decode_frames import check_unchanged
from transforms.open_video import open_video, read_packets
from transforms.probe_video import probe_video


def buffered(uri: str) -> BinaryIO:
    """Opens a file with a fixed read-ahead of 1 MiB."""
    return io.BufferedReader(cast(Any, remote.ask(uri, lambda store, path: store.open_input_file(path))), 1 << 20)


def fetched(uri: str) -> BinaryIO:
    """Opens a file by fetching all of it first."""
    return io.BytesIO(remote.ask(uri, lambda store, path: store.open_input_file(path)).read())


WAYS: dict[str, Callable[[str], Any]] = {"ranges": remote.open_input, "1 MiB": buffered, "whole": fetched}


def read_segment(segment: Segment, config: Config) -> None:
    """Reads the packets of a segment and its tail, like decoding."""
    check_unchanged(segment)
    with open_video(segment.file.uri, config) as (container, stream):
        if segment.seek_to is not None:
            container.seek(segment.seek_to, stream=stream)
        stop = (segment.end or float("inf")) + config.tracking.lost_after
        for packet in read_packets(container, stream):
            pts = getattr(packet, "pts", None)
            if pts is not None and segment.clock.seconds(pts) > stop:
                break
    check_unchanged(segment)


def measure(uri: str, way: Callable[[str], Any], proxy: Proxy) -> Iterator[str]:
    """The cells of one line of the table: the probe, then all segments."""
    config = Config()
    with mock.patch.object(remote, "open_input", way), mock.patch("schemas.storage.object_file._last", None):
        start = time.monotonic()
        plan = probe_video(storage.stat(uri), config)
        yield _cell(start, proxy)
        start = time.monotonic()
        for segment in plan.segments:
            read_segment(segment, config)
        yield f"{len(plan.segments)}"
        yield _cell(start, proxy)


def _cell(start: float, proxy: Proxy) -> str:
    seconds = time.monotonic() - start
    count = collections.Counter("HEAD" if method == "HEAD" else "GET" for method, _ in proxy.requests)
    cell = f"{seconds:.2f} s, {count['HEAD']} + {count['GET']}, {proxy.sent / 1e6:.1f} MB"
    proxy.clear()
    return cell


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("videos", nargs="*", type=Path)
    parser.add_argument("--delay", type=float, default=0.02, help="seconds before each request is handed on")
    options = parser.parse_args()
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        videos = options.videos or [minute := minute_720p(folder), looped(minute, folder / "ten_minutes.mp4", 10)]
        server = stack.enter_context(running_server())
        proxy = Proxy(server.port, options.delay)
        stack.enter_context(s3_at(proxy.url))
        print("| video | way | probe: time, HEAD + GET, read | segments | segments: time, HEAD + GET, read |")
        print("| --- | --- | --- | ---: | --- |")
        for video in videos:
            uri = f"s3://{BUCKET}/{video.name}"
            storage.write_bytes(uri, video.read_bytes())
            size = video.stat().st_size / 1e6
            for name, way in WAYS.items():
                proxy.clear()
                print(f"| {video.name} ({size:.1f} MB) | {name} | {' | '.join(measure(uri, way, proxy))} |", flush=True)


if __name__ == "__main__":
    main()
