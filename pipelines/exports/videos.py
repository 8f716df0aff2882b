"""The videos that are exported: which ones, under which names, and what is known of each."""

import dataclasses
import difflib
import hashlib
import posixpath
from collections import Counter
from collections.abc import Iterable, Sequence

import pyarrow as pa

from pipelines.results.tables import read_video_table
from schemas import storage
from schemas.errors import StorageError, UsageError
from transforms.ledger import HAS_TABLES, Row, read_ledger
from transforms.observations import read_observations
from transforms.stitch_tracks import Observations

_ID_DIGITS = 6


class NothingToExportError(Exception):
    """A video that cannot be had in this format; the text says why, and it is left out."""


@dataclasses.dataclass(frozen=True)
class Video:
    """A file whose tables are there.

    Attributes:
      out: DIR, normalized.
      row: its row in `videos`.
      name: of what is written for it: the file's own without its ending, told apart where two are alike.
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
      wanted: uris, names of files, or ids or their beginning (6 digits at least); none: all.

    Raises:
      UsageError: there are no results in DIR, of another schema version, or nothing in it is called so.
      StorageError: it cannot be read.
    """
    out = storage.normalize(out)
    rows = sorted(read_ledger(out).values(), key=lambda row: row["uri"])
    if not rows:
        raise UsageError(f"{out} holds no results of facelog: give the folder that `facelog analyze` wrote to (--out).")
    names = _names(rows)
    chosen = {row["uri"] for row in rows if row["status"] in HAS_TABLES}
    asked = list(wanted)
    if asked:
        chosen = {uri for text in asked for uri in _matching(rows, text, out)}
    videos = [Video(out, row, name) for row, name in zip(rows, names, strict=True) if row["uri"] in chosen]
    if not videos:
        raise UsageError(f"{out} has no video with tables: all are {', '.join(sorted({r['status'] for r in rows}))}.")
    return videos


def _matching(rows: Sequence[Row], text: str, out: str) -> set[str]:
    as_uri = storage.normalize(text)
    found = [row for row in rows if row["uri"] in (text, as_uri)]
    found = found or [row for row in rows if _file_name(row) == text]
    if not found and len(text) >= _ID_DIGITS:
        found = [row for row in rows if (row["video_id"] or "").startswith(text.lower())]
    if not found:
        near = difflib.get_close_matches(text, [_file_name(row) for row in rows], 3, 0.5)
        hint = (
            f"Did you mean {' or '.join(near)}?" if near else '`facelog query DIR "SELECT uri FROM videos"` lists them.'
        )
        raise UsageError(f"--video {text}: {out} has no file of this uri, name or id. {hint}")
    good = {row["uri"] for row in found if row["status"] in HAS_TABLES}
    if not good:
        row = found[0]
        raise UsageError(f"--video {text}: it has no tables; its status is {row['status']}: {row['error_message']}")
    return good


def _file_name(row: Row) -> str:
    return posixpath.basename(row["uri"])


def _names(rows: Sequence[Row]) -> list[str]:
    """A name for each row; those that are alike (also where case does not count) get digits of their uri's hash."""
    stems = [posixpath.splitext(_file_name(row))[0] or row["video_id"] or "video" for row in rows]
    times = Counter(stem.casefold() for stem in stems)
    digits = (hashlib.sha256(row["uri"].encode()).hexdigest()[:8] for row in rows)
    return [s if times[s.casefold()] == 1 else f"{s}-{d}" for s, d in zip(stems, digits, strict=True)]
