"""Remove everything that an output folder holds about some videos, as a data protection request demands."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import re
import shlex
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import Any

from pipelines.keeping.files_of_videos import Traces, find_traces, remove_traces
from pipelines.results.holding import hold
from pipelines.results.videos import find_ids, find_uris, require_results
from schemas import storage
from schemas.errors import StorageError, UsageError
from schemas.layout import EMBEDDINGS, FOLDERS, PLANS, ROW_TABLES, WORK, Layout
from schemas.video import Plan
from transforms.ledger import read_ledger

FORGOTTEN = "(forgotten)"
"""Replaces the name of a video in the command of the run's record."""

_ID = re.compile(r"[0-9a-f]{32}")


@dataclasses.dataclass(frozen=True)
class Forgotten:
    """What was removed, or would be.

    Attributes:
      out: DIR.
      uris: videos whose rows and plans are removed, sorted.
      video_ids: contents whose tables, observations and fragments are removed, sorted.
      copies: other uris with the same content, which stay, and their tables with them.
      unknown: given names about which DIR holds nothing.
      traces: the files.
      rows: rows in these files, by table.
      strange: other files in DIR; facelog did not make them and does not read them.
      done: whether the files were removed; False: they were only found.
    """

    out: str
    uris: list[str]
    video_ids: list[str]
    copies: list[str]
    unknown: list[str]
    traces: Traces
    rows: dict[str, int]
    strange: list[str]
    done: bool = False

    @property
    def rewritten(self) -> list[str]:
        """Files about many videos, which are rewritten without these."""
        return [*self.traces.rewritten, *([Layout(self.out).ledger_copy] if self.uris else [])]

    @property
    def beyond(self) -> list[str]:
        """What this command cannot remove, one sentence each."""
        versions = "" if storage.is_local(self.out) else ", earlier versions of objects where the bucket keeps them"
        sentences = [
            "The video files: facelog never touches them. The next analyze that finds one analyzes it again, unless it "
            "is left out with --exclude (DIR/_work/run.json notes the last command, and so the pattern).",
            "Copies of the tables: those of `facelog compact`, exports, downloads, reports in other folders. Make them "
            "anew.",
            f"Backups, snapshots and mirrors of DIR{versions}.",
            "Logs (--log-file, a cluster's own) and the history of shells and of `facelog query`.",
        ]
        if self.copies:
            stay = f"The same content under other names, as was asked ({', '.join(self.copies)}): tables and rows."
            sentences.insert(0, stay)
        if self.strange:
            few = ", ".join(self.strange[:3]) + (" …" if len(self.strange) > 3 else "")
            sentences.append(f"Files in DIR that are not facelog's ({len(self.strange)}): {few}")
        return sentences

    def as_json(self) -> dict[str, Any]:
        """The same for programs."""
        return {
            "out": self.out,
            "done": self.done,
            "uris": self.uris,
            "video_ids": self.video_ids,
            "copies_that_stay": self.copies,
            "unknown": self.unknown,
            "rows": self.rows,
            "counts": self.traces.counts,
            "files": [uri for files in self.traces.files.values() for uri in files],
            "rewritten": self.rewritten,
            "out_of_reach": self.beyond,
        }


def forget(
    videos: str | Sequence[str],
    out: str,
    *,
    all_copies: bool | None = None,
    dry_run: bool = False,
    confirm: Callable[[Forgotten], bool] | None = None,
) -> Forgotten:
    """Removes everything that DIR holds about some videos; the video files stay as they are.

    Rows, tables, observations, embeddings, appearances of persons, decisions about them, fragments, plans, attempts,
    the copy of the ledger, reports and thumbnails, and names in the run's record; and tables that no row names any
    more, as they may be of what a file held before. Rows go last, so the same call finishes what an interrupted one
    began.

    Args:
      videos: names of videos, see `pipelines.results.videos`; a `video_id` means all uris of a content.
      out: DIR, on disk or on an object store.
      all_copies: whether other uris of the same content are forgotten too; False: they and the tables stay.
      dry_run: only find the files.
      confirm: called with what was found; if it returns False, nothing is removed.

    Raises:
      UsageError: there are no results in DIR; it knows none of the videos; or there are copies, and `all_copies` does
        not say what is to become of them.
      FacelogError: a run is at work in DIR.
      StorageError: it cannot be read or written.
    """
    out = require_results(out)
    names = [videos] if isinstance(videos, str) else list(videos)
    with contextlib.nullcontext() if dry_run else _held(out):
        found = _find(names, out, all_copies)
        if dry_run or (confirm is not None and not confirm(found)):
            return found
        remove_traces(found.traces)
    return dataclasses.replace(found, done=True)


def copies_of(videos: str | Sequence[str], out: str) -> list[str]:
    """Other uris in DIR with the content of these, for which `forget` wants `all_copies` to be said."""
    names = [videos] if isinstance(videos, str) else list(videos)
    known = _Known(require_results(out))
    uris, contents, _ = known.match(names)
    return sorted(known.copies(uris, contents))


class _Known:
    """What DIR holds: which uri has which content, by rows, and by plans of what has no row yet; and all else there.

    Attributes:
      ids: by uri, its contents; a plan may be of another one than the row.
      stored: contents with tables or observations.
      begun: contents with fragments.
      temporaries: files that were never finished, whatever they hold.
      strange: files that are not facelog's.
    """

    def __init__(self, out: str):
        self.ids: dict[str, set[str]] = {}
        self.stored: set[str] = set()
        self.begun: set[str] = set()
        self.temporaries: list[str] = []
        self.strange: list[str] = []
        plans = []
        for info in storage.list_files(out):
            *folders, name = info.uri.removeprefix(f"{out}/").split("/")
            if storage.is_unfinished(info.uri):
                self.temporaries.append(info.uri)
            elif not folders or folders[0] not in FOLDERS:
                self.strange.append(info.uri)
            elif folders[-1] == PLANS:
                plans.append(info.uri)
            elif folders[0] == WORK:
                self.begun.update(folder for folder in folders if _ID.fullmatch(folder))
            elif folders[0] in (*ROW_TABLES, "observations", EMBEDDINGS):
                self.stored.update(part for part in (*folders, name.partition(".")[0]) if _ID.fullmatch(part))
        for uri, row in read_ledger(out).items():
            self.ids.setdefault(uri, set()).update({row["video_id"]} - {None})
        for plan in storage.at_once(_read_plan, plans):
            self.ids.setdefault(plan.file.uri, set()).update({plan.video_id} - {None})  # type: ignore[arg-type]

    @property
    def orphans(self) -> set[str]:
        """Contents with tables that no uri names any more, as killed runs leave them; whose they were is not known."""
        return self.stored - {content for contents in self.ids.values() for content in contents}

    def match(self, names: Iterable[str]) -> tuple[set[str], set[str], list[str]]:
        """Uris and contents that are meant, and names that are not known."""
        uris: set[str] = set()
        contents: set[str] = set()
        unknown = []
        for name in names:
            meant = find_uris(name, self.ids)
            nameless = set() if meant else find_ids(name, self.stored | self.begun)
            uris |= meant
            contents |= nameless
            if not meant and not nameless:
                unknown.append(name)
        return uris, contents | {content for uri in uris for content in self.ids[uri]}, unknown

    def copies(self, uris: Collection[str], contents: Iterable[str]) -> set[str]:
        """Other uris of these contents."""
        return {uri for content in contents for uri in self.of(content)} - set(uris)

    def of(self, video_id: str) -> set[str]:
        """The uris of a content."""
        return {uri for uri, ids in self.ids.items() if video_id in ids}


def _read_plan(uri: str) -> Plan:
    try:
        return Plan.from_json(storage.read_bytes(uri))
    except ValueError as error:
        raise StorageError(f"{uri} is damaged, so whose plan it is cannot be known; remove it.") from error


def _find(names: Sequence[str], out: str, all_copies: bool | None) -> Forgotten:
    known = _Known(out)
    uris, contents, unknown = known.match(names)
    if not uris and not contents:
        raise UsageError(
            f"{out} holds nothing of {', '.join(names)}: name a video by its uri as in videos, by the name of its "
            "file, or by its video_id."
        )
    copies = known.copies(uris, contents)
    if copies and all_copies is None:
        raise UsageError(
            f"{out} has the same content under other names too: {', '.join(sorted(copies))}. Say --all-copies to "
            "forget them as well, or --keep-copies to keep them and the tables that they share."
        )
    if all_copies:
        uris, copies = uris | copies, set()
    going = {content for content in contents if not known.of(content) - uris}
    traces = find_traces(out, uris, going | known.orphans, shared=contents - going, jobs=True)
    traces.files["work"].extend(known.temporaries)
    run = Layout(out).run
    if record := _without_names(run, uris, contents):
        traces.rewritten[run] = record
    return Forgotten(
        out=out,
        uris=sorted(uris),
        video_ids=sorted(going | known.orphans),
        copies=sorted(copies),
        unknown=unknown,
        traces=traces,
        rows=traces.rows(),
        strange=sorted(known.strange),
    )


def _without_names(record: str, uris: Collection[str], contents: Collection[str]) -> bytes | None:
    """The run's record with a command that names none of the videos; None where it is so already."""
    try:
        run = json.loads(storage.read_bytes(record))
        words = shlex.split(run["command"])
    except (FileNotFoundError, ValueError, KeyError):
        return None
    names = "|".join(re.escape(name) for name in {*contents, *(uri.rsplit("/", 1)[-1] for uri in uris)})
    told = [FORGOTTEN if re.search(rf"(?<![\w.-])({names})(?![\w.-])", word) else word for word in words]
    return json.dumps(run | {"command": shlex.join(told)}, indent=2).encode() if told != words else None


@contextlib.contextmanager
def _held(out: str) -> Iterator[None]:
    """Holds DIR, and leaves the lock without this command, which names the videos."""
    with hold(out):
        try:
            yield
        finally:
            if storage.is_local(out):
                # In place: who waits for the lock has opened this very file.
                with contextlib.suppress(OSError):
                    os.truncate(Layout(out).lock, 0)
