"""`facelog compact`: the same rows in few files, sorted, and never half a copy."""

import json
from collections.abc import Callable
from pathlib import Path

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import Result

from pipelines.cli.compact import parse_size
from pipelines.keeping.compact import compact, read_record
from runners.lock import hold
from schemas import storage
from schemas.config import SCHEMA_VERSION, Config
from schemas.errors import FacelogError, StorageError, UsageError
from schemas.layout import ROW_TABLES
from schemas.tables import OBSERVATIONS, TABLES
from tests.archives import A, B, C, example_run, make_archive, write_video
from tests.tables import KEYS, read_table

Facelog = Callable[..., Result]

_SMALL = 1_000_000


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Three contents, one of them twice, not in the order of their ids; a file that failed; tables without a row."""
    out = tmp_path / "out"
    run = make_archive(str(out), {"/v/1.mp4": C, "/v/2.mp4": A, "/v/3.mp4": B, "/v/copy.mp4": A}, samples=True)
    write_video("/v/4.mp4", None, run, status="failed")
    write_video("/v/5.mp4", "dd" * 16, run)
    Path(run.layout.ledger("/v/5.mp4")).unlink()
    return out


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "copies" / "small"


def parts(target: Path, table: str) -> list[Path]:
    return sorted((target / table).glob("*.parquet"))


def read(target: Path, table: str) -> pa.Table:
    return pa.concat_tables([pq.read_table(part) for part in parts(target, table)])


def files(folder: Path) -> dict[str, bytes]:
    found = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    return {name: content for name, content in found.items() if name != "_work/lock"}


def test_all_that_the_ledger_names_and_nothing_else(out: Path, target: Path) -> None:
    before = files(out)
    copy = compact(str(out), str(target))
    assert sorted(files(target)) == ["compact.json", *(f"{table}/part-00000.parquet" for table in sorted(TABLES))]
    for table, keys in KEYS.items():
        wanted = read_table(out, table).to_pylist()
        if table in ROW_TABLES:
            wanted = [row for row in wanted if row["video_id"] != "dd" * 16]
        rows = read(target, table)
        assert rows.to_pylist() == wanted, table
        assert rows.schema.equals(TABLES[table])
        assert copy.rows(table) == len(wanted)
        order = [tuple(row[key] for key in keys) for row in rows.to_pylist()]
        assert order == sorted(order)
    assert (copy.videos, copy.rows("videos"), copy.rows("faces")) == (3, 5, 9)
    assert files(out) == before


def test_observations_when_asked_for(out: Path, target: Path) -> None:
    copy = compact(str(out), str(target), observations=True)
    rows = read(target, "observations")
    assert rows.schema.equals(OBSERVATIONS)
    assert rows["video_id"].to_pylist() == [A] * 3 + [B] * 3 + [C] * 3
    assert copy.rows("observations") == 9
    compact(str(out), str(target))
    assert not (target / "observations").exists()


def test_asked_for_what_was_not_kept(tmp_path: Path, target: Path) -> None:
    make_archive(str(tmp_path / "out"), {"/v/1.mp4": A})
    with pytest.raises(UsageError, match="holds no observations: .*--keep-observations"):
        compact(str(tmp_path / "out"), str(target), observations=True)
    assert files(target) == {}


def test_many_files_keep_the_order_and_groups_have_a_readers_size(
    tmp_path: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(compact.__globals__, "ROW_GROUP", 1000)
    run = example_run(str(tmp_path / "out"))
    ids = [f"{number:02x}" * 16 for number in range(12)]
    for video_id in ids:
        write_video(f"/v/{video_id}.mp4", video_id, run, seconds=1700)
    copy = compact(str(tmp_path / "out"), str(target), file_size=_SMALL)
    assert len(parts(target, "faces")) == len(copy.parts["faces"]) == 4
    assert [part.name for part in copy.parts["faces"]] == [f"faces/part-{n:05d}.parquet" for n in range(4)]
    rows = read(target, "faces")
    assert rows.equals(read_table(tmp_path / "out", "faces").cast(TABLES["faces"]))
    for part, said in zip(parts(target, "faces"), copy.parts["faces"], strict=True):
        about = pq.read_metadata(part)
        assert (about.num_rows, part.stat().st_size) == (said.rows, said.bytes)
        groups = [about.row_group(number).num_rows for number in range(about.num_row_groups)]
        assert set(groups[:-1]) == {1000} and groups[-1] <= 1000
        if part != parts(target, "faces")[-1]:
            assert _SMALL <= said.bytes < 2 * _SMALL
        group = about.row_group(0)
        assert group.column(0).compression == "ZSTD" and group.column(0).has_column_index
        assert [column.column_index for column in group.sorting_columns] == [0, 1, 2]


def test_a_table_without_rows_still_says_its_columns(tmp_path: Path, target: Path) -> None:
    run = example_run(str(tmp_path / "out"))
    write_video("/v/1.mp4", None, run, status="corrupt")
    compact(str(tmp_path / "out"), str(target))
    assert read(target, "faces").schema.equals(TABLES["faces"])
    assert [len(read(target, table)) for table in TABLES] == [0, 0, 0, 1]


def test_a_footer_says_what_is_true_of_all_rows(out: Path, target: Path) -> None:
    def footer() -> dict[str, str]:
        found = pq.read_schema(parts(target, "faces")[0]).metadata
        return {key.decode(): value.decode() for key, value in found.items()}

    compact(str(out), str(target))
    said, config = footer(), Config()
    assert said["schema_version"] == str(SCHEMA_VERSION)
    assert said["emotion_classes"].startswith("angry,disgust") and "top left" in said["box_convention"]
    assert (said["run_id"], said["config_json"]) == ("run-1", config.canonical_json)
    assert json.loads(said["run_ids"]) == ["run-1"]

    other = config.override(min_face=40)
    write_video("/v/6.mp4", "ee" * 16, example_run(str(out), "run-2", other))
    compact(str(out), str(target))
    said = footer()
    assert not {"run_id", "config_json", "models"} & said.keys()
    assert json.loads(said["run_ids"]) == ["run-1", "run-2"]
    configs = json.loads(said["configs"])
    assert configs[other.hash]["config_json"]["detection"]["min_face"] == 40
    assert configs.keys() == {config.hash, other.hash} == set(read(target, "videos")["config_hash"].to_pylist())


def test_readers_need_no_more_than_a_glob(out: Path, target: Path) -> None:
    compact(str(out), str(target))
    query = f"SELECT uri, count(*) FROM '{target}/faces/*.parquet' JOIN '{target}/videos/*.parquet' USING (video_id) "
    assert duckdb.execute(query + f"WHERE video_id = '{A}' GROUP BY uri ORDER BY uri").fetchall() == [
        ("/v/2.mp4", 3),
        ("/v/copy.mp4", 3),
    ]
    faces = pd.read_parquet(target / "faces", filters=[("video_id", "==", B)])
    assert len(faces) == 3 and set(faces.emotion) == {"happy"}


def test_an_earlier_copy_is_replaced_as_a_whole(tmp_path: Path, out: Path, target: Path) -> None:
    compact(str(out), str(target), observations=True)
    (target / "faces" / "part-00001.parquet").write_bytes(b"of a larger copy")
    (target / ".new").mkdir()
    (target / ".new" / "left.parquet").write_bytes(b"by a killed call")
    write_video("/v/6.mp4", "ee" * 16, example_run(str(out)))
    copy = compact(str(out), str(target))
    assert sorted(files(target)) == ["compact.json", *(f"{table}/part-00000.parquet" for table in sorted(TABLES))]
    assert not (target / ".new").exists()
    record = read_record(str(target))
    assert record is not None and (record["whole"], record["videos"], record["source"]) == (True, 4, str(out))
    assert record["tables"]["faces"] == [{"name": "faces/part-00000.parquet", "rows": 12, "bytes": copy.bytes("faces")}]


def test_until_the_new_copy_is_whole_the_earlier_one_stays(
    out: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreachable(*_: object, **__: object) -> None:
        raise StorageError("the disk is away")

    compact(str(out), str(target))
    before = files(target)
    monkeypatch.setattr("pipelines.keeping.compact.read_table", unreachable)
    with pytest.raises(StorageError, match="the disk is away"):
        compact(str(out), str(target))
    assert files(target) == before
    with pytest.raises(StorageError, match="the disk is away"):
        compact(str(out), str(target.parent / "new"))
    assert files(target.parent / "new") == {}


def test_a_damaged_video_does_not_end_the_copy_of_the_others(out: Path, target: Path) -> None:
    whole = compact(str(out), str(target))
    table = next((out / "timeline").rglob(f"{C}.parquet"))
    for damage, said in ((table.unlink, "missing"), (lambda: table.write_bytes(b"PAR1 half"), "damaged")):
        damage()
        copy = compact(str(out), str(target))
        assert [*copy.damaged] == [C] and f"{C}.parquet is {said}; to have" in copy.damaged[C]
        assert copy.videos == whole.videos - 1 and copy.rows("videos") == whole.rows("videos")
        for name in ("faces", "tracks", "timeline"):
            kept = pq.read_table(target / name)["video_id"].to_pylist()
            assert C not in kept
        assert not (target / ".new").exists()


@pytest.mark.parametrize("moves", [0, 2])
def test_killed_while_files_are_put_in_place(
    out: Path, target: Path, moves: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    compact(str(out), str(target))
    move, count = storage.move_file, iter(range(moves))

    def killed(source: str, name: str) -> None:
        if next(count, None) is None:
            raise KeyboardInterrupt
        move(source, name)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("schemas.storage.move_file", killed)
        compact(str(out), str(target))
    record = read_record(str(target))
    assert record is not None and record["whole"] is False
    compact(str(out), str(target))
    record = read_record(str(target))
    assert record is not None and record["whole"] is True
    assert not (target / ".new").exists()


def test_places_that_are_none_for_a_copy(out: Path, target: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(out)
    for inside in (out, out / "copy", link / "copy"):
        with pytest.raises(UsageError, match="lies in it: give another folder"):
            compact(str(out), str(inside))
    target.mkdir(parents=True)
    (target / "mine.txt").write_text("mine")
    with pytest.raises(UsageError, match=r"holds other files \(.*mine.txt\)"):
        compact(str(out), str(target))
    with pytest.raises(UsageError, match="mine.txt is a file"):
        compact(str(out), str(target / "mine.txt"))
    with pytest.raises(UsageError, match="holds no results of facelog"):
        compact(str(target), str(tmp_path / "new"))
    with pytest.raises(UsageError, match="too small"):
        compact(str(out), str(tmp_path / "new"), file_size=1)
    assert not (tmp_path / "new").exists()
    with hold(str(out)), pytest.raises(FacelogError, match="is being written by PID"):
        compact(str(out), str(tmp_path / "new"))


@pytest.mark.parametrize(
    ("text", "size"), [("256MB", 256_000_000), ("128 mib", 128 << 20), ("1.5G", 1_500_000_000), ("2000000", 2_000_000)]
)
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size


def test_people_read_how_much_it_is(out: Path, target: Path, facelog: Facelog) -> None:
    said = facelog("compact", out, target, "--observations", "--file-size", "128MB")
    assert said.exit_code == 0
    lines = said.stdout.splitlines()
    assert lines[0] == f"{target}: 3 videos"
    assert [line.rpartition(",")[0] for line in lines[1:]] == [
        "  videos: 5 rows, 1 file",
        "  faces: 9 rows, 1 file",
        "  tracks: 3 rows, 1 file",
        "  timeline: 9 rows, 1 file",
        "  observations: 9 rows, 1 file",
    ]
    said = facelog("compact", out, target, "--file-size", "many")
    assert (said.exit_code, said.stderr) == (2, "facelog: --file-size many: give it as 256MB.\n")


def test_from_and_to_an_object_store(s3_bucket: str, out: Path, target: Path) -> None:
    stored, copied = f"{s3_bucket}/out", f"{s3_bucket}/copies/small"
    for path in out.rglob("*.parquet"):
        storage.write_bytes(f"{stored}/{path.relative_to(out)}", path.read_bytes())
    compact(str(out), str(target), observations=True)
    for _ in range(2):
        compact(stored, copied, observations=True)
        names = {info.uri.removeprefix(f"{copied}/") for info in storage.list_files(copied)}
        assert names == set(files(target))
        for name in names - {"compact.json"}:
            table = pq.read_table(pa.BufferReader(storage.read_bytes(f"{copied}/{name}")))
            assert table.equals(pq.read_table(target / name)), name
    assert (read_record(copied) or {})["whole"] is True
    with pytest.raises(UsageError, match="lies in it"):
        compact(stored, f"{stored}/copy")
