"""An archive as one job: what happens to each file, and that the job can start again at any time, as clusters do."""

import dataclasses
import gc
import json
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.testing.util import assert_that, equal_to

from pipelines.analyze import archive_job
from pipelines.results.run_progress import begin_record
from pipelines.runs.bookkeeping import Archive
from pipelines.settings import make_config
from runners.direct import run_direct
from schemas import storage
from schemas.config import Config
from schemas.layout import Layout
from schemas.run import Run, read_run
from schemas.video import Plan
from tests.clips import portrait_clip
from tests.examples import example_file, example_plan, example_row
from tests.hooks import Hook
from tests.tables import assert_same_tables, assert_whole, fragments, rows, statuses, videos
from transforms import write_fragment
from transforms.copies import Content, EarlierResults
from transforms.job import files as job
from transforms.job import watchdog
from transforms.job.contents import AssembleVideos, GroupCopies
from transforms.job.files import Job, write_job
from transforms.ledger import new_row, read_row, write_row
from transforms.write_fragment import SegmentDone

A, B = "aa" * 16, "bb" * 16


@pytest.fixture(scope="module")
def config() -> Config:
    return make_config(emotion_model=None, age_gender_model=None, segment_seconds=1.0, lost_after=0.5)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A video of two segments, a copy of it, one of one segment, and a text file called one."""
    folder = tmp_path_factory.mktemp("in")
    portrait_clip(folder / "a.mp4", seconds=2)
    shutil.copy2(folder / "a.mp4", folder / "copy.mp4")
    portrait_clip(folder / "short.mp4", seconds=1)
    (folder / "text.mp4").write_text("no video\n")
    return folder


def make_job(out: Path, paths: Iterable[Path], config: Config, run_id: str = "run-1", **options: Any) -> Job:
    """Writes down what a client writes down."""
    run = Run(run_id, config, Layout(str(out)))
    archive = Archive(run, [storage.stat(str(path)) for path in sorted(paths)], {})
    return write_job(run, archive.todo, archive.earlier, **options)


def go(made: Job) -> None:
    run_direct(lambda pipeline: archive_job(pipeline, made))


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory, folder: Path, config: Config) -> Job:
    """A job over the folder that went through without a hitch."""
    made = make_job(
        tmp_path_factory.mktemp("clean"), folder.iterdir(), config, max_attempts=100, keep_observations=True
    )
    begin_record(made.run, "flink", [])
    go(made)
    return made


def out_of(made: Job) -> Path:
    return Path(made.run.layout.out)


@pytest.fixture
def again(clean: Job, tmp_path: Path) -> Job:
    """The same job, after it was through, in a folder of its own."""
    shutil.copytree(out_of(clean), tmp_path / "out")
    layout = dataclasses.replace(clean.run.layout, out=str(tmp_path / "out"))
    return dataclasses.replace(clean, run=dataclasses.replace(clean.run, layout=layout))


def written(out: Path) -> dict[str, int]:
    """When each file of the tables and of the observations was written."""
    folders = ("faces", "tracks", "timeline", "observations")
    return {str(path): path.stat().st_mtime_ns for name in folders for path in (out / name).rglob("*.parquet")}


def test_each_file_gets_its_row_and_each_content_its_tables(clean: Job) -> None:
    out = out_of(clean)
    assert statuses(out) == {"a.mp4": "ok", "copy.mp4": "ok", "short.mp4": "ok", "text.mp4": "corrupt"}
    one, copy = videos(out)["a.mp4"], videos(out)["copy.mp4"]
    assert one["video_id"] == copy["video_id"]
    assert one["frames_decoded"] == copy["frames_decoded"] == 20
    assert one["wall_seconds"] > 0 and copy["wall_seconds"] == 0
    assert_whole(out)
    assert not fragments(out)


def test_its_end_is_noted_and_its_folder_stays_for_whom_begins_anew(clean: Job) -> None:
    record = read_run(str(out_of(clean)))
    assert record is not None and record.finished_at is not None
    assert {path.name for path in Path(clean.folder.folder).iterdir()} >= {"files", "earlier.json", "attempts"}


def test_a_job_does_not_end_the_record_of_another(again: Job) -> None:
    other = begin_record(dataclasses.replace(again.run, run_id="run-2"), "local", [])
    go(again)
    assert read_run(str(out_of(again))) == other


def test_done_again_nothing_is_read_or_computed(again: Job, clean: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    hook, before = Hook(out_of(again) / "trail"), written(out_of(again))
    hook.use(monkeypatch)
    go(again)
    assert not hook.read() and written(out_of(again)) == before
    assert_same_tables(out_of(again), out_of(clean))
    assert not fragments(out_of(again))


@pytest.mark.parametrize("name", ["copy.mp4", "text.mp4"])
def test_done_again_a_row_that_is_not_there_is_written(again: Job, clean: Job, folder: Path, name: str) -> None:
    storage.delete_file(again.run.layout.ledger(str(folder / name)))
    before = written(out_of(again))
    go(again)
    assert_same_tables(out_of(again), out_of(clean))
    assert written(out_of(again)) == before


def test_done_again_a_content_without_its_row_is_computed_where_nothing_is_counted(
    again: Job, clean: Job, folder: Path
) -> None:
    storage.delete_file(again.run.layout.ledger(str(folder / "a.mp4")))
    go(dataclasses.replace(again, max_attempts=None))
    assert_same_tables(out_of(again), out_of(clean))
    assert not fragments(out_of(again))


def test_lists_of_files_are_all_read(
    clean: Job, folder: Path, config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job, "_FILES_A_LIST", 3)
    hook = Hook(tmp_path / "trail")
    hook.use(monkeypatch)
    made = make_job(tmp_path / "out", folder.iterdir(), config)
    assert made.lists == 2 and len(list(Path(made.folder.folder, "files").iterdir())) == 2
    go(made)
    assert_same_tables(tmp_path / "out", out_of(clean))
    assert hook.read() == {("a.mp4", 0): 1, ("a.mp4", 1): 1, ("short.mp4", 0): 1}  # and the copy not at all


class KilledError(Exception):
    """In the place of a process that ends."""


class Killer:
    """Lets so many changes of files happen, and none after them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch):
        self.left = 0
        for name in ("write_bytes", "delete_file", "delete_tree"):
            monkeypatch.setattr(storage, name, self._limited(getattr(storage, name)))

    def _limited(self, change: Callable[..., None]) -> Callable[..., None]:
        def limited(*args: Any) -> None:
            if self.left <= 0:
                raise KilledError("as told")
            self.left -= 1
            change(*args)

        return limited


@pytest.mark.slow
def test_killed_again_and_again_it_gives_the_same_tables(
    clean: Job, folder: Path, config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = make_job(tmp_path / "out", folder.iterdir(), config, max_attempts=100, keep_observations=True)
    with monkeypatch.context() as patch:
        killer, kills = Killer(patch), 0
        for changes in range(2, 200, 4):
            killer.left = changes
            try:
                go(made)
                break
            except KilledError:
                kills += 1
    assert kills >= 5
    assert_same_tables(tmp_path / "out", out_of(clean))
    assert_whole(tmp_path / "out")
    assert not fragments(tmp_path / "out")
    gc.collect()
    assert not watchdog._ends  # or this process would be ended


@pytest.mark.parametrize(
    ("where", "finds"),
    [
        ("transforms.write_plan.write_plan", 0),
        ("transforms.write_fragment.fragment_bytes", 0),
        ("transforms.write_tables.make_tables", 3),
        ("transforms.write_tables.write_row", 3),
        ("transforms.job.contents.rows_that_follow", 3),
        ("transforms.job.contents.close_ledger", 3),
    ],
)
def test_killed_in_a_step_it_goes_on_behind_what_is_durable(
    clean: Job,
    folder: Path,
    config: Config,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    where: str,
    finds: int,
) -> None:
    made = make_job(tmp_path / "out", folder.iterdir(), config, max_attempts=100)

    def kill(*_: Any, **__: Any) -> None:
        raise KilledError("as told")

    with monkeypatch.context() as patch, pytest.raises(KilledError):
        patch.setattr(where, kill)
        go(made)
    hook = Hook(tmp_path / "trail")
    hook.use(monkeypatch)
    go(made)
    assert hook.read().total() == 3 - finds
    assert_same_tables(tmp_path / "out", out_of(clean))
    assert not fragments(tmp_path / "out")


def test_what_ends_its_worker_each_time_gets_a_failed_row_and_the_rest_is_done(
    clean: Job, folder: Path, config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = make_job(tmp_path / "out", folder.iterdir(), config, max_attempts=2)
    fragment_bytes = write_fragment.fragment_bytes

    def kill(batch: Any, *args: Any) -> bytes:
        if (Path(batch.segment.file.uri).name, batch.segment.index) == ("a.mp4", 1):
            raise KilledError("as told")
        return fragment_bytes(batch, *args)

    monkeypatch.setattr(write_fragment, "fragment_bytes", kill)
    for _ in range(2):
        with pytest.raises(KilledError):
            go(made)
    for _ in range(2):  # given up is given up, also when the job begins anew
        go(made)
        found = videos(tmp_path / "out")
        assert {name: row["status"] for name, row in found.items()} == {
            **{"a.mp4": "failed", "copy.mp4": "failed"},
            **{"short.mp4": "ok", "text.mp4": "corrupt"},
        }
    for name in ("a.mp4", "copy.mp4"):
        assert found[name]["error_type"] == "worker_died"
        assert found[name]["error_message"].startswith(f"{folder / name} (segment 1): the worker process ended")
        assert "2 attempts (on " in found[name]["error_message"]
    assert rows(tmp_path / "out", "faces") == rows(out_of(clean), "faces", video_id=found["short.mp4"]["video_id"])
    assert len(fragments(tmp_path / "out")) == 1  # the segment that was done waits for a run that tries again


def test_what_an_earlier_run_computed_is_copied(
    again: Job, folder: Path, config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(folder, tmp_path / "in")
    (tmp_path / "in" / "text.mp4").unlink()
    hook = Hook(tmp_path / "trail")
    hook.use(monkeypatch)
    made = make_job(out_of(again), (tmp_path / "in").iterdir(), config, "run-2", max_attempts=2)
    for _ in range(2):
        go(made)
        assert not hook.read()
        new = {Path(row["uri"]).name: row for row in rows(out_of(again), "videos", run_id="run-2")}
        old = {Path(row["uri"]).name: row for row in rows(out_of(again), "videos", run_id="run-1")}
        assert {name: row["video_id"] for name, row in new.items()} == {
            name: old[name]["video_id"] for name in ("a.mp4", "copy.mp4", "short.mp4")
        }
        assert new["short.mp4"]["face_seconds"] == old["short.mp4"]["face_seconds"]


def test_contents_that_changed_places_are_known(folder: Path, config: Config, tmp_path: Path) -> None:
    out, here = tmp_path / "out", tmp_path / "in"
    here.mkdir()
    for name in ("a.mp4", "short.mp4"):
        shutil.copy2(folder / name, here)
    go(make_job(out, here.iterdir(), config))
    before = {name: row["video_id"] for name, row in videos(out).items()}
    (here / "a.mp4").rename(here / "x.mp4")
    (here / "short.mp4").rename(here / "a.mp4")
    (here / "x.mp4").rename(here / "short.mp4")
    made = make_job(out, here.iterdir(), config, "run-2")
    for _ in range(2):
        go(made)
        after = {name: row["video_id"] for name, row in videos(out).items()}
        assert after == {"a.mp4": before["short.mp4"], "short.mp4": before["a.mp4"]}
        assert_whole(out)


def test_a_content_is_known_though_its_first_file_became_bad(folder: Path, config: Config, tmp_path: Path) -> None:
    out, here = tmp_path / "out", tmp_path / "in"
    here.mkdir()
    shutil.copy2(folder / "short.mp4", here / "a.mp4")
    go(make_job(out, here.iterdir(), config))
    (here / "a.mp4").rename(here / "b.mp4")
    (here / "a.mp4").write_text("no video any more\n")
    made = make_job(out, here.iterdir(), config, "run-2")
    for _ in range(2):
        go(made)
        assert statuses(out) == {"a.mp4": "corrupt", "b.mp4": "ok"}


def test_copies_of_another_configuration_follow_their_tables(folder: Path, config: Config, tmp_path: Path) -> None:
    out = tmp_path / "out"
    go(make_job(out, [folder / "a.mp4", folder / "copy.mp4"], config))
    other = config.override(sample_fps=2.0)
    made = make_job(out, [folder / "a.mp4"], other, "run-2", max_attempts=2)
    for _ in range(2):
        go(made)
        found = videos(out)
        assert {row["config_hash"] for row in found.values()} == {other.hash}
        assert found["copy.mp4"]["frames_sampled"] == found["a.mp4"]["frames_sampled"] == 4
        assert_whole(out)


def test_copies_of_another_configuration_keep_their_rows_where_the_new_one_fails(tmp_path: Path) -> None:
    run = Run("run-2", Config(), Layout(str(tmp_path)))
    plan = example_plan(uri="/v/a.mp4")
    write_row(example_row("/v/copy.mp4"), run)
    earlier = EarlierResults(other_config_copies={plan.video_id or "": [example_file("/v/copy.mp4")]})
    made = write_job(run, [], earlier)
    write_row(new_row(plan, run, started_at=example_row()["started_at"], status="failed"), run)
    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        contents = pipeline | "Contents" >> beam.Create([Content((plan,))])
        ended = pipeline | "Ended" >> beam.Create([SegmentDone(plan.segments[0], 0)])
        assert_that((contents, ended) | AssembleVideos(made), equal_to(["/v/a.mp4"]))
    assert read_row("/v/copy.mp4", run) == example_row("/v/copy.mp4")


def test_plans_are_grouped_by_content(tmp_path: Path) -> None:
    run = Run("run-2", Config(), Layout(str(tmp_path)))
    old = example_row("/v/old.mp4", video_id=B)
    write_row(old, run)
    made = write_job(run, [], EarlierResults({B: old}))
    later, first = (example_plan(uri=f"/v/{name}.mp4", video_id=A) for name in ("z", "a"))
    known = example_plan(uri="/v/new.mp4", video_id=B)
    bad = Plan(example_file("/v/bad.mp4"), None, "corrupt", "unreadable", "/v/bad.mp4 does not open")
    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        contents, uris = pipeline | beam.Create([later, known, bad, first]) | GroupCopies(made)
        assert_that(contents, equal_to([Content((first, later))]), label="contents")
        assert_that(uris, equal_to(["/v/bad.mp4", "/v/new.mp4"]), label="uris")
    copied = read_row("/v/new.mp4", run)
    assert (copied["run_id"], copied["video_id"], copied["face_seconds"]) == ("run-2", B, example_row()["face_seconds"])
    assert read_row("/v/bad.mp4", run)["error_message"] == "/v/bad.mp4 does not open"


def test_a_million_files_do_not_travel_in_the_graph(tmp_path: Path) -> None:
    run = Run("run-1", Config(), Layout(str(tmp_path)))
    files = [example_file(f"/v/{number}.mp4") for number in range(2001)]
    made = write_job(run, files, EarlierResults())
    lists = sorted(Path(made.folder.folder, "files").iterdir())
    assert [len(json.loads(path.read_text())) for path in lists] == [1000, 1000, 1]
    assert [file for number in range(3) for file in job._read_list(number, made.folder)] == files
