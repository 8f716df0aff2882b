"""`facelog report` of results in which something is unknown, odd or too long."""

import json
from pathlib import Path
from typing import Any

import pytest

from pipelines.reports.content import VideoReport
from pipelines.reports.report import report
from pipelines.reports.video import video_report
from tests.made_tables import feeling, write_video


def test_seconds_without_a_sample_are_unknown(tmp_path: Path) -> None:
    tracks = [feeling(number, 0.0, ["happy"] * 2, x=90 * number) for number in range(7)]
    write_video(tmp_path, tracks=tracks, seconds=3, missing_until=6)
    report(str(tmp_path), to=str(tmp_path / "pages"), as_json=True)
    faces = json.loads((tmp_path / "pages" / "index.json").read_bytes())["figures"]["faces"]["seconds"]
    assert faces == {"0": 1, "1": 0, "2": 0, "3": 0, "4": 0, "5 or more": 2, "unknown": 3}


def test_a_scan_says_that_it_is_one(tmp_path: Path) -> None:
    write_video(tmp_path, tracks=[feeling(0, 0.0, ["happy"])], seconds=3, cuts=[2.0], keyframe_seconds=2.5)
    report(str(tmp_path), to=str(tmp_path / "pages"), as_json=True)
    index = (tmp_path / "pages" / "index.html").read_text()
    assert "Of 1 video only keyframes were looked at" in index
    (page,) = (path for path in (tmp_path / "pages").glob("*.html") if path.name != "index.html")
    text = page.read_text()
    assert "Only keyframes were looked at, mostly 2.5 s apart." in text and "keyframes, at most 4 a second" in text
    assert "Cuts between keyframes are unknown." in text
    assert json.loads(page.with_suffix(".json").read_bytes())["shots"] == []


def test_a_page_that_cannot_be_made_costs_that_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def odd(page: str, *more: Any) -> VideoReport:
        if "bad" in page:
            raise ValueError("nobody thought of this")
        return video_report(page, *more)

    write_video(tmp_path, "/videos/bad.mp4")
    write_video(tmp_path, "/videos/good.mp4")
    monkeypatch.setattr("pipelines.reports.report.video_report", odd)
    made = report(str(tmp_path), to=str(tmp_path / "pages"))
    assert made.written == 1
    assert "cannot be made (ValueError: nobody thought of this)" in made.without_tables["/videos/bad.mp4"]


def test_names_of_pages_fit_any_file_system(tmp_path: Path) -> None:
    write_video(tmp_path, f"/videos/{'𠀋' * 62}.mp4")
    made = report(str(tmp_path), to=str(tmp_path / "pages"), as_json=True)
    assert made.written == 1
