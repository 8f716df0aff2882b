"""Find every file in DIR that belongs to given videos, and delete them; safe to interrupt and repeat."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import re
import urllib.parse
from collections.abc import Collection, Iterable, Iterator

import markupsafe

from pipelines.persons.forgetting import files_without_videos
from schemas import storage
from schemas.layout import EMBEDDINGS, ROW_TABLES, Layout, Work, page_ending, row_name
from schemas.table_files import count_rows
from transforms.ledger import renew_index

KINDS = ("reports", EMBEDDINGS, *ROW_TABLES, "observations", "annotations", "work", "videos")
"""Kinds of files, in the order in which they are deleted. Rows of `videos` are last: they say which video_id a uri has,
so a repeated call finds what an interrupted one has left."""

_ID = re.compile(r"[0-9a-f]{32}")


@dataclasses.dataclass(frozen=True)
class Traces:
    """The files in DIR that belong to some videos.

    Attributes:
      out: DIR.
      uris: the videos whose rows these are.
      files: the files to delete, by kind: reports, embeddings, faces, tracks, timeline, observations, annotations, work
        (fragments, failures, plans, jobs), videos.
      folders: folders on disk that belong to one video alone, empty ones included.
      rewritten: files about many videos, each with its content without these videos.
    """

    out: str
    uris: frozenset[str]
    files: dict[str, list[str]]
    folders: list[str]
    rewritten: dict[str, bytes]

    @property
    def counts(self) -> dict[str, int]:
        """The number of files by kind, without kinds that have none."""
        return {kind: len(files) for kind, files in self.files.items() if files}

    def rows(self) -> dict[str, int]:
        """The number of rows to delete, by table; reads the files' footers."""
        return {
            kind: sum(storage.at_once(count_rows, files))
            for kind, files in self.files.items()
            if files and kind in (*ROW_TABLES, "observations", "videos", EMBEDDINGS)
        }


def find_traces(
    out: str, uris: Collection[str], video_ids: Collection[str], *, shared: Collection[str] = (), jobs: bool = False
) -> Traces:
    """Finds the files that belong to some videos; deletes nothing.

    Args:
      out: DIR, normalized.
      uris: videos whose rows and plans are to be deleted.
      video_ids: contents whose tables, observations and embeddings are to be deleted: no other uri has them.
      shared: contents of these uris that others name too; only what speaks of the uri goes: pages and unfinished work.
      jobs: also what is left of jobs on a cluster, which lists all their files together. Nothing needs it once no job
        holds DIR.
    """
    layout = Layout(out)
    rows = [layout.ledger(uri) for uri in sorted(uris)]
    ids = {*video_ids, *shared}
    in_work = {*ids, *map(row_name, uris)}
    files = {
        "reports": list(_reports(out, uris, ids)),
        **{table: _existing(layout.table(table, video_id) for video_id in sorted(video_ids)) for table in ROW_TABLES},
        EMBEDDINGS: _existing(layout.embeddings(video_id) for video_id in sorted(video_ids)),
        "observations": [
            info.uri for video_id in sorted(video_ids) for info in storage.list_files(layout.observations(video_id))
        ],
        "annotations": [uri for video_id in sorted(video_ids) for uri in layout.annotations(video_id)],
        "work": [
            info.uri
            for info in storage.list_files(layout.work)
            if not in_work.isdisjoint(_ID.findall(info.uri.removeprefix(out)))
            or (jobs and info.uri.startswith(f"{layout.jobs}/"))
        ],
        "videos": _existing(rows),
    }
    return Traces(
        out=out,
        uris=frozenset(uris),
        files={kind: files[kind] for kind in KINDS},
        folders=_folders(layout, video_ids, ids, jobs) if storage.is_local(out) else [],  # elsewhere there are none
        rewritten=_states(out, ids) | files_without_videos(out, set(video_ids)),
    )


def remove_traces(traces: Traces) -> None:
    """Deletes the files, rows last.

    The copy of all rows is rewritten before that. If the process is killed in between, the rows are still there, so a
    repeated call finds them again.
    """
    for uri, content in traces.rewritten.items():
        storage.write_bytes(uri, content)
    for kind, files in traces.files.items():
        if kind == "videos":
            for folder in traces.folders:
                storage.delete_tree(folder)
            renew_index(traces.out, traces.uris)
        for _ in storage.at_once(storage.delete_file, files):
            pass


def _reports(out: str, uris: Collection[str], video_ids: Collection[str]) -> Iterator[str]:
    """Pages of contents, under whatever name their files had, and what speaks of many videos and of one of these."""
    endings = tuple(f"{page_ending(video_id)}.{kind}" for video_id in video_ids for kind in ("html", "json"))
    texts = [text.encode() for uri in uris for text in _spellings(uri)]
    texts += [video_id.encode() for video_id in video_ids]
    texts += [page_ending(video_id).encode() for video_id in video_ids]
    layout = Layout(out)
    for info in storage.list_files(layout.folder("reports"), recursive=False):
        if info.uri.endswith(endings):
            yield info.uri
        elif not re.search(r"-[0-9a-f]{10}\.(html|json)$", info.uri) and info.uri != layout.page_states:
            content = storage.read_bytes(info.uri)
            if any(text in content for text in texts):
                yield info.uri


def _states(out: str, video_ids: Collection[str]) -> dict[str, bytes]:
    """The states of report pages without those of some videos, so that the other pages need not be made anew."""
    file = Layout(out).page_states
    try:
        states = json.loads(storage.read_bytes(file))
    except (FileNotFoundError, ValueError):
        return {}
    endings = tuple(map(page_ending, video_ids))
    kept = {name: state for name, state in states.items() if not name.endswith(endings)}
    return {file: json.dumps(kept, indent=0, sort_keys=True).encode()} if kept != states else {}


def _spellings(uri: str) -> set[str]:
    """The ways in which a page may write a uri, or the file's name alone."""
    return {
        spelled
        for text in (uri, uri.rsplit("/", 1)[-1])
        for spelled in (text, str(markupsafe.escape(text)), json.dumps(text)[1:-1], urllib.parse.quote(text))
    }


def _existing(files: Iterable[str]) -> list[str]:
    names = list(files)
    return [name for name, there in zip(names, storage.at_once(storage.exists, names), strict=True) if there]


def _folders(layout: Layout, video_ids: Iterable[str], ids: Collection[str], jobs: bool) -> list[str]:
    """Folders named after a video; an interrupted call may have emptied them."""
    folders = [layout.observations(video_id) for video_id in video_ids]
    with contextlib.suppress(FileNotFoundError), os.scandir(layout.work) as works:
        folders += [Work(work.path).video(video_id) for work in works if work.is_dir() for video_id in ids]
    return [folder for folder in [*folders, *([layout.jobs] if jobs else [])] if storage.exists(folder)]
