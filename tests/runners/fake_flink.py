"""A fake of the job manager's REST API, as far as facelog uses it, on a free port of this machine."""

from __future__ import annotations

import contextlib
import http.server
import json
import threading
import time
from collections.abc import Iterator
from typing import Any

RESTARTS = {"restart-strategy.type": "fixed-delay", "restart-strategy.fixed-delay.attempts": "30"}

_OVERVIEW = {"flink-version": "1.19.3", "taskmanagers": 2, "slots-total": 4, "slots-available": 4}


class FakeFlink:
    """What it answers; tests change that as they like.

    Attributes:
      master: its address.
      overview: of the cluster.
      settings: of the job manager.
      jobs: by id, name and state.
      tasks: of every job, how many are in which state.
      exceptions: stack traces of every job, the newest first.
      answers: by path, what is said instead: an HTTP status, or bytes.
      silent: seconds that go by before it answers.
      asked: methods and paths.
    """

    def __init__(self, port: int):
        self.master = f"127.0.0.1:{port}"
        self.overview: dict[str, Any] = dict(_OVERVIEW)
        self.settings: dict[str, str] = dict(RESTARTS)
        self.jobs: dict[str, tuple[str, str]] = {}
        self.tasks: dict[str, int] = {"SCHEDULED": 0, "RUNNING": 2}
        self.exceptions: list[str] = []
        self.answers: dict[str, int | bytes] = {}
        self.silent = 0.0
        self.asked: list[str] = []

    def answer(self, path: str) -> Any:
        """What it says to a path; None: it knows nothing of that name."""
        if path == "/overview":
            return self.overview
        if path == "/jobmanager/config":
            return [{"key": key, "value": value} for key, value in self.settings.items()]
        if path == "/jobs/overview":
            counts = {state.lower(): count for state, count in self.tasks.items()}
            return {"jobs": [self._job(job_id) | {"tasks": counts} for job_id in self.jobs]}
        job_id, _, rest = path.removeprefix("/jobs/").partition("/")
        if job_id not in self.jobs:
            return None
        if rest == "exceptions":
            entries = [{"stacktrace": text, "timestamp": 0} for text in self.exceptions]
            newest = self.exceptions[0] if self.exceptions else None
            return {"root-exception": newest, "exceptionHistory": {"entries": entries, "truncated": False}}
        return self._job(job_id) | {"status-counts": self.tasks}

    def _job(self, job_id: str) -> dict[str, Any]:
        name, state = self.jobs[job_id]
        return {"jid": job_id, "name": name, "state": state, "start-time": 1_700_000_000_000}


@contextlib.contextmanager
def fake_flink() -> Iterator[FakeFlink]:
    """One that runs until the end."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            flink.asked.append(f"{self.command} {self.path}")
            time.sleep(flink.silent)
            said = flink.answers.get(path, flink.answer(path))
            if isinstance(said, int) or said is None:
                self.send_error(said or 404)
                return
            data = said if isinstance(said, bytes) else json.dumps(said).encode()
            with contextlib.suppress(OSError):  # who asked does not wait any longer
                self.send_response(200)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(data)

        do_PATCH = do_HEAD = do_GET  # noqa: N815 (names of the standard library)

        def log_message(self, *_: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        flink = FakeFlink(server.server_address[1])
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield flink
        finally:
            server.shutdown()
            thread.join()
