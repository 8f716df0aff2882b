"""The commands that decide about persons of DIR: each reads all there is, applies a decision, and writes it down."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

from pipelines.persons.decisions import (
    Decision,
    decide,
    decisions_as_csv,
    decisions_of_csv,
    read_decisions,
    rename,
    replay,
    undo,
    write_decisions,
)
from pipelines.persons.kept import Kept, Key, change_enrolled, read_kept
from pipelines.persons.state import State, measure_similarity, read_state, write_state
from pipelines.results.holding import hold
from pipelines.results.videos import find_uris, require_results
from schemas import storage
from schemas.errors import UsageError
from transforms.ledger import read_ledger


def name_person(person: int, name: str, out: str) -> Decision:
    """Gives a person a name; an empty one takes it away.

    Raises:
      UsageError: there is no such person.
      FacelogError: a run is at work in DIR.
      StorageError: it cannot be read or written.
    """
    return _decide("name", out, person, name=name.strip())


def merge_persons(person: int, other: int, out: str) -> Decision:
    """Makes two persons one, which keeps the first number.

    Raises:
      UsageError, FacelogError, StorageError: as `name_person`.
    """
    if person == other:
        raise UsageError("Give two different persons.")
    return _decide("merge", out, person, other=other)


def split_person(person: int, tracks: Sequence[str], out: str) -> Decision:
    """Makes some tracks of a person a new person; all others stay.

    Args:
      person: its number.
      tracks: as VIDEO:TRACK, with the name of a video as `pipelines.results.videos` takes it.
      out: DIR.

    Raises:
      UsageError: also if a track is not that person's, or none would be left.
      FacelogError, StorageError: as `name_person`.
    """
    return _decide("split", out, person, tracks=tracks)


def not_person(person: int, tracks: Sequence[str], out: str) -> Decision:
    """Takes tracks away from a person; they become that of another one, if they are alike, or a new one.

    Args and raises: as `split_person`.
    """
    return _decide("not", out, person, tracks=tracks)


def undo_decision(out: str, number: int | None = None) -> Decision:
    """Takes a decision back, the last one unless a number is given.

    Raises:
      UsageError: there is no such decision.
      FacelogError, StorageError: as `name_person`.
    """
    with _changed(out) as (state, _, decisions):
        found = [one for one in decisions if number in (None, one.number)]
        if not found:
            raise UsageError("There is no decision to undo." if number is None else f"There is no decision {number}.")
        decisions.remove(found[-1])
        undo(found[-1], state)
        rename(decisions, state)
    return found[-1]


def export_decisions(out: str) -> str:
    """All decisions as CSV."""
    return decisions_as_csv(read_decisions(require_results(out)))


def import_decisions(file: str, out: str) -> tuple[int, int]:
    """Applies decisions that were exported, on this machine or another; those that are here already are passed over.

    Returns:
      How many are new, and how many of these name no track that is here; they are kept for later.

    Raises:
      UsageError: the file is no such table.
      FacelogError, StorageError: as `name_person`.
    """
    given = decisions_of_csv(storage.read_bytes(storage.normalize(file)).decode("utf-8"), file)
    with _changed(out) as (state, kept, decisions):
        known = {(one.kind, one.name, one.anchors, one.tracks) for one in decisions}
        last = max((one.number for one in decisions), default=0)
        fresh = [one for one in given if (one.kind, one.name, one.anchors, one.tracks) not in known]
        numbered = [_with_number(one, last + i) for i, one in enumerate(fresh, 1)]
        lost = replay(numbered, state, kept)
        decisions.extend(numbered)
    return len(fresh), lost


def _with_number(decision: Decision, number: int) -> Decision:
    return Decision(**{**decision.__dict__, "number": number})


def _decide(
    kind: str, out: str, person: int, *, other: int | None = None, tracks: Sequence[str] = (), name: str | None = None
) -> Decision:
    with _changed(out) as (state, kept, decisions):
        state.require(person)
        if other is not None:
            state.require(other)
            change_enrolled(require_results(out), other, person)
            if other in state.enrolled:
                state.enrolled = (state.enrolled - {other}) | {person}
        number = max((one.number for one in decisions), default=0) + 1
        keys = find_tracks(tracks, require_results(out)) if tracks else []
        made = decide(kind, state, kept, number=number, person=person, other=other, tracks=keys, name=name)
        decisions.append(made)
    return made


def find_tracks(names: Sequence[str], out: str) -> list[Key]:
    """Tracks that are written VIDEO:TRACK.

    Raises:
      UsageError: one is written otherwise, or its video is not known or ambiguous.
    """
    contents = {uri: {row["video_id"]} - {None} for uri, row in read_ledger(out).items()}
    keys = []
    for name in names:
        video, _, track = name.rpartition(":")
        if not video or not track.isdigit():
            raise UsageError(f"{name!r} is no track: write VIDEO:TRACK, such as talk.mp4:3.")
        uris = find_uris(video, contents)
        if not uris:
            raise UsageError(f"{out} has no video {video}.")
        keys.append((min(contents[min(uris)]), int(track)))
    return keys


@contextlib.contextmanager
def _changed(out: str) -> Iterator[tuple[State, Kept, list[Decision]]]:
    """What there is, to be changed; written when all has gone well, decisions last."""
    out = require_results(out)
    with hold(out):
        state, decisions = read_state(out), read_decisions(out)
        kept = read_kept(out, state.texts.get("model"))
        yield state, kept, decisions
        measure_similarity(state, kept)
        write_state(state, out)
        write_decisions(out, decisions)
