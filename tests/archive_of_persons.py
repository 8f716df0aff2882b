"""A folder of results with kept embeddings that are made up: who is in which video is known."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from models.embeddings.choose import with_embedding
from pipelines.results.persons import read_persons
from schemas import storage
from schemas.config import Config
from schemas.layout import Layout
from schemas.run import Run
from schemas.tables import parquet_bytes
from tests.embeddings import vectors_of
from tests.examples import example_plan, example_row, example_samples, example_track, join_tracks
from tests.fragments import cut_into_fragments
from tests.tables import rows
from transforms.group_persons import Persons, embeddings_table, with_persons
from transforms.ledger import write_row
from transforms.write_tables import make_tables

WHO = 8
CENTRES = vectors_of(WHO, 1)[0]


@dataclasses.dataclass
class Archive:
    """The folder, and who is on each track.

    Attributes:
      out: DIR.
      true: person by `video_id` and track.
      vectors: embedding by the same.
    """

    out: Path
    true: dict[tuple[str, int], int] = dataclasses.field(default_factory=dict)
    vectors: dict[tuple[str, int], np.ndarray] = dataclasses.field(default_factory=dict)

    def add(self, name: str, who: Sequence[int], *, together: bool = False, spread: float = 0.4) -> str:
        """Adds a video with a track for each of these persons, one after the other or all in one picture.

        Returns:
          Its `video_id`.
        """
        video_id = f"{len(self.true):02x}{'a' * 30}"
        rng = np.random.default_rng(len(self.true))
        noise = rng.standard_normal((len(who), 128)) * spread / np.sqrt(128)
        vectors = CENTRES[list(who)] + noise
        vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
        run = Run("run-1", with_embedding(Config().override(persons="archive")), Layout(str(self.out)))
        plan = example_plan(uri=f"/videos/{name}", video_id=video_id)
        times = example_samples(2.0)
        tracks = [
            example_track(i, times + (0 if together else 2.25 * i), x=100.0 * i, width=90.0) for i in range(len(who))
        ]
        samples = example_samples(max(10.0, 2.25 * len(who) + 1))
        fragments = cut_into_fragments(plan, join_tracks(*tracks), samples)
        plain = dataclasses.replace(run, config=Config())
        row, tables = make_tables(plan, fragments, plain, started_at=example_row()["started_at"])
        first = {person: who.index(person) for person in who}
        within = np.array([sorted(first.values()).index(first[person]) for person in who], np.int32)
        starts = np.array([track["timestamp"][0] for track in tracks])
        others = [[j for j in range(len(who)) if j != i] if together else [] for i in range(len(who))]
        persons = Persons(
            np.arange(len(who), dtype=np.int32),
            np.arange(len(who), dtype=np.int32) if together else within,
            vectors,
            np.ones(len(who), bool),
            np.stack([starts, starts + 1.75], axis=1),
            others,
        )
        tables["tracks"] = with_persons(tables["tracks"], persons)
        tables["embeddings"] = embeddings_table(persons, video_id, run.config)
        for table, content in tables.items():
            storage.write_bytes(run.layout.table(table, video_id), parquet_bytes(content, run.footer))
        write_row(row | {"n_persons": len(set(who))}, run)
        for i, person in enumerate(who):
            self.true[video_id, i], self.vectors[video_id, i] = person, vectors[i]
        return video_id

    @property
    def found(self) -> dict[tuple[str, int], int]:
        """`person_id` by `video_id` and track."""
        return {(row["video_id"], row["track_id"]): row["person_id"] for row in self.table("appearances")}

    def table(self, name: str) -> list[dict[str, Any]]:
        """One of the tables of persons."""
        return list(read_persons(str(self.out), name).to_pylist())

    @property
    def names(self) -> Mapping[int, str]:
        """Names by person, of those that have one."""
        return {row["person_id"]: row["name"] for row in self.table("persons") if row["name"]}

    def tracks_of(self, video_id: str) -> list[int | None]:
        """`person_id` in the table `tracks`."""
        return [row["person_id"] for row in rows(self.out, "tracks") if row["video_id"] == video_id]
