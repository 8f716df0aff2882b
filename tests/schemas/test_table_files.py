"""Files of tables: reading them, and the messages for one that is missing or damaged."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from schemas.errors import StorageError
from schemas.table_files import (
    DamagedTableError,
    MissingTableError,
    count_rows,
    footer_texts,
    list_table_files,
    read_footer,
    read_table,
)
from schemas.tables import TIMELINE, make_table, parquet_bytes

COLUMNS = {"video_id": ["a", "a"], "second": [0, 1], "timestamp": [0.0, None], "n_samples": [4, 0]}
COLUMNS |= {"n_faces": [1, None], "shot_id": [0, 0], "decode_ok": [True, False]}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "bucket=aa" / "a.parquet"
    path.parent.mkdir()
    path.write_bytes(parquet_bytes(make_table(TIMELINE, COLUMNS), {"run_id": "run-1"}))
    return path


def test_rows_and_footer_come_back(file: Path) -> None:
    table = read_table(str(file), TIMELINE)
    assert table.to_pydict() == COLUMNS
    assert footer_texts(table.schema) == read_footer(str(file)) == {"run_id": "run-1"}
    assert count_rows(str(file)) == 2


@pytest.mark.parametrize("read", [read_table, read_footer, count_rows])
def test_missing_and_damaged(read: Callable[..., Any], file: Path) -> None:
    whole = file.read_bytes()
    for content in (b"", b"PAR1", whole[:-20], b"x" * len(whole)):
        file.write_bytes(content)
        with pytest.raises(DamagedTableError, match=f"{file} is damaged; to have that video analyzed again"):
            read(str(file))
    file.unlink()
    with pytest.raises(MissingTableError, match=f"{file} is missing; remove the row"):
        read(str(file), remedy="remove the row")


def test_a_cut_in_the_middle_is_damage(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[4:60] = b"\0" * 56
    file.write_bytes(content)
    with pytest.raises(DamagedTableError):
        read_table(str(file))


def test_other_columns_are_damage(file: Path) -> None:
    other = pa.schema([*list(TIMELINE)[:-1], pa.field("decode_ok", pa.int8())])
    with pytest.raises(DamagedTableError):
        read_table(str(file), other)


def test_what_cannot_be_read_is_not_called_damaged(tmp_path: Path) -> None:
    with pytest.raises(StorageError) as raised:
        read_table(str(tmp_path))
    assert not isinstance(raised.value, DamagedTableError | MissingTableError)


def test_files_under_construction_are_not_listed(file: Path, tmp_path: Path) -> None:
    for name in (".b.parquet", "c.parquet.tmp", "d.json"):
        (file.parent / name).write_bytes(b"")
    assert [info.uri for info in list_table_files(str(tmp_path))] == [str(file)]
    assert not list(list_table_files(str(tmp_path / "none")))
