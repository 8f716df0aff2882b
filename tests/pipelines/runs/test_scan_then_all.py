"""A scan, and a run of everything over the same results, in either order."""

import hashlib
import shutil
from pathlib import Path
from typing import Any

import pytest

from pipelines.runs.analyze_archive import analyze
from pipelines.runs.bookkeeping import Summary
from schemas.config import Config
from schemas.layout import Layout
from schemas.table_files import read_footer
from tests.clips import portrait_clip
from tests.odd_clips import still
from tests.tables import assert_same_tables, assert_whole, rows, videos


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """A clip of six seconds with a keyframe every two, a picture, and a file that is none."""
    folder = tmp_path / "in"
    folder.mkdir()
    portrait_clip(folder / "clip.mp4", seconds=6, gop=20, moving=True)
    still(folder / "still.png")
    (folder / "bad.mp4").write_bytes(b"\0\0\0\x18ftypmp42" + bytes(99))
    return folder


def run(archive: Path, out: Path, config: Config, **settings: Any) -> Summary:
    return analyze(str(archive), str(out), config=config.override(**settings), runner="direct")


def made_with(out: Path) -> dict[str, str]:
    """Configuration of each file's row; the footers say the same."""
    layout, found = Layout(str(out)), {}
    for name, row in videos(out).items():
        of_tables = [layout.table("faces", row["video_id"])] if row["status"] == "ok" else []
        for file in (layout.ledger(row["uri"]), *of_tables):
            assert hashlib.sha256(read_footer(file)["config_json"].encode()).hexdigest() == row["config_hash"]
        found[name] = row["config_hash"]
    return found


def test_a_scan_then_all_of_it(archive: Path, bare: Config, tmp_path: Path) -> None:
    out, scan = tmp_path / "out", bare.override(keyframes=True)
    summary = run(archive, out, scan)
    assert (summary.new, summary.keyframe_seconds) == (3, [2.0])
    assert made_with(out) == {"clip.mp4": scan.hash, "still.png": bare.hash, "bad.mp4": bare.hash}
    clip = videos(out)["clip.mp4"]
    assert (clip["status"], clip["frames_sampled"], clip["frames_decoded"], clip["n_tracks"]) == ("ok", 3, 3, 3)
    assert [row["n_faces"] for row in rows(out, "timeline", video_id=clip["video_id"])] == [1, None] * 3
    assert [row["second"] for row in rows(out, "faces", video_id=clip["video_id"])] == [0, 2, 4]
    assert_whole(out)
    again = run(archive, out, scan)
    assert (again.new, again.unchanged, again.other_configs) == (0, 3, 0)

    whole = run(archive, out, bare)
    assert (whole.new, whole.unchanged, whole.other_configs, whole.keyframe_seconds) == (1, 2, 0, [])
    assert set(made_with(out).values()) == {bare.hash}
    run(archive, tmp_path / "fresh", bare)
    assert_same_tables(out, tmp_path / "fresh")


def test_a_scan_keeps_what_says_more(archive: Path, bare: Config, tmp_path: Path) -> None:
    out, scan = tmp_path / "out", bare.override(keyframes=True, min_face=60)
    run(archive, out, bare)
    before = {name: row for name, row in videos(out).items() if name != "bad.mp4"}
    shutil.copy(archive / "clip.mp4", archive / "copy.mp4")
    portrait_clip(archive / "new.mp4", seconds=3, gop=20, faces=2)
    summary = run(archive, out, scan)
    assert (summary.new, summary.copies, summary.unchanged, summary.other_configs) == (3, 1, 2, 0)
    after = videos(out)
    assert {name: after[name] for name in before} == before
    assert after["copy.mp4"]["n_tracks"] == before["clip.mp4"]["n_tracks"]
    assert after["copy.mp4"]["keyframe_seconds"] is None and after["new.mp4"]["keyframe_seconds"] == 2
    hashes = made_with(out)
    assert hashes["copy.mp4"] == hashes["clip.mp4"] == bare.hash
    assert hashes["new.mp4"] == scan.hash and hashes["bad.mp4"] == scan.without_keyframes.hash
    assert_whole(out)


def test_a_file_that_changed_is_scanned_anew(archive: Path, bare: Config, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(archive, out, bare)
    portrait_clip(archive / "clip.mp4", seconds=3, gop=20)
    assert run(archive, out, bare, keyframes=True).new == 1
    assert videos(out)["clip.mp4"]["keyframe_seconds"] == 2
