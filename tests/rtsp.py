"""RTSP servers for tests: one of our own, which needs nothing, and GStreamer's in the system's Python.

Both play a video file at its own pace to whoever asks, from its beginning, as `rtsp://127.0.0.1:PORT/camera`.
"""

import contextlib
import io
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import pytest

from tests.s3 import free_port

_SDP = """v=0
o=- 0 0 IN IP4 127.0.0.1
s=camera
c=IN IP4 127.0.0.1
t=0 0
m=video 0 RTP/AVP 96
a=rtpmap:96 H264/90000
a=fmtp:96 packetization-mode=1
a=control:streamid=0
"""

Server = Callable[[Path, int], contextlib.AbstractContextManager[None]]
"""Starts a server with a clip (H.264 in mp4) and a port; at the end of `with`, it is gone at once, as by `kill -9`."""


@contextlib.contextmanager
def gstreamer(clip: Path, port: int) -> Iterator[None]:
    """GStreamer's RTSP server; skips the test where it is not installed."""
    command = ["/usr/bin/python3", str(Path(__file__).with_name("gstreamer_rtsp.py")), str(port), str(clip)]
    try:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    except OSError:
        pytest.skip("there is no Python of the system")
    assert process.stdout is not None
    try:
        if process.stdout.readline() != "listening\n":
            pytest.skip("GStreamer's RTSP server is not installed (Debian: gir1.2-gst-rtsp-server-1.0)")
        yield
    finally:
        process.kill()
        process.wait()


@contextlib.contextmanager
def our_own(clip: Path, port: int) -> Iterator[None]:
    """A server with the least of RTSP (RFC 2326) that a client needs: video alone, over the connection itself."""
    with socket.create_server(("127.0.0.1", port)) as server, contextlib.ExitStack() as stack:
        connections: list[socket.socket] = []

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = server.accept()
                    connections.append(connection)
                    threading.Thread(target=_serve, args=(connection, clip), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        stack.callback(_cut_all, connections)
        stack.callback(server.shutdown, socket.SHUT_RDWR)
        yield


def _cut_all(connections: list[socket.socket]) -> None:
    for connection in connections:
        _cut(connection)


def _cut(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
        connection.close()


def _serve(connection: socket.socket, clip: Path) -> None:
    with contextlib.suppress(OSError), connection.makefile("rb") as requests:
        while line := requests.readline():
            headers = {}
            while header := requests.readline().strip():
                name, _, value = header.decode().partition(":")
                headers[name.lower()] = value.strip()
            method = line.split()[0].decode(errors="replace")
            answer, more, body = "200 OK", "", ""
            if method == "OPTIONS":
                more = "Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN\r\n"
            elif method == "DESCRIBE":
                body = _SDP.replace("\n", "\r\n")
                more = f"Content-Type: application/sdp\r\nContent-Length: {len(body)}\r\n"
            elif method == "SETUP" and "TCP" not in headers["transport"]:
                answer = "461 Unsupported Transport"
            elif method == "SETUP":
                more = "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n"
            head = f"RTSP/1.0 {answer}\r\nCSeq: {headers.get('cseq', 0)}\r\nSession: 1\r\n{more}\r\n"
            connection.sendall((head + body).encode())
            if method == "PLAY":
                threading.Thread(target=_play, args=(connection, clip), daemon=True).start()


def _play(connection: socket.socket, clip: Path) -> None:
    """Sends a clip as RTP packets, which libav makes and sends to a socket of ours."""
    with socket.socket(type=socket.SOCK_DGRAM) as packets:
        packets.bind(("127.0.0.1", 0))
        packets.settimeout(5.0)
        address = f"rtp://127.0.0.1:{packets.getsockname()[1]}?pkt_size=1200"
        threading.Thread(target=_send, args=(clip, address), daemon=True).start()
        with contextlib.suppress(OSError):
            while packet := packets.recv(65536):
                connection.sendall(b"$\0" + len(packet).to_bytes(2, "big") + packet)
    _cut(connection)


def _send(clip: Path, address: str) -> None:
    began, transport = time.monotonic(), io.BytesIO()  # a transport stream has its parameters before each keyframe
    _copy(str(clip), transport, "mpegts")
    transport.seek(0)
    _copy(transport, address, "rtp", lambda time_of: time.sleep(max(0.0, time_of - (time.monotonic() - began))))


def _copy(source: Any, target: Any, kind: str, wait: Callable[[float], None] = lambda time_of: None) -> None:
    """Copies the video packets of a file into another container."""
    with av.open(source) as file, av.open(target, "w", format=kind) as made:
        stream = file.streams.video[0]
        copy = made.add_stream_from_template(stream)
        first = None
        for packet in file.demux(stream):
            if packet.dts is not None:
                first = packet.dts if first is None else first
                wait(float((packet.dts - first) * packet.time_base))
                packet.stream = copy
                made.mux(packet)


SERVERS = {"our own": our_own, "GStreamer": gstreamer}

__all__ = ["SERVERS", "Server", "free_port", "gstreamer", "our_own"]
