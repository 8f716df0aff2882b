"""Persons in queries and exports."""

import csv
import re
from pathlib import Path

import pytest

from pipelines.exports.export import export
from pipelines.persons.decide import name_person
from pipelines.persons.update import find_persons
from pipelines.results.database import connect
from schemas.errors import UsageError
from tests.archive_of_persons import Archive
from tests.kept_results import make_results

_DOCUMENT = Path(__file__).parents[3] / "docs" / "queries.md"


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    made = Archive(tmp_path / "out")
    made.add("a.mp4", [0, 1, 0])
    made.add("b.mp4", [1, 2], together=True)
    return made


def test_the_examples_of_the_documentation(archive: Archive) -> None:
    find_persons(str(archive.out))
    (block,) = [text for text in re.findall(r"```sql\n(.*?)```", _DOCUMENT.read_text(), re.S) if "appearances" in text]
    longest, together, smiles = (
        connect(str(archive.out)).sql(sql).fetchall() for sql in block.split(";") if sql.strip()
    )
    assert longest[0] == (0, None, 1, 4.0) or longest[0] == (1, None, 2, 4.0)
    assert together == [(1, 2, 2), (0, 1, 1)]
    assert [row[0] for row in smiles] and all(row[3] == 1 for row in smiles)


def test_rttm_names_the_persons_of_the_archive_or_else_of_the_video(archive: Archive, tmp_path: Path) -> None:
    export(str(archive.out), "rttm", str(tmp_path / "before"))
    lines = (tmp_path / "before" / "b.rttm").read_text().splitlines()
    assert lines[0] == "SPEAKER b 1 0.000 1.750 <NA> <NA> person_0 <NA> <NA>"
    find_persons(str(archive.out))
    name_person(1, "Speaker A", str(archive.out))
    export(str(archive.out), "rttm", str(tmp_path / "after"))
    names = [line.split()[7] for line in (tmp_path / "after" / "b.rttm").read_text().splitlines()]
    assert names == ["Speaker_A", "person_2"]


def test_csv_has_persons_where_there_are_some(archive: Archive, tmp_path: Path) -> None:
    export(str(archive.out), "csv", str(tmp_path / "before"))
    assert not (tmp_path / "before" / "persons.csv").exists()
    find_persons(str(archive.out))
    name_person(0, "=Ann", str(archive.out))
    export(str(archive.out), "csv", str(tmp_path / "after"), videos=["b.mp4"])
    with (tmp_path / "after" / "persons.csv").open(newline="") as file:
        assert next(csv.DictReader(file))["name"] == "'=Ann"
    with (tmp_path / "after" / "appearances.csv").open(newline="") as file:
        assert [row["person_id"] for row in csv.DictReader(file)] == ["1", "2"]


def test_videos_without_persons_cannot_be_had_as_rttm(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="analyze it with --persons"):
        export(str(make_results(tmp_path / "out")), "rttm", str(tmp_path / "rttm"))
