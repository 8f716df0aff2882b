"""Who is who in an archive, in memory: persons with their names, and the person of each track."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

import numpy as np
import pyarrow as pa

from models.embeddings.interface import unit
from pipelines.persons.kept import Kept, Key, read_enrolled
from pipelines.results.persons import APPEARANCES, PERSONS, persons_file, read_persons
from schemas import storage
from schemas.errors import UsageError
from schemas.table_files import footer_texts


@dataclasses.dataclass
class State:
    """Persons of an archive.

    Attributes:
      person: by track, its person.
      span: by track, first and last second.
      similarity: by track; None where it is not known.
      names: by person, of those that have one.
      enrolled: persons of whom there are pictures.
      next_id: number of the next new person; none is ever used twice.
      texts: of the footers.
    """

    person: dict[Key, int]
    span: dict[Key, tuple[float, float]]
    similarity: dict[Key, float | None]
    names: dict[int, str]
    enrolled: set[int]
    next_id: int
    texts: dict[str, str]

    def tracks(self, person: int) -> list[Key]:
        """The tracks of a person, those that are most like the others first."""
        own = [key for key, of in self.person.items() if of == person]
        return sorted(own, key=lambda key: (-(self.similarity.get(key) or 0.0), key))

    @property
    def persons(self) -> list[int]:
        """All persons."""
        return sorted({*self.person.values(), *self.enrolled})

    def require(self, person: int) -> int:
        """The same number.

        Raises:
          UsageError: there is no such person.
        """
        if person not in self.persons:
            raise UsageError(f"There is no person {person}: `facelog persons DIR` lists them.")
        return person

    def new_person(self) -> int:
        """A number that was never used."""
        self.next_id += 1
        return self.next_id - 1

    def move(self, tracks: Iterable[Key], person: int) -> None:
        """Gives tracks to a person."""
        for key in tracks:
            self.person[key] = person

    def drop(self, tracks: Iterable[Key]) -> None:
        """Forgets tracks, and the names of persons that are left without any."""
        for key in list(tracks):
            for of_tracks in (self.person, self.span, self.similarity):
                of_tracks.pop(key, None)
        left = set(self.persons)
        self.names = {person: name for person, name in self.names.items() if person in left}


def read_state(out: str) -> State:
    """The persons of DIR; none before the first `facelog persons`."""
    persons, rows = read_persons(out, "persons"), read_persons(out, "appearances").to_pylist()
    texts = footer_texts(persons.schema)
    names = dict(zip(persons["person_id"].to_pylist(), persons["name"].to_pylist(), strict=True))
    keys = [(row["video_id"], row["track_id"]) for row in rows]
    return State(
        person={key: row["person_id"] for key, row in zip(keys, rows, strict=True)},
        span={key: (row["start_time"], row["end_time"]) for key, row in zip(keys, rows, strict=True)},
        similarity={key: row["similarity"] for key, row in zip(keys, rows, strict=True)},
        names={person: name for person, name in names.items() if name},
        enrolled=set(read_enrolled(out)),
        next_id=int(texts.get("next_id", 0)),
        texts=texts,
    )


def state_files(state: State, out: str) -> dict[str, bytes]:
    """The tables `appearances` and `persons`, by the names of their files."""
    keys = sorted(state.person, key=lambda key: (state.person[key], key))
    columns = {
        "person_id": [state.person[key] for key in keys],
        "video_id": [video_id for video_id, _ in keys],
        "track_id": [track_id for _, track_id in keys],
        "start_time": [state.span[key][0] for key in keys],
        "end_time": [state.span[key][1] for key in keys],
        "similarity": [state.similarity.get(key) for key in keys],
    }
    texts = state.texts | {"next_id": str(state.next_id)}
    appearances = persons_file(out, "appearances", pa.table(columns, schema=APPEARANCES), texts)
    rows = []
    tracks: dict[int, list[Key]] = {person: [] for person in state.persons}
    for key in keys:
        tracks[state.person[key]].append(key)
    for person, own in tracks.items():
        seconds = sum(state.span[key][1] - state.span[key][0] for key in own)
        videos = len({video_id for video_id, _ in own})
        rows.append((person, state.names.get(person), videos, len(own), seconds, person in state.enrolled))
    table = pa.table([list(column) for column in zip(*rows, strict=True)] or [[]] * len(PERSONS), schema=PERSONS)
    return dict([appearances, persons_file(out, "persons", table, texts)])


def write_state(state: State, out: str) -> None:
    """Writes the tables `appearances` and `persons`."""
    for uri, data in state_files(state, out).items():
        storage.write_bytes(uri, data)


def measure_similarity(state: State, kept: Kept) -> None:
    """Notes how alike each track is to the other tracks of its person, in the mean."""
    rows = [i for i, key in enumerate(kept.keys) if key in state.person]
    if not rows:
        return
    keys, vectors = [kept.keys[i] for i in rows], kept.vectors[rows]
    ids, place, sizes = np.unique([state.person[key] for key in keys], return_inverse=True, return_counts=True)
    totals = np.zeros((len(ids), vectors.shape[1]))
    np.add.at(totals, place, vectors)
    own = np.einsum("ij,ij->i", totals[place], vectors) - 1
    others = sizes[place] - 1
    for key, likeness, count in zip(keys, own.tolist(), others.tolist(), strict=True):
        state.similarity[key] = likeness / count if count else None


def centre(vectors: np.ndarray) -> np.ndarray:
    """The mean direction of vectors [n, d]."""
    return unit(vectors.mean(axis=0))
