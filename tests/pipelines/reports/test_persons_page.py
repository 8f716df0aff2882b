"""The page of persons, and what pages of videos say of persons that were asked for."""

import json
import re
from pathlib import Path

import pytest

from pipelines.persons.decide import merge_persons, name_person
from pipelines.persons.forgetting import forget_all, forget_person
from pipelines.persons.update import find_persons
from pipelines.reports.persons import persons_report
from pipelines.reports.report import report
from pipelines.results.database import connect
from schemas.errors import UsageError
from tests.archive_of_persons import Archive
from tests.pipelines.reports.test_report import document, page, words

ASKED = "persons were asked for"


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    """`a.mp4` shows person 0, 1 and 0 again, `b.mp4` 1 and 2 together."""
    made = Archive(tmp_path / "out")
    made.add("a.mp4", [0, 1, 0])
    made.add("b.mp4", [1, 2], together=True)
    find_persons(str(made.out))
    return made


def test_the_page_says_who_appears_where_and_links_to_it(archive: Archive, tmp_path: Path) -> None:
    (one,) = {archive.found[key] for key, who in archive.true.items() if who == 1}
    name_person(one, "<i>Speaker</i>", str(archive.out))
    report(str(archive.out), to=str(tmp_path / "pages"), persons=True, as_json=True)
    persons = {row["person_id"]: row for row in document(tmp_path / "pages", "persons")["persons"]}
    assert len(persons) == 3 and persons[one]["name"] == "<i>Speaker</i>"
    assert (persons[one]["n_videos"], persons[one]["n_tracks"], persons[one]["seconds"]) == (2, 2, 3.5)
    assert sum(persons[one]["emotions"].values()) == 5  # face-seconds, of 3 and 2
    assert [(a["uri"], a["start"]) for a in persons[one]["appearances"]] == [
        ("/videos/a.mp4", 2.25),
        ("/videos/b.mp4", 0),
    ]
    text = page(tmp_path / "pages", "persons")
    assert f"<i>Speaker</i> · person {one} 3.5 s on screen · 2 videos · 2 tracks" in words(text)
    a = next((tmp_path / "pages").glob("a-*.html")).name
    assert re.search(rf'<a href="{a}#track-1">0:00:02\.\d – 0:00:04</a>', text)
    assert "<img" not in text and "<i>" not in text


def test_pages_of_videos_have_the_archives_numbers_and_names(archive: Archive, tmp_path: Path) -> None:
    of_b = [archive.found[key] for key in sorted(archive.true)[3:]]
    name_person(of_b[0], "Speaker", str(archive.out))
    report(str(archive.out), to=str(tmp_path / "pages"), persons=True, as_json=True)
    told = document(tmp_path / "pages", "b-")
    assert {track["track_id"]: track["person_id"] for track in told["tracks"]} == dict(enumerate(of_b))
    assert {person["name"] for person in told["persons"]} == {"Speaker", None}
    assert f'href="#track-{told["persons"][0]["tracks"][0]}"' in page(tmp_path / "pages", "b-")
    assert ">Persons</a>" in page(tmp_path / "pages", "b-")

    report(str(archive.out), to=str(tmp_path / "pages"), as_json=True)
    told = document(tmp_path / "pages", "b-")
    assert [track["person_id"] for track in told["tracks"]] == [0, 1] and "Speaker" not in json.dumps(told)
    assert not list((tmp_path / "pages").glob("persons.*"))


def test_a_decision_renews_the_pages_that_it_changes(archive: Archive) -> None:
    assert report(str(archive.out), persons=True).written == 2
    assert report(str(archive.out), persons=True).unchanged == 2
    key = next(key for key, who in archive.true.items() if who == 2)
    name_person(archive.found[key], "Guest", str(archive.out))
    again = report(str(archive.out), persons=True)
    assert (again.written, again.unchanged) == (1, 1)


def test_every_footer_says_that_persons_were_asked_for(archive: Archive) -> None:
    for persons in (True, False):
        report(str(archive.out), persons=persons)
        pages = sorted((archive.out / "reports").glob("*.html"))
        assert len(pages) == 3 + persons
        for made in pages:
            assert ASKED in made.read_text().rsplit("<footer", 1)[1], made


def test_without_persons_nothing_speaks_of_them(pages: Path) -> None:
    assert ASKED not in page(pages, "crowd-") and "persons.html" not in page(pages, "index")


def test_persons_that_were_not_found_are_asked_for_in_vain(results: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="There are no persons in"):
        report(str(results), to=str(tmp_path), persons=True)


def test_faces_are_shown_only_where_pictures_were_asked_for(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The made-up videos are not there: there is a reason in place of each, and the rest of the page stays."""
    done = report(str(archive.out), to=str(tmp_path / "pages"), persons=True, thumbnails=True)
    assert set(done.without_thumbnails) == {"/videos/a.mp4", "/videos/b.mp4"}
    assert "/videos/a.mp4 is not there any more." in page(tmp_path / "pages", "persons")

    def pictures(uris, facts, tracks, *, blur):
        return {track.track_id: f"data:image/jpeg;base64,{blur}" for track in tracks}, None

    monkeypatch.setattr("pipelines.reports.persons.thumbnails_of", pictures)
    report(str(archive.out), to=str(tmp_path / "pages"), persons=True, thumbnails=True, blur=True)
    assert page(tmp_path / "pages", "persons").count('<img src="data:image/jpeg;base64,True"') == len(archive.true)


def test_forgetting_removes_the_pages_that_name_a_person(archive: Archive) -> None:
    key = next(key for key, who in archive.true.items() if who == 2)
    name_person(archive.found[key], "Guest", str(archive.out))
    reports = archive.out / "reports"
    report(str(archive.out), persons=True, as_json=True)
    assert any(b"Guest" in path.read_bytes() for path in reports.iterdir() if path.is_file())
    forget_person(archive.found[key], str(archive.out))
    assert not any(b"Guest" in path.read_bytes() for path in reports.iterdir() if path.is_file())
    assert report(str(archive.out), persons=True).written == 1
    forget_all(str(archive.out))
    assert {path.name for path in reports.glob("*.html")} == {"index.html"}


def test_the_persons_on_screen_longest_have_cards_and_merging_counts(archive: Archive) -> None:
    zero, one = ({archive.found[key] for key, who in archive.true.items() if who == number} for number in (0, 1))
    merge_persons(min(zero), min(one), str(archive.out))
    with connect(str(archive.out)) as tables:
        (merged, other) = persons_report(tables, str(archive.out), {}, {}).persons
    assert (merged.n_tracks, other.n_tracks) == (4, 1) and merged.seconds > other.seconds
    assert merged.appearances == ()  # videos without a row are left out
