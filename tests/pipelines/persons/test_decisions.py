"""What users decide survives every later update, compacting, upgrading and another machine; and can be undone."""

from pathlib import Path

import pytest

from pipelines.keeping.compact import compact
from pipelines.keeping.upgrade import upgrade
from pipelines.persons.decide import (
    export_decisions,
    import_decisions,
    merge_persons,
    name_person,
    not_person,
    split_person,
    undo_decision,
)
from pipelines.persons.update import find_persons
from pipelines.results.database import connect
from schemas import storage
from schemas.errors import UsageError
from tests.archive_of_persons import Archive


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    """Persons 0 to 2 as in truth: 0 in a (twice), 1 in a and b (twice), 2 in b."""
    made = fill(Archive(tmp_path / "out"))
    find_persons(str(made.out))
    return made


def fill(archive: Archive) -> Archive:
    archive.add("a.mp4", [0, 1, 0])
    archive.add("b.mp4", [1, 2, 1])
    return archive


def by_name(archive: Archive) -> dict[str, list[int]]:
    """True persons on the tracks of each named person."""
    of: dict[str, list[int]] = {name: [] for name in archive.names.values()}
    for key, person in sorted(archive.found.items()):
        if person in archive.names:
            of[archive.names[person]].append(archive.true[key])
    return of


def decide_all(out: str) -> None:
    name_person(0, "Ann", out)
    name_person(1, "Bo", out)
    merge_persons(0, 2, out)
    split_person(1, ["b.mp4:2"], out)


def test_names_merges_and_splits(archive: Archive) -> None:
    out = str(archive.out)
    decide_all(out)
    assert by_name(archive) == {"Ann": [0, 0, 2], "Bo": [1, 1]}
    assert {person for key, person in archive.found.items() if archive.true[key] == 1} == {1, 3}


def test_they_survive_clustering_compacting_and_upgrading(archive: Archive, tmp_path: Path) -> None:
    out = str(archive.out)
    decide_all(out)
    found = archive.found
    archive.add("c.mp4", [0, 1, 2, 4])
    find_persons(out)
    assert {key: archive.found[key] for key in found} == found
    assert by_name(archive)["Ann"] == [0, 0, 2, 0, 2]
    assert {person for key, person in archive.found.items() if archive.true[key] == 1} == {1, 3}  # Bo, and the split
    upgrade(out)
    compact(out, str(tmp_path / "copy"))
    for place in (out, str(tmp_path / "copy")):
        ask = "SELECT name, video_id, track_id FROM persons JOIN appearances USING (person_id) ORDER BY ALL"
        rows = connect(place).sql(ask).fetchall()
        assert {(video, track) for name, video, track in rows if name == "Ann"} == {
            key for key, person in archive.found.items() if person == 0
        }
    assert not (tmp_path / "copy" / "embeddings").exists()


def test_they_hold_on_another_machine_whose_numbers_are_others(archive: Archive, tmp_path: Path) -> None:
    decide_all(str(archive.out))
    storage.write_bytes(str(tmp_path / "decisions.csv"), export_decisions(str(archive.out)).encode())
    other = fill(Archive(tmp_path / "other"))
    find_persons(str(other.out))
    merge_persons(1, 0, str(other.out))  # so that numbers differ
    undo_decision(str(other.out))
    assert import_decisions(str(tmp_path / "decisions.csv"), str(other.out)) == (4, 0)
    assert by_name(other) == by_name(archive)
    assert import_decisions(str(tmp_path / "decisions.csv"), str(other.out)) == (0, 0)
    other.add("c.mp4", [2])
    find_persons(str(other.out))
    assert by_name(other)["Ann"] == [0, 0, 2, 2]


def test_decisions_about_videos_that_come_later_wait_for_them(archive: Archive, tmp_path: Path) -> None:
    decide_all(str(archive.out))
    storage.write_bytes(str(tmp_path / "decisions.csv"), export_decisions(str(archive.out)).encode())
    other = Archive(tmp_path / "other")
    other.add("a.mp4", [0, 1, 0])
    find_persons(str(other.out))
    assert import_decisions(str(tmp_path / "decisions.csv"), str(other.out)) == (4, 2)
    assert by_name(other) == {"Ann": [0, 0], "Bo": [1]}
    other.add("b.mp4", [1, 2, 1])
    assert find_persons(str(other.out)).lost_decisions == 0
    assert by_name(other) == by_name(archive)


def test_a_track_that_is_not_a_person_goes_where_it_belongs(archive: Archive) -> None:
    out = str(archive.out)
    merge_persons(0, 1, out)
    not_person(0, ["b.mp4:0"], out)
    for _ in range(2):
        assert archive.found["03" + "a" * 30, 0] == 3  # it is like those of person 0, which it is not
        find_persons(out)
    not_person(0, ["a.mp4:1"], out)
    for _ in range(2):
        assert archive.found["00" + "a" * 30, 1] == 3  # which it is like
        find_persons(out)


def test_every_decision_can_be_undone(archive: Archive) -> None:
    out = str(archive.out)
    start = archive.found
    decide_all(out)
    with pytest.raises(UsageError, match="no decision 9"):
        undo_decision(out, 9)
    undo_decision(out, 3)
    assert by_name(archive) == {"Ann": [0, 0], "Bo": [1, 1]}
    for kind in ("split", "name", "name"):
        assert undo_decision(out).kind == kind
    assert archive.found == start and not archive.names
    find_persons(out)
    assert archive.found == start and not archive.names
    with pytest.raises(UsageError, match="no decision to undo"):
        undo_decision(out)


def test_a_person_that_was_split_leaves_its_name_to_the_rest(archive: Archive) -> None:
    out = str(archive.out)
    name_person(0, "Ann", out)
    first = archive.table("decisions")[0]["anchors"]
    split_person(0, [str(first).split()[0].replace("00" + "a" * 30, "a.mp4")], out)
    for _ in range(2):
        assert archive.names == {0: "Ann"}
        find_persons(out)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda out: name_person(9, "X", out), "There is no person 9"),
        (lambda out: merge_persons(1, 1, out), "two different persons"),
        (lambda out: split_person(0, ["b.mp4:0"], out), "is not person 0's"),
        (lambda out: split_person(0, ["a.mp4:0", "a.mp4:2"], out), "has no other track"),
        (lambda out: split_person(0, ["a.mp4"], out), "is no track: write VIDEO:TRACK"),
        (lambda out: split_person(0, ["z.mp4:1"], out), "has no video z.mp4"),
    ],
)
def test_what_cannot_be_is_refused(archive: Archive, call, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        call(str(archive.out))
    assert not archive.table("decisions")


def test_another_csv_is_refused(archive: Archive, tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("a,b\n1,2\n")
    with pytest.raises(UsageError, match="is no table as `facelog persons export` writes it"):
        import_decisions(str(tmp_path / "x.csv"), str(archive.out))
