"""Remove rows of files that are gone, with the tables that no other file shares.

Files on a disk that is not mounted do not count as gone. What a camera showed (`facelog live`) never was a file, so it
stays.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from pipelines.keeping.files_of_videos import Traces, find_traces, remove_traces
from pipelines.results.holding import hold
from pipelines.results.videos import require_results
from schemas import storage
from schemas.errors import StorageError, UsageError
from schemas.layout import LIVE
from transforms.ledger import Row, read_ledger


@dataclasses.dataclass(frozen=True)
class GoneFile:
    """A row whose file is not there any more.

    Attributes:
      uri: of the file.
      status: as in `videos`.
      size_bytes: its size when it was analyzed; None if unknown.
      analyzed_at: when its row was written, UTC.
    """

    uri: str
    status: str
    size_bytes: int | None
    analyzed_at: datetime


@dataclasses.dataclass(frozen=True)
class Refused:
    """A folder whose files are not taken as gone.

    Attributes:
      folder: its name.
      why: the reason, half a sentence.
      files: rows of files in it.
      missing: whether it is not there or holds no file, so that `even_if_folder_is_gone` helps; False: it cannot be
        listed.
    """

    folder: str
    why: str
    files: int
    missing: bool


@dataclasses.dataclass(frozen=True)
class Pruned:
    """What was removed, or would be.

    Attributes:
      out: DIR.
      gone: rows that are removed, by uri.
      here: number of rows that stay because their files are there, or never were files.
      refused: folders whose files are not taken as gone.
      traces: the files.
      done: whether the files were removed; False: they were only found.
    """

    out: str
    gone: list[GoneFile]
    here: int
    refused: list[Refused]
    traces: Traces
    done: bool = False

    def as_json(self) -> dict[str, Any]:
        """The same for programs."""
        gone = [dataclasses.asdict(file) | {"analyzed_at": file.analyzed_at.isoformat()} for file in self.gone]
        return {
            "out": self.out,
            "done": self.done,
            "gone": gone,
            "here": self.here,
            "refused": [dataclasses.asdict(folder) for folder in self.refused],
            "counts": self.traces.counts,
        }


def prune(
    out: str,
    *,
    even_if_folder_is_gone: bool = False,
    dry_run: bool = False,
    confirm: Callable[[Pruned], bool] | None = None,
) -> Pruned:
    """Removes the rows of files that are gone; tables and reports go where no other row has the same content.

    A folder (or bucket) that is missing or in which there is not one file looks as a disk does that is not mounted, so
    its files are not taken as gone, unless that is said. One that cannot be listed never is.

    Args:
      out: DIR, on disk or on an object store.
      even_if_folder_is_gone: also take files as gone whose folder is missing or empty.
      dry_run: only find the files.
      confirm: called with what was found, if there is something to remove; if it returns False, nothing is removed.

    Raises:
      UsageError: there are no results in DIR, or of another schema version.
      FacelogError: a run is at work in DIR.
      StorageError: it cannot be read or written.
    """
    out = require_results(out)
    with contextlib.nullcontext() if dry_run else hold(out):
        found = _find(out, even_if_folder_is_gone)
        if dry_run or not found.gone or (confirm is not None and not confirm(found)):
            return found
        remove_traces(found.traces)
    return dataclasses.replace(found, done=True)


def _find(out: str, even_if_folder_is_gone: bool) -> Pruned:
    rows = read_ledger(out)
    by_folder: dict[str, list[str]] = {}
    for uri in sorted(uri for uri in rows if not uri.startswith(LIVE)):
        by_folder.setdefault(uri.rpartition("/")[0] or "/", []).append(uri)
    gone: list[str] = []
    refused = []
    for folder, uris in sorted(by_folder.items()):
        try:
            there = _names(folder)
        except (StorageError, UsageError) as error:  # the latter: a scheme that this machine does not know
            refused.append(Refused(folder, str(error), len(uris), missing=False))
            continue
        if there or even_if_folder_is_gone:
            gone.extend(uri for uri in uris if uri not in there)
        else:
            why = "holds no file any more" if storage.exists(folder) else "is not there"
            refused.append(Refused(folder, why, len(uris), missing=True))
    traces = find_traces(out, gone, _named_by_none_else(rows, gone))
    here = len(rows) - len(gone) - sum(folder.files for folder in refused)
    return Pruned(out, [_gone_file(rows[uri]) for uri in gone], here, refused, traces)


def _names(folder: str) -> set[str]:
    """Uris of what is in a folder and is no folder, spelled as in rows; links that lead nowhere are there too."""
    names = {info.uri for info in storage.list_files(folder, recursive=False)}
    # A name that is no valid UTF-8 stands in its row with escapes (see transforms.match_inputs).
    return {os.fsencode(name).decode("utf-8", "backslashreplace") for name in names}


def _named_by_none_else(rows: dict[str, Row], gone: Iterable[str]) -> set[str]:
    going = set(gone)
    kept = {row["video_id"] for uri, row in rows.items() if uri not in going}
    return {rows[uri]["video_id"] for uri in going} - kept - {None}


def _gone_file(row: Row) -> GoneFile:
    return GoneFile(row["uri"], row["status"], row["size_bytes"], row["finished_at"])
