"""From embeddings of faces in segments to persons of a video, with vectors that are made up."""

import dataclasses

import numpy as np
import pytest

from models.embeddings.choose import with_embedding
from models.embeddings.interface import unit
from schemas import storage
from schemas.config import Config
from schemas.faces import EMBEDDING
from schemas.layout import Layout
from schemas.run import Run
from schemas.tables import BLURRED
from schemas.video import DecodeStats
from tests.embeddings import files_that_hold, vectors_of
from tests.examples import VIDEO_ID, WHEN, example_batch, example_plan, example_samples, example_track, join_tracks
from tests.fragments import cut_into_fragments
from transforms.embeddings import FaceEmbeddings, read_embeddings, write_embeddings
from transforms.failures import SegmentFailed, write_failure
from transforms.write_fragment import write_fragment
from transforms.write_tables import assemble_video, make_tables

SAMPLES = example_samples()
TRACKS = (  # 0 and 1 are seen together, 2 and 3 behind a cut; 4 is short; 0 goes on across segments
    example_track(0, SAMPLES[:17]),
    example_track(1, SAMPLES[:9], x=300.0),
    example_track(2, SAMPLES[20:30]),
    example_track(3, SAMPLES[20:30], x=300.0),
    example_track(4, SAMPLES[32:34]),
)


def asked(persons: str = "within") -> Config:
    return with_embedding(Config().override(persons=persons))


@pytest.fixture
def run(tmp_path) -> Run:
    return Run("run-1", asked(), Layout(str(tmp_path / "out")))


def persons_of(run: Run, vector_of: dict[int, np.ndarray], tracks=TRACKS, bounds=(3.0, 6.0), later=None):
    """The row and the tables; each second's face has the embedding of its track, from second 2 on that of `later`."""
    plan = example_plan(*bounds)
    fragments = cut_into_fragments(plan, join_tracks(*tracks), SAMPLES)
    embeddings = {}
    for fragment in fragments:
        keys = zip(fragment.table["track"].to_pylist(), fragment.table["timestamp"].to_pylist(), strict=True)
        own = [(t, s) for t, s in keys if s % 1 == 0 and (fragment.end is None or s < fragment.end)]
        if own:
            track, time = (np.array(column) for column in zip(*own, strict=True))
            true = [true_track(tracks, s, fragment, t) for t, s in own]
            ends = vector_of | (later or {})
            vectors = np.stack([(ends if s >= 2 else vector_of)[t] for t, s in zip(true, time.tolist(), strict=True)])
            embeddings[fragment.segment] = FaceEmbeddings(track, time, vectors)
    row, tables = make_tables(plan, fragments, run, started_at=WHEN, embeddings=embeddings)
    return row, tables


def true_track(tracks, time: float, fragment, track: int) -> int:
    """The track of the whole video that a segment's track is, by its box at a time."""
    rows = fragment.table.to_pylist()
    (x,) = (row["x"] for row in rows if row["track"] == track and row["timestamp"] == time)
    (found,) = (int(t["track"][0]) for t in tracks if time in t["timestamp"] and t["x"][0] == np.float32(x))
    return found


def alike(*persons: int) -> dict[int, np.ndarray]:
    """A vector for each track, of these persons."""
    centres = vectors_of(6, 1)[0]
    return {track: centres[person] for track, person in enumerate(persons)}


def test_tracks_of_one_person_get_one_number(run: Run):
    row, tables = persons_of(run, alike(0, 1, 1, 0, 0))
    assert tables["tracks"]["person_id"].to_pylist() == [0, 1, 1, 0, 0]
    assert row["n_persons"] == 2
    assert set(tables) == {"faces", "tracks", "timeline"}
    assert tables["tracks"]["embedding"].null_count == len(TRACKS)


def test_faces_in_one_picture_are_never_one_person(run: Run):
    _, tables = persons_of(run, alike(0, 0, 0, 0, 0))
    person = tables["tracks"]["person_id"].to_pylist()
    assert person[0] != person[1] and person[2] != person[3]


def test_a_track_of_two_people_is_nobodys(run: Run):
    """Else it would be like both, and join all of their tracks."""
    people = alike(0, 1, 0, 2, 2)
    row, tables = persons_of(run, people, later={0: people[3]})
    assert tables["tracks"]["person_id"].to_pylist() == [None, 0, 1, 2, 2]
    assert row["n_persons"] == 3
    _, tables = persons_of(run, people, later={0: unit(people[0] + 2 * people[3])})  # a likeness of about 0.45
    assert tables["tracks"]["person_id"][0].as_py() is not None


def test_it_does_not_matter_where_segments_end(run: Run):
    results = [persons_of(run, alike(0, 1, 2, 0, 3), bounds=bounds)[1]["tracks"] for bounds in ((), (3.0,), (2.0, 5.5))]
    assert len({tuple(table["person_id"].to_pylist()) for table in results}) == 1


def test_a_blurred_or_short_track_joins_only_where_it_is_plain(run: Run):
    centre, other, third = vectors_of(3, 1)[0]
    near = 0.45 * centre + np.sqrt(1 - 0.45**2) * unit(third - (third @ centre) * centre)  # a likeness of 0.45
    blurred = (*TRACKS[:2], example_track(2, SAMPLES[20:30]) | {"quality_flags": np.full(10, BLURRED, np.uint16)})
    for tracks in (TRACKS[:3], blurred):
        _, tables = persons_of(run, {0: centre, 1: other, 2: near.astype(np.float32)}, tracks)
        assert (tables["tracks"]["person_id"][2].as_py() == 0) == (tracks is not blurred)


def test_a_video_without_embeddings_has_no_persons(run: Run):
    plan = example_plan()
    fragments = cut_into_fragments(plan, join_tracks(*TRACKS), SAMPLES)
    row, tables = make_tables(plan, fragments, run, started_at=WHEN, embeddings={})
    assert row["n_persons"] == 0 and tables["tracks"]["person_id"].null_count == len(TRACKS)


def test_kept_embeddings_are_a_table_of_their_own(tmp_path):
    run = Run("run-1", asked("archive"), Layout(str(tmp_path)))
    _, tables = persons_of(run, alike(0, 1, 1, 0, 2))
    kept = tables["embeddings"].to_pylist()
    assert [(r["track_id"], r["person_id"], r["seen_with"], r["is_sure"]) for r in kept] == [
        *((0, 0, [1], True), (1, 1, [0], True), (2, 1, [3], True), (3, 0, [2], True), (4, 2, [], False))
    ]
    assert {(r["video_id"], r["model"], r["model_sha256"][:8]) for r in kept} == {(VIDEO_ID, "sface", "fb143eea")}
    np.testing.assert_allclose([r["embedding"] for r in kept], list(alike(0, 1, 1, 0, 2).values()), atol=1e-6)
    assert tables["tracks"]["embedding"].null_count == len(TRACKS)


def written(run: Run, columns=None) -> np.ndarray:
    """A segment's fragment with embeddings in DIR; the embeddings."""
    vectors = vectors_of(1, 2)[0]
    batch = example_batch(columns=columns)
    log = dataclasses.replace(batch.log, stats=DecodeStats(frames_decoded=50, last_timestamp=1.75, packet_end=2.0))
    batch = dataclasses.replace(batch, rows={EMBEDDING: np.array([0, 4])}, embeddings=vectors, log=log)
    list(write_fragment(batch, run.config, run.work, run.run_id))
    return vectors


def test_embeddings_lie_beside_the_fragment_until_the_video_is_done(run: Run, tmp_path):
    vectors = written(run)
    held = files_that_hold(tmp_path / "out", vectors[0])
    assert held == [f"_work/{run.config.hash}/{VIDEO_ID}/00000.000.embeddings"]
    found = read_embeddings(run.work, VIDEO_ID)[0]
    assert found.track.tolist() == [0, 0] and found.timestamp.tolist() == [0.0, 1.0]
    np.testing.assert_array_equal(found.vectors, vectors)

    row = assemble_video(example_plan(), run, keep_observations=True).row
    assert row["n_persons"] == 1
    assert not any(files_that_hold(tmp_path / "out", vector) for vector in vectors)


def test_a_failed_video_keeps_no_embedding_and_is_computed_anew(run: Run, tmp_path):
    plan = example_plan(3.0)
    vectors = written(run)
    write_failure(SegmentFailed(plan.segments[1], "x", "x"), run.work, run.run_id)
    assert assemble_video(plan, run).row["status"] == "failed"
    assert not files_that_hold(tmp_path / "out", vectors[0])
    assert not storage.exists(run.work.fragment(VIDEO_ID, 0)) and storage.exists(run.work.failure(VIDEO_ID, 1))


def test_a_segment_without_faces_has_no_embeddings(run: Run):
    empty = np.zeros((0, 128), np.float32)
    batch = example_batch(columns=join_tracks(), rows={EMBEDDING: np.zeros(0, int)}, chips={}, embeddings=empty)
    write_embeddings(batch, run.config, run.work)
    assert read_embeddings(run.work, VIDEO_ID) == {}


def test_an_earlier_runs_embeddings_are_removed_when_they_are_not_kept_any_more(run: Run, tmp_path):
    kept = Run("run-0", asked("archive"), run.layout)
    vectors = written(kept)
    assemble_video(example_plan(), kept)
    assert storage.exists(run.layout.embeddings(VIDEO_ID))
    written(run)
    assemble_video(example_plan(), run)
    assert not storage.exists(run.layout.embeddings(VIDEO_ID))
    assert not files_that_hold(tmp_path / "out", vectors[0])
