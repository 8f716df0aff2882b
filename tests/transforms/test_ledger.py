"""Rows of `videos` are named by their uri, and are read as they were written."""

from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from schemas import storage
from schemas.config import SCHEMA_VERSION, Config
from schemas.errors import StorageError, UsageError
from schemas.layout import Layout
from schemas.run import Run
from schemas.tables import OWN_COLUMNS, VIDEOS
from schemas.video import Plan
from tests.examples import VIDEO_ID, WHEN, example_file, example_plan, example_row
from transforms.ledger import (
    close_ledger,
    copied_row,
    forget_row,
    index_ledger,
    new_row,
    read_ledger,
    remove_tables,
    videos_with_tables,
    write_row,
)


@pytest.fixture
def run(tmp_path) -> Run:
    return Run("run-1", Config(), Layout(str(tmp_path / "out")))


def row_file(run: Run, uri: str = "/videos/clip.mp4") -> Path:
    return Path(run.layout.ledger(uri))


def test_rows_are_read_as_they_were_written(run: Run):
    rows = {uri: example_row(uri) for uri in ("/videos/a.mp4", "s3://b/größe %20.mp4")}
    for row in rows.values():
        write_row(row, run)

    assert read_ledger(run.layout.out) == rows
    assert pq.read_schema(row_file(run, "/videos/a.mp4")).equals(VIDEOS)


def test_a_second_write_replaces(run: Run):
    write_row(example_row(status="failed", error_type="crash"), run)
    write_row(example_row(), run)

    assert read_ledger(run.layout.out) == {"/videos/clip.mp4": example_row()}
    assert len(list(Path(run.layout.out).rglob("*.parquet"))) == 1


def test_without_a_folder_there_are_no_rows(run: Run):
    assert read_ledger(run.layout.out) == {}
    Path(run.layout.out, "videos").mkdir(parents=True)
    assert read_ledger(run.layout.out) == {}


def test_names_under_construction_are_no_rows(run: Run):
    write_row(example_row(), run)
    for name in (".half.parquet", ".0123.tmp"):
        (row_file(run).parent / name).write_bytes(b"PAR1")

    assert len(read_ledger(run.layout.out)) == 1


@pytest.mark.parametrize(("version", "advice"), [(SCHEMA_VERSION - 1, "facelog upgrade"), (99, "newer facelog")])
def test_another_schema_version_is_refused_with_the_way_out(run: Run, version: int, advice: str):
    write_row(example_row(), run)
    table = pq.read_table(row_file(run))
    pq.write_table(table.replace_schema_metadata({"schema_version": str(version)}), row_file(run))

    with pytest.raises(UsageError, match=f"schema version {version}.*{advice}"):
        read_ledger(run.layout.out)


@pytest.mark.parametrize("content", [b"", b"PAR1 is not enough", None])
def test_an_unreadable_file_is_named(run: Run, content: bytes | None):
    write_row(example_row("/videos/other.mp4"), run)
    write_row(example_row(), run)
    path = row_file(run)
    path.write_bytes(path.read_bytes()[:-100] if content is None else content)

    with pytest.raises(StorageError, match=path.name):
        read_ledger(run.layout.out)


def test_a_table_without_our_columns_is_named(run: Run):
    path = row_file(run)
    path.parent.mkdir(parents=True)
    pq.write_table(pa.table({"a": [1]}).replace_schema_metadata({"schema_version": str(SCHEMA_VERSION)}), path)

    with pytest.raises(StorageError, match=path.name):
        read_ledger(run.layout.out)


class TestIndex:
    """The copy of all rows in one file spares reading them one by one, and never changes what is read."""

    @pytest.fixture
    def opened(self, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        opened: list[str] = []
        read = storage.read_bytes

        def note(uri: str) -> bytes:
            opened.append(uri)
            return read(uri)

        monkeypatch.setattr(storage, "read_bytes", note)
        return opened

    @pytest.fixture
    def rows(self, run: Run) -> dict[str, dict]:
        rows = {uri: example_row(uri) for uri in ("/videos/a.mp4", "/videos/b.mp4", "/videos/c.mp4")}
        for row in rows.values():
            write_row(row, run)
        index_ledger(run)
        return rows

    def test_rows_that_are_in_it_are_not_opened(self, run: Run, rows: dict, opened: list[str]):
        assert read_ledger(run.layout.out) == rows
        assert len(opened) == 1

    def test_rows_that_a_run_holds_are_not_opened_to_make_it(self, run: Run, opened: list[str]):
        held = {uri: example_row(uri) for uri in ("/videos/a.mp4", "/videos/b.mp4")}
        for row in held.values():
            write_row(row, run)
        index_ledger(run, held | {"/videos/gone.mp4": example_row("/videos/gone.mp4")})

        assert [name for name in opened if "/videos/bucket" in name] == []
        assert read_ledger(run.layout.out) == held

    def test_changed_new_and_removed_rows_are_seen(self, run: Run, rows: dict, opened: list[str]):
        rows["/videos/b.mp4"] = example_row("/videos/b.mp4", status="failed")
        rows["/videos/d.mp4"] = example_row("/videos/d.mp4")
        write_row(rows["/videos/b.mp4"], run)
        write_row(rows["/videos/d.mp4"], run)
        forget_row("/videos/c.mp4", run)
        del rows["/videos/c.mp4"]

        assert read_ledger(run.layout.out) == rows
        assert len(opened) == 3

    @pytest.mark.parametrize("content", [b"", b"nonsense", None])
    def test_one_that_cannot_be_read_is_as_none(self, run: Run, rows: dict, content: bytes | None):
        path = Path(run.layout.ledger_copy)
        if content is None:
            pq.write_table(pq.read_table(path).replace_schema_metadata({"schema_version": "99"}), path)
        else:
            path.write_bytes(content)

        assert read_ledger(run.layout.out) == rows


def test_a_row_from_a_plan(run: Run):
    started = datetime.now(UTC)
    row = new_row(example_plan(), run, started_at=started, status="partial", n_tracks=3, wall_seconds=4.0)
    write_row(row, run)
    (read,) = read_ledger(run.layout.out).values()

    assert {name: read[name] for name in ("status", "n_tracks", "wall_seconds", "codec", "duration")} == {
        **{"status": "partial", "n_tracks": 3, "wall_seconds": 4.0, "codec": "h264", "duration": 10.0}
    }
    assert (read["uri"], read["video_id"], read["modified_at"]) == ("/videos/clip.mp4", VIDEO_ID, WHEN)
    assert read["sample_fps"] == 4.0
    assert read["config_hash"] == run.config.hash
    assert read["started_at"] == started <= read["finished_at"]


def test_a_row_of_a_file_that_did_not_open(run: Run):
    plan = Plan(example_file(size_bytes=None, modified_at=None), None, "failed", "permission_denied", "may not be read")
    write_row(new_row(plan, run, started_at=WHEN), run)
    (read,) = read_ledger(run.layout.out).values()

    known = {name for name, value in read.items() if value is not None}
    assert known == {
        *("uri", "status", "error_type", "error_message", "sample_fps", "config_hash", "algorithm_version"),
        *OWN_COLUMNS,
    }


def test_every_frame_is_a_null_rate(tmp_path):
    config = Config().override(sample_fps="all")
    run = Run("run-1", config, Layout(str(tmp_path)))

    assert new_row(example_plan(), run, started_at=WHEN)["sample_fps"] is None


def test_a_copy_has_the_same_figures_under_its_own_name(run: Run):
    row = example_row(status="partial", error_type="truncated", error_message="/videos/clip.mp4 ends after 3 s")
    file = example_file("/videos/copy.mp4", etag="e")

    copy = copied_row(row, file, run)

    differs = {name for name in row if row[name] != copy[name]}
    own = {*OWN_COLUMNS, "config_hash"} - {"code_version"}
    assert differs - own == {"uri", "etag", "error_message"}
    assert copy["error_message"] == "/videos/copy.mp4 ends after 3 s"
    assert copy["wall_seconds"] == 0


def test_tables_and_observations_are_found_and_removed_together(run: Run):
    other = "ab" * 16
    for video_id in (VIDEO_ID, other):
        for table in ("faces", "tracks", "timeline"):
            storage.write_bytes(run.layout.table(table, video_id), b"")
        storage.write_bytes(storage.join(run.layout.observations(video_id), "00000.parquet"), b"")
    remove_tables(VIDEO_ID, run)
    remove_tables("00" * 16, run)  # none there

    assert videos_with_tables(run) == {other}
    assert len([path for path in Path(run.layout.out).rglob("*.parquet")]) == 4


def test_bucket_is_a_string_for_readers(run: Run):
    write_row(example_row(), run)
    files = f"'{run.layout.out}/videos/*/*.parquet', hive_partitioning=true, hive_types_autocast=false"
    query = f"select typeof(bucket), uri from read_parquet({files})"

    assert duckdb.execute(query).fetchall() == [("VARCHAR", "/videos/clip.mp4")]


def test_files_that_a_killed_process_left_are_removed(run: Run):
    write_row(example_row(), run)
    left = f".{'a' * 32}.tmp"
    folders = [Path(run.layout.work), row_file(run).parent, Path(run.layout.table("faces", VIDEO_ID)).parent]
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / left).write_bytes(b"PAR1")
        (folder / ".mine").write_text("not facelog's")
    close_ledger(run)
    for folder in folders:
        assert not (folder / left).exists() and (folder / ".mine").exists()
