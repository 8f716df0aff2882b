"""`facelog upgrade`: files of a made-up older version become files of this version, also after a kill."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import Result

from pipelines.keeping.upgrade import STEPS, Step, upgrade
from pipelines.runs.bookkeeping import Archive
from runners.lock import hold
from schemas import storage
from schemas.config import SCHEMA_VERSION, Config
from schemas.errors import FacelogError, UsageError
from schemas.tables import TABLES
from tests.archives import A, B, example_run, make_archive
from tests.examples import example_file
from tests.tables import assert_same_tables, rows
from transforms.ledger import read_ledger

Facelog = Callable[..., Result]

OLD = SCHEMA_VERSION - 1


def older(table: str, rows: pa.Table) -> pa.Table:
    """As an older facelog might have had it: no brightness, and ages as whole years under another name."""
    if table == "faces":
        return rows.drop_columns(["brightness"])
    if table == "tracks":
        return rows.rename_columns(["years" if name == "age" else name for name in rows.column_names])
    return rows


def newer_faces(rows: pa.Table) -> pa.Table:
    place = TABLES["faces"].get_field_index("brightness")
    return rows.add_column(place, TABLES["faces"].field("brightness"), pa.array([50.0] * len(rows), pa.float32()))


def newer_tracks(rows: pa.Table) -> pa.Table:
    return rows.rename_columns(["age" if name == "years" else name for name in rows.column_names])


def newer_config(config: dict[str, Any]) -> dict[str, Any]:
    return config | {"quality": json.loads(Config().canonical_json)["quality"]}


@pytest.fixture
def step(monkeypatch: pytest.MonkeyPatch) -> Step:
    """The way from there, registered as a new version's would be."""
    step = Step({"faces": newer_faces, "tracks": newer_tracks}, newer_config)
    monkeypatch.setitem(STEPS, OLD, step)
    return step


def make_old(folder: Path, version: int = OLD) -> None:
    """Rewrites a folder's files as an older version's."""
    config = json.loads(Config().canonical_json) | {"schema_version": version}
    del config["quality"]
    text = json.dumps(config, sort_keys=True, separators=(",", ":"))
    for path in folder.rglob("*.parquet"):
        if "_work" in path.parts:
            continue
        read = pq.read_table(path, partitioning=None)
        table = path.relative_to(folder).parts[0]
        if table == "videos":
            old_hash = pa.array([hashlib.sha256(text.encode()).hexdigest()])
            read = read.set_column(
                read.schema.get_field_index("config_hash"), TABLES[table].field("config_hash"), old_hash
            )
        footer = read.schema.metadata | {b"schema_version": str(version).encode(), b"config_json": text.encode()}
        pq.write_table(older(table, read).replace_schema_metadata(footer), path, compression="zstd")


@pytest.fixture
def wanted(tmp_path: Path) -> Path:
    """What is to come out."""
    out = tmp_path / "wanted"
    make_archive(str(out), {"/v/a.mp4": A, "/v/b.mp4": B, "/v/copy.mp4": A}, samples=True)
    for path in (out / "faces").rglob("*.parquet"):
        read = pq.read_table(path, partitioning=None)
        pq.write_table(newer_faces(older("faces", read)).replace_schema_metadata(read.schema.metadata), path)
    return out


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """The same of an older facelog, with the copy of its rows and what a killed run left."""
    out = tmp_path / "out"
    run = make_archive(str(out), {"/v/a.mp4": A, "/v/b.mp4": B, "/v/copy.mp4": A}, samples=True)
    make_old(out)
    storage.write_bytes(run.work.fragment("cc" * 16, 0), b"a fragment")
    storage.write_bytes(run.work.plan("/v/c.mp4"), b"{}")
    storage.write_bytes(run.layout.run, b"{}")
    return out


def versions(out: Path, table: str = "*") -> list[int]:
    paths = [path for path in out.glob(f"{table}/bucket=*/**/*.parquet")]
    return sorted(int(pq.read_schema(path).metadata[b"schema_version"]) for path in paths)


def test_an_older_folder_is_refused_and_then_upgraded(out: Path, wanted: Path, step: Step) -> None:
    with pytest.raises(UsageError, match=f"schema version {OLD}.*facelog upgrade {out}"):
        read_ledger(str(out))
    done = upgrade(str(out))
    assert (done.version, dict(done.from_versions)) == (SCHEMA_VERSION, {OLD: 2 * 4 + 3})
    assert_same_tables(out, wanted)
    assert set(versions(out)) == {SCHEMA_VERSION}
    assert read_ledger(str(out)) == read_ledger(str(wanted))
    assert rows(out, "videos") == rows(wanted, "videos")
    for path in out.glob("*/bucket=*/**/*.parquet"):
        assert pq.read_schema(path).equals(pq.read_schema(wanted / path.relative_to(out)), check_metadata=True)
    assert sorted(path.name for path in (out / "_work").iterdir()) == ["ledger.parquet", "lock", "run.json"]


def test_what_is_done_stays_done_for_the_next_run(out: Path, step: Step) -> None:
    upgrade(str(out))
    files = [example_file(uri) for uri in ("/v/a.mp4", "/v/b.mp4", "/v/copy.mp4")]
    assert Archive(example_run(str(out), "run-2"), files, {}).todo == []


@pytest.mark.parametrize("writes", [0, 1, 5, 8, 10, 11])
def test_killed_the_same_call_goes_on(
    out: Path, wanted: Path, step: Step, writes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, count = storage.write_bytes, iter(range(writes))

    def killed(uri: str, data: bytes) -> None:
        if uri.endswith(".parquet") and next(count, None) is None:
            raise KeyboardInterrupt
        write(uri, data)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("schemas.storage.write_bytes", killed)
        upgrade(str(out))
    assert sum(version == SCHEMA_VERSION for version in versions(out)) == writes
    if writes < 11:
        assert OLD in versions(out, "videos"), "rows are last"
        with pytest.raises(UsageError, match="facelog upgrade"):
            read_ledger(str(out))
    assert sum(upgrade(str(out)).from_versions.values()) == 11 - writes
    assert_same_tables(out, wanted)
    assert read_ledger(str(out)) == read_ledger(str(wanted))


def test_several_steps_in_a_row(out: Path, wanted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_archive(str(out), {"/v/a.mp4": A, "/v/b.mp4": B, "/v/copy.mp4": A}, samples=True)
    make_old(out, OLD - 1)
    monkeypatch.setitem(STEPS, OLD - 1, Step({"faces": newer_faces}))
    with pytest.raises(
        UsageError, match=f"schema version {OLD - 1}, and this facelog knows no way on from version {OLD}:"
    ):
        upgrade(str(out))
    assert set(versions(out)) == {OLD - 1}
    monkeypatch.setitem(STEPS, OLD, Step({"tracks": newer_tracks}, newer_config))
    upgrade(str(out))
    assert_same_tables(out, wanted)


def test_a_current_folder_is_left_alone(wanted: Path, facelog: Facelog) -> None:
    before = {path: path.stat().st_mtime_ns for path in wanted.rglob("*.parquet")}
    said = facelog("upgrade", wanted)
    assert (said.exit_code, said.stdout) == (0, f"{wanted} has schema version {SCHEMA_VERSION}, which is current.\n")
    assert {path: path.stat().st_mtime_ns for path in wanted.rglob("*.parquet")} == before


def test_fragments_of_a_first_run_that_was_killed_stay(tmp_path: Path) -> None:
    run = example_run(str(tmp_path))
    storage.write_bytes(run.work.fragment(A, 0), b"a fragment")
    assert not upgrade(str(tmp_path)).from_versions
    assert storage.exists(run.work.fragment(A, 0))


def test_a_newer_folder_wants_a_newer_facelog(wanted: Path, facelog: Facelog) -> None:
    path = next((wanted / "videos").rglob("*.parquet"))
    read = pq.read_table(path, partitioning=None)
    pq.write_table(read.replace_schema_metadata(read.schema.metadata | {b"schema_version": b"99"}), path)
    said = facelog("upgrade", wanted)
    assert said.exit_code == 2
    assert said.stderr == (
        f"facelog: {wanted} has schema version 99, this facelog writes {SCHEMA_VERSION}: use a newer facelog.\n"
    )


def test_without_a_way_nothing_is_touched(out: Path, facelog: Facelog) -> None:
    before = {path: path.read_bytes() for path in out.rglob("*.parquet")}
    said = facelog("upgrade", out)
    assert said.exit_code == 2
    assert f"has schema version {OLD}, and this facelog knows no way on from version {OLD}: analyze" in said.stderr
    assert {path: path.read_bytes() for path in out.rglob("*.parquet")} == before


def test_people_read_what_was_done(out: Path, step: Step, facelog: Facelog) -> None:
    said = facelog("upgrade", out)
    assert said.exit_code == 0
    assert said.stdout == f"{out} now has schema version {SCHEMA_VERSION}: rewrote 11 files of version {OLD}.\n"


@pytest.mark.parametrize("table", ["tracks", "videos"])
def test_damaged_files_are_named_and_all_others_upgraded(out: Path, step: Step, facelog: Facelog, table: str) -> None:
    path = min((out / table).rglob("*.parquet"))
    path.write_bytes(b"PAR1 half")
    said = facelog("upgrade", out)
    assert said.exit_code == 3
    assert "rewrote 10 files" in said.stdout
    assert f"left as it was: {path} is damaged; remove it" in said.stdout.replace("\n", " ")
    assert path.read_bytes() == b"PAR1 half"
    path.unlink()
    assert set(versions(out)) == {SCHEMA_VERSION}
    assert upgrade(str(out)).damaged == []


def test_a_run_at_work_is_not_disturbed(out: Path) -> None:
    with hold(str(out)), pytest.raises(FacelogError, match="is being written by PID"):
        upgrade(str(out))
    with pytest.raises(UsageError, match="holds no results of facelog"):
        upgrade(f"{out}-other")


def test_on_an_object_store(s3_bucket: str, out: Path, wanted: Path, step: Step, tmp_path: Path) -> None:
    stored = f"{s3_bucket}/out"
    for path in out.rglob("*"):
        if path.is_file():
            storage.write_bytes(f"{stored}/{path.relative_to(out)}", path.read_bytes())
    upgrade(stored)
    for info in storage.list_files(stored):
        path = tmp_path / "back" / info.uri.removeprefix(f"{stored}/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(storage.read_bytes(info.uri))
    assert_same_tables(tmp_path / "back", wanted)
    assert read_ledger(stored) == read_ledger(str(wanted))
