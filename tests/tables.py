"""The four tables of an output folder, read back, and what "the same tables" means."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds

from schemas.tables import OWN_COLUMNS

KEYS = {
    "faces": ("video_id", "track_id", "second"),
    "tracks": ("video_id", "track_id"),
    "timeline": ("video_id", "second"),
    "videos": ("uri",),
}
"""What a row of each table is known by, and how its rows are sorted."""

_BUCKET = ds.partitioning(pa.schema([("bucket", pa.string())]), flavor="hive")


def read_table(out: Path, name: str) -> pa.Table:
    """One table, sorted by its key; without columns where it has no files."""
    table = ds.dataset(out / name, format="parquet", partitioning=_BUCKET).to_table() if _files(out, name) else None
    return (
        pa.table({})
        if table is None
        else table.drop_columns("bucket").sort_by([(key, "ascending") for key in KEYS[name]])
    )


def rows(out: Path, name: str, **where: Any) -> list[dict[str, Any]]:
    """Rows of one table by its key, those alone whose columns have the given values."""
    return [row for row in read_table(out, name).to_pylist() if all(row[key] == where[key] for key in where)]


def videos(out: Path) -> dict[str, dict[str, Any]]:
    """Rows of `videos` by the name of the file."""
    return {Path(row["uri"]).name: row for row in rows(out, "videos")}


def statuses(out: Path) -> dict[str, str]:
    """Name of each file → its status."""
    return {name: row["status"] for name, row in videos(out).items()}


def without_own_columns(table: pa.Table) -> pa.Table:
    """The table without what may differ between two runs."""
    return table.drop_columns([name for name in OWN_COLUMNS if name in table.column_names])


def assert_same_tables(one: Path, other: Path) -> None:
    """Two folders hold the same rows, values equal to the last bit, in files of the same names."""
    for name in KEYS:
        assert _files(one, name) == _files(other, name)
        ours, theirs = (without_own_columns(read_table(out, name)).to_pylist() for out in (one, other))
        assert ours == theirs, f"{name} differs"


def assert_whole(out: Path) -> None:
    """Nothing half-written and nothing left over: every file in its place, every table named by a row."""
    named = {row["video_id"] for row in rows(out, "videos") if row["status"] in ("ok", "partial")}
    for name in ("faces", "tracks", "timeline"):
        assert {Path(file).stem for file in _files(out, name)} == named, name
    strays = {path for path in out.rglob("*") if path.is_file() and path.name.startswith(".")}
    assert not strays


def fragments(out: Path) -> list[str]:
    """Names of the fragments that wait for their video's row."""
    return sorted(path.relative_to(out).as_posix() for path in out.glob("_work/*/*/*.parquet"))


def _files(out: Path, name: str) -> list[str]:
    return sorted(path.relative_to(out).as_posix() for path in out.glob(f"{name}/bucket=*/[!.]*.parquet"))
