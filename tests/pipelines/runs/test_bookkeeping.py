"""Which files a run repeats and which it skips, which of several copies it computes, and what it leaves in DIR."""

import dataclasses
import itertools
import logging
import os
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar

import pytest

from schemas import storage
from schemas.config import Config
from schemas.layout import ROW_TABLES, Layout
from schemas.run import Run
from tests.examples import WHEN, example_file, example_row
from tests.pipelines.runs.world import A, B, C, World, in_all
from transforms.ledger import write_row


@pytest.fixture
def world(tmp_path) -> World:
    world = World(str(tmp_path / "out"))
    world.put("/v/1.mp4", A)
    world.put("/v/2.mp4", B)
    return world


def test_the_second_run_does_nothing(world: World):
    first = world.go()
    before = {path: path.stat().st_mtime_ns for path in Path(world.out).rglob("*.parquet")}
    archive = world.start()

    assert archive.todo == []
    second = world.go(archive)
    assert (first.new, first.unchanged, second.new, second.unchanged) == (2, 0, 0, 2)
    assert second.statuses == first.statuses == {"ok": 2}
    assert before == {path: path.stat().st_mtime_ns for path in Path(world.out).rglob("*.parquet")}


@pytest.mark.parametrize("change", [{"size_bytes": 7}, {"modified_at": None}, {"etag": "new"}])
def test_a_changed_file_is_looked_at_again(world: World, change: dict[str, Any]):
    world.files["/v/1.mp4"] = example_file("/v/1.mp4", etag="old")
    world.go()
    # The probe asks the file itself; here it says what the listing said.
    write_row(world.rows()["/v/1.mp4"] | {"etag": "old"}, world.start().run)
    assert world.start().todo == []

    world.files["/v/1.mp4"] = example_file("/v/1.mp4", **{"etag": "old"} | change)

    assert [file.uri for file in world.start().todo] == ["/v/1.mp4"]


def test_without_an_etag_in_the_listing_size_and_time_decide(world: World):
    world.go()
    write_row(world.rows()["/v/1.mp4"] | {"etag": "old"}, world.start().run)

    assert world.start().todo == []


def test_another_configuration_is_another_result(world: World):
    world.go()
    world.config = Config().override(min_face=40)

    summary = world.go()

    assert world.computed == ["/v/1.mp4", "/v/2.mp4"]
    assert {row["config_hash"] for row in world.rows().values()} == {world.config.hash}
    assert summary.other_configs == 0


def test_videos_of_another_configuration_are_counted(world: World):
    world.go()
    world.config = Config().override(min_face=40)
    del world.files["/v/1.mp4"]

    assert world.go().other_configs == 1


@pytest.mark.parametrize(
    ("error_type", "retry_failed", "again"),
    [("worker_died", False, False), ("worker_died", True, True), ("storage_error", False, True)],
)
def test_failed_files_are_tried_again_when_asked_or_when_storage_failed(
    world: World, error_type: str, retry_failed: bool, again: bool
):
    world.status["/v/1.mp4"] = {"status": "failed", "error_type": error_type}
    assert world.go().exit_status == 3
    world.status.clear()

    summary = world.go(retry_failed=retry_failed)

    assert world.computed == (["/v/1.mp4"] if again else [])
    assert summary.exit_status == (0 if again else 3)


@pytest.mark.parametrize("status", ["partial", "corrupt", "no_video"])
def test_other_statuses_are_final(world: World, status: str):
    world.status["/v/1.mp4"] = {"status": status}
    summary = world.go()

    assert summary.exit_status == (3 if status == "corrupt" else 0)
    assert [row["uri"] for row in summary.bad] == ([] if status == "no_video" else ["/v/1.mp4"])
    assert world.start(retry_failed=True).todo == []


def test_bad_files_get_their_rows(world: World):
    world.put("/v/3.mp4", "bad")
    world.put("/v/4.mp4", "away")

    summary = world.go()

    assert summary.statuses == {"ok": 2, "corrupt": 1, "failed": 1}
    assert world.rows()["/v/3.mp4"]["error_type"] == "unreadable"
    assert [file.uri for file in world.start().todo] == ["/v/4.mp4"]


def test_a_file_that_could_not_be_done(world: World):
    archive = world.start()
    plan = world.plan(archive.todo[0])
    archive.take(plan)
    archive.fail(plan, "timeout", "/v/1.mp4 took too long")
    archive.close()

    row = world.rows()["/v/1.mp4"]
    assert (row["status"], row["error_type"], row["error_message"]) == ("failed", "timeout", "/v/1.mp4 took too long")
    assert (row["video_id"], row["codec"]) == (A, "h264")


class TestCopies:
    @pytest.fixture
    def world(self, world: World) -> World:
        world.put("/v/0.mp4", B)
        world.put("/v/9.mp4", B)
        return world

    def test_the_first_uri_is_computed_and_each_has_its_row(self, world: World):
        summary = world.go()

        assert world.computed == ["/v/0.mp4", "/v/1.mp4"]
        assert (summary.new, summary.copies, summary.face_seconds, summary.n_tracks) == (4, 2, 14, 4)
        rows = world.rows()
        assert {rows[f"/v/{i}.mp4"]["video_id"] for i in (0, 2, 9)} == {B}
        assert {rows[f"/v/{i}.mp4"]["face_seconds"] for i in (0, 2, 9)} == {7}
        assert rows["/v/9.mp4"]["modified_at"] == world.files["/v/9.mp4"].modified_at
        assert rows["/v/9.mp4"]["wall_seconds"] == 0
        assert world.start().todo == []

    def test_one_that_comes_later_is_not_computed(self, world: World):
        world.go()
        world.put("/v/!.mp4", B)

        assert world.go().copies == 1
        assert world.computed == []

    def test_one_whose_tables_are_gone_is_computed(self, world: World):
        world.go()
        for table in ROW_TABLES:
            storage.delete_file(world.start().run.layout.table(table, B))
        world.put("/v/5.mp4", B)
        world.go()

        assert world.computed == ["/v/5.mp4"]

    def test_a_large_file_that_was_replaced_is_computed_though_its_identity_is_the_same(self, world: World):
        large = 5 * 2**20
        world.put("/v/copy.mp4", A)
        for uri, file in world.files.items():
            world.files[uri] = dataclasses.replace(file, size_bytes=large)
        world.status["/v/1.mp4"] = {"status": "partial", "error_type": "damaged"}
        world.go()
        fragment = Run("x", world.config, Layout(world.out)).work.fragment(A, 0)
        storage.write_bytes(fragment, b"of the damaged file")
        os.utime(fragment, (0, 0))
        world.status.clear()
        world.files["/v/1.mp4"] = dataclasses.replace(world.files["/v/1.mp4"], modified_at=WHEN - timedelta(days=9))
        archive = world.start()
        archive.forget_replaced()
        assert not storage.exists(fragment)
        world.go(archive)
        assert world.computed == ["/v/1.mp4"]
        assert {row["status"] for row in world.rows().values()} == {"ok"}  # copies, too: they share its tables
        assert world.start().todo == []
        # A new name is no change, and costs nothing.
        world.files["/v/new.mp4"] = dataclasses.replace(world.files.pop("/v/1.mp4"), uri="/v/new.mp4")
        world.content["/v/new.mp4"] = A
        world.go()
        assert world.computed == []

    def test_a_file_that_was_only_touched_is_not_computed(self, world: World):
        world.go()
        world.put("/v/1.mp4", A)
        world.go()

        assert world.computed == []
        assert world.rows()["/v/1.mp4"]["modified_at"] == world.files["/v/1.mp4"].modified_at

    @pytest.mark.parametrize("order", list(itertools.permutations(range(2))))
    def test_copies_that_are_probed_after_the_first_is_done(self, world: World, order: tuple[int, ...]):
        archive = world.start()
        plans = {plan.file.uri: plan for plan in map(world.plan, archive.todo)}
        first = plans["/v/0.mp4"]
        assert archive.take(first)
        if order[0]:
            archive.finish(world.assemble(first, archive.run))
        assert [archive.take(plans[uri]) for uri in ("/v/1.mp4", "/v/2.mp4", "/v/9.mp4")] == [True, False, False]
        archive.finish(world.assemble(plans["/v/1.mp4"], archive.run))
        if not order[0]:
            archive.finish(world.assemble(first, archive.run))
        archive.close()

        assert {uri: row["video_id"] for uri, row in world.rows().items()} == world.content

    def test_when_the_first_fails_they_all_do(self, world: World):
        world.status["/v/0.mp4"] = {"status": "failed", "error_type": "worker_died", "error_message": "/v/0.mp4: died"}

        assert world.go().statuses == {"failed": 3, "ok": 1}
        assert world.rows()["/v/9.mp4"]["error_message"] == "/v/9.mp4: died"
        assert world.start().todo == []
        assert len(world.start(retry_failed=True).todo) == 3

    def test_when_the_first_was_changed_while_it_was_read_the_next_run_does_the_others(self, world: World):
        world.status["/v/0.mp4"] = {"status": "failed", "error_type": "changed_while_read"}
        world.go()
        world.put("/v/0.mp4", C)
        world.status.clear()

        assert world.go().statuses == {"ok": 4}
        assert world.computed == ["/v/0.mp4", "/v/2.mp4"]


class TestWhatIsLeftBehind:
    def test_tables_of_replaced_content_go(self, world: World):
        world.go()
        world.put("/v/1.mp4", C)
        world.go()

        assert world.rows()["/v/1.mp4"]["video_id"] == C
        assert world.ids_of_tables() == in_all({B, C})

    def test_unless_another_uri_names_them(self, world: World):
        world.put("/v/3.mp4", A)
        world.go()
        world.put("/v/1.mp4", C)
        world.go()

        assert world.ids_of_tables() == in_all({A, B, C})

    def test_or_a_new_copy_does(self, world: World):
        world.go()
        world.put("/v/1.mp4", C)
        world.put("/v/3.mp4", A)
        world.go()

        assert world.computed == ["/v/1.mp4"]
        assert world.ids_of_tables() == in_all({A, B, C})

    def test_tables_of_a_video_that_now_fails_go(self, world: World):
        world.go()
        world.config = Config().override(min_face=40)
        world.status["/v/1.mp4"] = {"status": "failed", "error_type": "worker_died"}
        world.go()

        assert world.ids_of_tables() == in_all({B})

    def test_what_a_killed_run_left_goes(self, world: World):
        world.go()
        world.put("/v/1.mp4", C)
        archive = world.start()
        plan = world.plan(archive.todo[0])
        assert archive.take(plan)
        world.assemble(plan, archive.run)  # and here it was killed: its tables and row stand, it was never closed

        world.go()

        assert world.computed == []
        assert world.ids_of_tables() == in_all({B, C})

    def test_work_of_finished_videos_goes_and_that_of_others_stays(self, world: World):
        world.status["/v/2.mp4"] = {"status": "failed", "error_type": "worker_died"}
        archive = world.start()
        work = archive.run.work
        for video_id in (A, B, C):
            storage.write_bytes(work.fragment(video_id, 0), b"")
        storage.write_bytes(work.plan("/v/1.mp4"), b"")

        world.go(archive)

        assert work.video_ids() == {B, C}  # one may be tried again, one is of inputs that this run was not given
        assert not storage.exists(work.plans)

    def test_rows_of_files_that_are_gone_stay(self, world: World):
        world.go()
        del world.files["/v/1.mp4"]
        summary = world.go()

        assert set(world.rows()) == {"/v/1.mp4", "/v/2.mp4"}
        assert summary.statuses == {"ok": 1}
        assert world.ids_of_tables() == in_all({A, B})


class TestMissingLines:
    MISSING: ClassVar = {"/v/gone.mp4": "/v/gone.mp4 does not exist"}

    def test_each_becomes_a_failed_row_once(self, world: World):
        summary = world.go(missing=self.MISSING)

        row = world.rows()["/v/gone.mp4"]
        assert (row["status"], row["error_type"], row["error_message"]) == (
            *("failed", "not_found"),
            self.MISSING["/v/gone.mp4"],
        )
        assert (row["video_id"], row["size_bytes"], row["modified_at"]) == (None, None, None)
        assert (summary.new, summary.exit_status) == (3, 3)
        again = world.go(missing=self.MISSING)
        assert (again.new, again.unchanged, again.exit_status) == (0, 3, 3)

    def test_one_that_has_come_is_done(self, world: World):
        world.go(missing=self.MISSING)
        world.put("/v/gone.mp4", C)

        assert world.go().exit_status == 0
        assert world.computed == ["/v/gone.mp4"]

    def test_earlier_results_of_a_file_that_is_gone_stay(self, world: World, caplog: pytest.LogCaptureFixture):
        world.go()
        del world.files["/v/1.mp4"]
        with caplog.at_level(logging.WARNING):
            summary = world.go(missing={"/v/1.mp4": "/v/1.mp4 does not exist"})

        assert world.rows()["/v/1.mp4"]["status"] == "ok"
        assert (summary.new, summary.unchanged) == (0, 2)
        assert A in world.ids_of_tables()["faces"]
        assert "/v/1.mp4 does not exist" in caplog.text


def test_the_example_row_is_complete(world: World):
    run = world.start().run
    write_row(example_row(), run)

    assert world.rows() == {"/videos/clip.mp4": example_row()}


def test_a_copy_that_was_not_asked_about_follows_its_tables(world: World):
    world.put("/v/0-copy.mp4", A)
    world.go()
    twin = world.files.pop("/v/0-copy.mp4")
    world.config = world.config.override(min_face=40)
    world.go()

    rows = world.rows()
    assert rows["/v/0-copy.mp4"]["config_hash"] == rows["/v/1.mp4"]["config_hash"] == world.config.hash
    assert rows["/v/0-copy.mp4"]["modified_at"] == twin.modified_at
    world.files["/v/0-copy.mp4"] = twin
    assert world.start().todo == []


def test_a_scan_looks_at_what_no_run_has_seen_and_all_of_it_comes_later(world: World):
    world.go()
    world.put("/v/3.mp4", C)
    world.put("/v/4.mp4", A)
    world.config = Config().override(keyframes=True)
    summary = world.go()
    assert (world.computed, summary.copies, summary.unchanged) == (["/v/3.mp4"], 1, 2)
    assert (summary.keyframe_seconds, summary.other_configs) == ([2.0], 0)
    assert world.go().new == 0

    world.config = Config()
    assert world.go().keyframe_seconds == []
    assert world.computed == ["/v/3.mp4"]
    assert {row["config_hash"] for row in world.rows().values()} == {Config().hash}


def test_a_scan_that_failed_is_tried_again_with_all_of_it(world: World):
    world.config = Config().override(keyframes=True)
    archive = world.start()
    for plan in map(world.plan, archive.todo):
        assert archive.take(plan)
        archive.fail(plan, "crash", "it ended")
    archive.close()
    assert world.start().todo == []
    world.config = Config()
    assert len(world.start().todo) == 2
