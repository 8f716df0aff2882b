"""Names of live sources, and that nothing but what is named is opened."""

import dataclasses
import errno
import http.server
import io
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import av
import pytest

from pipelines.cameras.source import LostError, Source, open_source, parse_source
from schemas.errors import UsageError
from tests.clips import portrait_clip

_SECRET = "rtsp://admin:s3cret@camera.local:554/stream1?user=admin&password=s3cret"


def test_a_source_is_shown_without_its_password() -> None:
    source = parse_source(_SECRET)
    assert (source.address, source.shown) == (_SECRET, "rtsp://camera.local:554/stream1")
    assert source.name == "camera.local-554-stream1"


@pytest.mark.parametrize(
    ("text", "scheme", "name"),
    [
        ("/dev/video0", "device", "video0"),
        ("udp://239.0.0.1:5000", "udp", "239.0.0.1-5000"),
        ("HTTPS://host/a%20b.ts", "https", "host-a-20b.ts"),
        ("-", "pipe", "stdin"),
    ],
)
def test_kinds_of_sources(text: str, scheme: str, name: str) -> None:
    source = parse_source(text, stdin=io.BytesIO())
    assert (source.scheme, source.name) == (scheme, name)
    assert parse_source(text, name="Front door!", stdin=io.BytesIO()).name == "Front-door"


@pytest.mark.parametrize(
    "text", ["ftp://host/a.ts", "concat:a|b", "file:///etc/passwd", "camera", "rtsp://", "lavfi:x"]
)
def test_other_names_are_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_source(text)


def test_a_file_is_refused_with_advice(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").touch()
    with pytest.raises(UsageError, match="facelog analyze"):
        parse_source(str(tmp_path / "a.mp4"))


Serve = Callable[[dict[str, tuple[int, dict[str, str], bytes]]], str]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Starts a web server that answers by path; `asked` of the function has the paths that were asked for."""
    servers = []

    def start(answers: dict[str, tuple[int, dict[str, str], bytes]]) -> str:
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked.append(self.path)
                status, headers, body = answers[self.path]
                self.send_response(status)
                for header, value in (headers | {"Content-Length": str(len(body))}).items():
                    self.send_header(header, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}"

    asked: list[str] = []
    start.asked = asked  # type: ignore[attr-defined]
    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def frames(source: Source) -> int:
    with open_source(source, max_pixels=10**7, timeout=5.0) as (container, stream):
        return sum(1 for _ in container.decode(stream))


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("clip") / "clip.mkv"
    portrait_clip(path, seconds=1)
    return path.read_bytes()


def test_a_stream_over_http(serve: Serve, clip: bytes) -> None:
    assert frames(parse_source(f"{serve({'/clip': (200, {}, clip)})}/clip")) == 10


def test_a_redirection_is_not_followed(serve: Serve, clip: bytes) -> None:
    url = serve({"/clip": (302, {"Location": "/elsewhere"}, b""), "/elsewhere": (200, {}, clip)})
    with pytest.raises(LostError):
        frames(parse_source(f"{url}/clip"))
    assert set(serve.asked) == {"/clip"}  # type: ignore[attr-defined]


def test_a_playlist_opens_nothing(serve: Serve, clip: bytes) -> None:
    playlist = b"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nsegment.ts\n#EXT-X-ENDLIST\n"
    url = serve({"/list.m3u8": (200, {}, playlist), "/segment.ts": (200, {}, clip)})
    with pytest.raises(LostError):
        frames(parse_source(f"{url}/list.m3u8"))
    script = f"ffconcat version 1.0\nfile {url}/segment.ts\n".encode()
    with pytest.raises(LostError, match="standard input does not open"):
        frames(parse_source("-", stdin=io.BytesIO(script)))
    assert "/segment.ts" not in serve.asked  # type: ignore[attr-defined]


def test_a_source_that_is_not_there_is_lost_and_its_password_stays_secret(free_port: int) -> None:
    with pytest.raises(LostError) as caught:
        frames(parse_source(f"rtsp://admin:s3cret@127.0.0.1:{free_port}/camera"))
    assert "Connection refused" in str(caught.value) and "s3cret" not in str(caught.value)
    with pytest.raises(LostError, match="/dev/no-camera does not open"):
        frames(parse_source("/dev/no-camera"))


def test_a_device_that_is_no_camera_ends_it_and_one_that_may_not_be_read_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for device in ("/dev/null", "/dev"):
        source = dataclasses.replace(parse_source("/dev/null"), address=device)
        with pytest.raises(UsageError, match=f"{device} is no camera"):
            frames(source)

    def denied(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(av, "open", denied)
    with pytest.raises(LostError, match="group video"):
        frames(parse_source("/dev/null"))
