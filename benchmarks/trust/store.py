"""An object store that only reads, and does it badly: S3's listing, HEAD and GET over the files of a folder."""

import collections
import contextlib
import html
import http.server
import threading
import time
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

KEYS = {
    "AWS_ACCESS_KEY_ID": "nobody",
    "AWS_SECRET_ACCESS_KEY": "nothing",
    "AWS_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}


@contextlib.contextmanager
def serving(
    folder: Path, *, refuse: int = 0, wait: float = 0.0, cut: int = 0
) -> Iterator[tuple[dict[str, str], collections.Counter[str]]]:
    """A server in this process, and the environment in which facelog finds it.

    Args:
      folder: its files are the objects of the bucket `archive`.
      refuse: each so many-th request is answered with 503.
      wait: seconds before each answer.
      cut: each so many-th object breaks off in the middle.
    """
    counts: collections.Counter[str] = collections.Counter()
    lock = threading.Lock()

    def is_turn(every: int, kind: str) -> bool:
        with lock:
            counts[kind] += 1
            turn = bool(every) and counts[kind] % every == 0
            counts["faults"] += turn
        return turn

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            time.sleep(wait)
            counts["faults"] += wait > 0
            if is_turn(refuse, "requests"):
                self._answer(503, b"<Error><Code>SlowDown</Code><Message>later</Message></Error>")
                return
            url = urllib.parse.urlsplit(self.path)
            path = urllib.parse.unquote(url.path).removeprefix("/archive").strip("/")
            query = urllib.parse.parse_qs(url.query)
            if not path and "location" in query:
                self._answer(200, b"<LocationConstraint/>")
            elif not path:
                self._answer(200, _listing(folder, query.get("prefix", [""])[0]) if self.command == "GET" else b"")
            elif (folder / path).is_file():
                self._send(folder / path)
            else:
                self._answer(404, b"<Error><Code>NoSuchKey</Code></Error>")

        def _send(self, path: Path) -> None:
            data, status, headers = path.read_bytes(), 200, {"ETag": f'"{path.stat().st_mtime_ns:x}"'}
            headers["Last-Modified"] = self.date_time_string(path.stat().st_mtime)
            asked = self.headers.get("Range")
            if asked:
                first, _, last = asked.removeprefix("bytes=").partition("-")
                begin, end = int(first), min(int(last or len(data) - 1), len(data) - 1)
                headers["Content-Range"] = f"bytes {begin}-{end}/{len(data)}"
                data, status = data[begin : end + 1], 206
            half = self.command == "GET" and len(data) > 1 and is_turn(cut, "objects")
            self._answer(status, data, half=half, **headers)

        def _answer(self, status: int, data: bytes, *, half: bool = False, **headers: str) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(data[: len(data) // 2] if half else data)
            if half:
                self.close_connection = True

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.server_port}", **KEYS}, counts
    finally:
        server.shutdown()
        server.server_close()


def _listing(folder: Path, prefix: str) -> bytes:
    entries = "".join(
        f"<Contents><Key>{html.escape(path.name)}</Key><Size>{path.stat().st_size}</Size>"
        f"<LastModified>2024-01-01T00:00:00.000Z</LastModified><ETag>&quot;{path.stat().st_mtime_ns:x}&quot;</ETag>"
        "</Contents>"
        for path in sorted(folder.iterdir())
        if path.name.startswith(prefix)
    )
    return (
        '<?xml version="1.0"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>archive</Name>'
        f"<IsTruncated>false</IsTruncated>{entries}</ListBucketResult>"
    ).encode()
