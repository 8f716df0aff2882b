"""`live`: a camera or stream → the four tables, while it goes on."""

import contextlib
import dataclasses
import logging
import math
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, BinaryIO

from models.runtime import Device
from pipelines.cameras.capture import Capture
from pipelines.cameras.inbox import Counts, Inbox, Shown
from pipelines.cameras.recording import Recording
from pipelines.cameras.source import parse_source
from pipelines.cameras.video_file import VideoFile
from pipelines.cameras.warm import load_models
from pipelines.keeping.files_of_videos import find_traces, remove_traces
from pipelines.results.holding import hold
from pipelines.results.run_progress import begin_record
from pipelines.settings import chosen_device, make_config, settled
from schemas import storage
from schemas.config import Config
from schemas.errors import StorageError, StorageFullError, UsageError
from schemas.layout import LIVE
from schemas.run import LIVE_RUNNER, Run, end_run
from transforms.ledger import Row, close_ledger, index_ledger, read_ledger

_LOG = logging.getLogger(__name__)

HOUR = 3600.0
WRITE_EVERY = 20.0
"""Seconds between two times at which the tables of what is going on are written."""


@dataclasses.dataclass(frozen=True)
class Now:
    """How it stands with a live source.

    Attributes:
      faces: in the last sample that was analyzed.
      counts: what the source has given.
      row: of the recording under way, as it was written last; None before that.
    """

    faces: int
    counts: Counts
    row: Row | None


@dataclasses.dataclass
class Watched:
    """What a call of `live` has done.

    Attributes:
      out: DIR.
      videos: rows that it wrote into `videos`.
      seconds: their length.
      face_seconds: rows of `faces`.
      counts: what the source has given.
      removed: recordings that were removed because of their age.
      last: the last row; None if there is none.
    """

    out: str
    videos: int = 0
    seconds: float = 0.0
    face_seconds: int = 0
    counts: Counts = dataclasses.field(default_factory=Counts)
    removed: int = 0
    last: Row | None = None

    def add(self, row: Row | None) -> None:
        """Counts a recording that has ended."""
        if row is not None:
            self.videos += 1
            self.seconds += row["duration"] or 0.0
            self.face_seconds += row["face_seconds"] or 0
            self.last = row


def live(
    source: str,
    out: str,
    *,
    name: str | None = None,
    config: Config | None = None,
    device: Device = "auto",
    keep_days: float | None = None,
    timeout: float = 10.0,
    write_every: float = WRITE_EVERY,
    video_seconds: float = HOUR,
    stop: threading.Event | None = None,
    stdin: BinaryIO | None = None,
    say: Callable[[str], None] = _LOG.info,
    show: Callable[[Now], None] = lambda now: None,
    storage_options: Mapping[str, str] | None = None,
) -> Watched:
    """Analyzes a live source into the four tables under `out` until it ends or is stopped.

    Each full hour, and each call, begins a row of `videos`. A source that is lost is opened again and again, and what
    it shows then goes on in the same row; the timeline has the seconds in between with `decode_ok` false.

    Args:
      source: camera (`/dev/video0`), address (`rtsp://`, `http://`, `https://`, `udp://`), or `-`: standard input.
      out: folder of the tables, on disk or on an object store.
      name: short name of the source in the tables; default: made of the source.
      config: what to look for and how; default: `make_config()`.
      device: where the models run.
      keep_days: recordings of this source that ended longer ago are removed, at the beginning and with each new one.
      timeout: seconds of silence after which the source is opened again.
      write_every: seconds between two times at which the tables are written.
      video_seconds: length of a row of `videos`; rows begin at its multiples in UTC.
      stop: ends the call when it is set; everything is written before it returns.
      stdin: what `-` stands for; default: standard input.
      say: called with a sentence when the source is opened, lost, and when something else happens.
      show: called a few times a second, by the way.
      storage_options: of object stores, for `schemas.storage.configure`.

    Returns:
      What was done.

    Raises:
      UsageError: the call is wrong.
      FacelogError: another run writes to DIR, or DIR cannot be written; what is written stays.
    """
    storage.configure(storage_options or {})
    named = parse_source(source, name=name, stdin=stdin or getattr(sys.stdin, "buffer", None))
    device = chosen_device(device)
    config = settled(config or make_config(), device)
    if config.identity.persons:
        raise UsageError("facelog live groups no persons: leave the setting persons away.")
    if config.sampling.keyframes:
        raise UsageError("facelog live decodes every frame: leave the setting keyframes away.")
    with held_run(out, config) as run:
        watch = Watch(run, named.name, load_models(config, device), say, show, keep_days, write_every, video_seconds)
        with Capture(named, config, timeout=timeout, stop=stop, say=say) as capture:
            watch.follow(capture)
    return watch.watched


@contextlib.contextmanager
def held_run(out: str, config: Config) -> Iterator[Run]:
    """A run of `live` that holds DIR until its end, and then closes the books.

    Args:
      out: DIR.
      config: settled.

    Raises:
      FacelogError: another run writes to DIR, or DIR cannot be written.
    """
    run = Run.new(storage.normalize(out), config)
    with hold(run.layout.out):
        begin_record(run, LIVE_RUNNER, [])
        yield run
        end_run(run.run_id, run.layout.out)
        close_ledger(run)


@dataclasses.dataclass
class Watch:
    """Makes rows of what comes into an inbox.

    Attributes:
      run: configuration, layout and name of the run; it holds DIR.
      name: short name of the source.
      bundles: the loaded models.
      say, show, keep_days, write_every, video_seconds: as of `live`.
      video: where the same pictures are kept, all of them in one row; None: nowhere.
      watched: what has been done.
    """

    run: Run
    name: str
    bundles: list[Any]
    say: Callable[[str], None] = _LOG.info
    show: Callable[[Now], None] = lambda now: None
    keep_days: float | None = None
    write_every: float = WRITE_EVERY
    video_seconds: float = HOUR
    video: VideoFile | None = None

    def __post_init__(self) -> None:
        self.watched = Watched(self.run.layout.out)
        self._recording: Recording | None = None
        self._end = math.inf

    def follow(self, inbox: Inbox) -> None:
        """Analyzes what comes until it has ended, and ends with whole tables, whatever goes wrong."""
        try:
            self._until_the_end(inbox)
        finally:
            self.watched.counts = inbox.counts
            self._close(inbox)

    def _until_the_end(self, inbox: Inbox) -> None:
        self._remove_old()
        while True:
            sample = inbox.first(0.5)
            if sample is None and inbox.has_ended:
                return
            now = sample.time if sample else time.time()
            if self._recording is not None and now >= self._end:
                self._close(inbox)
                index_ledger(self.run)
                self._remove_old()
            if sample is not None:
                self._follow(sample, inbox)
            else:
                self._tell(0, inbox)

    def _follow(self, sample: Shown, inbox: Inbox) -> None:
        """Analyzes the samples from one on, as long as they belong to one connection and one recording."""
        if self._recording is None:
            connection = inbox.connections[sample.connection]
            zero = self.video.zero if self.video else None
            self._recording = Recording(self.run, self.name, sample, connection, zero=zero)
            self._end = math.inf if self.video else (sample.time // self.video_seconds + 1) * self.video_seconds
        for faces in self._recording.follow(inbox.samples(sample.connection, self._end), self.bundles):
            self._tell(faces, inbox)
        if (last := inbox.last_times.get(sample.connection)) is not None:
            self._recording.lost(last)

    def _tell(self, faces: int, inbox: Inbox) -> None:
        """Writes the tables if that is due, and shows how it stands."""
        recording = self._recording
        if recording is not None and recording.seconds_since_written >= self.write_every:
            try:
                recording.write(self._now(inbox))
            except StorageFullError:
                raise
            except StorageError as error:  # the next time writes all
                self.say(f"{error} It is tried again.")
        self.show(Now(faces, inbox.counts, recording.row if recording else None))

    def _now(self, inbox: Inbox) -> float:
        """Until when the recording goes; what is done with its samples after the end is no gap in it."""
        return min(inbox.ended_at or time.time(), self._end)

    def _close(self, inbox: Inbox) -> None:
        """Ends the recording under way, if there is one, with whole tables."""
        if self._recording is not None:
            recording, self._recording = self._recording, None
            video = self.video.finish(self.run.config) if self.video else None
            self.watched.add(recording.write(self._now(inbox), video=video))

    def _remove_old(self) -> None:
        if self.keep_days is not None:
            oldest = datetime.now(UTC) - timedelta(days=self.keep_days)
            self.watched.removed += remove_recordings(self.run.layout.out, self.name, oldest)


def remove_recordings(out: str, name: str, oldest: datetime) -> int:
    """Removes everything about recordings of a source that had ended before a time; returns how many they were.

    Args:
      out: DIR, held by this process.
      name: short name of the source.
      oldest: UTC.
    """
    old = {row["uri"]: row["video_id"] for row in _recordings(out, name) if _ended(row) < oldest}
    if old:
        remove_traces(find_traces(out, list(old), list(old.values())))
    return len(old)


def _recordings(out: str, name: str) -> Iterator[Row]:
    return (row for uri, row in read_ledger(out).items() if uri.startswith(f"{LIVE}{name}/"))


def _ended(row: Row) -> datetime:
    return row["recorded_at"] + timedelta(seconds=row["duration"] or 0.0)
