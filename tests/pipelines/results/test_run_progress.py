"""Progress of a run, computed from plans, fragments and rows, and when each was written."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pipelines.results import run_progress as module
from pipelines.results.run_progress import Measurement, RunProgress, begin_record
from schemas import storage
from schemas.config import Config
from schemas.layout import Layout
from schemas.run import Run, RunRecord, end_run, read_run
from schemas.video import Plan
from tests.examples import example_file, example_plan, example_row
from transforms.ledger import write_row
from transforms.write_plan import write_plan

A, B = "aa" * 16, "bb" * 16
SIZE = example_file().size_bytes or 0
BEFORE = datetime.now(UTC) - timedelta(hours=2)


class World:
    """A run of three files of three segments each (0–4, 4–8 and 8–10 s), and what it has done."""

    def __init__(self, out: Path):
        self.run = Run("run-2", Config(), Layout(str(out)))
        self.work = self.run.work
        self.record = RunRecord(
            run_id="run-2",
            config_hash=Config().hash,
            runner="flink",
            command="facelog analyze",
            started_at=datetime.now(UTC) - timedelta(hours=1),
            files=3,
            bytes=3 * SIZE,
        )
        self.progress = RunProgress(str(out), self.record)

    def begin(self) -> None:
        """The run begins now, after what earlier ones did."""
        files = [example_file(f"/v/{name}.mp4") for name in "abc"]
        self.record = begin_record(self.run, "flink", files)
        self.progress = RunProgress(self.run.layout.out, self.record)

    def plan(self, uri: str, video_id: str) -> Plan:
        plan = example_plan(4.0, 8.0, uri=uri, video_id=video_id)
        return write_plan(plan, self.work)

    def fragment(self, video_id: str, *indices: int, at: datetime | None = None) -> None:
        for index in indices:
            name = self.work.fragment(video_id, index)
            storage.write_bytes(name, b"")
            if at:
                os.utime(name, (at.timestamp(), at.timestamp()))

    def row(self, uri: str) -> None:
        write_row(example_row(uri), self.run)

    def measure(self) -> Measurement:
        return self.progress.measure()


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr(Run, "footer", {})
    return World(tmp_path)


def test_nothing_is_done_yet(world: World) -> None:
    assert world.measure() == Measurement(0, 0, 0, 0, 0, 0.0, 0.0, 0.0)


def test_a_segment_counts_from_when_it_is_durable(world: World) -> None:
    world.plan("/v/a.mp4", A)
    assert world.measure() == Measurement(1, 0, 3, 0, 0, 0.0, 0.0, 0.0)
    world.fragment(A, 0)
    seen = world.measure()
    assert (seen.segments_done, seen.video_seconds, seen.share_before) == (1, 4.0, 0.0)
    assert seen.share == pytest.approx(1 / 9)
    world.fragment(A, 2)
    assert (world.measure().segments_done, world.measure().video_seconds) == (2, 6.0)


def test_parts_of_a_segment_and_files_under_construction_do_not_count(world: World) -> None:
    world.plan("/v/a.mp4", A)
    storage.write_bytes(world.work.fragment_part(A, 0, 0), b"")
    storage.write_bytes(storage.join(world.work.video(A), ".00000.parquet.part"), b"")
    storage.write_bytes(storage.join(world.work.plans, ".x.json"), b"")
    assert world.measure() == Measurement(1, 0, 3, 0, 0, 0.0, 0.0, 0.0)


def test_a_file_whose_row_stands_is_done(world: World) -> None:
    for uri, video_id in (("/v/a.mp4", A), ("/v/b.mp4", B)):
        world.plan(uri, video_id)
    world.row("/v/a.mp4")  # its fragments are gone with that
    seen = world.measure()
    assert (seen.probed, seen.assembled, seen.segments, seen.segments_done) == (2, 1, 6, 3)
    assert seen.share == pytest.approx(1 / 3)
    world.row("/v/b.mp4")
    assert world.measure().share == pytest.approx(2 / 3)


def test_rows_of_earlier_runs_do_not_count(world: World) -> None:
    world.plan("/v/a.mp4", A)
    world.row("/v/a.mp4")
    name = world.run.layout.ledger("/v/a.mp4")
    os.utime(name, (BEFORE.timestamp(), BEFORE.timestamp()))
    assert world.measure() == Measurement(1, 0, 3, 0, 0, 0.0, 0.0, 0.0)


def test_what_earlier_runs_did_is_done_but_no_pace(world: World) -> None:
    world.plan("/v/a.mp4", A)
    world.fragment(A, 0, 1, at=BEFORE)
    world.begin()
    world.fragment(A, 2)
    seen = world.measure()
    assert (seen.segments_done, seen.video_seconds) == (3, 2.0)
    assert seen.share == pytest.approx(3 / 9) and seen.share_before == pytest.approx(2 / 9)


def test_it_is_no_pace_either_once_the_row_stands(world: World) -> None:
    world.plan("/v/a.mp4", A)
    world.fragment(A, 0, 1, at=BEFORE)
    world.begin()
    world.fragment(A, 2)
    before = world.measure()
    storage.delete_tree(world.work.video(A))
    world.row("/v/a.mp4")
    after = world.measure()
    assert (after.segments_done, after.video_seconds, after.share_before) == (3, 2.0, before.share_before)
    assert after.seconds_left(60) == before.seconds_left(60) == pytest.approx(60 * 6)  # six times as much is left


def test_a_file_that_needs_no_work_is_no_pace(world: World) -> None:
    write_plan(Plan(example_file("/v/bad.mp4"), None, "corrupt", "unreadable", "bad"), world.work)
    world.begin()
    seen = world.measure()
    assert seen.share == seen.share_before == pytest.approx(1 / 3)


def test_segments_that_this_run_gave_up(world: World) -> None:
    world.plan("/v/a.mp4", A)
    for index in (0, 1):
        storage.write_bytes(world.work.failure(A, index), b"{}")
    os.utime(world.work.failure(A, 0), (BEFORE.timestamp(), BEFORE.timestamp()))
    seen = world.measure()
    assert (seen.segments_failed, seen.segments_done, seen.segments) == (1, 0, 3)


def test_copies_and_bad_files_are_no_work(world: World) -> None:
    for uri in ("/v/a.mp4", "/v/copy.mp4"):
        world.plan(uri, A)
    write_plan(Plan(example_file("/v/bad.mp4"), None, "corrupt", "unreadable", "bad"), world.work)
    seen = world.measure()
    assert (seen.probed, seen.segments) == (3, 3)
    assert seen.share == pytest.approx(2 / 3)
    world.fragment(A, 0, 1, 2)
    assert world.measure().share == 1.0


def test_each_plan_is_read_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.plan("/v/a.mp4", A)
    world.measure()
    world.plan("/v/b.mp4", B)
    read: list[str] = []
    read_bytes = storage.read_bytes

    def noted(uri: str) -> bytes:
        read.append(uri)
        return read_bytes(uri)

    monkeypatch.setattr(storage, "read_bytes", noted)
    assert world.measure().segments == world.measure().segments == 6
    assert read == [world.work.plan("/v/b.mp4")]


def test_a_plan_that_goes_while_it_is_looked_at(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.plan("/v/a.mp4", A)

    def gone(uri: str) -> bytes:
        raise FileNotFoundError(uri)

    monkeypatch.setattr(storage, "read_bytes", gone)
    assert world.measure().segments == 0


def test_of_very_many_files_some_are_looked_at(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PLANS_READ", 5)
    world.progress = RunProgress(world.run.layout.out, world.record.model_copy(update={"bytes": 20 * SIZE}))
    for number in range(20):
        world.plan(f"/v/{number}.mp4", f"{number:032x}")
        world.fragment(f"{number:032x}", 0)
    for _ in range(2):
        seen = world.measure()
        assert (seen.probed, seen.segments, seen.segments_done) == (20, 60, 20)
        assert seen.share == pytest.approx(1 / 3)
        assert len(world.progress._plans) == 5
    world.plan("/v/20.mp4", f"{20:032x}")
    assert world.measure().segments == 63


def test_time_left_is_reckoned_from_this_runs_own_pace() -> None:
    seen = Measurement(1, 0, 10, 5, 0, 0.0, share=0.75, share_before=0.25)
    assert seen.seconds_left(100) == pytest.approx(50)
    assert Measurement(1, 0, 10, 10, 0, 0.0, share=1.0, share_before=0.0).seconds_left(100) == 0


@pytest.mark.parametrize(("elapsed", "share"), [(4.9, 0.75), (100, 0.255)])
def test_time_left_cannot_be_told_at_the_beginning(elapsed: float, share: float) -> None:
    assert Measurement(1, 0, 10, 5, 0, 0.0, share, share_before=0.25).seconds_left(elapsed) is None


def test_a_run_notes_what_it_sets_out_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["facelog", "analyze", "my videos"])
    assert read_run(str(tmp_path)) is None
    run = Run("run-1", Config(), Layout(str(tmp_path)))
    record = begin_record(run, "local", [example_file(), example_file("/v/b.mp4", size_bytes=None)])
    assert (record.files, record.bytes, record.command) == (2, SIZE, "facelog analyze 'my videos'")
    assert read_run(str(tmp_path)) == record and record.finished_at is None
    end_run(record.run_id, str(tmp_path))
    ended = read_run(str(tmp_path))
    assert ended is not None and ended.finished_at is not None and ended.finished_at >= record.started_at


@pytest.mark.parametrize("text", [b"", b"{", b'{"run_id": "x"}'])
def test_a_record_that_cannot_be_read_is_none(tmp_path: Path, text: bytes) -> None:
    storage.write_bytes(Layout(str(tmp_path)).run, text)
    assert read_run(str(tmp_path)) is None
