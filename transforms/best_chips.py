"""Keep the chips of the best faces of each track while a segment streams; the embedding is computed of these alone."""

import dataclasses
import math

import numpy as np

from models.embeddings.choose import embedding_card
from models.embeddings.interface import EmbeddingCard
from models.landmarks import Landmarks
from schemas.config import Config
from schemas.faces import TrackedFaces
from schemas.tables import BLURRED, DARK, PROFILE, SMALL
from schemas.video import Segment
from transforms.picture import Picture

DOUBTFUL = SMALL | PROFILE | BLURRED | DARK
"""Flags of faces that a likeness may be wrong about."""

_APART = 2.0


@dataclasses.dataclass(frozen=True)
class _Chip:
    timestamp: float
    rank: tuple[bool, float]
    pixels: np.ndarray


class BestChips:
    """The chips of a few good faces of each track, no two of the same two seconds; or of one doubtful face.

    A chip is cut only if it is better than what is kept, so memory and work follow from the number of tracks. An
    embedding takes nearly as long as all other steps take for a sample, so a short track has few, and a dark crowd one
    each.

    Args:
      card: of the embedding.
      per_track: chips of each track.
      end: second at which the next segment starts; faces past it are that one's. None: the end of the file.
    """

    def __init__(self, card: EmbeddingCard, per_track: int, end: float | None = None):
        self._card, self._per_track, self._end = card, per_track, math.inf if end is None else end
        self._kept: dict[int, dict[int, _Chip]] = {}

    @classmethod
    def of(cls, config: Config, segment: Segment) -> "BestChips | None":
        """For a segment; None: the run does not ask for persons."""
        if config.identity.persons is None:
            return None
        return cls(embedding_card(config.identity.embedding), config.identity.embedding_crops, segment.end)

    def offer(
        self, columns: dict[str, np.ndarray], faces: TrackedFaces, landmarks: Landmarks, picture: Picture
    ) -> None:
        """Takes the chips that are better than those that are kept; of two equal ones the first stays.

        Args:
          columns: observation columns of the faces of one sample, with their quality.
          faces: the same faces; those that only the tracker saw are passed over.
          landmarks: of the same faces.
          picture: that they are in.
        """
        for row, track in enumerate(columns["track"].tolist()):
            timestamp, quality = float(columns["timestamp"][row]), float(columns["quality"][row])
            if timestamp >= self._end or np.isnan(columns["confidence"][row]):
                continue
            rank = (not columns["quality_flags"][row] & DOUBTFUL, quality)
            kept, place = self._kept.setdefault(track, {}), int(timestamp / _APART)
            rivals = self._rivals(kept, place, is_good=rank[0])
            if any(rank <= kept[rival].rank for rival in rivals):
                continue
            for rival in rivals:
                del kept[rival]
            matrix, geometry = self._card.transform(faces.points[row], landmarks.points[row])
            kept[place] = _Chip(timestamp, rank, picture.chip(matrix, geometry.size, geometry.channels))

    def _rivals(self, kept: dict[int, _Chip], place: int, *, is_good: bool) -> list[int]:
        """The chips in whose place a face comes, if it is better."""
        if not is_good:
            return list(kept)
        doubtful = [one for one, chip in kept.items() if not chip.rank[0]]
        if doubtful or place in kept or len(kept) < self._per_track:
            return doubtful or [one for one in (place,) if one in kept]
        return [min(kept, key=lambda one: kept[one].rank)]

    def take(self, columns: dict[str, np.ndarray], *, is_last: bool) -> tuple[np.ndarray, np.ndarray]:
        """The chips of faces that are in a part of the segment; they are not kept any longer.

        Args:
          columns: observation columns of the part.
          is_last: whether it is the last part; what is left then belongs to faces that do not count.

        Returns:
          [m] int, rows of the part in order, and [m, s, s, 3] uint8.
        """
        keys = zip(columns["track"].tolist(), columns["timestamp"].tolist(), strict=True)
        row_of = {key: row for row, key in enumerate(keys)}
        found: dict[int, np.ndarray] = {}
        for track, chips in self._kept.items():
            for place, chip in list(chips.items()):
                row = row_of.get((track, chip.timestamp))
                if row is not None:
                    found[row] = chips.pop(place).pixels
        if is_last:
            self._kept.clear()
        size = self._card.by_landmarks.size
        rows = np.array(sorted(found), int)
        return rows, np.stack([found[row] for row in rows]) if found else np.zeros((0, size, size, 3), np.uint8)
