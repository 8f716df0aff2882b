"""Tell the persons of a video apart: tracks whose faces are alike become one person.

Two tracks that are in one picture are never one person. Short, small, blurred, dark and turned faces join others only
where the likeness is plain. A track whose good faces are plainly two people's is nobody's.
"""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa

from models.embeddings.choose import embedding_card
from models.embeddings.interface import EmbeddingCard, unit
from schemas.config import Config
from schemas.tables import make_table
from transforms.best_chips import DOUBTFUL
from transforms.embeddings import OF_TRACKS, FaceEmbeddings, lists
from transforms.join_alike import Group, join_alike
from transforms.stitch_tracks import Observations
from transforms.write_fragment import Fragment

NUMBER = "embedding"
"""Column of observations that says which embedding a face has; see `numbered`."""

_SHORT = 1.0
_NEIGHBOURS = 64
_BLOCK = 1024


@dataclasses.dataclass(frozen=True)
class Persons:
    """The persons of a video.

    Attributes:
      track: [t] int32, tracks that have an embedding and do not show two people, in order.
      person: [t] int32, person of each, counting from 0 in the order of their first tracks.
      vectors: [t, d] float32, the tracks' embeddings, of length 1.
      is_sure: [t] bool, whether a track is long enough and has a good face.
      span: [t, 2] float64, first and last second of each.
      seen_with: [t], tracks that are in a picture together with each.
    """

    track: np.ndarray
    person: np.ndarray
    vectors: np.ndarray
    is_sure: np.ndarray
    span: np.ndarray
    seen_with: list[list[int]]

    def __len__(self) -> int:
        """The number of persons."""
        return int(self.person.max(initial=-1)) + 1

    def of_tracks(self, tracks: np.ndarray) -> list[int | None]:
        """The person of each of these tracks; None of those without an embedding."""
        known = dict(zip(self.track.tolist(), self.person.tolist(), strict=True))
        return [known.get(track) for track in tracks.tolist()]


def numbered(
    fragments: Sequence[Fragment], embeddings: Mapping[int, FaceEmbeddings]
) -> tuple[list[Fragment], np.ndarray]:
    """Fragments whose observations say which embedding they have, so that it goes the way of its face.

    Args:
      fragments: of a video.
      embeddings: by segment.

    Returns:
      The fragments with a column `NUMBER`, −1 where there is none, and all embeddings, [n, d] float32.
    """
    out, before = [], 0
    for fragment in fragments:
        number = np.full(len(fragment.table), -1, np.int32)
        if of_segment := embeddings.get(fragment.segment):
            keys = zip(fragment.table["track"].to_pylist(), fragment.table["timestamp"].to_pylist(), strict=True)
            row_of = {key: row for row, key in enumerate(keys)}
            wanted = zip(of_segment.track.tolist(), of_segment.timestamp.tolist(), strict=True)
            number[[row_of[key] for key in wanted]] = before + np.arange(len(of_segment.track))
            before += len(of_segment.track)
        table = fragment.table.append_column(NUMBER, [number])
        out.append(dataclasses.replace(fragment, table=table))
    vectors = [embeddings[fragment.segment].vectors for fragment in fragments if fragment.segment in embeddings]
    return out, np.concatenate(vectors) if vectors else np.zeros((0, 0), np.float32)


def group_persons(observations: Observations, vectors: np.ndarray, config: Config) -> Persons:
    """The persons of a video.

    Args:
      observations: of the whole video, with the column `NUMBER`.
      vectors: [n, d] float32, the embeddings that it numbers.
      config: of a run that asks for persons.
    """
    columns, identity = observations.columns, config.identity
    card = embedding_card(identity.embedding)
    tracks, starts = np.unique(columns["track"], return_index=True)
    ends = np.append(starts, len(columns["track"]))[1:]
    found: list[tuple[int, np.ndarray, bool, float, float]] = []
    for track, start, end in zip(tracks.tolist(), starts.tolist(), ends.tolist(), strict=True):
        best = _best(columns, start, end, identity.embedding_crops)
        is_good = (columns["quality_flags"][best] & DOUBTFUL) == 0
        of_faces = vectors[columns[NUMBER][best]]
        if len(best) and not _shows_two(of_faces[is_good], card):
            times = columns["timestamp"]
            begin, stop = float(times[start]), float(times[end - 1])
            good = bool(is_good.any()) and stop - begin >= _SHORT
            found.append((track, unit(of_faces.mean(axis=0)), good, begin, stop))
    if not found:
        none = np.zeros(0, np.int32)
        return Persons(none, none, np.zeros((0, 0), np.float32), np.zeros(0, bool), np.zeros((0, 2)), [])
    track, of_tracks, is_sure, first, last = (np.array(values) for values in zip(*found, strict=True))
    together = seen_together(columns)
    place = {number: i for i, number in enumerate(track.tolist())}
    rivals = {i: {place[other] for other in together.get(number, ()) if other in place} for number, i in place.items()}
    joined = join_alike(
        [Group(v.astype(np.float64), 1, (i,), bool(is_sure[i])) for i, v in enumerate(of_tracks)],
        near_pairs(of_tracks, identity.same_above or card.same_above),
        rivals,
        same_above=identity.same_above or card.same_above,
        sure_above=card.sure_above,
    )
    person = np.empty(len(track), np.int32)
    for number, group in enumerate(joined):
        person[list(group.members)] = number
    seen_with = [sorted(together.get(number, ())) for number in track.tolist()]
    return Persons(track.astype(np.int32), person, of_tracks, is_sure, np.stack([first, last], axis=1), seen_with)


def _best(columns: Mapping[str, np.ndarray], start: int, end: int, keep: int) -> np.ndarray:
    """Rows of a track's best faces that have an embedding, best first."""
    rows = start + np.flatnonzero(columns[NUMBER][start:end] >= 0)
    order = np.lexsort((columns["timestamp"][rows], -columns["quality"][rows]))
    return rows[order[:keep]]


def _shows_two(vectors: np.ndarray, card: EmbeddingCard) -> bool:
    """Whether good faces of one track, [n, d], are plainly of two people: two of them are hardly alike."""
    return len(vectors) > 1 and float((vectors @ vectors.T).min()) < card.two_below


def near_pairs(vectors: np.ndarray, least: float) -> list[tuple[int, int]]:
    """Pairs of vectors [n, d] that are alike by `least` or more, at most `_NEIGHBOURS` of each."""
    pairs = []
    for begin in range(0, len(vectors), _BLOCK):
        likeness = vectors[begin : begin + _BLOCK] @ vectors.T
        for row, values in enumerate(likeness, begin):
            values[row] = -1
            near = np.flatnonzero(values >= least)
            if len(near) > _NEIGHBOURS:
                near = near[np.argsort(-values[near], kind="stable")[:_NEIGHBOURS]]
            pairs += [(row, other) for other in near.tolist()]
    return pairs


def seen_together(columns: Mapping[str, np.ndarray]) -> dict[int, set[int]]:
    """By track, the tracks that are in a picture together with it, given the observations of a video.

    Times that overlap do not tell: a track may be lost for a second, in which another one follows its face.
    """
    order = np.argsort(columns["timestamp"], kind="stable")
    times, tracks = columns["timestamp"][order], columns["track"][order]
    rivals: dict[int, set[int]] = {}
    for one in np.split(tracks, np.flatnonzero(np.diff(times)) + 1):
        if len(one) > 1:
            here = set(one.tolist())
            for track in here:
                rivals.setdefault(track, set()).update(here - {track})
    return rivals


def with_persons(tracks: pa.Table, persons: Persons) -> pa.Table:
    """The table `tracks` with the person of each track."""
    column = pa.array(persons.of_tracks(tracks["track_id"].to_numpy()), pa.int32())
    place = tracks.schema.get_field_index("person_id")
    return tracks.set_column(place, tracks.schema.field(place), column)


def embeddings_table(persons: Persons, video_id: str, config: Config) -> pa.Table:
    """The tracks' embeddings as they are kept, `transforms.embeddings.OF_TRACKS`."""
    n = len(persons.track)
    columns = {
        "video_id": [video_id] * n,
        "track_id": persons.track,
        "person_id": persons.person,
        "start_time": persons.span[:, 0],
        "end_time": persons.span[:, 1],
        "is_sure": persons.is_sure,
        "seen_with": pa.array(persons.seen_with, pa.list_(pa.int32())),
        "model": [config.identity.embedding] * n,
        "model_sha256": [config.embedding_sha256] * n,
        "embedding": lists(persons.vectors),
    }
    return make_table(OF_TRACKS, columns)
