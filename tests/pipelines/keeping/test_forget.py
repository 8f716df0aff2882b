"""`facelog forget`: it leaves no trace of the video in DIR and loses nothing of the others."""

import json
import os
import shlex
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from typer.testing import Result

from pipelines.keeping.forget import FORGOTTEN, copies_of, forget
from pipelines.reports.report import report
from pipelines.results.run_progress import begin_record
from pipelines.runs.analyze_archive import analyze
from runners.lock import hold
from schemas import storage
from schemas.config import Config
from schemas.errors import FacelogError, UsageError
from schemas.layout import Layout
from schemas.run import read_run
from tests.archives import A, B, C, example_run, make_archive, write_video
from tests.clips import Clip
from tests.examples import example_file, example_plan, example_segment
from tests.tables import assert_whole, rows
from transforms.copies import EarlierResults
from transforms.failures import SegmentFailed, write_failure
from transforms.job.files import write_job
from transforms.ledger import read_ledger, renew_index
from transforms.write_plan import write_plan

Facelog = Callable[..., Result]

GONE, STAYS = "/videos/anna & otto.mp4", "/videos/b.mp4"


def telling(out: Path, words: Collection[str]) -> list[str]:
    """Files in DIR that hold one of the words: in their names, their bytes, or the values and footers of Parquet."""

    def tells(path: Path) -> bool:
        texts = [str(path.relative_to(out)).encode()]
        if path.is_file():
            texts.append(path.read_bytes())
            if path.suffix == ".parquet" and path.stat().st_size:
                table = pq.read_table(path, partitioning=None)
                texts += [repr(table.to_pydict()).encode(), repr(table.schema.metadata).encode()]
                texts += [
                    repr(column.chunk(0).dictionary).encode()
                    for column in table
                    if hasattr(column.chunk(0), "dictionary")
                ]
        return any(word.encode() in text for text in texts for word in words)

    return sorted(str(path.relative_to(out)) for path in out.rglob("*") if tells(path))


@pytest.fixture
def out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two videos that are done; of the first also everything that a run leaves when it is killed."""
    out = tmp_path / "out"
    run = make_archive(str(out), {GONE: A, STAYS: B}, samples=True)
    file = example_file(GONE)
    write_plan(example_plan(uri=GONE, video_id=A), run.work)
    write_plan(example_plan(uri="/videos/new.mp4", video_id=C), run.work)
    for video_id in (A, C):
        storage.write_bytes(run.work.fragment(video_id, 0), b"")
        storage.write_bytes(run.work.fragment_part(video_id, 0, 0), b"")
    write_failure(
        SegmentFailed(example_segment(file=file, video_id=A), "unreadable", f"{GONE}: bad"), run.work, "run-1"
    )
    write_job(run, [file], EarlierResults({A: read_ledger(str(out))[GONE]}))
    storage.write_bytes(run.layout.job("run-1").attempts(A, 0), b"{}")
    (out / "faces" / "bucket=aa" / f".{'0' * 32}.tmp").write_bytes(b"half")
    (out / "notes.txt").write_text("mine")
    monkeypatch.setattr("sys.argv", ["facelog", "analyze", GONE, STAYS])
    begin_record(run, "local", [file])
    with hold(str(out)):  # which leaves its command
        pass
    return out


def test_nothing_tells_of_it_any_more(out: Path) -> None:
    report(str(out), as_json=True)
    words = [GONE, A, Path(GONE).name, "anna"]
    assert len(telling(out, words)) > 15 and "_work/lock" in telling(out, words)
    others = {path: path.read_bytes() for path in out.rglob("*.parquet") if B in str(path)}
    video = {row["uri"]: row for row in rows(out, "videos")}[STAYS]

    found = forget(GONE, str(out))

    assert telling(out, words) == []
    assert (found.uris, found.video_ids, found.done) == ([GONE], [A], True)
    assert found.rows == {"faces": 3, "tracks": 1, "timeline": 3, "observations": 3, "videos": 1}
    assert not [uri for files in found.traces.files.values() for uri in files if Path(uri).exists()]
    assert {path: path.read_bytes() for path in others} == others
    assert rows(out, "videos") == [video]
    assert read_ledger(str(out)) == {STAYS: video}
    assert (out / "notes.txt").exists() and found.strange == [str(out / "notes.txt")]
    assert telling(out, ["/videos/new.mp4"]), "of a video that was not named"
    assert [path.name for path in (out / "reports").glob("b-*.html")] == [f"b-{B[:10]}.html"]


def test_the_command_of_the_run_loses_the_name(out: Path) -> None:
    forget(GONE, str(out))
    record = read_run(str(out))
    assert record is not None
    assert shlex.split(record.command) == ["facelog", "analyze", FORGOTTEN, STAYS]


def test_the_others_pages_need_not_be_made_anew(out: Path) -> None:
    report(str(out))
    forget(GONE, str(out))
    assert not (out / "reports" / "index.html").exists()
    again = report(str(out))
    assert (again.written, again.unchanged) == (0, 1)


def test_by_video_id_all_copies_are_meant(out: Path) -> None:
    write_video("/other/copy.mp4", A, example_run(str(out)))
    found = forget(A, str(out))
    assert found.uris == ["/other/copy.mp4", GONE]
    assert telling(out, [GONE, A, "copy.mp4"]) == []


def test_copies_have_to_be_decided_about(out: Path) -> None:
    write_video("/other/copy.mp4", A, example_run(str(out)))
    before = sorted(out.rglob("*"))
    assert copies_of(GONE, str(out)) == ["/other/copy.mp4"]
    assert copies_of([GONE, "/other/copy.mp4"], str(out)) == copies_of(STAYS, str(out)) == []
    with pytest.raises(UsageError, match=r"/other/copy\.mp4\. Say --all-copies"):
        forget(GONE, str(out))
    assert sorted(out.rglob("*")) == before
    forget(GONE, str(out), all_copies=True)
    assert telling(out, [GONE, A, "copy.mp4"]) == []


def test_copies_can_stay_with_their_tables(out: Path) -> None:
    write_video("/other/copy.mp4", A, example_run(str(out)))
    report(str(out))
    found = forget(GONE, str(out), all_copies=False)
    assert telling(out, [GONE, "anna"]) == []
    assert (found.video_ids, found.copies) == ([], ["/other/copy.mp4"])
    assert found.beyond[0].startswith("The same content under other names, as was asked (/other/copy.mp4)")
    assert len(rows(out, "faces", video_id=A)) == 3
    assert {row["uri"] for row in rows(out, "videos")} == {"/other/copy.mp4", STAYS}


def test_a_video_that_was_never_finished(out: Path) -> None:
    found = forget("/videos/new.mp4", str(out))
    assert found.video_ids == [C]
    assert telling(out, ["/videos/new.mp4", C]) == []


@pytest.mark.parametrize("name", ["x.mp4", 'it\'s "x" & <y>.mp4'])
def test_a_file_that_could_not_be_read(out: Path, name: str) -> None:
    uri = f"/videos/{name}"
    write_video(uri, None, example_run(str(out)), status="failed", error_message=f"{uri}: no")
    report(str(out))
    assert (out / "reports" / "index.html").exists()
    forget(uri, str(out))
    assert telling(out, [uri]) == []
    assert not (out / "reports" / "index.html").exists()


def test_what_a_file_held_before_goes_too(out: Path) -> None:
    run = example_run(str(out))
    write_video(GONE, "dd" * 16, run, samples=True)  # the end of that run would have removed the tables of A
    assert telling(out / "faces", [A])
    assert forget(GONE, str(out)).video_ids == [A, "dd" * 16]
    assert telling(out, [GONE, A, "dd" * 16]) == []


def test_contents_that_no_uri_names(out: Path) -> None:
    run = example_run(str(out))
    storage.write_bytes(run.work.fragment("ee" * 16, 0), b"")
    write_video("/videos/d.mp4", "dd" * 16, run)
    Path(run.layout.ledger("/videos/d.mp4")).unlink()
    found = forget(["dd" * 16, "ee" * 16], str(out))
    assert (found.uris, found.video_ids, found.unknown) == ([], ["dd" * 16, "ee" * 16], [])
    assert telling(out, ["dd" * 16, "ee" * 16]) == []
    assert len(rows(out, "videos")) == 2


def test_relative_paths_are_names_too(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/tmp")
    forget("../videos/b.mp4", str(out))
    assert telling(out, [STAYS, B]) == []


@pytest.mark.parametrize("deletions", [0, 5, 10, 14, 17, 19])
def test_interrupted_anywhere_the_same_call_finishes(
    out: Path, deletions: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    delete, count = os.unlink, iter(range(deletions))

    def killed(path: str, **options: Any) -> None:
        if next(count, None) is None:
            raise KeyboardInterrupt
        delete(path, **options)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("os.unlink", killed)
        forget([GONE, STAYS], str(out))
    forget([GONE, STAYS], str(out))
    assert telling(out, [GONE, A, STAYS, B]) == []


def test_only_looked_at(out: Path) -> None:
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    for found in (forget(GONE, str(out), dry_run=True), forget(GONE, str(out), confirm=lambda found: False)):
        assert not found.done and found.traces.counts["faces"] == 1
    after = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    assert after | {out / "_work" / "lock": b""} == before | {out / "_work" / "lock": b""}


def test_a_run_at_work_is_not_disturbed(out: Path) -> None:
    with hold(str(out)), pytest.raises(FacelogError, match="is being written by PID"):
        forget(GONE, str(out))
    assert telling(out, [GONE])


def test_no_folder_is_made_and_nobody_is_guessed(out: Path, facelog: Facelog, tmp_path: Path) -> None:
    said = facelog("forget", GONE, tmp_path / "other", "--yes")
    assert (said.exit_code, said.stderr) == (
        2,
        f"facelog: {tmp_path}/other holds no results of facelog: give the folder that `facelog analyze` wrote to "
        "(--out).\n",
    )
    assert not (tmp_path / "other").exists()
    said = facelog("forget", "/videos/a.mp4", out, "--yes")
    assert said.exit_code == 2 and said.stderr.startswith(f"facelog: {out} holds nothing of /videos/a.mp4: name a")


def test_without_a_terminal_it_has_to_be_said(out: Path, facelog: Facelog) -> None:
    said = facelog("forget", GONE, out)
    assert said.exit_code == 2
    assert (
        said.stderr
        == "facelog: There is no terminal to ask at: add --yes to remove this, or --dry-run to only list it.\n"
    )
    assert telling(out, [GONE])


@pytest.mark.parametrize(("answer", "left"), [("y\n", 0), ("n\n", 1)])
def test_at_a_terminal_it_asks(
    out: Path, facelog: Facelog, monkeypatch: pytest.MonkeyPatch, answer: str, left: int
) -> None:
    write_video("/other/copy.mp4", A, example_run(str(out)))
    monkeypatch.setattr("pipelines.cli.removing.can_ask", lambda: True)
    said = facelog("forget", GONE, out, input=f"y\n{answer}")
    assert said.exit_code == 0
    assert "The same content under other names:\n  /other/copy.mp4" in said.stdout
    assert "Remove all this of 2 videos? [y/N]" in said.stderr
    assert ("nothing was removed" in said.stdout) is bool(left)
    assert len(telling(out, [A])) >= left and bool(telling(out, [GONE])) is bool(left)


def test_people_read_what_went_and_what_cannot_be_reached(out: Path, facelog: Facelog) -> None:
    said = facelog("forget", GONE, "/videos/typo.mp4", out, "--yes")
    assert said.exit_code == 3
    assert f"faces (1 file, 3 rows):\n  {out}/faces/bucket=aa/{A}.parquet\n" in said.stdout
    assert f"rewritten without them:\n  {out}/_work/run.json\n  {out}/_work/ledger.parquet\n" in said.stdout
    assert "removed: faces 1 file, tracks 1 file, timeline 1 file, observations 1 file, work " in said.stdout
    assert "out of reach:\n  The video files: facelog never touches them." in said.stdout
    assert said.stderr == f"{out} holds nothing of /videos/typo.mp4\n"


def test_programs_read_json(out: Path, facelog: Facelog) -> None:
    for options, done in ((["--dry-run"], False), (["--yes"], True)):
        said = facelog("forget", GONE, out, "--json", *options)
        assert said.exit_code == 0
        found = json.loads(said.stdout)
        assert (found["done"], found["uris"], found["video_ids"], found["unknown"]) == (done, [GONE], [A], [])
        assert f"{out}/faces/bucket=aa/{A}.parquet" in found["files"]
        assert sum(found["counts"].values()) == len(found["files"])
        assert found["rows"]["faces"] == 3 and len(found["out_of_reach"]) == 5


def test_on_an_object_store(s3_bucket: str, tmp_path: Path, facelog: Facelog) -> None:
    out = f"{s3_bucket}/my results"
    make_archive(out, {"s3://in/a.mp4": A, "s3://in/b.mp4": B}, samples=True)
    before = {info.uri for info in storage.list_files(out)}
    said = facelog("forget", "s3://in/a.mp4", out, "--yes", "--json")
    assert said.exit_code == 0
    found = json.loads(said.stdout)
    assert before - {info.uri for info in storage.list_files(out)} == set(found["files"])
    assert "earlier versions of objects" in " ".join(found["out_of_reach"])
    for info in storage.list_files(out):
        path = tmp_path / info.uri.removeprefix("s3://")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(storage.read_bytes(info.uri))
    assert telling(tmp_path, [A, "a.mp4"]) == []
    assert set(read_ledger(out)) == {"s3://in/b.mp4"}


def test_the_next_run_does_it_again_and_all_is_whole(tmp_path: Path, portrait: Clip, bare: Config) -> None:
    out, archive = tmp_path / "out", tmp_path / "in"
    archive.mkdir()
    clip = archive / "a.mp4"
    clip.write_bytes(portrait.path.read_bytes())
    for _ in range(2):
        assert analyze(str(archive), str(out), config=bare, runner="direct", keep_observations=True).new == 1
        assert_whole(out)
        (video_id,) = (row["video_id"] for row in rows(out, "videos"))
        forget(str(clip), str(out))
        assert telling(out, ["a.mp4", video_id]) == []
        assert clip.exists()


def test_names_of_files_and_first_digits_will_do(out: Path) -> None:
    assert forget(Path(GONE).name, str(out), dry_run=True).uris == [GONE]
    assert forget(B[:6], str(out), dry_run=True).uris == [STAYS]
    os.unlink(Layout(str(out)).ledger(STAYS))
    renew_index(str(out))
    found = forget(B[:8], str(out))
    assert (found.uris, found.video_ids) == ([], [B]), "a content that no row names any more"
    assert telling(out, [B]) == []
