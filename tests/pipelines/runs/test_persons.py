"""Runs that are asked for persons: the same tables but for persons, whatever the runner, and no embedding left."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from pipelines.persons.update import find_persons
from pipelines.results.persons import read_persons
from pipelines.runs.analyze_archive import analyze
from pipelines.settings import make_config
from schemas.config import Config
from tests.embeddings import files_that_hold
from tests.tables import assert_same_tables, read_table, rows, without_own_columns
from transforms import write_tables

OF_RUN = ("config_hash", "n_persons", "person_id")


def asked(persons: str, **settings) -> Config:
    """As the fixture `bare`, with persons."""
    return make_config(
        emotion_model=None, age_gender_model=None, segment_seconds=1.0, lost_after=0.5, persons=persons, **settings
    )


def embeddings_of(out: Path) -> np.ndarray:
    tables = [pq.ParquetFile(path).read() for path in sorted((out / "embeddings").rglob("*.parquet"))]
    return np.array([vector for table in tables for vector in table["embedding"].to_pylist()], np.float32)


def test_within_a_video(four_segments: Path, reference: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two heads are in each of two shots. They are one man's, and so alike that nothing but the pictures tells."""
    seen: list[np.ndarray] = []
    read = write_tables.read_embeddings

    def read_and_note(*arguments):
        found = read(*arguments)
        seen.extend(vector for of_segment in found.values() for vector in of_segment.vectors)
        assert files_that_hold(tmp_path, seen[0])  # so the search finds what is there
        return found

    monkeypatch.setattr(write_tables, "read_embeddings", read_and_note)
    analyze(str(four_segments), str(tmp_path), config=asked("within"), runner="direct", keep_observations=True)

    assert len(seen) >= 4
    assert not any(files_that_hold(tmp_path, vector) for vector in seen)
    assert not (tmp_path / "embeddings").exists()
    tracks = rows(tmp_path, "tracks")
    assert [row["person_id"] for row in tracks[:2]] == [0, 1]
    assert {row["person_id"] for row in tracks[2:]} == {0, 1}
    assert rows(tmp_path, "videos")[0]["n_persons"] == 2
    for name in ("faces", "tracks", "timeline", "videos"):
        ours, theirs = (without_own_columns(read_table(out, name)) for out in (tmp_path, reference))
        left = [column for column in ours.column_names if column not in OF_RUN]
        assert ours.select(left).to_pylist() == theirs.select(left).to_pylist()


@pytest.mark.multiprocess
def test_across_an_archive_embeddings_are_kept_and_the_same_in_worker_processes(
    four_segments: Path, tmp_path: Path
) -> None:
    for name, how in (("a", {"runner": "direct"}), ("b", {"workers": 2})):
        analyze(str(four_segments), str(tmp_path / name), config=asked("archive"), **how)
    assert_same_tables(tmp_path / "a", tmp_path / "b")
    one, other = embeddings_of(tmp_path / "a"), embeddings_of(tmp_path / "b")
    assert one.shape == (4, 128)
    np.testing.assert_array_equal(one, other)
    assert files_that_hold(tmp_path / "a", one[0]) == [
        str(path.relative_to(tmp_path / "a")) for path in (tmp_path / "a" / "embeddings").rglob("*.parquet")
    ]
    (file,) = (tmp_path / "a" / "tracks").rglob("*.parquet")
    footer = pq.read_schema(file).metadata
    assert footer[b"persons"] == b"archive" and json.loads(footer[b"embedding"])["name"] == "sface"


def test_without_persons_no_footer_speaks_of_them(reference: Path) -> None:
    for path in reference.rglob("*.parquet"):
        assert not {b"persons", b"embedding"} & set(pq.read_schema(path).metadata or {})


# Persons of the sample archive, judged by looking at its clips; no track is of two.
SAMPLE_PERSONS = (
    {"mother_daughter.mp4"},
    {"mother_daughter.mp4"},
    {"head_pose_pair.gif"},
    {"head_pose_pair.gif"},
    {"single_talker.mp4", "none_then_face.mov", "face_then_none.mov"},
    {"speech_mpeg4.mp4"},
    {"actor_expressions.mp4"},
    {"news_qcif.mp4"},
    {"signer_please.mkv", "signer_thanks.mkv"},
    {"signer_sister.mkv"},
    {"signer_again.mkv"},
)


@pytest.mark.slow
@pytest.mark.parametrize("embedding", ["sface", "dlib"])
def test_known_persons_of_the_sample_archive(shared_videos: Path, tmp_path: Path, embedding: str) -> None:
    known = Counter(clip for person in SAMPLE_PERSONS for clip in person)
    clips = [str(shared_videos / "faces" / name) for name in (*known, "no_face.mp4")]
    analyze(clips, str(tmp_path), config=asked("archive", embedding=embedding), runner="direct")
    name = {row["video_id"]: Path(row["uri"]).name for row in rows(tmp_path, "videos")}
    assert {name[row["video_id"]]: row["n_persons"] for row in rows(tmp_path, "videos")} == {**known, "no_face.mp4": 0}
    if embedding != "sface":  # the default; dlib's embedding is less sure across videos
        return
    find_persons(str(tmp_path))
    found: dict[int, set[str]] = {}
    for row in read_persons(str(tmp_path), "appearances").to_pylist():
        found.setdefault(row["person_id"], set()).add(name[row["video_id"]])
    assert sorted(map(sorted, found.values())) == sorted(map(sorted, SAMPLE_PERSONS))
