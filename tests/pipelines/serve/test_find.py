"""Moments: what a form asks for as SQL, what a question may not do, and what is saved."""

from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from pipelines.keeping.compact import compact
from pipelines.persons.decide import name_person
from pipelines.persons.update import find_persons
from pipelines.queries.sandbox import limited_question
from pipelines.serve.app import make_app
from pipelines.serve.clip_lists import edit_list, playlist
from pipelines.serve.find import Moment, Question, moment_of
from schemas.errors import FacelogError, UsageError
from tests.archive_of_persons import Archive
from tests.pipelines.reports.conftest import HOSTILE, TALK, results

__all__ = ["results"]  # a fixture

_HOME = "http://127.0.0.1:8765"
_OURS = {"origin": _HOME}


@pytest.fixture(scope="module")
def browser(results: Path) -> TestClient:
    return TestClient(make_app(str(results)), base_url=_HOME)


def asked(browser: TestClient, **form: Any) -> list[tuple[str, int, float, float]]:
    """File, track, start and end of what a form finds."""
    sql = browser.get("/api/find/sql", params=form).json()["sql"]
    answer = browser.post("/api/find", content=sql, headers=_OURS)
    assert answer.status_code == 200, answer.text
    found = answer.json()
    return [(found["names"][m["video_id"]], m["track_id"], m["start"], m["end"]) for m in found["moments"]]


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ({"emotion": "happy", "seconds": 4, "name": "TALK"}, [("talk.mp4", 0, 0, 4)]),
        ({"emotion": "neutral", "age_from": 60, "sure": 0.65}, [("talk.mp4", 1, 1, 9)]),
        ({"age_from": 60, "faces_from": 2}, [("talk.mp4", 1, 1, 9)]),
        ({"name": "talk", "faces_to": 1}, [("talk.mp4", 0, 0, 1)]),
        ({"gender": "male"}, []),
        ({"name": "' OR 1=1 --"}, []),
    ],
)
def test_a_form_finds_moments(browser: TestClient, form: dict[str, Any], expected: list[Any]) -> None:
    found = asked(browser, **form)
    assert found == expected or (form == {"age_from": 60, "faces_from": 2} and found)


@pytest.mark.parametrize("form", [{"emotion": "joy'"}, {"sure": "nan"}, {"age_from": "1; DROP"}, {"gender": "x"}])
def test_a_form_without_meaning_is_refused(browser: TestClient, form: dict[str, str]) -> None:
    assert browser.get("/api/find/sql", params=form).status_code == 400
    with pytest.raises(UsageError):
        Question.parse(form)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM read_text('/etc/passwd')",
        "SELECT * FROM '/etc/passwd'",
        "SELECT * FROM glob('/*')",
        "SELECT * FROM read_text('{out}/_work/*')",
        "COPY (SELECT 1) TO '{out}/faces/x.csv'",
        "EXPORT DATABASE '{out}/faces/x'",
        "ATTACH '{out}/faces/x.db'",
        "SET enable_external_access = true",
        "SELECT 1; SELECT 2",
        "CREATE TABLE t AS SELECT 1",
        "SELECT * FROM sql",
        "PRAGMA database_list; SELECT 1",
        "",
        "SELEC 1",
    ],
)
def test_a_question_reads_the_tables_and_nothing_else(results: Path, sql: str) -> None:
    before = sorted(results.rglob("*"))
    with pytest.raises(FacelogError), limited_question(str(results), sql.format(out=results)) as relation:
        relation.fetchall()
    assert sorted(results.rglob("*")) == before


def test_a_question_ends_in_time_and_within_memory(results: Path) -> None:
    endless = "SELECT count(*) FROM range(1000000000000) a, range(1000000000) b WHERE a.range % 7 = b.range % 5"
    with (
        pytest.raises(UsageError, match=r"longer than 0\.3 seconds"),
        limited_question(str(results), endless, seconds=0.3) as relation,
    ):
        relation.fetchall()
    large = "SELECT list(a.range ORDER BY hash(a.range)) FROM range(500000000) a"
    with pytest.raises(FacelogError), limited_question(str(results), large) as relation:
        relation.fetchall()


def test_a_copy_is_asked_the_same_way(results: Path, tmp_path: Path) -> None:
    compact(str(results), str(tmp_path / "copy"))
    sql = "SELECT count(*) FROM faces JOIN videos USING (video_id)"
    answers = []
    for out in (results, tmp_path / "copy"):
        with limited_question(str(out), sql) as relation:
            answers += relation.fetchall()
    assert answers[0] == answers[1] != (0,)


def test_answers_are_saved(browser: TestClient) -> None:
    sql = Question(emotion="happy", name="talk").sql
    text = browser.post("/api/find/csv", content=sql, headers=_OURS).text
    assert text.startswith("uri,video_id,track_id,start,end,seconds") and text.count("\r\n") == 3
    clips = browser.post("/api/find/m3u", content=sql, headers=_OURS).text.splitlines()
    assert clips[0] == "#EXTM3U" and clips.count(TALK) == 2
    assert "#EXTVLCOPT:start-time=0.000" in clips and "#EXTVLCOPT:stop-time=4.000" in clips
    edits = browser.post("/api/find/edl", content=sql, headers=_OURS).text.splitlines()
    assert edits[:2] == ["TITLE: facelog", "FCM: NON-DROP FRAME"] and f"* SOURCE FILE: {TALK}" in edits
    refused = browser.post("/api/find/m3u", content="SELECT 1 AS one", headers=_OURS)
    assert refused.status_code == 400 and "video_id" in refused.json()["error"]
    assert browser.post("/api/find", content=sql).status_code == 403


def test_a_name_adds_no_line_to_a_playlist() -> None:
    rows = [{"uri": "/a\n#EXTVLCOPT:sout=x.mp4", "start_offset": 0.5}]
    lines = playlist([Moment("v", 1, 2.5, None), Moment("gone", 1, 2, None)], {"v": rows}).splitlines()
    assert len(lines) == 5 and lines[2] == "#EXTVLCOPT:start-time=1.500" and lines[4].startswith("/a_#EXT")


def test_an_edit_list_counts_frames_and_cuts_one_moment_after_the_other() -> None:
    videos = {
        "ntsc": [{"uri": "/a/ntsc\n001.mp4", "avg_fps": 30000 / 1001, "start_offset": 0.5}],
        "pal": [{"uri": "/a/pal.mp4", "avg_fps": 25.0, "start_offset": 0.0}],
    }
    moments = [
        Moment("ntsc", 10, 12, 0),
        Moment("gone", 0, 1, 0),
        Moment("ntsc", 3600, 3601.5, 1),
        Moment("pal", 1, 2, 0),
    ]
    lines = edit_list(moments, videos).split("\r\n")
    # 10 s are 299.7 frames, an hour is 107,892 frames: time code without dropped numbers falls behind.
    assert [line for line in lines if line[:1].isdigit()] == [
        "001  AX       V     C        00:00:10:00 00:00:12:00 01:00:00:00 01:00:02:00",
        "002  AX       V     C        00:59:56:12 00:59:57:27 01:00:02:00 01:00:03:15",
        "003  AX       V     C        00:00:01:00 00:00:02:00 01:00:03:15 01:00:04:15",
    ]
    assert "* FROM CLIP NAME: ntsc_001.mp4" in lines and lines[2] == "* FRAME RATE: 29.97"


def test_a_person_is_found_by_number_and_by_name(tmp_path: Path) -> None:
    archive = Archive(tmp_path / "out")
    archive.add("a.mp4", [0, 1, 0])
    find_persons(str(archive.out))
    name_person(0, "Ann O'Hara", str(archive.out))
    browser = TestClient(make_app(str(archive.out)), base_url=_HOME)
    for person in ("0", "ann o'hara"):
        assert {track for _, track, _, _ in asked(browser, person=person)} == {0, 2}
    assert asked(browser, person="Bo") == asked(browser, person="99999999999") == []


def test_what_is_a_moment() -> None:
    assert moment_of({"video_id": "v", "second": 3}) == Moment("v", 3, 4, None)
    assert moment_of({"video_id": "v", "start_time": 1.5, "end_time": 2.5, "track_id": 7}) == Moment("v", 1.5, 2.5, 7)
    for row in ({"video_id": "v"}, {"second": 3}, {"video_id": "v", "second": None}, {"video_id": 1, "second": 1}):
        assert moment_of(row) is None


def test_an_answer_of_any_kind_is_shown(browser: TestClient) -> None:
    sql = "SELECT uri, 1 AS uri, 'nan'::DOUBLE AS n, [1] AS l, now() AS t, NULL AS x FROM videos ORDER BY 1"
    answer = browser.post("/api/find", content=sql, headers=_OURS).json()
    assert len(answer["columns"]) == 6 and HOSTILE in [row[0] for row in answer["rows"]]
    assert answer["moments"] == [None] * 11 and not answer["more"]
