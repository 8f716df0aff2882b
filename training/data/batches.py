"""The stream of batches, chips and targets, that a network is trained on."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from training.data.chip_cache import MIXED
from training.data.labelled_faces import Faces
from training.data.mixing import draws, spread
from training.learning.augment import DRAWS, augment, middle
from training.learning.mixup import mix, shares
from training.recipe import Jitter, Mix

# Number of faces that are shuffled as one block, where faces can be read in any order.
_BLOCK = 2048


@dataclasses.dataclass(frozen=True, eq=False)
class Part:
    """One part (training or calibration) of all data sets together.

    Attributes:
      sets: the data sets.
      owner: [n] index of the data set that each face is from.
      row: [n] the face's row in that data set.
      mix: what an epoch draws of them; None: each face once.
      own_votes: whether a face's label counts as its only vote in sets without votes.
    """

    sets: Sequence[Faces]
    owner: np.ndarray
    row: np.ndarray
    mix: Mix | None = None
    own_votes: bool = False

    def __len__(self) -> int:
        return len(self.row)

    @property
    def emotion(self) -> np.ndarray:
        """As `Faces.emotion`."""
        return self._column("emotion")

    @property
    def votes(self) -> np.ndarray:
        """As `Faces.votes`."""
        votes = self._column("votes")
        if self.own_votes:
            voteless = (self.kinds != "fer2013") & (votes.sum(axis=1) == 0) & (self.emotion >= 0)
            votes[voteless, self.emotion[voteless]] = 1
        return votes

    @property
    def age(self) -> np.ndarray:
        """As `Faces.age`."""
        return self._column("age")

    @property
    def female(self) -> np.ndarray:
        """As `Faces.female`."""
        return self._column("female")

    @property
    def features(self) -> np.ndarray:
        """As `Faces.features`; [n, 0] if the network takes none."""
        return self._column("features")

    @property
    def kinds(self) -> np.ndarray:
        """[n] kind of the data set that each face is from."""
        return np.array([faces.kind for faces in self.sets])[self.owner]

    @functools.cached_property
    def per_epoch(self) -> int:
        """Number of faces that an epoch draws."""
        return len(self.order(0, 0))

    def sample(self, seed: int, *, own_votes: bool = False) -> Part:
        """The faces of an epoch as a part, those that are drawn several times included, in the order of the sets."""
        if self.mix is None:
            return self
        numbers = np.sort(np.concatenate(draws(self, self.mix, np.random.default_rng([seed, 0]))))
        return Part(self.sets, self.owner[numbers], self.row[numbers], own_votes=own_votes)

    def chips(self, numbers: np.ndarray) -> np.ndarray:
        """Chips of some faces, [m, S, S, channels] uint8."""
        size = max(faces.chips.shape[1] for faces in self.sets)
        owner, row = self.owner[numbers], self.row[numbers]
        block: np.ndarray | None = None
        for i, faces in enumerate(self.sets):
            of = np.flatnonzero(owner == i)
            chips = np.asarray(faces.chips[row[of]]) if len(of) else np.empty((0, *faces.chips.shape[1:]), np.uint8)
            chips = chips[..., None] if chips.ndim == 3 else chips
            border = (size - chips.shape[1]) // 2
            chips = np.pad(chips, ((0, 0), (border, border), (border, border), (0, 0)), "edge") if border else chips
            if block is None:
                block = np.empty((len(numbers), *chips.shape[1:]), np.uint8)
            block[of] = chips
        assert block is not None
        return block

    def order(self, seed: int, epoch: int) -> np.ndarray:
        """The faces of an epoch in a random order that depends on seed and epoch alone."""
        chance = np.random.default_rng([seed, epoch])
        if self.mix is None:
            return self._shuffled(np.arange(len(self)), chance)
        return spread([self._shuffled(numbers, chance) for numbers in draws(self, self.mix, chance)], chance)

    def _shuffled(self, numbers: np.ndarray, chance: np.random.Generator) -> np.ndarray:
        """Some faces, sorted, in a random order; 16 row groups are shuffled together."""
        blocks: list[np.ndarray] = []
        for i, faces in enumerate(self.sets):
            of = numbers[self.owner[numbers] == i]
            if faces.blocks is None:
                blocks += np.array_split(chance.permutation(of), max(1, len(of) // _BLOCK))
            else:
                blocks += np.split(of, np.searchsorted(self.row[of], faces.blocks[1:-1]))
        blocks = [blocks[i] for i in chance.permutation(len(blocks))]
        mixed = [np.concatenate(blocks[start : start + MIXED]) for start in range(0, len(blocks), MIXED)]
        return np.concatenate([chance.permutation(rows) for rows in mixed])

    def _column(self, name: str) -> np.ndarray:
        columns = [getattr(faces, name)[self.row[self.owner == i]] for i, faces in enumerate(self.sets)]
        return np.concatenate(columns)


def part_of(sets: Sequence[Faces], name: str, mix: Mix | None = None) -> Part:
    """The part TRAINING or CALIBRATION of all data sets, of which epochs draw as `mix` says."""
    rows = [np.flatnonzero(faces.part == name) for faces in sets]
    owner = np.repeat(np.arange(len(sets)), [len(of) for of in rows])
    return Part(sets, owner, np.concatenate(rows), mix)


def batches(
    part: Part,
    *,
    targets: Any,
    size: int,
    batch: int,
    scaling: tuple[float, float] = (1.0, 0.0),
    jitter: Jitter | None = None,
    views: np.ndarray | None = None,
    seed: int | None = None,
    epoch: Callable[[], int] = lambda: 0,
) -> Any:
    """A tf.data.Dataset over (chips [batch, size, size, c] float32, *targets); with features, ((chips, features), …).

    Args:
      part: the faces.
      targets: arrays with a row for each face, in any nesting; must be (targets, weights) for mix-up.
      size: width and height of the chip.
      batch: faces per step.
      scaling: a factor on the chips, and a number that is added after it.
      jitter: augmentation; None cuts the middle of each chip.
      views: [n, v, k] second inputs of each face, of which one is drawn each time; None: the one that the faces have.
      seed: seed of the order. None keeps the faces in order; the last batch may then be smaller.
      epoch: returns the number of the epoch that begins; each epoch has its own order.
    """
    import tensorflow as tf

    steps = part.per_epoch // batch if seed is not None else -(-len(part) // batch)
    shape = part.chips(np.arange(min(len(part), 1))).shape[1:]
    labels = tf.nest.map_structure(tf.constant, targets)
    if views is None and part.sets[0].features is not None:
        views = part.features[:, None]
    features = None if views is None else tf.constant(views)

    def numbers() -> Iterator[np.ndarray]:
        order = np.arange(len(part)) if seed is None else part.order(seed, epoch())
        for i in range(steps):
            yield order[i * batch : (i + 1) * batch]

    def load(rows: Any) -> Any:
        block = tf.ensure_shape(tf.numpy_function(part.chips, [rows], tf.uint8), (None, *shape))
        if jitter is None:
            chips = tf.cast(middle(block, size), tf.float32)
        else:
            chips = augment(block, size, jitter, tf.random.uniform((tf.shape(rows)[0], DRAWS)))
        chips = chips * scaling[0] + scaling[1]
        found = tf.nest.map_structure(lambda label: tf.gather(label, rows), labels)
        if jitter is not None and jitter.mixup:
            gammas = tf.random.gamma((2, tf.shape(rows)[0]), jitter.mixup)
            chips, mixed = mix(chips, found[0], found[1], shares(gammas[0], gammas[1]))
            found = (mixed, found[1])
        if features is None:
            return chips, *found
        drawn = tf.random.uniform((tf.shape(rows)[0],), maxval=features.shape[1], dtype=tf.int32)
        inputs = (chips, tf.gather(tf.gather(features, rows), drawn, batch_dims=1))
        return inputs, *found

    signature = tf.TensorSpec((None,), tf.int64)
    order = tf.data.Dataset.from_generator(numbers, output_signature=signature)
    return order.apply(tf.data.experimental.assert_cardinality(steps)).map(load).prefetch(2)
