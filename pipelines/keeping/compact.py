"""A copy of the tables in few large files, for readers of very large archives."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs
from rich.console import Console

from pipelines.progress_bar import bar
from pipelines.results.database import RECORD, read_record
from pipelines.results.holding import hold
from pipelines.results.persons import TABLES as PERSON_TABLES
from pipelines.results.videos import read_videos, require_results
from schemas import storage
from schemas.config import Config
from schemas.errors import StorageError, UsageError
from schemas.iteration import chunks
from schemas.layout import ROW_TABLES, Layout
from schemas.table_files import DamagedTableError, MissingTableError, list_table_files, read_footer, read_table
from schemas.tables import OBSERVATIONS, TABLES, VIDEOS, footer, make_table
from transforms.ledger import HAS_TABLES, Row

FILE_SIZE = 256_000_000
"""Default size of a file in bytes: the documentation of readers recommends 100 MB to 1 GB."""

ROW_GROUP = 122_880
"""Rows of a row group: DuckDB's own number, so that it reads each with one thread. Of `faces` about 10 MB on disk."""

_NEW = ".new"
_SCHEMAS = TABLES | {"observations": OBSERVATIONS}
_SORTED_BY = {
    "faces": ("video_id", "track_id", "second"),
    "tracks": ("video_id", "track_id"),
    "timeline": ("video_id", "second"),
    "observations": ("video_id", "segment"),
    "videos": ("uri",),
}


@dataclasses.dataclass(frozen=True)
class Part:
    """One file of a copy.

    Attributes:
      name: in OUT, as "faces/part-00000.parquet".
      rows: that it has.
      bytes: its size.
    """

    name: str
    rows: int
    bytes: int


@dataclasses.dataclass(frozen=True)
class Compacted:
    """A finished copy.

    Attributes:
      out: DIR, of which the copy was made.
      target: OUT.
      videos: number of contents whose rows are in it.
      parts: the files, by table.
      damaged: why the rows of a content were left out, by video_id; its row of `videos` is there.
    """

    out: str
    target: str
    videos: int
    parts: dict[str, list[Part]]
    damaged: dict[str, str] = dataclasses.field(default_factory=dict)

    def rows(self, table: str) -> int:
        """Rows of one table."""
        return sum(part.rows for part in self.parts[table])

    def bytes(self, table: str) -> int:
        """Bytes of one table."""
        return sum(part.bytes for part in self.parts[table])


def compact(
    out: str,
    target: str,
    *,
    observations: bool = False,
    file_size: int = FILE_SIZE,
    console: Console | None = None,
) -> Compacted:
    """Writes a copy of DIR's tables in few large files: OUT/faces/part-00000.parquet and so on. DIR stays as it is.

    Rows are sorted by their table's key, within files and from file to file. `faces`, `tracks` and `timeline` have the
    rows of videos that are ok or partial in the ledger, `videos` has all of its rows. A video one of whose files is
    missing or damaged has no rows but that of `videos`; the copy is made without it. It is made under
    OUT/.new and moved when it is whole; OUT/compact.json, written last, says so.

    Args:
      out: DIR, on disk or on an object store.
      target: OUT, another folder there or elsewhere: one that is not there yet, an empty one, or an earlier copy, which
        is replaced.
      observations: also copy every sample, if DIR has them.
      file_size: a file that has reached so many bytes is closed, and the next one begun.
      console: where a progress bar is shown; None: nowhere.

    Raises:
      UsageError: there are no results in DIR, or none of what was asked for; or OUT is no place for a copy.
      FacelogError: a run is at work in DIR.
      StorageError: DIR cannot be read, or OUT cannot be written.
    """
    out, target = require_results(out), storage.normalize(target)
    if file_size < 1_000_000:
        raise UsageError(f"Files of {file_size} bytes are too small: give 1MB at least, or 128MB to 512MB for readers.")
    _check_target(out, target)
    with hold(out):
        rows = read_videos(out)
        texts = _footer(rows, out)
        with _under_construction(out, target):
            damaged: dict[str, str] = {}
            copy = _copy(out, target, rows, texts, observations, file_size, console, damaged)
            if damaged:
                storage.delete_tree(storage.join(target, _NEW))
                copy = _copy(out, target, read_videos(out), texts, observations, file_size, console, damaged)
        _put_in_place(copy, texts)
    return copy


@contextlib.contextmanager
def _under_construction(out: str, target: str) -> Iterator[None]:
    """Empties OUT/.new before the work, and after work that failed; an OUT that was empty is empty again then."""
    was_empty = read_record(target) is None
    if was_empty:
        _write_record(target, {"whole": False, "source": out})  # what a killed call leaves is known as ours by that
    storage.delete_tree(storage.join(target, _NEW))
    try:
        yield
    except BaseException:
        with contextlib.suppress(StorageError):
            storage.delete_tree(storage.join(target, _NEW))
            if was_empty:
                storage.delete_file(storage.join(target, RECORD))
        raise


def _check_target(out: str, target: str) -> None:
    real_out, real_target = (os.path.realpath(uri) if storage.is_local(uri) else uri for uri in (out, target))
    if f"{real_target}/".startswith(f"{real_out}/"):
        raise UsageError(f"{target} is {out} or lies in it: give another folder for the copy.")
    if storage.exists(target) and not storage.is_folder(target):
        raise UsageError(f"{target} is a file: give a folder for the copy.")
    other = next(iter(storage.list_files(target)), None)
    if other is not None and read_record(target) is None:
        raise UsageError(
            f"{target} holds other files ({other.uri}): give an empty folder, or one with an earlier compact copy."
        )


def _footer(rows: Sequence[Row], out: str) -> dict[str, str]:
    """What the footers of a copy say: conventions as ever; configurations and runs as many as there were.

    `run_id`, `config_json` and `models` stand there only where they are true of all rows.
    """
    of_config: dict[str, dict[str, Any]] = {}
    singles: dict[str, str] = {}
    for row in rows:
        if row["config_hash"] not in of_config:
            said = read_footer(Layout(out).ledger(row["uri"]))
            of_config[row["config_hash"]] = {key: json.loads(said[key]) for key in ("config_json", "models")}
            singles = {key: said[key] for key in ("config_json", "models")}
    run_ids = sorted({row["run_id"] for row in rows})
    texts = {key: text for key, text in footer(Config(), "").items() if key not in ("run_id", "config_json", "models")}
    texts |= {"compacted_from": out, "compacted_at": datetime.now(UTC).isoformat(timespec="seconds")}
    texts |= {"run_ids": json.dumps(run_ids), "configs": json.dumps(of_config, sort_keys=True)}
    if len(of_config) == 1:
        texts |= singles
    if len(run_ids) == 1:
        texts["run_id"] = run_ids[0]
    return texts


def _copy(
    out: str,
    target: str,
    rows: list[Row],
    texts: Mapping[str, str],
    observations: bool,
    file_size: int,
    console: Console | None,
    damaged: dict[str, str],
) -> Compacted:
    """All parts, under OUT/.new.

    Args:
      out: DIR.
      target: OUT.
      rows: of `videos`.
      texts: of the footers.
      observations: whether they are copied.
      file_size: see `compact`.
      console: see `compact`.
      damaged: videos to leave out, with the reason; those whose files turn out to be damaged are added.

    Raises:
      UsageError: there are no observations.
      StorageError: DIR cannot be read, or OUT cannot be written.
    """
    layout = Layout(out)
    video_ids = sorted({row["video_id"] for row in rows if row["status"] in HAS_TABLES} - damaged.keys())
    files = {table: [layout.table(table, video_id) for video_id in video_ids] for table in ROW_TABLES}
    if observations:
        files["observations"] = sorted(_observation_files(out, set(video_ids)))
        if not files["observations"]:
            raise UsageError(f"{out} holds no observations: `facelog analyze --keep-observations` keeps them.")
    parts = {}
    writer = _Parts(target, "videos", texts, file_size)
    for batch in chunks(rows, 10_000):
        writer.write(make_table(VIDEOS, {name: [row[name] for row in batch] for name in VIDEOS.names}))
    parts["videos"] = writer.close()
    rows.clear()  # of many videos they are most of what is in memory
    with bar("copying", sum(map(len, files.values())), console) as advance:
        for table, names in files.items():
            writer = _Parts(target, table, texts, file_size)
            for found in storage.at_once(functools.partial(_readable, table), names):
                if isinstance(found, str):
                    video_id, _, reason = found.partition(" ")
                    damaged.setdefault(video_id, reason)
                elif not damaged:  # else the copy begins anew, and this is only to find all of them
                    writer.write(found.replace_schema_metadata(None))
                advance()
            parts[table] = writer.close()
    return Compacted(out, target, len(video_ids), parts, damaged)


def _readable(table: str, uri: str) -> pa.Table | str:
    """The rows of a file, or its video's id and the reason why there are none."""
    try:
        return read_table(uri, schema=_SCHEMAS[table])
    except (MissingTableError, DamagedTableError) as error:
        parent, name = uri.split("/")[-2:]
        return f"{parent if table == 'observations' else name.removesuffix('.parquet')} {error}"


class _Parts:
    """Writes the rows of one table into files, one after the other; no more than a row group is in memory."""

    def __init__(self, target: str, table: str, texts: Mapping[str, str], file_size: int):
        self._target, self._table, self._file_size = target, table, file_size
        self._schema = _SCHEMAS[table].with_metadata(dict(texts))
        self._parts: list[Part] = []
        self._waiting: list[pa.Table] = []
        self._sink: pa.NativeFile | None = None
        self._rows = 0

    def write(self, rows: pa.Table) -> None:
        """Adds rows, which follow all before in the table's order."""
        self._waiting.append(rows)
        while sum(map(len, self._waiting)) >= ROW_GROUP:
            whole = pa.concat_tables(self._waiting)
            self._write_group(whole.slice(0, ROW_GROUP))
            self._waiting = [whole.slice(ROW_GROUP)]

    def close(self) -> list[Part]:
        """Writes what is left; a table without rows has one file all the same, which says what its columns are."""
        left = pa.concat_tables([*self._waiting, self._schema.empty_table().replace_schema_metadata(None)])
        self._waiting = []
        if len(left) or not (self._parts or self._sink):
            self._write_group(left)
        if self._sink:
            self._end_file()
        return self._parts

    def _write_group(self, rows: pa.Table) -> None:
        if self._sink is None:
            self._begin_file()
        assert self._sink is not None
        with storage.plain_errors(self._uri):
            self._writer.write_table(rows.unify_dictionaries().combine_chunks(), row_group_size=ROW_GROUP)
            size = self._sink.tell()
        self._rows += len(rows)
        if size >= self._file_size:
            self._end_file()

    def _begin_file(self) -> None:
        self._name = f"{self._table}/part-{len(self._parts):05d}.parquet"
        self._uri = storage.join(self._target, _NEW, self._name)
        files, path = storage.resolve(self._uri)
        with storage.plain_errors(self._uri):
            if isinstance(files, fs.LocalFileSystem):  # an object store needs no folders
                os.makedirs(os.path.dirname(path), exist_ok=True)
            self._sink = files.open_output_stream(path)
        keys = [(key, "ascending") for key in _SORTED_BY[self._table]]
        self._writer = pq.ParquetWriter(
            self._sink,
            self._schema,
            compression="zstd",
            write_page_index=True,  # so that a reader of one video skips the pages of others
            sorting_columns=pq.SortingColumn.from_ordering(self._schema, keys),
        )

    def _end_file(self) -> None:
        assert self._sink is not None
        with storage.plain_errors(self._uri):
            self._writer.close()
            size = self._sink.tell()
            self._sink.close()
            if storage.is_local(self._uri):
                _sync(self._uri)
        self._parts.append(Part(self._name, self._rows, size))
        self._sink, self._rows = None, 0


def _sync(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _put_in_place(copy: Compacted, texts: Mapping[str, str]) -> None:
    """Moves the parts to their final names, in place of an earlier copy's; OUT/compact.json says when that is done."""
    figures = {key: texts[key] for key in ("schema_version", "code_version", "compacted_at")}
    record = {"whole": False, "source": copy.out, **figures}
    _write_record(copy.target, record)
    for table in _SCHEMAS:
        names = [part.name for part in copy.parts.get(table, ())]
        for name in names:
            storage.move_file(storage.join(copy.target, _NEW, name), storage.join(copy.target, name))
        for info in list(storage.list_files(storage.join(copy.target, table))):
            if info.uri.removeprefix(f"{copy.target}/") not in names:
                storage.delete_file(info.uri)
        if not names:
            storage.delete_tree(storage.join(copy.target, table))
    _copy_persons(copy.out, copy.target)
    tables = {table: [dataclasses.asdict(part) for part in parts] for table, parts in copy.parts.items()}
    _write_record(copy.target, record | {"whole": True, "videos": copy.videos, "tables": tables})
    storage.delete_tree(storage.join(copy.target, _NEW))


def _copy_persons(out: str, target: str) -> None:
    """Copies who appears where, and what users decided; embeddings stay where they are."""
    for name in PERSON_TABLES:
        source, copy = (Layout(folder).persons(name) for folder in (out, target))
        if storage.exists(source):
            storage.write_bytes(copy, storage.read_bytes(source))
        elif storage.exists(copy):
            storage.delete_file(copy)


def _write_record(target: str, record: Mapping[str, Any]) -> None:
    storage.write_bytes(storage.join(target, RECORD), json.dumps(record, indent=2).encode())


def _observation_files(out: str, video_ids: set[str]) -> Iterator[str]:
    for info in list_table_files(Layout(out).folder("observations")):
        if info.uri.rsplit("/", 2)[-2] in video_ids:
            yield info.uri
