"""Where everything lies in the output folder DIR.

    DIR/{faces,tracks,timeline}/bucket=3f/<video_id>.parquet     tables, one file per video
    DIR/videos/bucket=3f/<sha256 of the uri, 32 digits>.parquet  the ledger, one file per uri, written last
    DIR/observations/bucket=3f/<video_id>/<segment>.parquet      every sample, when asked for
    DIR/_work/<config_hash>/<video_id>/plan.json, <segment>.parquet, <segment>.failed.json
"""

import dataclasses
import hashlib

from schemas import storage

ROW_TABLES = ("faces", "tracks", "timeline")


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
        name = hashlib.sha256(uri.encode()).hexdigest()[:32]
        return storage.join(self.out, "videos", f"bucket={name[:2]}", f"{name}.parquet")

    def work(self, video_id: str) -> str:
        """Folder of a video's unfinished business."""
        return storage.join(self.out, "_work", self.config_hash, video_id)

    def plan(self, video_id: str) -> str:
        """What the probe found out."""
        return storage.join(self.work(video_id), "plan.json")

    def fragment(self, video_id: str, segment: int) -> str:
        """The last part of a segment's observations: it is there when the segment is done."""
        return storage.join(self.work(video_id), f"{segment:05d}.parquet")

    def fragment_part(self, video_id: str, segment: int, part: int) -> str:
        """An earlier part, of a very long segment."""
        return storage.join(self.work(video_id), f"{segment:05d}.{part:03d}.parquet")

    def failure(self, video_id: str, segment: int) -> str:
        """Why a segment was given up."""
        return storage.join(self.work(video_id), f"{segment:05d}.failed.json")

    def observations(self, video_id: str) -> str:
        """Folder of a video's kept observations."""
        return storage.join(self.out, "observations", f"bucket={video_id[:2]}", video_id)
