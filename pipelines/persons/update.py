"""Find the persons of an archive: new tracks join those that are known, and known ones keep their numbers.

What was known stays as it is: a track never changes its person by itself, and two known persons are never joined. Only
new tracks are compared, with each other and with the persons, by the average linkage that persons of a video are found
with. Then what users decided is applied again, in order (`pipelines.persons.decisions`).
"""

from __future__ import annotations

import dataclasses
from collections import Counter

import numpy as np

from models.embeddings.choose import embedding_card
from models.embeddings.interface import unit
from pipelines.persons.decisions import looks, read_decisions, replay
from pipelines.persons.kept import Kept, Key, read_enrolled, read_kept
from pipelines.persons.neighbours import nearest
from pipelines.persons.state import State, measure_similarity, read_state, write_state
from pipelines.results.holding import hold
from pipelines.results.videos import require_results
from schemas.errors import UsageError
from transforms.join_alike import Group, join_alike

_NEIGHBOURS = 32
_PICTURES = -1
_DOUBT = 2.0
"""How much more likeness doubtful tracks need than in one video: small, blurred faces of strangers are alike."""
_SAME_TIME = 1e-3


@dataclasses.dataclass(frozen=True)
class Updated:
    """What an update did.

    Attributes:
      out: DIR.
      persons: number of persons now.
      new_persons: how many of them are new.
      tracks: number of tracks of persons.
      new_tracks: how many of them are new.
      gone_tracks: tracks that were known and have no embedding any more.
      decisions: number of decisions.
      lost_decisions: decisions that name no track that is here.
    """

    out: str
    persons: int
    new_persons: int
    tracks: int
    new_tracks: int
    gone_tracks: int
    decisions: int
    lost_decisions: int


def find_persons(out: str, *, embedding: str | None = None, same_above: float | None = None) -> Updated:
    """Brings the persons of DIR up to date with its embeddings.

    Args:
      out: DIR, on disk or on an object store.
      embedding: name of the embedding; needed where DIR has some of several.
      same_above: mean likeness from which new tracks are a known or a new person's; default: the embedding's own
        across an archive.

    Raises:
      UsageError: there are no embeddings in DIR; or of several models; or the persons were found with another one.
      FacelogError: a run is at work in DIR.
      StorageError: it cannot be read or written.
    """
    out = require_results(out)
    with hold(out):
        kept, state = read_kept(out, embedding), read_state(out)
        if not len(kept) and not state.person:
            raise UsageError(
                f"{out} has no embeddings: `facelog analyze … --out {out} --persons archive` keeps those of its videos."
            )
        known_by = state.texts.get("model_sha256")
        if len(kept) and known_by not in (None, kept.sha256):
            raise UsageError(
                f"The persons of {out} were found with another embedding ({state.texts['model']}): say --embedding, or "
                "begin anew with `facelog persons forget --all`."
            )
        before = set(state.persons)
        gone = forget_gone(state, kept)
        decisions = read_decisions(out)
        new = join_new(state, kept, read_enrolled(out, kept.sha256), looks(decisions), same_above)
        lost = replay(decisions, state, kept)
        measure_similarity(state, kept)
        if len(kept):
            state.texts |= {"model": kept.model, "model_sha256": kept.sha256}
        write_state(state, out)
    now = state.persons
    return Updated(
        out,
        len(now),
        len(set(now) - before),
        len(state.person),
        new,
        gone,
        decisions=len(decisions),
        lost_decisions=lost,
    )


def forget_gone(state: State, kept: Kept) -> int:
    """Drops known tracks without an embedding, or whose video was analyzed anew so that the number is another track's.

    Returns:
      How many these are.
    """
    start = {key: float(time) for key, time in zip(kept.keys, kept.span[:, 0], strict=True)}
    gone = [key for key in state.person if abs(start.get(key, np.inf) - state.span[key][0]) > _SAME_TIME]
    state.drop(gone)
    return len(gone)


def join_new(
    state: State, kept: Kept, enrolled: dict[int, np.ndarray], look: dict[Key, int], same_above: float | None
) -> int:
    """Gives each track that is not known yet to a person, known or new.

    Args:
      state: is changed.
      kept: embeddings of all tracks.
      enrolled: of pictures, by person.
      look: by track, what tells it from tracks of the same person that it need not be like. New tracks have to be like
        one look of a person, not like the mean of all.
      same_above: see `find_persons`.

    Returns:
      How many these are.
    """
    new = [i for i, key in enumerate(kept.keys) if key not in state.person]
    if not new:
        return 0
    card = embedding_card(kept.model)
    least = card.same_above + card.across_above if same_above is None else same_above
    groups, places = _groups(state, kept, new, enrolled, look)
    vectors = np.stack([unit(group.total) for group in groups])
    begin = next(i for i, group in enumerate(groups) if group.person is None)
    likeness, number = nearest(vectors[begin:], vectors, _NEIGHBOURS)
    rows, columns = np.nonzero((number >= 0) & (likeness >= min(least, card.same_above)))
    pairs = zip((begin + rows).tolist(), number[rows, columns].tolist(), strict=True)
    rivals = _rivals(state, kept, places)
    joined = join_alike(groups, pairs, rivals, same_above=least, sure_above=_DOUBT * card.sure_above)
    of_group: dict[int, list[Key]] = {}
    for i in new:
        of_group.setdefault(places[kept.keys[i]], []).append(kept.keys[i])
    for group in joined:
        fresh = [key for member in group.members for key in of_group.get(member, ())]
        if fresh:
            state.move(fresh, state.new_person() if group.person is None else group.person)
    for i in new:
        state.span[kept.keys[i]] = (float(kept.span[i, 0]), float(kept.span[i, 1]))
    return len(new)


def _groups(
    state: State, kept: Kept, new: list[int], enrolled: dict[int, np.ndarray], look: dict[Key, int]
) -> tuple[list[Group], dict[Key, int]]:
    """Known persons first, each look a group, then the new tracks by person of their video; and each track's group."""
    members: dict[tuple[object, int], list[np.ndarray]] = {(p, _PICTURES): list(v) for p, v in enrolled.items()}
    is_sure: Counter[tuple[object, int]] = Counter(dict.fromkeys(members, 1))
    name_of: dict[Key, tuple[object, int]] = {}
    fresh = set(new)
    for i, key in enumerate(kept.keys):
        known = i not in fresh
        name: tuple[object, int] = (state.person[key], look.get(key, 0)) if known else (key[0], int(kept.within[i]))
        name_of[key] = name
        members.setdefault(name, []).append(kept.vectors[i])
        is_sure[name] += bool(kept.is_sure[i])
    known_first = sorted((name for name in members if isinstance(name[0], int)), key=str)
    order = [*known_first, *(name for name in members if not isinstance(name[0], int))]
    groups = [
        Group(
            np.stack(members[name]).sum(axis=0, dtype=np.float64),
            len(members[name]),
            (number,),
            is_sure[name] > 0,
            name[0] if isinstance(name[0], int) else None,
        )
        for number, name in enumerate(order)
    ]
    place = {name: number for number, name in enumerate(order)}
    return groups, {key: place[name] for key, name in name_of.items()}


def _rivals(state: State, kept: Kept, places: dict[Key, int]) -> dict[int, set[int]]:
    """Groups that are in a picture together."""
    rivals: dict[int, set[int]] = {}
    for key, others in zip(kept.keys, kept.seen_with, strict=True):
        for track in others:
            other = places.get((key[0], track))
            if other is not None and other != places[key]:
                rivals.setdefault(places[key], set()).add(other)
                rivals.setdefault(other, set()).add(places[key])
    return rivals
