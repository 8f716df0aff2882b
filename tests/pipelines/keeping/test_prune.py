"""`facelog prune`: it removes rows of deleted files, and keeps those of a disk that is not mounted."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from pipelines.keeping.prune import prune
from pipelines.reports.report import report
from runners.lock import hold
from schemas import storage
from schemas.errors import FacelogError, StorageError, UsageError
from tests.archives import A, B, C, example_run, make_archive, write_video
from tests.tables import assert_whole, rows
from transforms.ledger import read_ledger, renew_index

Facelog = Callable[..., Result]


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """Two folders with two files each, one of which is a copy."""
    archive = tmp_path / "archive"
    for name in ("one/a.mp4", "one/b.mp4", "two/a copy.mp4", "two/c.mp4"):
        (archive / name).parent.mkdir(parents=True, exist_ok=True)
        (archive / name).write_bytes(b"")
    return archive


@pytest.fixture
def out(archive: Path, tmp_path: Path) -> Path:
    out = tmp_path / "out"
    contents = {"one/a.mp4": A, "one/b.mp4": B, "two/a copy.mp4": A, "two/c.mp4": C}
    make_archive(str(out), {str(archive / name): video_id for name, video_id in contents.items()}, samples=True)
    return out


def names(out: Path) -> list[str]:
    """Of the files that have rows."""
    return [Path(row["uri"]).name for row in rows(out, "videos")]


def test_what_is_there_stays(out: Path) -> None:
    found = prune(str(out))
    assert (found.gone, found.here, found.refused, found.done) == ([], 4, [], False)
    assert len(names(out)) == 4


def test_the_row_of_a_file_that_is_gone_goes_with_its_tables(out: Path, archive: Path) -> None:
    (archive / "one" / "b.mp4").unlink()
    found = prune(str(out))
    assert [(Path(file.uri).name, file.status, file.size_bytes) for file in found.gone] == [("b.mp4", "ok", 1_000_000)]
    assert (found.here, found.refused, found.done) == (3, [], True)
    assert names(out) == ["a.mp4", "a copy.mp4", "c.mp4"]
    assert_whole(out)
    assert not list((out / "observations").rglob(f"*{B}*"))
    assert len(read_ledger(str(out))) == 3


def test_tables_stay_as_long_as_a_copy_is_there(out: Path, archive: Path) -> None:
    (archive / "one" / "a.mp4").unlink()
    assert prune(str(out)).traces.counts == {"videos": 1}
    assert names(out) == ["b.mp4", "a copy.mp4", "c.mp4"]
    assert_whole(out)
    (archive / "two" / "a copy.mp4").unlink()
    assert prune(str(out)).traces.counts["faces"] == 1
    assert names(out) == ["b.mp4", "c.mp4"]
    assert_whole(out)


@pytest.mark.parametrize("empty", [True, False])
def test_a_folder_that_is_away_is_not_taken_for_files_that_are_gone(out: Path, archive: Path, empty: bool) -> None:
    shutil.rmtree(archive / "one")
    if empty:  # as a mount point is
        (archive / "one" / "lost+found").mkdir(parents=True)
    (archive / "two" / "c.mp4").unlink()
    found = prune(str(out))
    assert [Path(file.uri).name for file in found.gone] == ["c.mp4"]
    (refused,) = found.refused
    assert (refused.folder, refused.files, refused.missing) == (str(archive / "one"), 2, True)
    assert refused.why == ("holds no file any more" if empty else "is not there")
    assert names(out) == ["a.mp4", "b.mp4", "a copy.mp4"]

    found = prune(str(out), even_if_folder_is_gone=True)
    assert (len(found.gone), found.here, found.refused) == (2, 1, [])
    assert names(out) == ["a copy.mp4"]
    assert_whole(out)


def test_a_folder_that_cannot_be_listed_never_is(out: Path, archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    list_files = storage.list_files

    def denied(uri: str, **options: object) -> object:
        if uri == str(archive / "one"):
            raise StorageError(f"{uri}: Permission denied")
        return list_files(uri, **options)  # type: ignore[arg-type]

    monkeypatch.setattr("schemas.storage.list_files", denied)
    found = prune(str(out), even_if_folder_is_gone=True)
    (refused,) = found.refused
    assert (refused.missing, refused.why) == (False, f"{archive}/one: Permission denied")
    assert len(names(out)) == 4


def test_a_link_to_a_disk_that_is_away_is_there(out: Path, archive: Path) -> None:
    link = archive / "one" / "b.mp4"
    link.unlink()
    link.symlink_to("/mnt/away/b.mp4")
    assert prune(str(out)).gone == []


def test_names_that_are_no_text_are_there(out: Path, archive: Path) -> None:
    Path(os.fsdecode(os.fsencode(archive / "one") + b"/\xff.mp4")).write_bytes(b"")
    write_video(f"{archive}/one/\\xff.mp4", None, example_run(str(out)), status="failed")
    assert prune(str(out)).gone == []


def test_what_speaks_of_it_goes_from_the_reports(out: Path, archive: Path) -> None:
    report(str(out))
    (archive / "one" / "b.mp4").unlink()
    assert prune(str(out)).traces.counts["reports"] == 2
    left = sorted(path.name for path in (out / "reports").glob("*.html"))
    assert left == [f"a-{A[:10]}.html", f"c-{C[:10]}.html"]
    again = report(str(out))
    assert again.unchanged == 2


def test_interrupted_the_same_call_finishes(out: Path, archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (archive / "one" / "b.mp4").unlink()

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("pipelines.keeping.files_of_videos.renew_index", killed)
        prune(str(out))
    assert len(names(out)) == 4, "rows go last"
    assert prune(str(out)).done
    assert_whole(out)
    assert len(names(out)) == 3


def test_without_a_terminal_it_lists_and_asks_for_yes(out: Path, archive: Path, facelog: Facelog) -> None:
    (archive / "one" / "b.mp4").unlink()
    said = facelog("prune", out)
    assert said.exit_code == 2
    assert said.stdout.startswith(f"{archive}/one/b.mp4  ok  1.0 MB  analyzed 2026-01-02\n")
    assert said.stderr.startswith("facelog: There is no terminal to ask at: add --yes")
    assert len(names(out)) == 4
    dry = facelog("prune", out, "--dry-run")
    assert dry.exit_code == 0 and dry.stdout.startswith(f"{archive}/one/b.mp4  ok  1.0 MB")
    assert "would be removed: faces 1 file, tracks 1 file, timeline 1 file, obs" in dry.stdout
    assert len(names(out)) == 4
    done = facelog("prune", out, "--yes")
    assert done.exit_code == 0 and done.stdout.splitlines()[-1].startswith("removed: faces 1 file, ")
    assert len(names(out)) == 3
    assert facelog("prune", out).stdout == f"{out}: no row is of a file that is gone; 3 files there\n"


@pytest.mark.parametrize(("answer", "left"), [("y\n", 3), ("n\n", 4), ("\n", 4)])
def test_at_a_terminal_it_asks(
    out: Path, archive: Path, facelog: Facelog, monkeypatch: pytest.MonkeyPatch, answer: str, left: int
) -> None:
    (archive / "one" / "b.mp4").unlink()
    monkeypatch.setattr("pipelines.cli.removing.can_ask", lambda: True)
    said = facelog("prune", out, input=answer)
    assert said.exit_code == 0 and "Remove 1 row? [y/N]" in said.stderr
    assert len(names(out)) == left
    assert ("nothing was removed" in said.stdout) is (left == 4)


def test_what_was_not_looked_into_is_said(out: Path, archive: Path, facelog: Facelog) -> None:
    shutil.rmtree(archive / "one")
    said = facelog("prune", out, "--yes", "--json")
    assert said.exit_code == 3
    assert said.stderr == (
        f"not looked into, 2 rows: {archive}/one is not there\n"
        "A disk that is not mounted looks like that. If they are gone for good: --even-if-folder-is-gone\n"
    )
    found = json.loads(said.stdout)
    assert (found["gone"], found["here"], found["done"]) == ([], 2, False)
    assert found["refused"][0]["folder"] == str(archive / "one")


def test_a_run_at_work_is_not_disturbed(out: Path) -> None:
    with hold(str(out)), pytest.raises(FacelogError, match="is being written by PID"):
        prune(str(out))
    with pytest.raises(UsageError, match="holds no results of facelog"):
        prune(f"{out}-other")
    assert not Path(f"{out}-other").exists()


def test_on_an_object_store(s3_bucket: str, facelog: Facelog) -> None:
    out = f"{s3_bucket}/out"
    uris = {f"{s3_bucket}/in/a.mp4": A, f"{s3_bucket}/in/b.mp4": B, f"{s3_bucket}/away/c.mp4": C}
    uris["s3://no-such-bucket/d.mp4"] = "dd" * 16
    make_archive(out, uris)
    storage.write_bytes(f"{s3_bucket}/in/a.mp4", b"x")
    said = facelog("prune", out, "--yes")
    assert said.exit_code == 3
    assert f"not looked into, 1 row: {s3_bucket}/away is not there\n" in said.stderr
    assert "not looked into, 1 row: s3://no-such-bucket: there is no such bucket\n" in said.stderr
    assert set(read_ledger(out)) == set(uris) - {f"{s3_bucket}/in/b.mp4"}
    assert {info.uri.rsplit("/", 1)[-1] for info in storage.list_files(f"{out}/faces")} == {
        f"{video_id}.parquet" for video_id in (A, C, "dd" * 16)
    }


def test_the_copy_of_the_rows_may_be_missing(out: Path, archive: Path) -> None:
    (out / "_work" / "ledger.parquet").unlink()
    (archive / "one" / "b.mp4").unlink()
    prune(str(out))
    assert len(read_ledger(str(out))) == 3
    renew_index(str(out), read_ledger(str(out)))
    assert not (out / "_work" / "ledger.parquet").exists()
