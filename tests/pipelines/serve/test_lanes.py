"""Lanes by track or person, and the bins of a part that is zoomed in."""

from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from pipelines.persons.decide import name_person
from pipelines.serve.app import make_app
from tests.made_tables import feeling, write_video
from tests.pipelines.serve.conftest import tell_apart

_HOME = "http://127.0.0.1:8765"
_LONG = 4000


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> TestClient:
    """A long video: a face that changes its emotion each two seconds, and one of a person that comes twice."""
    out = tmp_path_factory.mktemp("lanes") / "out"
    tracks = [
        feeling(0, 0.0, ["happy", "happy", "sad", "sad"] * 1000),
        feeling(1, 100.0, ["neutral"] * 3, x=200.0),
        feeling(2, 110.0, ["neutral"] * 3, x=200.0),
    ]
    write_video(out, "/videos/long.mp4", tracks, seconds=_LONG + 0.5, duration=_LONG + 0.5, persons={0: 0, 1: 1, 2: 1})
    return TestClient(make_app(str(out)), base_url=_HOME)


def figure(browser: TestClient, query: str) -> Any:
    (video,) = browser.get("/api/videos").json()["videos"]
    answer = browser.get(f"/api/video/{video['video_id']}/timeline?{query}")
    return answer.json() if answer.status_code == 200 else answer.status_code


def labels(browser: TestClient, by: str) -> Any:
    return figure(browser, f"by={by}")["layout"]["yaxis"]["ticktext"]


def test_a_part_of_a_video_has_finer_bins(browser: TestClient) -> None:
    whole, part = figure(browser, "by=track"), figure(browser, "by=track&from=100.2&to=139.5")
    assert (whole["bins"], part["bins"]) == (60, 1) and part["layout"]["xaxis"]["range"] == [100, 140]
    assert part["layout"]["yaxis"] == {**whole["layout"]["yaxis"], "ticktext": part["layout"]["yaxis"]["ticktext"]}
    lanes = {trace["name"]: trace for trace in part["data"] if trace["meta"] == "lanes"}
    happy = [base for base, lane in zip(lanes["happy"]["base"], lanes["happy"]["y"], strict=True) if lane == 0]
    assert len(happy) == pytest.approx(10, abs=1) and min(happy) >= 100
    (faces,) = (trace for trace in part["data"] if trace["meta"] == "faces")
    assert (faces["x"][0], faces["x"][-1]) == (100.5, 139.5) and faces["y"][:4] == [2, 2, 2, 1]
    shares = next(trace for trace in part["data"] if trace["meta"] == "shares")
    assert shares["x"][0] == 100.5 and "0:01:40" in shares["customdata"][0]
    assert figure(browser, "by=track&from=3990&to=9999")["layout"]["xaxis"]["range"] == [3990, _LONG + 1]


@pytest.mark.parametrize("query", ["by=mood", "from=5&to=5", "from=nan&to=7", "from=x&to=7", "from=9&to=inf"])
def test_parts_and_lanes_without_meaning_are_refused(browser: TestClient, query: str) -> None:
    assert figure(browser, query) == 400


def test_lanes_are_of_tracks_or_persons(browser: TestClient) -> None:
    assert labels(browser, "track") == ["Track 0", "Track 1", "Track 2"]
    assert labels(browser, "person") == ["Person 0", "Person 1"]


def test_persons_of_the_archive_have_their_names_which_are_text(tmp_path: Path) -> None:
    write_video(tmp_path / "out", tracks=[feeling(0, 0.0, ["sad"] * 3), feeling(1, 1.0, ["happy"] * 3, x=200.0)])
    tell_apart(tmp_path / "out")
    name_person(1, "Ann <b>", str(tmp_path / "out"))
    browser = TestClient(make_app(str(tmp_path / "out")), base_url=_HOME)
    assert labels(browser, "person") == ["Person 0", "Ann &lt;b&gt;"]
    hovers = [text for trace in figure(browser, "by=person")["data"] for text in trace.get("customdata", [])]
    assert "automargin" not in figure(browser, "by=track")["layout"]["yaxis"]
    name_person(1, "Ann of the green gables", str(tmp_path / "out"))
    assert figure(browser, "by=person")["layout"]["yaxis"]["automargin"]
    assert labels(browser, "person")[1] == "Ann of the green ga…"
    assert any("<b>Ann &lt;b&gt;, track 1</b>" in text for text in hovers)
