"""Rules about copies: what is computed, which rows follow, and what becomes of copies with another configuration."""

from pathlib import Path
from typing import Any

import pytest

from schemas.config import Config
from schemas.layout import Layout
from schemas.run import Run
from schemas.video import Plan
from tests.examples import example_file, example_plan, example_row
from transforms.copies import (
    Content,
    earlier_results,
    group_by_content,
    is_up_to_date,
    rows_that_follow,
    rows_without_work,
)

A, B = "aa" * 16, "bb" * 16
BAD = Plan(example_file("/v/bad.mp4"), None, "corrupt", "unreadable", "/v/bad.mp4 does not open")


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run("run-2", Config(), Layout(str(tmp_path)))


def row(uri: str, **columns: Any) -> dict[str, Any]:
    return example_row(uri) | {"config_hash": Config().hash} | columns


def test_the_first_by_uri_is_computed_and_the_others_are_its_copies() -> None:
    plans = [example_plan(uri=f"/v/{name}.mp4", video_id=of) for name, of in [("d", A), ("c", B), ("b", A), ("a", B)]]
    one, other = group_by_content([*plans, BAD])
    assert (one.video_id, one.first.file.uri, [file.uri for file in one.copies]) == (B, "/v/a.mp4", ["/v/c.mp4"])
    assert (other.video_id, other.first.file.uri, [file.uri for file in other.copies]) == (A, "/v/b.mp4", ["/v/d.mp4"])
    assert Content.of(reversed(plans[::2])) == other


def test_bad_files_and_known_contents_need_no_work(run: Run) -> None:
    plans = [example_plan(uri=f"/v/{name}.mp4") for name in "ab"]
    assert rows_without_work(plans, None, run) == []
    (bad,) = rows_without_work([BAD], None, run)
    assert (bad["uri"], bad["status"], bad["error_message"]) == (BAD.file.uri, "corrupt", "/v/bad.mp4 does not open")
    known = rows_without_work(plans, row("/v/old.mp4", face_seconds=7), run)
    assert [(each["uri"], each["face_seconds"], each["run_id"]) for each in known] == [
        ("/v/a.mp4", 7, "run-2"),
        ("/v/b.mp4", 7, "run-2"),
    ]


@pytest.mark.parametrize(("status", "follow"), [("ok", ["/v/b.mp4", "/v/c.mp4"]), ("failed", ["/v/b.mp4"])])
def test_copies_follow_and_those_of_another_configuration_only_new_tables(
    run: Run, status: str, follow: list[str]
) -> None:
    first = row("/v/a.mp4", status=status, error_message="/v/a.mp4: why")
    rows = rows_that_follow(first, [example_file("/v/b.mp4")], [example_file("/v/c.mp4")], run)
    assert [each["uri"] for each in rows] == follow
    assert {each["status"] for each in rows} == {status}
    assert rows[0]["error_message"] == "/v/b.mp4: why" and rows[0]["wall_seconds"] == 0


def test_earlier_results_are_sorted_by_configuration() -> None:
    rows = [
        row("/v/a.mp4", video_id=A),
        row("/v/asked.mp4", video_id=A, config_hash="other"),
        row("/v/c.mp4", video_id=A, config_hash="other"),
        row("/v/failed.mp4", video_id=A, config_hash="other", status="failed"),
        row("/v/without tables.mp4", video_id=B),
    ]
    earlier = earlier_results(rows, Config(), asked={"/v/a.mp4", "/v/asked.mp4"}, stored={A})
    assert earlier.computed == {A: rows[0]}
    assert {key: [file.uri for file in files] for key, files in earlier.other_config_copies.items()} == {
        A: ["/v/c.mp4"]
    }


@pytest.mark.parametrize(
    ("columns", "retry_failed", "up_to_date"),
    [
        ({}, False, True),
        ({"config_hash": "other"}, False, False),
        ({"size_bytes": 1}, False, False),
        ({"etag": "old"}, False, False),
        ({"status": "failed", "error_type": "worker_died"}, False, True),
        ({"status": "failed", "error_type": "worker_died"}, True, False),
        ({"status": "failed", "error_type": "storage_error"}, False, False),
        ({"status": "corrupt"}, True, True),
    ],
)
def test_a_row_is_up_to_date(columns: dict[str, Any], retry_failed: bool, up_to_date: bool) -> None:
    file = example_file("/v/a.mp4", etag="new")
    known = row("/v/a.mp4", size_bytes=file.size_bytes, modified_at=file.modified_at, etag="new") | columns
    assert is_up_to_date(known, file, Config(), retry_failed=retry_failed) is up_to_date
    assert not is_up_to_date(None, file, Config())
