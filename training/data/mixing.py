"""What an epoch draws of several sets of expressions, whatever their sizes: voted, wild and posed pictures.

Voted pictures are FER2013's, which ten people judged each. Wild ones are from the web and from films, posed ones of
performers. Classes of the latter two are evened out, since most of their pictures may be happy or neutral ones.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Protocol

import numpy as np

from schemas.tables import EMOTIONS
from training.data.prepared import fraction
from training.datasets import LabelledPicture
from training.datasets.labels import judged_splits
from training.recipe import Mix

VOTED, WILD, POSED = "voted", "wild", "posed"

_STYLES = {"fer2013": VOTED} | dict.fromkeys(
    ("kdef", "rafd", "faces", "jaffe", "ck_plus", "taiwanese", "crema_d", "ravdess"), POSED
)

_ROOM = 0.1
"""Room around the face that pictures of a folder may have."""


class Mixed(Protocol):
    """Faces of several sets, as `training.data.batches.Part`."""

    @property
    def kinds(self) -> np.ndarray:
        """[n] kind of the set that each face is from."""

    @property
    def owner(self) -> np.ndarray:
        """[n] number of that set."""

    @property
    def emotion(self) -> np.ndarray:
        """As `Faces.emotion`."""

    @property
    def votes(self) -> np.ndarray:
        """As `Faces.votes`."""

    def __len__(self) -> int: ...


def style_of(kind: str) -> str:
    """Whether a kind of data set is VOTED, WILD or POSED; sets that are not known are WILD."""
    return _STYLES.get(kind, WILD)


def thinned(kind: str, samples: Sequence[LabelledPicture], mix: Mix) -> list[LabelledPicture]:
    """The pictures of a set that are looked at: of a class, at most `mix.most`, and those of an evaluation split.

    Pictures of a folder may show more than a face, so it is looked for in them.
    """
    if style_of(kind) == VOTED:
        return list(samples)
    places = np.array([fraction(sample.name.partition("@")[0]) for sample in samples])  # frames of a clip stay together
    kept = np.array([bool(judged_splits(sample.splits)) for sample in samples])
    for emotion in EMOTIONS:
        rows = np.flatnonzero(~kept & [sample.emotion == emotion for sample in samples])
        kept[rows[np.argsort(places[rows], kind="stable")[: mix.most]]] = True
    found = [sample for sample, keep in zip(samples, kept, strict=True) if keep]
    return [dataclasses.replace(sample, room=_ROOM) if kind == "folder" else sample for sample in found]


def draws(part: Mixed, mix: Mix, chance: np.random.Generator) -> list[np.ndarray]:
    """Numbers of the faces that an epoch draws, sorted, for each style; their counts depend on `part` alone.

    The voted pictures come once each, and those of rare classes as often as `mix.least` asks. From their number follow
    those of the other styles. Within a style and class, a set has a share by the square root of its number of pictures.
    """
    style = np.array([style_of(kind) for kind in part.kinds])
    shares = {VOTED: mix.voted, WILD: mix.wild, POSED: mix.posed}
    shares = {name: share for name, share in shares.items() if share > 0 and (style == name).any()}
    voted = np.flatnonzero(style == VOTED)
    of_votes = part.votes[voted]
    classes = np.where(of_votes.sum(axis=1) > 0, of_votes.argmax(axis=1), part.emotion[voted])
    found = {VOTED: _with_floor(voted, classes, mix, chance)}
    count = len(found[VOTED]) / shares[VOTED] if len(voted) and VOTED in shares else float(len(part))
    for name in (WILD, POSED):
        if name in shares:
            wanted = count * shares[name] / (1 if len(voted) else sum(shares.values()))
            found[name] = _evened_out(np.flatnonzero(style == name), part, wanted, mix, chance)
    return [np.sort(numbers) for name, numbers in found.items() if name in shares]


def spread(sequences: Sequence[np.ndarray], chance: np.random.Generator) -> np.ndarray:
    """One sequence in which each of the given ones is spread evenly, in its own order."""
    places = [(np.arange(len(of)) + chance.random(len(of))) / max(len(of), 1) for of in sequences]
    return np.concatenate(sequences)[np.argsort(np.concatenate(places), kind="stable")]


def _with_floor(voted: np.ndarray, classes: np.ndarray, mix: Mix, chance: np.random.Generator) -> np.ndarray:
    """All voted pictures, those of rare classes several times."""
    found = [voted]
    for label in np.unique(classes):
        rows = voted[classes == label]
        wanted = min(round(mix.least * len(voted)), mix.repeats * len(rows))
        found.append(_several(rows, max(0, wanted - len(rows)), chance))
    return np.concatenate(found)


def _evened_out(rows: np.ndarray, part: Mixed, wanted: float, mix: Mix, chance: np.random.Generator) -> np.ndarray:
    """Some `wanted` of the faces, or fewer, since none comes more often than `mix.repeats`."""
    emotion, owner = part.emotion[rows], part.owner[rows]
    classes, counts = np.unique(emotion[emotion >= 0], return_counts=True)
    shares = counts ** (1.0 - mix.balance)
    found = [np.empty(0, np.int64)]
    for label, share in zip(classes, shares / shares.sum(), strict=True):
        sets, sizes = np.unique(owner[emotion == label], return_counts=True)
        for number, part_of_class in zip(sets, np.sqrt(sizes) / np.sqrt(sizes).sum(), strict=True):
            of = rows[(emotion == label) & (owner == number)]
            found.append(_several(of, min(round(wanted * share * part_of_class), mix.repeats * len(of)), chance))
    return np.concatenate(found)


def _several(rows: np.ndarray, count: int, chance: np.random.Generator) -> np.ndarray:
    """`count` of the rows at random; none comes again before all have come."""
    rounds = -(-count // len(rows)) if len(rows) else 0
    return np.concatenate([np.empty(0, np.int64), *(chance.permutation(rows) for _ in range(rounds))])[:count]
