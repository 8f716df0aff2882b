"""An output folder as DuckDB views."""

import json
import re
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest

from pipelines.keeping.compact import compact
from pipelines.queries.query import query
from pipelines.results.database import connect, open_dataset
from pipelines.results.tables import read_video_table
from pipelines.results.videos import read_videos
from schemas import storage
from schemas.config import SCHEMA_VERSION
from schemas.errors import UsageError
from schemas.layout import Layout
from schemas.tables import ADDED_COLUMNS, FACES, TABLES, VIDEOS, make_table, parquet_bytes
from tests.examples import example_row
from tests.kept_results import TALK, make_results
from tests.made_tables import feeling, write_video
from tests.s3 import Proxy


def count(connection: duckdb.DuckDBPyConnection, what: str) -> int:
    return connection.sql(f"SELECT count(*) FROM {what}").fetchall()[0][0]


def test_the_four_tables_are_views(tmp_path: Path) -> None:
    connection = connect(str(make_results(tmp_path / "out")))
    assert {name: count(connection, name) for name in TABLES} == {
        "faces": 8 + 4,
        "tracks": 2,
        "timeline": 10 + 10,
        "videos": 4,
    }
    for name, schema in TABLES.items():
        bucket = [] if name == "videos" else ["bucket"]
        assert connection.table(name).columns == schema.names + bucket
    assert connection.sql("SELECT current_setting('timezone')").fetchall() == [("UTC",)]


def test_bucket_is_text_also_where_all_happen_to_be_digits(tmp_path: Path) -> None:
    connection = connect(str(make_results(tmp_path / "out")))
    kinds = connection.sql("SELECT DISTINCT bucket, typeof(bucket) FROM timeline WHERE bucket = '17'").fetchall()
    assert kinds == [("17", "VARCHAR")]


def test_tables_without_files_are_empty(tmp_path: Path) -> None:
    run_layout = Layout(str(tmp_path))
    row = example_row(status="corrupt", video_id=None)
    table = make_table(VIDEOS, {name: [row[name]] for name in VIDEOS.names})
    storage.write_bytes(run_layout.ledger(row["uri"]), parquet_bytes(table, {"schema_version": str(SCHEMA_VERSION)}))
    connection = connect(str(tmp_path))
    assert [count(connection, name) for name in ("faces", "tracks", "timeline", "videos")] == [0, 0, 0, 1]
    assert connection.table("faces").columns == [*FACES.names, "bucket"]


@pytest.mark.parametrize("name", ["it's", 'say "so"', "[a-z]*?", "{a,b}", "50% off", "bucket=zz", "day=2026-01-02"])
def test_any_name_of_a_folder(tmp_path: Path, name: str) -> None:
    make_results(tmp_path / "neighbour")  # what a glob would find as well
    connection = connect(str(make_results(tmp_path / name)))
    assert count(connection, "tracks") == 2
    assert connection.table("faces").columns == [*FACES.names, "bucket"]
    assert connection.sql("SELECT DISTINCT bucket FROM faces").fetchall() == [(TALK[:2],)]


def test_a_condition_on_bucket_opens_no_other_folder(tmp_path: Path) -> None:
    out = make_results(tmp_path / "out")
    connection = connect(str(out))
    (plan,) = connection.sql("EXPLAIN ANALYZE SELECT second FROM timeline WHERE bucket = '17'").fetchall()
    assert re.search(r"Files Read:\s*1\b|Scanning Files:\s*1/2", plan[1]), plan[1]
    # Proof that does not rest on words: the other folder's file cannot be read at all any more.
    Path(Layout(str(out)).table("timeline", TALK)).write_bytes(b"no parquet")
    assert count(connection, "timeline WHERE bucket = '17' AND second >= 0") == 10
    with pytest.raises(duckdb.Error):
        count(connection, f"timeline WHERE video_id = '{TALK}' AND second >= 0")


def test_columns_that_an_older_facelog_did_not_write_are_null(tmp_path: Path) -> None:
    out = make_results(tmp_path / "out")
    (row,) = [row for row in read_videos(str(out)) if row["uri"] == "/videos/talk.mp4"]
    older = make_table(VIDEOS, {name: [value] for name, value in (row | {"algorithm_version": 0}).items()})
    older = older.drop_columns(["keyframe_seconds"])
    storage.write_bytes(
        Layout(str(out)).ledger(row["uri"]), parquet_bytes(older, {"schema_version": str(SCHEMA_VERSION)})
    )
    file = Path(Layout(str(out)).table("faces", TALK))
    faces = pq.ParquetFile(file).read()
    pq.write_table(faces.drop_columns([name for name in ADDED_COLUMNS if name in FACES.names]), file)
    connection = connect(str(out))
    assert count(connection, "videos WHERE keyframe_seconds IS NULL AND uri = '/videos/talk.mp4'") == 1
    assert connection.table("faces").columns == [*FACES.names, "bucket"]
    assert count(connection, "faces WHERE pose_std IS NULL AND yaw IS NOT NULL") == len(faces) > 0
    assert read_video_table(str(out), "faces", TALK)["pose_std"].null_count == len(faces)
    copy = compact(str(out), str(tmp_path / "copy"))
    assert copy.rows("faces") == len(faces)


def test_files_under_construction_are_no_rows(tmp_path: Path) -> None:
    out = make_results(tmp_path / "out")
    (out / "faces" / f"bucket={TALK[:2]}" / ".half.tmp").write_bytes(b"half")
    assert count(connect(str(out)), "faces") == 12


def test_another_schema_version_is_refused(tmp_path: Path) -> None:
    row = example_row()
    table = make_table(VIDEOS, {name: [row[name]] for name in VIDEOS.names})
    name = Layout(str(tmp_path)).ledger(row["uri"])
    storage.write_bytes(name, parquet_bytes(table, {"schema_version": str(SCHEMA_VERSION - 1)}))
    with pytest.raises(UsageError, match=f"schema version {SCHEMA_VERSION - 1}.*facelog upgrade"):
        connect(str(tmp_path))


def test_a_folder_without_results(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no results of facelog"):
        connect(str(tmp_path))


def test_a_compact_copy_answers_as_its_source_does(tmp_path: Path) -> None:
    out = make_results(tmp_path / "out")
    compact(str(out), str(tmp_path / "it's a copy"))
    source, copy = connect(str(out)), connect(str(tmp_path / "it's a copy"))
    for name in TABLES:
        question = f"SELECT * FROM {name} ORDER BY ALL"
        assert copy.sql(question).fetchall() == source.sql(question).fetchall(), name
        assert copy.table(name).columns == source.table(name).columns


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"whole": False}, "not whole: run `facelog compact /videos"),
        ({"schema_version": "99"}, "schema version 99, this facelog reads"),
    ],
)
def test_a_copy_that_cannot_be_read_says_so(tmp_path: Path, changes: dict[str, object], message: str) -> None:
    compact(str(make_results(tmp_path / "out")), str(tmp_path / "copy"))
    record = tmp_path / "copy" / "compact.json"
    record.write_text(json.dumps(json.loads(record.read_text()) | {"source": "/videos"} | changes))
    with pytest.raises(UsageError, match=message):
        connect(str(tmp_path / "copy"))


def test_on_an_object_store(s3_bucket: str, s3_proxy: Proxy, tmp_path: Path) -> None:
    local = make_results(tmp_path / "out")
    out = f"{s3_bucket}/results"
    for info in storage.list_files(str(local)):
        storage.write_bytes(out + info.uri.removeprefix(str(local)), storage.read_bytes(info.uri))
    connection = connect(out)
    assert {name: count(connection, name) for name in TABLES} == {"faces": 12, "tracks": 2, "timeline": 20, "videos": 4}
    s3_proxy.clear()
    assert count(connection, f"timeline WHERE bucket = '{TALK[:2]}' AND second >= 0") == 10
    read = [target for method, target in s3_proxy.requests if method == "GET" and target.endswith(".parquet")]
    assert read and all(TALK in target for target in read)
    kinds = connection.sql("SELECT DISTINCT typeof(bucket) FROM faces").fetchall()
    assert kinds == [("VARCHAR",)]
    assert open_dataset(f"{out}/faces", FACES).count_rows() == 12
    compact(out, f"{s3_bucket}/copy")
    copy = connect(f"{s3_bucket}/copy")
    assert {name: count(copy, name) for name in TABLES} == {"faces": 12, "tracks": 2, "timeline": 20, "videos": 4}


def test_a_damaged_file_does_not_keep_the_tables_closed(tmp_path: Path) -> None:
    write_video(tmp_path, "/videos/a.mp4", [feeling(0, 0.0, ["happy"])])
    for path in (tmp_path / "faces").rglob("*.parquet"):
        path.write_bytes(b"PAR1 half")
    assert connect(str(tmp_path)).sql("SELECT count(*) FROM tracks").fetchall() == [(1,)]
    with pytest.raises(UsageError, match="parquet"):
        query(str(tmp_path), "FROM faces")
