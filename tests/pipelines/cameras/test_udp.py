"""MPEG-TS over UDP, sent by another thread, that stops and comes back with another size."""

import functools
import threading
import time
from pathlib import Path

import av
import pytest
from av.video.stream import VideoStream

from pipelines.cameras.watch import live
from schemas.config import Config
from tests.clips import portrait_clip
from tests.pipelines.cameras.test_watch import until
from tests.rtsp import free_port
from tests.tables import rows

_SECONDS = 3


def send(clip: Path, port: int) -> None:
    """Sends a clip at the pace at which it plays."""
    with av.open(str(clip)) as source, av.open(f"udp://127.0.0.1:{port}?pkt_size=1316", "w", format="mpegts") as out:
        stream = source.streams.video[0]
        assert isinstance(stream, VideoStream)
        copy, began = out.add_stream_from_template(stream), time.monotonic()
        for packet in source.demux(stream):
            if packet.dts is not None:
                time.sleep(max(began + float(packet.dts * packet.time_base) - time.monotonic(), 0))
                packet.stream = copy
                out.mux(packet)


@pytest.mark.multiprocess
def test_a_stream_over_udp_that_comes_back_with_another_size(bare: Config, tmp_path: Path) -> None:
    large = portrait_clip(tmp_path / "large.mp4", seconds=_SECONDS, fps=10, size=(480, 240), faces=2, gop=5).path
    small = portrait_clip(tmp_path / "small.mp4", seconds=_SECONDS, fps=10, size=(320, 240), gop=5).path
    port, stop, said = free_port(), threading.Event(), list[str]()
    call = functools.partial(live, f"udp://127.0.0.1:{port}", str(tmp_path / "out"), config=bare, timeout=1.0)
    thread = threading.Thread(target=call, kwargs={"stop": stop, "say": said.append, "write_every": 0.5})
    thread.start()
    try:
        for clip, size in ((large, "480 × 240"), (small, "320 × 240")):
            # Nobody waits for a sender of UDP: it begins again until it has been heard.
            end = time.monotonic() + 60
            while not any(size in sentence for sentence in said):
                assert time.monotonic() < end, said
                send(clip, port)
            time.sleep(1.5)  # longer than the silence after which it is lost
        until(lambda: "480x240, 320x240" in (rows(tmp_path / "out", "videos")[0]["error_message"] or ""))
    finally:
        stop.set()
        thread.join(60)
    (video,) = rows(tmp_path / "out", "videos")
    assert (video["container"], video["error_type"]) == ("mpegts", "missing_stretch") and video["n_tracks"] >= 3
    assert any("is lost (no answer). Trying again." in sentence for sentence in said)
