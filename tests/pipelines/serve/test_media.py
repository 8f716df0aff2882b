"""Files that are sent: ranges, what a browser plays, previews in a limited cache."""

import io
import time
from pathlib import Path
from typing import Any

import av
import pytest
from starlette.testclient import TestClient

from pipelines.serve import media
from pipelines.serve.app import make_app
from pipelines.serve.previews import Previews
from pipelines.settings import make_config
from schemas import storage
from tests.clips import portrait_clip
from tests.odd_clips import still
from tests.pipelines.serve.conftest import analyze
from transforms.ledger import read_ledger
from transforms.probe_video import probe_video

_HOME = "http://127.0.0.1:8765"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("media")
    clips: dict[str, dict[str, Any]] = {"a.mp4": {}, "b.avi": {"codec": "mpeg4"}, "c.mp4": {"mirrored": True}}
    for name, more in clips.items():
        analyze(made / "out", portrait_clip(made / name, seconds=1, faces=1, **more))
    return made


@pytest.fixture(scope="module")
def browser(folder: Path) -> TestClient:
    return TestClient(make_app(str(folder / "out"), cache=str(folder / "cache")), base_url=_HOME)


def video_id(folder: Path, name: str) -> str:
    return read_ledger(str(folder / "out"))[str(folder / name)]["video_id"]


@pytest.mark.parametrize(
    ("asked", "status", "first", "length"),
    [
        (None, 200, 0, None),
        ("bytes=0-", 206, 0, None),
        ("bytes=10-19", 206, 10, 10),
        ("bytes=-5", 206, -5, 5),
        ("bytes=5-999999999", 206, 5, None),
        ("bytes=999999999-", 416, 0, 0),
        ("bytes=9-3", 416, 0, 0),
        ("bytes=-", 416, 0, 0),
        ("bytes=0-1,4-5", 416, 0, 0),
        ("bytes=" + "9" * 5000 + "-", 416, 0, 0),
        ("lines=0-1", 416, 0, 0),
    ],
)
def test_ranges(
    folder: Path, browser: TestClient, asked: str | None, status: int, first: int, length: int | None
) -> None:
    whole = (folder / "a.mp4").read_bytes()
    answer = browser.get(f"/media/{video_id(folder, 'a.mp4')}", headers={"range": asked} if asked else {})
    assert answer.status_code == status
    if status == 416:
        assert answer.content == b"" and answer.headers["content-range"] == f"bytes */{len(whole)}"
    else:
        assert answer.content == whole[first:][:length] and answer.headers["accept-ranges"] == "bytes"


@pytest.mark.parametrize("name", ["..%2F..%2Fetc%2Fpasswd", "%2Fetc%2Fpasswd", "a.mp4", "0" * 32, "file:", "%00"])
def test_nothing_but_an_id_is_a_name(browser: TestClient, name: str) -> None:
    for address in ("/media/", "/preview/", "/video/", "/api/video/"):
        path = address + name + ("/source" if "api" in address else "")
        assert browser.get(path).status_code == 404, path


def test_a_file_with_other_content_is_not_sent(tmp_path: Path) -> None:
    clip = portrait_clip(tmp_path / "a.mp4", seconds=1)
    analyze(tmp_path / "out", clip)
    clip.path.write_bytes(clip.path.read_bytes() + b"more")
    browser = TestClient(make_app(str(tmp_path / "out")), base_url=_HOME)
    video = video_id(tmp_path, "a.mp4")
    assert browser.get(f"/media/{video}").status_code == 404
    source = browser.get(f"/api/video/{video}/source").json()
    assert source["kind"] == "gone" and "is another file" in source["reason"]


def test_what_browsers_do_not_play_gets_a_preview_once(folder: Path, browser: TestClient) -> None:
    assert browser.get(f"/api/video/{video_id(folder, 'a.mp4')}/source").json()["kind"] == "file"
    assert browser.get(f"/api/video/{video_id(folder, 'c.mp4')}/source").json()["kind"] == "none"
    address = f"/api/video/{video_id(folder, 'b.avi')}/source"
    assert browser.get(address).json() == {"kind": "none"}
    assert browser.post(address).status_code == 403
    made = wait_for(browser, address)
    assert browser.get(made["address"]).content[4:8] == b"ftyp"
    assert [path.parent.name for path in folder.rglob("*.mp4")].count("previews") == 1
    assert sorted(path.name for path in folder.glob("*.*")) == ["a.mp4", "b.avi", "c.mp4"]


@pytest.mark.parametrize("orientation", [1, 6])
def test_a_still_is_shown_upright_by_a_preview_with_its_face(tmp_path: Path, orientation: int) -> None:
    analyze(tmp_path / "out", still(tmp_path / "x.jpg", orientation=orientation))
    browser = TestClient(make_app(str(tmp_path / "out"), cache=str(tmp_path / "cache")), base_url=_HOME)
    address = f"/api/video/{video_id(tmp_path, 'x.jpg')}"
    preview = wait_for(browser, f"{address}/source")
    with av.open(io.BytesIO(browser.get(preview["address"]).content), "r") as shown:
        (frame,) = shown.decode(video=0)
    row = read_ledger(str(tmp_path / "out"))[str(tmp_path / "x.jpg")]
    assert (frame.width, frame.height) == (row["width"], row["height"])
    (face,) = browser.get(f"{address}/faces/0").json()["tracks"]
    assert face["times"] == [0.0]
    thumbnail = browser.get(f"/thumbnail/{video_id(tmp_path, 'x.jpg')}/0/0")
    assert thumbnail.headers["content-type"] == "image/jpeg" and len(thumbnail.content) > 1000


def wait_for(browser: TestClient, address: str) -> dict[str, str]:
    for _ in range(600):
        state = browser.post(address, headers={"origin": _HOME}).json()
        if state["kind"] != "making":
            return state
        assert not state["error"], state
        time.sleep(0.1)
    raise AssertionError("no preview")


def test_previews_take_no_more_than_they_may(folder: Path, tmp_path: Path) -> None:
    config = make_config()
    small = Previews(str(tmp_path / "small"), 1000)
    state = small.make("a" * 32, str(folder / "b.avi"), config)
    small._pool.shutdown()
    assert state.error and "--cache-gb" in state.error and not list((tmp_path / "small").iterdir())
    size = 0
    for number in range(2):
        big = Previews(str(tmp_path / "big"), size or 10**9)
        big.make(f"{number}" * 32, str(folder / "b.avi"), config)
        big._pool.shutdown()
        size = sum(path.stat().st_size for path in (tmp_path / "big").iterdir()) + 100
    assert [path.name[0] for path in (tmp_path / "big").iterdir()] == ["1"]


def test_a_file_is_played_as_it_is_where_nothing_is_unusual(folder: Path) -> None:
    rows = {Path(uri).name: row for uri, row in read_ledger(str(folder / "out")).items()}
    assert {name: media.is_played(row["uri"], row) for name, row in rows.items()} == {
        "a.mp4": True,
        "b.avi": False,
        "c.mp4": False,
    }
    for change in ({"status": "partial"}, {"error_message": "cropped"}, {"pix_fmt": "yuv444p"}, {"codec": "hevc"}):
        assert not media.is_played(rows["a.mp4"]["uri"], rows["a.mp4"] | change)
    plan = probe_video(storage.stat(str(folder / "a.mp4")), make_config())
    assert plan.video_id == rows["a.mp4"]["video_id"]
