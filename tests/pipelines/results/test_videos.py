"""Which videos a name means: one rule for all commands."""

import os
from pathlib import Path

import pytest

from pipelines.results.videos import find_ids, find_uris, find_videos, read_videos, require_results
from schemas.errors import UsageError
from tests.archives import A, B, C, make_archive

NEAR_A = A[:10] + "0" * 22
CONTENTS = {
    "/archive/talk.mp4": {A},
    "/archive/old/talk.mp4": {A},
    "/archive/1/cam.mp4": {B},
    "/archive/2/cam.mp4": {C},
    "/archive/broken.mp4": set[str](),
    "/archive/changed.mp4": {B, "0" * 32},
    f"/odd/{C[:8]}": {B},
    "s3://bucket/walk.mp4": {C},
}


@pytest.mark.parametrize(
    ("name", "uris"),
    [
        ("/archive/old/talk.mp4", {"/archive/old/talk.mp4"}),
        ("talk.mp4", {"/archive/talk.mp4", "/archive/old/talk.mp4"}),
        (A, {"/archive/talk.mp4", "/archive/old/talk.mp4"}),
        (A[:6].upper(), {"/archive/talk.mp4", "/archive/old/talk.mp4"}),
        (A[:5], set()),
        ("broken.mp4", {"/archive/broken.mp4"}),
        ("changed.mp4", {"/archive/changed.mp4"}),
        ("0" * 6, {"/archive/changed.mp4"}),
        (C[:8], {f"/odd/{C[:8]}"}),
        (C[:7], {"/archive/2/cam.mp4", "s3://bucket/walk.mp4"}),
        ("s3://bucket/walk.mp4/", {"s3://bucket/walk.mp4"}),
        ("old/talk.mp4", set()),
        ("", set()),
    ],
)
def test_a_uri_comes_before_a_name_and_a_name_before_an_id(name: str, uris: set[str]) -> None:
    assert find_uris(name, CONTENTS) == uris


def test_a_path_from_the_current_folder_is_a_uri(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    uri = os.path.join(os.getcwd(), "day", "talk.mp4")
    assert find_uris("day/talk.mp4", CONTENTS | {uri: {B}}) == {uri}
    assert find_uris("./day/../day/talk.mp4", CONTENTS | {uri: {B}}) == {uri}


def test_what_fits_different_videos_is_refused() -> None:
    with pytest.raises(UsageError, match=r"cam.mp4 fits 2 different videos \(/archive/1/cam.mp4, .*give the uri"):
        find_uris("cam.mp4", CONTENTS)
    with pytest.raises(UsageError, match=f"{A[:8]} fits 2 different videos .*give more digits"):
        find_uris(A[:8], CONTENTS | {"/near.mp4": {NEAR_A}})
    with pytest.raises(UsageError, match="give more digits"):
        find_ids(A[:6], {A, NEAR_A})


def test_videos_with_tables_are_found(tmp_path: Path) -> None:
    out = str(tmp_path / "out")
    make_archive(out, {"/v/b.mp4": B, "/v/a.mp4": A, "/w/a.mp4": A})
    rows = read_videos(out)
    assert [row["uri"] for row in rows] == ["/v/a.mp4", "/v/b.mp4", "/w/a.mp4"]
    assert [row["uri"] for row in find_videos(rows, [B, "a.mp4", "/v/a.mp4"], out)] == [row["uri"] for row in rows]
    bad = [row | {"status": "corrupt", "error_message": "it is empty."} for row in rows]
    with pytest.raises(UsageError, match="--video b.mp4: it has no tables; its status is corrupt: it is empty."):
        find_videos(bad, ["b.mp4"], out)
    with pytest.raises(UsageError, match="--video aa.mp4: .* has no file .* Did you mean a.mp4"):
        find_videos(rows, ["aa.mp4"], out)


def test_a_folder_without_results_is_refused(tmp_path: Path) -> None:
    for work in (require_results, read_videos):
        with pytest.raises(UsageError, match=f"{tmp_path} holds no results of facelog: give the folder"):
            work(str(tmp_path))
