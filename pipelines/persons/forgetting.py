"""Forget persons and videos: embeddings, appearances, and decisions that speak of them."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Collection

import pyarrow as pa

from pipelines.persons.decisions import decisions_file, read_decisions, without_tracks, write_decisions
from pipelines.persons.kept import change_enrolled, remove_kept
from pipelines.persons.state import read_state, state_files, write_state
from pipelines.results.holding import hold
from pipelines.results.videos import require_results
from schemas import storage
from schemas.layout import EMBEDDINGS, PERSONS, PERSONS_PAGE, Layout, page_ending
from schemas.table_files import footer_texts, read_table
from schemas.tables import TRACKS, parquet_bytes
from transforms.embeddings import remove_fragments


@dataclasses.dataclass(frozen=True)
class ForgottenPersons:
    """What was removed.

    Attributes:
      persons: number of persons.
      tracks: number of their tracks.
      files: number of files that were removed as a whole.
    """

    persons: int
    tracks: int
    files: int = 0


def forget_person(person: int, out: str) -> ForgottenPersons:
    """Removes a person everywhere: embeddings of tracks and pictures, appearances, its name, decisions about it, pages.

    `person_id` in `tracks` becomes null for its tracks. If it is interrupted, the same call finishes, for appearances
    go last.

    Args:
      person: its number.
      out: DIR.

    Raises:
      UsageError: there is no such person.
      FacelogError: a run is at work in DIR.
      StorageError: it cannot be read or written.
    """
    out = require_results(out)
    with hold(out):
        state = read_state(out)
        tracks = state.tracks(state.require(person))
        _remove_pages(out, {video_id for video_id, _ in tracks})
        remove_kept(out, tracks)
        change_enrolled(out, person, None)
        for video_id in sorted({video_id for video_id, _ in tracks}):
            _unname_tracks(out, video_id, {track for video, track in tracks if video == video_id})
        state.enrolled.discard(person)
        state.names.pop(person, None)
        state.drop(tracks)
        decisions = [one for one in read_decisions(out) if one.person_id != person and one.other_id != person]
        write_decisions(out, without_tracks(decisions, set(tracks), state))
        write_state(state, out)
    return ForgottenPersons(1, len(tracks))


def forget_all(out: str) -> ForgottenPersons:
    """Removes all embeddings, finished and unfinished, all persons, appearances and decisions.

    Raises:
      UsageError, FacelogError, StorageError: as `forget_person`.
    """
    out = require_results(out)
    layout = Layout(out)
    with hold(out):
        state = read_state(out)
        _remove_pages(out, {video_id for video_id, _ in state.person})
        found = ForgottenPersons(len(state.persons), len(state.person))
        files = [info.uri for folder in (EMBEDDINGS, PERSONS) for info in storage.list_files(layout.folder(folder))]
        unfinished = [info.uri for info in storage.list_files(layout.work) if info.uri.endswith(f".{EMBEDDINGS}")]
        for config_hash, video_id in sorted({tuple(uri.split("/")[-3:-1]) for uri in unfinished}):
            remove_fragments(layout.work_of(config_hash), video_id)  # without them, their videos are begun anew
        for folder in (EMBEDDINGS, PERSONS):
            storage.delete_tree(layout.folder(folder))
    return dataclasses.replace(found, files=len(files) + len(unfinished))


def files_without_videos(out: str, video_ids: Collection[str]) -> dict[str, bytes]:
    """The tables of persons without some videos, by the names of their files; none where these videos are in none."""
    state = read_state(out)
    gone = {key for key in state.person if key[0] in video_ids}
    decisions = read_decisions(out)
    gone |= {key for one in decisions for key in (*one.tracks, *one.anchors) if key[0] in video_ids}
    if not gone:
        return {}
    state.drop(gone)
    return state_files(state, out) | dict([decisions_file(out, without_tracks(decisions, gone, state))])


def _remove_pages(out: str, video_ids: Collection[str]) -> None:
    """Removes the pages of DIR/reports that may name persons or show their faces; `facelog report` makes them anew."""
    endings = tuple(f"{page_ending(video_id)}.{kind}" for video_id in video_ids for kind in ("html", "json"))
    of_persons = tuple(f"/{PERSONS_PAGE}.{kind}" for kind in ("html", "json"))
    for info in list(storage.list_files(Layout(out).folder("reports"), recursive=False)):
        if info.uri.endswith((*endings, *of_persons)):
            storage.delete_file(info.uri)


def _unname_tracks(out: str, video_id: str, tracks: Collection[int]) -> None:
    uri = Layout(out).table("tracks", video_id)
    with contextlib.suppress(FileNotFoundError):
        if not storage.exists(uri):
            return
        table = read_table(uri, TRACKS)
        place = table.schema.get_field_index("person_id")
        pairs = zip(table["track_id"].to_pylist(), table["person_id"].to_pylist(), strict=True)
        left = pa.array([None if track in tracks else person for track, person in pairs], pa.int32())
        changed = table.set_column(place, TRACKS.field(place), left)
        storage.write_bytes(uri, parquet_bytes(changed, footer_texts(table.schema)))
