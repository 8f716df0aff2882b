"""The addresses of persons: lists, what tracks show, and decisions, which are those of `facelog persons`."""

from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from pipelines.keeping.compact import compact
from pipelines.persons.decide import name_person
from pipelines.persons.decisions import read_decisions
from pipelines.persons.update import find_persons
from pipelines.serve.app import make_app
from runners.lock import hold
from tests.archive_of_persons import Archive

_HOME = "http://127.0.0.1:8765"
_OWN = {"origin": _HOME}


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    """Person 0 in a (twice), person 1 in a and b (twice), person 2 in b."""
    made = Archive(tmp_path / "out")
    made.add("a.mp4", [0, 1, 0])
    made.add("b <i>.mp4", [1, 2, 1])
    find_persons(str(made.out))
    return made


@pytest.fixture
def browser(archive: Archive) -> TestClient:
    return TestClient(make_app(str(archive.out)), base_url=_HOME)


def got(browser: TestClient, address: str) -> dict[str, Any]:
    answer = browser.get(address)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def decided(browser: TestClient, **said: Any) -> Any:
    return browser.post("/api/persons/decisions", json=said, headers=_OWN)


def numbers(browser: TestClient, query: str = "") -> list[int]:
    return [person["id"] for person in got(browser, f"/api/persons?{query}")["persons"]]


def test_the_list_has_time_on_screen_and_can_be_searched(archive: Archive, browser: TestClient) -> None:
    answer = got(browser, "/api/persons")
    assert answer["total"] == 3 and answer["writable"]
    first = answer["persons"][0]
    assert (first["id"], first["seconds"], first["videos"], first["tracks"]) == (1, "5.2 s", "2 videos", "3 tracks")
    name_person(2, "Ann <b>", str(archive.out))  # by another process: the tables are read again
    assert numbers(browser, "q=ANN") == numbers(browser, "q=2") == [2]
    assert numbers(browser, "sort=name") == [2, 0, 1] and numbers(browser, "sort=number") == [0, 1, 2]
    assert numbers(browser, "page=1") == []
    for wrong in ("sort=seconds;DROP", "page=-1", "page=x"):
        assert browser.get(f"/api/persons?{wrong}").status_code == 400


def test_looks_are_means_over_the_tracks(browser: TestClient) -> None:
    looks = got(browser, "/api/persons/looks?person=1&person=2&person=99")
    assert looks["99"]["portrait"] is None and looks["99"]["emotions"] == {}
    assert sum(looks["1"]["emotions"].values()) == pytest.approx(1, abs=0.01)
    assert looks["1"]["emotion_words"].startswith("happy") and looks["1"]["words"].startswith("age 30, female")
    assert looks["99"]["words"] == "gender unknown"
    assert set(looks["1"]["portrait"]) == {"video", "track", "second"}


def test_appearances_lead_to_their_moments(archive: Archive, browser: TestClient) -> None:
    answer = got(browser, "/api/person/1?sort=time")
    where = [(each["name"], each["track"], each["start"]) for each in answer["appearances"]]
    assert where == [("a.mp4", 1, 2.25), ("b <i>.mp4", 0, 0.0), ("b <i>.mp4", 2, 4.5)]
    alike = [each["alike"] for each in got(browser, "/api/person/1?sort=doubtful")["appearances"]]
    assert alike == sorted(alike) and alike[-1] < 1
    video = answer["appearances"][0]["video"]
    assert browser.get(f"/video/{video}?t=2.25&track=1").status_code == 200
    assert browser.get("/person/1").status_code == 200 and browser.get("/person/99").status_code == 404
    assert browser.get("/api/person/99").status_code == 400


def test_decisions_are_made_and_taken_back(archive: Archive, browser: TestClient) -> None:
    assert decided(browser, kind="name", person=0, name=" Ann ").status_code == 200
    assert archive.names == {0: "Ann"}
    answer = decided(browser, kind="merge", person=0, others=[2]).json()
    assert [one["words"] for one in answer["decisions"]] == ["person 2 is person 0: 1 track", "person 0 is Ann"]
    assert numbers(browser, "sort=number") == [0, 1]
    tracks = [each["key"] for each in got(browser, "/api/person/1?sort=time")["appearances"]]
    (new,) = decided(browser, kind="split", person=1, tracks=tracks[1:]).json()["others"]
    assert numbers(browser, "sort=number") == [0, 1, new]
    (back,) = decided(browser, kind="not", person=new, tracks=tracks[2:]).json()["others"]
    assert back not in (0, new)
    for one in reversed(read_decisions(str(archive.out))):
        assert browser.delete(f"/api/persons/decisions/{one.number}", headers=_OWN).status_code == 200
    assert numbers(browser, "sort=number") == [0, 1, 2] and archive.names == {}
    assert got(browser, "/api/persons/decisions")["decisions"] == []


@pytest.mark.parametrize(
    "said",
    [
        {"kind": "name", "person": 99, "name": "Bo"},
        {"kind": "name", "person": True, "name": "Bo"},
        {"kind": "merge", "person": 0, "others": []},
        {"kind": "merge", "person": 0, "others": [0]},
        {"kind": "split", "person": 0, "tracks": ["a.mp4:1"]},
        {"kind": "split", "person": 0},
        {"kind": "forget", "person": 0, "tracks": ["a.mp4:0"]},
        {},
    ],
)
def test_what_makes_no_sense_is_refused(archive: Archive, browser: TestClient, said: dict[str, Any]) -> None:
    answer = decided(browser, **said)
    assert answer.status_code == 400 and answer.json()["error"] and read_decisions(str(archive.out)) == []


def test_nobody_else_decides(archive: Archive, browser: TestClient, tmp_path: Path) -> None:
    said = {"kind": "name", "person": 0, "name": "Eve"}
    for headers in ({}, {"origin": "http://evil.example"}):
        assert browser.post("/api/persons/decisions", json=said, headers=headers).status_code == 403
        assert browser.delete("/api/persons/decisions/1", headers=headers).status_code == 403
    with hold(str(archive.out)):
        answer = decided(browser, **said)
    assert answer.status_code == 400 and "is being written by" in answer.json()["error"]
    compact(str(archive.out), str(tmp_path / "copy"))
    copy = TestClient(make_app(str(tmp_path / "copy")), base_url=_HOME)
    assert numbers(copy) == numbers(browser) and not got(copy, "/api/persons")["writable"]
    assert got(copy, "/api/persons/looks?person=1") == got(browser, "/api/persons/looks?person=1")
    assert "compact copy" in decided(copy, **said).json()["error"] and archive.names == {}


def test_an_archive_without_persons_has_none(tmp_path: Path) -> None:
    made = Archive(tmp_path / "out")
    made.add("a.mp4", [0])
    browser = TestClient(make_app(str(made.out)), base_url=_HOME)
    assert got(browser, "/api/persons")["total"] == 0
    assert "no person 0" in browser.get("/person/0").text
