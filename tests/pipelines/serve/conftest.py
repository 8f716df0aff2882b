"""The app, running, for a browser."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp

from pipelines.persons.state import State, write_state
from pipelines.settings import make_config
from schemas import storage
from tests.clips import Clip
from tests.examples import example_track, join_tracks
from tests.kept_results import write_analyzed
from tests.tables import rows
from transforms.probe_video import probe_video


@contextlib.contextmanager
def running(app: ASGIApp) -> Iterator[str]:
    """Runs an app at an address of this machine, which is given."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        try:
            while not server.started:
                time.sleep(0.02)
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


def analyze(out: Path, clip: Clip, *, kept: bool = True) -> None:
    """Tables of a clip, with its true boxes as observations of each frame."""
    plan = probe_video(storage.stat(str(clip.path)), make_config())
    faces = [
        example_track(face, clip.times, **dict(zip(("x", "y", "width", "height"), clip.boxes[:, face].T, strict=True)))
        for face in range(clip.boxes.shape[1])
    ]
    write_analyzed(out, plan, join_tracks(*faces), kept=kept, samples=clip.times)


def tell_apart(out: Path) -> None:
    """Makes each track of each video a person of its own, as if `facelog persons` had found them."""
    known = rows(out, "tracks")
    keys = sorted((row["video_id"], row["track_id"]) for row in known)
    span = {(row["video_id"], row["track_id"]): (row["start_time"], row["end_time"]) for row in known}
    person = {key: i for i, key in enumerate(keys)}
    write_state(State(person, span, dict.fromkeys(keys), {}, set(), len(keys), {}), str(out))
