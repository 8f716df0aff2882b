"""A video or a person is forgotten: no byte of the embeddings is left, nor an appearance, nor a name."""

from pathlib import Path

import pytest

from pipelines.keeping.forget import forget
from pipelines.persons.decide import merge_persons, name_person
from pipelines.persons.forgetting import forget_all, forget_person
from pipelines.persons.update import find_persons
from schemas import storage
from schemas.errors import UsageError
from schemas.layout import Layout
from tests.archive_of_persons import Archive
from tests.embeddings import files_that_hold


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    made = Archive(tmp_path / "out")
    made.add("a.mp4", [0, 1, 0])
    made.add("b.mp4", [1, 2, 1])
    find_persons(str(made.out))
    name_person(1, "Somebody", str(made.out))
    return made


def holders(archive: Archive, *keys: tuple[str, int]) -> set[str]:
    return {file for key in keys for file in files_that_hold(archive.out, archive.vectors[key])}


def names_in(folder: Path, text: str) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and text.encode() in path.read_bytes()]


def test_a_video_is_forgotten_with_its_embeddings_and_appearances(archive: Archive) -> None:
    (first, _), *_ = archive.true
    keys = [key for key in archive.true if key[0] == first]
    assert holders(archive, *keys)
    found = forget("a.mp4", str(archive.out))
    assert found.rows["embeddings"] == 3
    assert not holders(archive, *keys)
    assert {key[0] for key in archive.found} == {key[0] for key in archive.true} - {first}
    assert not names_in(archive.out, first)
    # Its name was given by a track of either video; another track takes its place.
    assert archive.names == {1: "Somebody"}
    assert {person for person in archive.found.values()} == {1, 2}
    find_persons(str(archive.out))
    assert archive.names == {1: "Somebody"}


def test_a_person_is_forgotten_everywhere(archive: Archive) -> None:
    keys = [key for key, person in archive.true.items() if person == 1]
    left = [key for key in archive.true if key not in keys]
    done = forget_person(1, str(archive.out))
    assert (done.persons, done.tracks) == (1, 3)
    assert not holders(archive, *keys) and len(holders(archive, *left)) == 2
    assert 1 not in archive.found.values() and not archive.names and not archive.table("decisions")
    assert not names_in(archive.out, "Somebody")
    assert archive.tracks_of("00" + "a" * 30) == [0, None, 0]
    find_persons(str(archive.out))
    assert set(archive.found.values()) == {0, 2}
    with pytest.raises(UsageError, match="no person 1"):
        forget_person(1, str(archive.out))


def test_a_forgotten_number_is_not_used_again(archive: Archive) -> None:
    forget_person(2, str(archive.out))
    archive.add("c.mp4", [5])
    find_persons(str(archive.out))
    assert max(archive.found.values()) == 3


def test_decisions_about_others_stay(archive: Archive) -> None:
    merge_persons(0, 2, str(archive.out))
    forget_person(0, str(archive.out))
    assert archive.names == {1: "Somebody"} and len(archive.table("decisions")) == 1


def test_all_that_is_biometric_goes_at_once(archive: Archive) -> None:
    layout = Layout(str(archive.out))
    unfinished = layout.work_of("c" * 64)
    storage.write_bytes(unfinished.embeddings("ff" + "0" * 30, 0, 0), archive.vectors["00" + "a" * 30, 0].tobytes())
    storage.write_bytes(unfinished.fragment("ff" + "0" * 30, 0), b"a fragment that cannot be finished without it")
    assert len(holders(archive, *archive.true)) == 3
    done = forget_all(str(archive.out))
    assert (done.persons, done.tracks) == (3, 6)
    assert not holders(archive, *archive.true)
    assert not names_in(archive.out, "Somebody")
    assert not (archive.out / "embeddings").exists() and not (archive.out / "persons").exists()
    assert not storage.exists(unfinished.fragment("ff" + "0" * 30, 0))
    assert archive.tracks_of("00" + "a" * 30) == [0, 1, 0]
