"""The videos that are exported: which ones, under which names, and what is known of each."""

import dataclasses
import hashlib
import posixpath
from collections import Counter
from collections.abc import Iterable, Sequence

import pyarrow as pa

from pipelines.results.tables import read_video_table
from pipelines.results.videos import find_videos, read_videos
from schemas import storage
from schemas.errors import StorageError, UsageError
from transforms.ledger import HAS_TABLES, Row
from transforms.observations import read_observations
from transforms.stitch_tracks import Observations

_LONGEST = 220
"""Bytes of a name, of the 255 that file systems allow; digits and an ending are added."""


class NothingToExportError(Exception):
    """A video that cannot be exported in this format and is left out; the text says why."""


@dataclasses.dataclass(frozen=True)
class Video:
    """A video with tables.

    Attributes:
      out: DIR, normalized.
      row: its row in `videos`.
      name: of its exported files: the file's own without the ending, with digits where two videos have the same or it
        is too long.
    """

    out: str
    row: Row
    name: str

    @property
    def video_id(self) -> str:
        """See `transforms.video_id`."""
        return self.row["video_id"]

    @property
    def start_offset(self) -> float:
        """Seconds of a player's clock at `timestamp` 0."""
        return self.row["start_offset"] or 0.0

    def table(self, name: str) -> pa.Table:
        """Its rows in `faces`, `tracks` or `timeline`.

        Raises:
          StorageError: they are not there, or cannot be read.
        """
        return read_video_table(self.out, name, self.video_id)

    def observations(self) -> Observations:
        """Every sample of every face, `track` being the `track_id` of the tables.

        Raises:
          NothingToExportError: they were not kept, or cannot be read.
        """
        try:
            found = read_observations(self.out, self.video_id)
        except StorageError as error:
            raise NothingToExportError(str(error)) from error
        if found is None:
            raise NothingToExportError("its observations were not kept")
        return found


def choose_videos(out: str, wanted: Iterable[str] = ()) -> list[Video]:
    """The videos with tables, in the order of their uris.

    Args:
      out: DIR, on disk or on an object store.
      wanted: names of videos, see `pipelines.results.videos`; none: all.

    Raises:
      UsageError: there are no results in DIR, of another schema version, or a name does not fit.
      StorageError: it cannot be read.
    """
    out = storage.normalize(out)
    rows, asked = read_videos(out), list(wanted)
    names = _names(rows)
    with_tables = [row for row in rows if row["status"] in HAS_TABLES]
    chosen = {row["uri"] for row in (find_videos(rows, asked, out) if asked else with_tables)}
    videos = [Video(out, row, name) for row, name in zip(rows, names, strict=True) if row["uri"] in chosen]
    if not videos:
        raise UsageError(f"{out} has no video with tables: all are {', '.join(sorted({r['status'] for r in rows}))}.")
    return videos


def _names(rows: Sequence[Row]) -> list[str]:
    """A name for each row; those that are alike (also where case does not count) get digits of their uri's hash.

    So do those that are too long to get another ending.
    """
    whole = [posixpath.splitext(posixpath.basename(row["uri"]))[0] or row["video_id"] or "video" for row in rows]
    stems = [stem.encode()[:_LONGEST].decode(errors="ignore") for stem in whole]
    times = Counter(stem.casefold() for stem in stems)
    digits = [hashlib.sha256(row["uri"].encode()).hexdigest()[:8] for row in rows]
    return [
        stem if times[stem.casefold()] == 1 and stem == all_of_it else f"{stem}-{of_uri}"
        for stem, all_of_it, of_uri in zip(stems, whole, digits, strict=True)
    ]
