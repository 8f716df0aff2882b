"""Where everything lies in the output folder DIR.

DIR/{faces,tracks,timeline}/bucket=3f/<video_id>.parquet     tables, one file per video
DIR/videos/bucket=3f/<sha256 of the uri, 32 digits>.parquet  the ledger, one file per uri, written last
DIR/observations/bucket=3f/<video_id>/<segment>.parquet      every sample, when asked for
DIR/reports/<page>.html, .json                               pages of `facelog report`, unless they go elsewhere
DIR/_work/ledger.parquet                                     copy of all rows of videos, so that they are read quickly
DIR/_work/run.json                                           the run under way, or the last one: what it set out to do
DIR/_work/lease.json                                         who holds DIR, where no lock of the file system does
DIR/_work/jobs/<run_id>/…                                    what a job needs that runs without its client
DIR/_work/<config_hash>/plans/<as in videos>.json            what the probe found out of a uri
DIR/_work/<config_hash>/<video_id>/<segment>.parquet         fragments, until the video's row is written
"""

import dataclasses
import hashlib
import re

from schemas import storage

ROW_TABLES = ("faces", "tracks", "timeline")

_LONGEST_STEM = 60  # of a page's name


@dataclasses.dataclass(frozen=True)
class Layout:
    """Names under one output folder for one configuration.

    Attributes:
      out: DIR, normalized.
      config_hash: of the run.
    """

    out: str
    config_hash: str

    def table(self, name: str, video_id: str) -> str:
        """A video's file in `faces`, `tracks` or `timeline`."""
        return storage.join(self.out, name, f"bucket={video_id[:2]}", f"{video_id}.parquet")

    def ledger(self, uri: str) -> str:
        """A uri's row in `videos`."""
        name = _row_name(uri)
        return storage.join(self.out, "videos", f"bucket={name[:2]}", f"{name}.parquet")

    @property
    def works(self) -> str:
        """Folder of all unfinished business."""
        return storage.join(self.out, "_work", self.config_hash)

    @property
    def plans(self) -> str:
        """Folder of what the probe found out, as long as a run lasts."""
        return storage.join(self.works, "plans")

    def ids_in_work(self) -> set[str]:
        """Videos with unfinished business."""
        return {info.uri.rsplit("/", 2)[-2] for info in storage.list_files(self.works)} - {"plans"}

    def plan(self, uri: str) -> str:
        """What the probe found out of a uri."""
        return storage.join(self.plans, f"{_row_name(uri)}.json")

    def work(self, video_id: str) -> str:
        """Folder of a video's unfinished business."""
        return storage.join(self.works, video_id)

    def fragment(self, video_id: str, segment: int) -> str:
        """The last part of a segment's observations: it is there when the segment is done."""
        return storage.join(self.work(video_id), f"{segment:05d}.parquet")

    def fragment_part(self, video_id: str, segment: int, part: int) -> str:
        """An earlier part, of a very long segment."""
        return storage.join(self.work(video_id), f"{segment:05d}.{part:03d}.parquet")

    def failure(self, video_id: str, segment: int) -> str:
        """Why a segment was given up."""
        return storage.join(self.work(video_id), f"{segment:05d}.failed.json")

    def attempts(self, run_id: str, video_id: str, segment: int) -> str:
        """How often a job has begun a segment."""
        return storage.join(self.job(run_id), "attempts", video_id, f"{segment:05d}.json")

    def probe_attempts(self, run_id: str, uri: str) -> str:
        """How often a job has begun the probe of a uri."""
        return storage.join(self.job(run_id), "attempts", "probes", f"{_row_name(uri)}.json")

    @property
    def run(self) -> str:
        """What the run under way set out to do."""
        return storage.join(self.out, "_work", "run.json")

    @property
    def lease(self) -> str:
        """Who holds DIR, where no lock of the file system does."""
        return storage.join(self.out, "_work", "lease.json")

    @property
    def jobs(self) -> str:
        """Folder of what jobs need that run without their client; whoever holds DIR may remove it."""
        return storage.join(self.out, "_work", "jobs")

    def job(self, run_id: str) -> str:
        """Folder of one such job."""
        return storage.join(self.jobs, run_id)

    def observations(self, video_id: str) -> str:
        """Folder of a video's kept observations."""
        return storage.join(self.out, "observations", f"bucket={video_id[:2]}", video_id)


def page_name(uri: str, video_id: str) -> str:
    """Name of a video's page: the file's stem in letters, digits, `-`, `_` and `.`, and `page_ending`.

    It begins with no dot, as names under construction do, and stays the same as long as file and content do.
    """
    stem = uri.rsplit("/", 1)[-1]
    stem = stem.rpartition(".")[0] or stem
    safe = re.sub(r"[^\w.-]+", "_", stem)[:_LONGEST_STEM].strip("._-") or "video"
    return f"{safe}{page_ending(video_id)}"


def page_ending(video_id: str) -> str:
    """What the names of all pages of a content end with."""
    return f"-{video_id[:10]}"


def _row_name(uri: str) -> str:
    return hashlib.sha256(uri.encode()).hexdigest()[:32]
