"""The list of videos: filters, order, sums, what is new while a run goes on, and twenty thousand videos."""

import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from starlette.testclient import TestClient

from pipelines.keeping.compact import compact
from pipelines.results.run_progress import begin_record
from pipelines.serve import summaries
from pipelines.serve.app import make_app
from pipelines.serve.archive import Archive
from pipelines.serve.server import serve
from runners.lock import hold
from schemas.config import Config
from schemas.errors import UsageError
from schemas.run import LIVE_RUNNER, Run
from tests.examples import example_row
from tests.made_tables import feeling, write_video
from tests.pipelines.cameras.test_watch import until
from tests.pipelines.reports.conftest import CROWD, HOSTILE, TALK, results
from transforms.ledger import Row

__all__ = ["results"]  # a fixture

_HOME = "http://127.0.0.1:8765"


def listed(archive: Archive, query: str = "") -> list[str]:
    """The uris that a query finds, in order."""
    answer = TestClient(make_app("", archive=archive), base_url=_HOME).get(f"/api/videos?{query}")
    assert answer.status_code == 200, answer.text
    return [f"{video['folder']}/{video['name']}" for video in answer.json()["videos"]]


@pytest.fixture(scope="module")
def archive(results: Path) -> Archive:
    made = Archive(str(results))
    made.refresh()
    return made


def line(archive: Archive, uri: str) -> dict[str, Any]:
    with archive.now.database.cursor() as cursor:
        found = cursor.execute("SELECT * FROM lines WHERE uri = ?", [uri])
        return dict(zip([column[0] for column in found.description or []], found.fetchall()[0], strict=True))


def test_sums_say_what_the_tables_hold(archive: Archive) -> None:
    talk = line(archive, TALK)
    assert (talk["share_happy"], talk["share_sad"], talk["share_neutral"]) == pytest.approx((7 / 17, 2 / 17, 8 / 17))
    assert (talk["age_youngest"], talk["age_oldest"]) == (30, 61)
    assert talk["strip"] == "366666666---" or talk["strip"][0] == "3"
    assert len(talk["strip"]) == 12 and talk["strip"].endswith("---")
    assert line(archive, "/videos/empty.mp4")["strip"] == "-" * 10
    assert line(archive, "/videos/bad.mp4")["strip"] is None
    assert len(line(archive, CROWD)["strip"]) == 60


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("q=TALK", ["/videos/z/copy of talk.mp4", TALK]),
        ("q=copy talk", ["/videos/z/copy of talk.mp4"]),
        ("q=%25", []),
        ("where=status,is,corrupt", ["/videos/bad.mp4"]),
        ("where=status,is,ok&where=duration,ge,60", [CROWD]),
        ("where=share_happy,ge,0.4&where=uri,has,/Z/", ["/videos/z/copy of talk.mp4"]),
        ("where=age_oldest,ge,60&sort=-uri", ["/videos/z/copy of talk.mp4", TALK]),
        ("where=name,is,%3Cimg src=x onerror=alert(1)%3E.mp4", [HOSTILE]),
        ("where=finished_at,le,1999-01-01T00:00", []),
    ],
)
def test_the_list_is_filtered_by_any_column(archive: Archive, query: str, expected: list[str]) -> None:
    assert listed(archive, query) == expected


def test_the_list_is_sorted_and_unknown_values_stay_at_the_end(archive: Archive) -> None:
    falling, rising = listed(archive, "sort=-face_seconds"), listed(archive, "sort=face_seconds")
    assert falling[0] == CROWD and rising[0] == "/videos/empty.mp4"
    assert set(falling[-3:]) == set(rising[-3:]) == {"/videos/bad.mp4", "/videos/<b>gone.mp4", "/videos/song.mp3"}


@pytest.mark.parametrize(
    "query",
    [
        *("sort=nothing", "sort=uri;DROP TABLE lines", "page=-1", "page=x", "where=duration,ge,long", "where=a,is,b"),
        *("where=duration,has,1", "where=duration,ge,nan", "where=recorded_at,ge,soon", "where=is_vfr,is,perhaps"),
        'where=uri" OR 1=1 --,is,b',
    ],
)
def test_a_question_without_a_meaning_is_refused(archive: Archive, query: str) -> None:
    answer = TestClient(make_app("", archive=archive), base_url=_HOME).get(f"/api/videos?{query}")
    assert answer.status_code == 400 and answer.json()["error"]


def test_a_compact_copy_gives_the_same_list(results: Path, archive: Archive, tmp_path: Path) -> None:
    compact(str(results), str(tmp_path / "copy"))
    copy = Archive(str(tmp_path / "copy"))
    copy.refresh()
    for query in ("sort=-share_happy", "where=age_oldest,ge,60"):
        assert listed(copy, query) == listed(archive, query)
    assert line(copy, TALK)["strip"] == line(archive, TALK)["strip"]
    shown = TestClient(make_app("", archive=copy), base_url=_HOME).get(f"/video/{line(copy, TALK)['video_id']}")
    assert shown.status_code == 409 and "compact copy" in shown.text and "was made from" in shown.text


def test_new_rows_appear_and_sums_are_kept(results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out, cache = tmp_path / "out", str(tmp_path / "cache")
    shutil.copytree(results, out)
    archive = Archive(str(out), cache)
    archive.refresh()
    before = archive.now
    archive.refresh()
    assert archive.now is before
    write_video(out, "/videos/new.mp4", [feeling(0, 0.0, ["sad"] * 3)])
    archive.refresh()
    assert listed(archive, "where=share_sad,ge,0.9") == ["/videos/new.mp4"]
    monkeypatch.setattr(summaries, "sum_up", None)  # no sums are made again
    again = Archive(str(out), cache)
    again.refresh()
    assert listed(again, "where=share_sad,ge,0.9") == ["/videos/new.mp4"]


def test_recordings_that_begin_while_it_runs_appear_with_links_that_work(tmp_path: Path) -> None:
    """`facelog live` has begun, and has no row yet when the app starts."""
    run = Run.new(str(tmp_path), Config())
    with hold(str(tmp_path)):
        begin_record(run, LIVE_RUNNER, [])
        with TestClient(make_app(str(tmp_path)), base_url=_HOME) as browser:
            assert browser.get("/api/videos").json()["total"] == 0
            assert browser.post("/api/find", content="SELECT 1 AS n", headers={"origin": _HOME}).json()["rows"] == [[1]]
            video_id = write_video(tmp_path, "live://door/door-20261128T101500Z", [feeling(0, 0.0, ["sad"] * 3)])
            until(lambda: browser.get("/api/videos").json()["total"] == 1)
            (video,) = browser.get("/api/videos").json()["videos"]
            assert video["video_id"] == video_id and browser.get(f"/video/{video_id}").status_code == 200
            assert len(browser.get(f"/api/video/{video_id}/faces/0").json()["tracks"]) == 1
            source = browser.get(f"/api/video/{video_id}/source").json()
            assert source == {"kind": "gone", "reason": "The pictures of a live source were not kept."}


def test_a_video_whose_tables_are_gone_has_no_sums_and_costs_no_other(results: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(results, out)
    archive = Archive(str(out))
    video_id = archive.now.rows[TALK]["video_id"]
    (out / "faces" / f"bucket={video_id[:2]}" / f"{video_id}.parquet").unlink()
    archive.refresh()
    assert line(archive, TALK)["strip"] is None and line(archive, CROWD)["strip"] is not None


@pytest.mark.parametrize("name", [".", "not/there"])
def test_no_results_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="holds no results of facelog: give the folder"):
        serve(str(tmp_path / name), port=0)
    assert list(tmp_path.iterdir()) == []


def made_sums(rows: list[Row]) -> pa.Table:
    random = np.random.default_rng(0)
    columns: dict[str, Any] = {field.name: random.random(len(rows)).astype(np.float32) for field in summaries.SUMS}
    columns["video_id"] = [row["video_id"] for row in rows]
    columns["made_of"] = [summaries.made_of(row) for row in rows]
    columns["strip"] = ["0123456-?3" * 6] * len(rows)
    return pa.table(columns, schema=summaries.SUMS)


def test_twenty_thousand_videos_answer_at_once(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Measured alone: 30 to 80 ms an answer. The bound is the issue's second; what is best of three is compared."""
    rows = [
        example_row(f"/archive/{i % 100:02}/clip {i:05}.mp4", video_id=f"{i:032x}", duration=i / 5)
        for i in range(20_000)
    ]
    files = {(row["video_id"], None, None): row for row in rows}
    monkeypatch.setattr("pipelines.serve.archive.read_rows", lambda *_: files)
    monkeypatch.setattr("pipelines.serve.summaries.read_kept", lambda _: made_sums(rows))
    archive = Archive(str(results), "/nowhere")
    browser = TestClient(make_app("", archive=archive), base_url=_HOME)
    for query in ("", "q=clip 19", "where=share_happy,ge,0.9&sort=-age_mean", "sort=-duration&page=399"):
        spent = []
        for _ in range(3):
            begun = time.perf_counter()
            answer = browser.get(f"/api/videos?{query}").json()
            spent.append(time.perf_counter() - begun)
        assert len(answer["videos"]) == 50 and min(spent) < 1, query
