"""Persons across an archive: found, joined by new videos without another number, and kept apart."""

from pathlib import Path

import numpy as np
import pytest

from pipelines.persons import neighbours
from pipelines.persons.neighbours import nearest
from pipelines.persons.update import find_persons
from pipelines.results.database import connect
from schemas import storage
from schemas.errors import UsageError
from schemas.layout import Layout
from tests.archive_of_persons import CENTRES, Archive
from tests.embeddings import pairwise_f1, vectors_of


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    made = Archive(tmp_path / "out")
    made.add("a.mp4", [0, 1, 0])
    made.add("b.mp4", [1, 2])
    return made


def agree(archive: Archive) -> float:
    keys = sorted(archive.true)
    return pairwise_f1(np.array([archive.true[k] for k in keys]), np.array([archive.found[k] for k in keys]))


def test_persons_are_found_across_videos(archive: Archive) -> None:
    done = find_persons(str(archive.out))
    assert (done.persons, done.new_persons, done.tracks, done.new_tracks) == (3, 3, 5, 5)
    assert agree(archive) == 1
    persons = archive.table("persons")
    assert [(p["person_id"], p["n_videos"], p["n_tracks"], p["seconds"]) for p in persons] == [
        *((0, 1, 2, 3.5), (1, 2, 2, 3.5), (2, 1, 1, 1.75))
    ]
    similar = {row["person_id"]: row["similarity"] for row in archive.table("appearances")}
    assert similar[0] > 0.7 and similar[2] is None


def test_new_videos_join_what_is_known_and_nobody_gets_another_number(archive: Archive) -> None:
    find_persons(str(archive.out))
    before = archive.found
    archive.add("c.mp4", [3, 1, 0, 3])
    done = find_persons(str(archive.out))
    assert (done.new_persons, done.new_tracks) == (1, 4)
    assert {key: archive.found[key] for key in before} == before
    assert agree(archive) == 1
    assert find_persons(str(archive.out)).new_tracks == 0


def test_persons_in_one_picture_stay_apart_however_alike(archive: Archive) -> None:
    twins = archive.add("twins.mp4", [0, 0], together=True)
    find_persons(str(archive.out))
    assert archive.found[twins, 0] != archive.found[twins, 1]


def test_a_video_that_was_analyzed_anew_has_new_tracks(archive: Archive) -> None:
    find_persons(str(archive.out))
    (video_id, _), *_ = archive.true
    storage.delete_file(Layout(str(archive.out)).embeddings(video_id))
    done = find_persons(str(archive.out))
    assert (done.gone_tracks, done.tracks) == (3, 2)
    assert 0 not in archive.found.values()


def test_views_are_there_before_and_after(archive: Archive) -> None:
    ask = "SELECT count(*), count(DISTINCT person_id) FROM appearances JOIN persons USING (person_id)"
    assert connect(str(archive.out)).sql(ask).fetchall() == [(0, 0)]
    find_persons(str(archive.out))
    assert connect(str(archive.out)).sql(ask).fetchall() == [(5, 3)]


def test_without_embeddings_it_says_what_to_do(tmp_path: Path) -> None:
    made = Archive(tmp_path)
    storage.delete_file(Layout(str(tmp_path)).embeddings(made.add("a.mp4", [0])))
    with pytest.raises(UsageError, match="has no embeddings: .* --persons archive"):
        find_persons(str(tmp_path))


def test_lists_find_what_a_comparison_of_all_finds(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors, person = vectors_of(400, 6, spread=0.6)
    exact = nearest(vectors[:200], vectors, 6)[1]
    assert (person[exact] == person[:200, None]).mean() > 0.99
    monkeypatch.setattr(neighbours, "_EXACT", 1000)
    likeness, number = nearest(vectors[:200], vectors, 6)
    shared = [len(set(a) & set(b)) for a, b in zip(exact.tolist(), number.tolist(), strict=True)]
    assert np.mean(shared) > 5.5 and (np.diff(likeness, axis=1) <= 0).all()


def test_few_vectors_have_few_neighbours() -> None:
    assert nearest(CENTRES[:2], CENTRES[:3], 8)[1].shape == (2, 3)
