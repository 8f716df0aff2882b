"""What users decide about persons: data of its own, which no clustering changes.

A decision names tracks, not only numbers: the same tracks have the same names on every machine, while numbers depend on
the order in which videos came. So decisions can be exported, imported elsewhere, and are applied again after each
update. Tracks are written VIDEO_ID:TRACK. The last decision about a track counts.

- name: the person with the anchors has this name.
- merge: the anchors' person and that of the tracks are one.
- split: these tracks are one other person.
- not: these tracks are not the anchors' person, and are nobody else's yet.
"""

from __future__ import annotations

import csv
import dataclasses
import io
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime

import pyarrow as pa

from models.embeddings.choose import embedding_card
from pipelines.persons.kept import Kept, Key
from pipelines.persons.state import State, centre
from pipelines.results.persons import DECISIONS, persons_file, read_persons
from schemas import storage
from schemas.errors import UsageError

_ANCHORS = 3
KINDS = ("name", "merge", "split", "not")


@dataclasses.dataclass(frozen=True)
class Decision:
    """One decision.

    Attributes:
      number: counts from 1.
      kind: one of `KINDS`.
      person_id: the person that it is about, as numbered where it was made; None of an imported one.
      other_id: merge: the person that went; split, not: the person that the tracks became.
      name: that the person has after it.
      anchors: tracks that stay the person's, of different videos as far as there are; the first that is here tells who
        it is. None of a person that is enrolled and was not seen.
      tracks: that changed their person by it; of a merge on another machine, one of them is enough.
      decided_at: time in UTC.
    """

    number: int
    kind: str
    person_id: int | None
    other_id: int | None
    name: str | None
    anchors: tuple[Key, ...]
    tracks: tuple[Key, ...]
    decided_at: str

    def as_row(self) -> dict[str, object]:
        """The same as a row of the table."""
        return dataclasses.asdict(self) | {
            "anchors": " ".join(map(written, self.anchors)),
            "tracks": " ".join(map(written, self.tracks)),
        }


def written(key: Key) -> str:
    """A track as text."""
    return f"{key[0]}:{key[1]}"


def _read_key(text: str) -> Key:
    video_id, _, track = text.rpartition(":")
    return video_id, int(track)


def _of_row(row: dict[str, object]) -> Decision:
    keys = {name: tuple(map(_read_key, str(row[name] or "").split())) for name in ("anchors", "tracks")}
    return Decision(**row | keys)  # type: ignore[arg-type]


def read_decisions(out: str) -> list[Decision]:
    """All decisions about persons of DIR, in order."""
    return [_of_row(row) for row in read_persons(out, "decisions").to_pylist()]


def decisions_file(out: str, decisions: Sequence[Decision]) -> tuple[str, bytes]:
    """All decisions as the name and the bytes of their file."""
    table = pa.Table.from_pylist([one.as_row() for one in decisions], schema=DECISIONS)
    return persons_file(out, "decisions", table, {})


def write_decisions(out: str, decisions: Sequence[Decision]) -> None:
    """Writes all decisions."""
    storage.write_bytes(*decisions_file(out, decisions))


def decisions_as_csv(decisions: Iterable[Decision]) -> str:
    """Decisions as a table of text, with a head line."""
    sink = io.StringIO()
    writer = csv.DictWriter(sink, DECISIONS.names)
    writer.writeheader()
    writer.writerows(one.as_row() for one in decisions)
    return sink.getvalue()


def decisions_of_csv(text: str, source: str) -> list[Decision]:
    """Decisions from such a table. Numbers of persons are left out: they are those of another machine.

    Raises:
      UsageError: it is no such table.
    """
    decisions = []
    try:
        for row in csv.DictReader(io.StringIO(text)):
            if row["kind"] not in KINDS:
                raise ValueError(row["kind"])
            known = {name: row[name] or None for name in ("kind", "name", "anchors", "tracks", "decided_at")}
            decisions.append(_of_row(known | {"number": int(row["number"]), "person_id": None, "other_id": None}))
    except (KeyError, ValueError, TypeError) as error:
        raise UsageError(f"{source} is no table as `facelog persons export` writes it ({error}).") from error
    return decisions


def decide(
    kind: str,
    state: State,
    kept: Kept,
    *,
    number: int,
    person: int,
    other: int | None = None,
    tracks: Sequence[Key] = (),
    name: str | None = None,
) -> Decision:
    """Applies a new decision to the persons.

    Args:
      kind: one of `KINDS`.
      state: is changed.
      kept: the embeddings, for `not`.
      number: of the decision.
      person: that the decision is about.
      other: merge: the person that becomes this one.
      tracks: split, not: that change their person.
      name: new name, for `name`; "" takes it away.

    Raises:
      UsageError: the tracks are not the person's, or all of them are.
    """
    own = state.tracks(person)
    if kind == "name":
        _set_name(state, person, name)
    elif other is not None:
        tracks = state.tracks(other)
        _merge(state, person, other)
    else:
        if strange := [key for key in tracks if key not in own]:
            raise UsageError(f"Track {written(strange[0])} is not person {person}'s.")
        if not set(own) - set(tracks) and person not in state.enrolled:
            raise UsageError(f"Person {person} has no other track: nothing would be left.")
        other = _move_out(kind, state, kept, person, tracks)
    gone = set(tracks)
    left = [key for key in own if key not in gone]
    now = datetime.now(UTC).isoformat(timespec="seconds")
    moved = tuple(tracks) if kind != "name" else ()
    return Decision(number, kind, person, other, state.names.get(person), _anchors(left), moved, now)


def _anchors(tracks: Sequence[Key]) -> tuple[Key, ...]:
    """The first few of some tracks, each of another video if there are so many."""
    of_video: dict[str, Key] = {}
    for key in tracks:
        of_video.setdefault(key[0], key)
    first = list(of_video.values())
    return tuple((first + [key for key in tracks if key not in first])[:_ANCHORS])


def _in_force(decisions: Sequence[Decision]) -> Iterator[tuple[Decision, list[Key]]]:
    """Each decision with the tracks that no later one speaks of."""
    last = {key: i for i, one in enumerate(decisions) for key in one.tracks}
    for i, one in enumerate(decisions):
        yield one, [key for key in one.tracks if last[key] == i]


def replay(decisions: Sequence[Decision], state: State, kept: Kept) -> int:
    """Applies decisions again, in order; what is so already stays as it is.

    Returns:
      How many name no track that is here.
    """
    lost = 0
    for one, in_force in _in_force(decisions):
        person = _person_of(one, state)
        if person is None or (one.kind != "name" and not any(key in state.person for key in one.tracks)):
            lost += 1
            continue
        tracks = [key for key in in_force if key in state.person]
        if one.kind == "merge":
            for other in sorted({state.person[key] for key in tracks} - {person}):
                keep, go = (person, other) if one.person_id == person else sorted((person, other))
                _merge(state, keep, go)
                person = keep
        elif one.kind in ("split", "not"):
            inside = [key for key in tracks if state.person[key] == person]
            if inside and set(state.tracks(person)) - set(inside):
                _move_out(one.kind, state, kept, person, inside)
        _name_again(one, person, state)
    return lost


def looks(decisions: Sequence[Decision]) -> dict[Key, int]:
    """By track, the merge that brought it to its person: it need not look like the person's other tracks."""
    return {key: one.number for one in decisions if one.kind == "merge" for key in one.tracks}


def undo(decision: Decision, state: State) -> None:
    """Takes back what a decision did to tracks, as far as nothing else has happened to them since."""
    if decision.kind == "name" or decision.person_id is None or decision.other_id is None:
        return
    now, before = decision.person_id, decision.other_id
    if decision.kind != "merge":
        now, before = before, now
    state.move([key for key in decision.tracks if state.person.get(key) == now], before)


def rename(decisions: Sequence[Decision], state: State) -> None:
    """Gives persons the names that follow from decisions, and no others."""
    anchored = {person for one in decisions if (person := _person_of(one, state)) is not None}
    state.names = {person: name for person, name in state.names.items() if person in state.enrolled - anchored}
    for one in decisions:
        person = _person_of(one, state)
        if person is not None:
            _name_again(one, person, state)


def without_tracks(decisions: Sequence[Decision], gone: set[Key], state: State) -> list[Decision]:
    """Decisions that name none of these tracks; where an anchor goes, another track of its person takes its place.

    Args:
      decisions: all of them.
      gone: tracks that are forgotten.
      state: without them.
    """
    left = []
    for one in decisions:
        tracks = tuple(key for key in one.tracks if key not in gone)
        anchors = tuple(key for key in one.anchors if key not in gone)
        if anchors != one.anchors and (person := _person_of(one, state)) is not None:
            anchors = _anchors([*anchors, *(key for key in state.tracks(person) if key not in tracks)])
        if (anchors or one.person_id in state.enrolled) and (tracks or one.kind == "name"):
            left.append(dataclasses.replace(one, anchors=anchors, tracks=tracks))
    return left


def _person_of(decision: Decision, state: State) -> int | None:
    """The person that a decision is about, as it is numbered here."""
    for key in decision.anchors:
        if key in state.person:
            return state.person[key]
    return decision.person_id if decision.person_id in state.persons else None


def _name_again(decision: Decision, person: int, state: State) -> None:
    """Gives a person the name that it had after a decision; tracks that left it have not brought the name along."""
    for other in {state.person[key] for key in decision.tracks if key in state.person} - {person}:
        if decision.name and state.names.get(other) == decision.name:
            del state.names[other]
    _set_name(state, person, decision.name)


def _set_name(state: State, person: int, name: str | None) -> None:
    state.names.pop(person, None)
    if name:
        state.names[person] = name


def _merge(state: State, person: int, other: int) -> None:
    state.move(state.tracks(other), person)
    name = state.names.pop(other, None)
    if name:
        state.names.setdefault(person, name)


def _move_out(kind: str, state: State, kept: Kept, person: int, tracks: Sequence[Key]) -> int:
    """Takes tracks away from a person.

    Returns:
      The person that they are now: of a split a new one; else the one that is most like them, or a new one.
    """
    target = None if kind == "split" else _most_alike(state, kept, tracks, person)
    target = state.new_person() if target is None else target
    state.move(tracks, target)
    return target


def _most_alike(state: State, kept: Kept, tracks: Sequence[Key], person: int) -> int | None:
    """The other person that some tracks are most like, if they are alike enough."""
    place = {key: i for i, key in enumerate(kept.keys)}
    own = [place[key] for key in tracks if key in place]
    if not own:
        return None
    card, mean = embedding_card(kept.model), centre(kept.vectors[own])
    moved, totals, sizes = set(tracks), {}, {}  # type: ignore[var-annotated]
    likeness = kept.vectors @ mean
    barred = {state.person.get((key[0], t)) for key in tracks for t in kept.seen_with[place[key]] if key in place}
    for key, value in zip(kept.keys, likeness.tolist(), strict=True):
        other = state.person.get(key)
        if other is not None and key not in moved and other != person and other not in barred:
            totals[other] = totals.get(other, 0.0) + value
            sizes[other] = sizes.get(other, 0) + 1
    best = max(totals, key=lambda other: (totals[other] / sizes[other], -other), default=None)
    enough = best is not None and totals[best] / sizes[best] >= card.same_above + card.sure_above
    return best if enough else None
