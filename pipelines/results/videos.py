"""Which videos are meant: the one rule by which all commands take names of videos.

A video is named by its uri as it stands in the table `videos` (a path from the current folder does, too); else by the
name of its file, without folder; else by its `video_id` or the first digits of it, at least six. A `video_id` means all
files with that content. A name that fits videos with different content is refused.
"""

import difflib
import posixpath
from collections.abc import Collection, Iterable, Mapping, Sequence

from schemas import storage
from schemas.errors import UsageError
from schemas.layout import Layout
from transforms.ledger import HAS_TABLES, Row, read_ledger

LEAST_DIGITS = 6
_LISTED = 3


def require_results(out: str) -> str:
    """DIR, normalized, once it is certain that facelog wrote to it.

    Raises:
      UsageError: it holds no results.
    """
    out = storage.normalize(out)
    layout = Layout(out)
    if not any(map(storage.is_folder, (layout.folder("videos"), layout.work))):
        raise _no_results(out)
    return out


def read_videos(out: str) -> list[Row]:
    """The rows of `videos`, of which there is at least one, in the order of their uris.

    Args:
      out: DIR, normalized.

    Raises:
      UsageError: there are no results in DIR, or of another schema version.
      StorageError: it cannot be read.
    """
    rows = read_ledger(out)
    if not rows:
        raise _no_results(out)
    return [rows[uri] for uri in sorted(rows)]


def find_videos(rows: Sequence[Row], names: Iterable[str], out: str) -> list[Row]:
    """The rows, of those with tables, that some names mean; in the order of `rows`.

    Args:
      rows: of `videos`.
      names: of videos, see the module.
      out: DIR, for errors.

    Raises:
      UsageError: a name fits no video, or different ones, or one without tables.
    """
    contents = {row["uri"]: {row["video_id"]} - {None} for row in rows}
    by_uri = {row["uri"]: row for row in rows}
    chosen: set[str] = set()
    for name in names:
        found = [by_uri[uri] for uri in sorted(find_uris(name, contents))]
        if not found:
            raise UsageError(f"--video {name}: {out} has no file of this uri, name or id. {_hint(name, by_uri)}")
        good = {row["uri"] for row in found if row["status"] in HAS_TABLES}
        if not good:
            why = f"its status is {found[0]['status']}: {found[0]['error_message']}"
            raise UsageError(f"--video {name}: it has no tables; {why}")
        chosen |= good
    return [row for row in rows if row["uri"] in chosen]


def find_uris(name: str, contents: Mapping[str, Collection[str]]) -> set[str]:
    """The uris that a name means; none where it is not known.

    Args:
      name: of a video, see the module.
      contents: all uris, each with the ids of what the file holds or held.

    Raises:
      UsageError: it fits videos with different content.
    """
    exact = {name, storage.normalize(name)} & contents.keys()
    if exact:
        return exact
    named = {uri for uri in contents if posixpath.basename(uri) == name}
    if named:
        if len(named) > 1 and not set.intersection(*(set(contents[uri]) for uri in named)):
            raise _ambiguous(name, named, "give the uri")
        return named
    ids = find_ids(name, {video_id for of_uri in contents.values() for video_id in of_uri})
    return {uri for uri, of_uri in contents.items() if not ids.isdisjoint(of_uri)}


def find_ids(name: str, video_ids: Iterable[str]) -> set[str]:
    """The `video_id` that a name is, or begins; none where it is or begins none.

    Raises:
      UsageError: several begin so.
    """
    digits = name.lower()
    found = {video_id for video_id in video_ids if len(digits) >= LEAST_DIGITS and video_id.startswith(digits)}
    if len(found) > 1:
        raise _ambiguous(name, found, "give more digits")
    return found


def _no_results(out: str) -> UsageError:
    return UsageError(f"{out} holds no results of facelog: give the folder that `facelog analyze` wrote to (--out).")


def _ambiguous(name: str, found: Collection[str], remedy: str) -> UsageError:
    some = ", ".join(sorted(found)[:_LISTED]) + (", …" if len(found) > _LISTED else "")
    return UsageError(f"{name} fits {len(found)} different videos ({some}): {remedy}.")


def _hint(name: str, uris: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, map(posixpath.basename, uris), 3, 0.5)
    return f"Did you mean {' or '.join(near)}?" if near else '`facelog query DIR "SELECT uri FROM videos"` lists them.'
