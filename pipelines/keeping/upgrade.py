"""Bring the files of an older facelog to the tables of this one, without analyzing anything again."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import pyarrow as pa
from rich.console import Console

from pipelines.progress_bar import bar, with_bar
from pipelines.results.holding import hold
from pipelines.results.videos import require_results
from schemas import storage
from schemas.config import SCHEMA_VERSION
from schemas.errors import StorageError, UsageError
from schemas.layout import ROW_TABLES, Layout
from schemas.table_files import DamagedTableError, footer_texts, list_table_files, read_footer, read_table
from schemas.tables import OBSERVATIONS, TABLES, parquet_bytes
from transforms.ledger import read_ledger, renew_index

_REMEDY = "remove it, and run the same command again"
_ORDER = (*ROW_TABLES, "observations", "videos")
_SCHEMAS = TABLES | {"observations": OBSERVATIONS}


@dataclasses.dataclass(frozen=True)
class Step:
    """From one schema version to the next.

    Attributes:
      tables: by table (observations too), a function from a file's rows to those of the next version; a table without
        one stays as it is.
      config: what makes a configuration that of the next version, such as a setting that is new, with the value that
        was built in before. It decides about `config_hash`, and so whether `analyze` takes a video as done.
    """

    tables: Mapping[str, Callable[[pa.Table], pa.Table]] = dataclasses.field(default_factory=dict)
    config: Callable[[dict[str, Any]], dict[str, Any]] = lambda config: config


STEPS: dict[int, Step] = {}
"""By the version that a step begins with. Whoever raises SCHEMA_VERSION adds one. Version 1 is the first there was."""


@dataclasses.dataclass(frozen=True)
class Upgraded:
    """What was done.

    Attributes:
      out: DIR.
      version: that DIR has now.
      from_versions: how many files of each older version were rewritten, by version; empty: there were none.
      damaged: a sentence for each file that could not be read; it was left as it is.
    """

    out: str
    version: int
    from_versions: Counter[int]
    damaged: list[str] = dataclasses.field(default_factory=list)


def upgrade(out: str, *, console: Console | None = None) -> Upgraded:
    """Rewrites the files of DIR for this facelog's schema version, one by one, each whole or not at all.

    Rows of `videos` are last, so until the end DIR counts as old, and the same call goes on where it was killed.
    Fragments of videos that have no row yet go: their videos are begun anew. Reports and compact copies are made anew
    by their commands. A damaged file is left as it is, and all others are rewritten.

    Args:
      out: DIR, on disk or on an object store.
      console: where a progress bar is shown; None: nowhere.

    Raises:
      UsageError: there are no results in DIR; it was written by a newer facelog; or no way leads from its version.
      FacelogError: a run is at work in DIR.
      StorageError: it cannot be read or written.
    """
    out = require_results(out)
    with hold(out):
        if _is_current(out):
            return Upgraded(out, SCHEMA_VERSION, Counter())
        files = {table: sorted(info.uri for info in list_table_files(storage.join(out, table))) for table in _ORDER}
        every = [uri for of_table in files.values() for uri in of_table]
        found = list(with_bar(storage.at_once(_version, every), "looking", len(every), console))
        versions = {uri: version for uri, version in zip(every, found, strict=True) if isinstance(version, int)}
        damaged = [str(error) for error in found if isinstance(error, DamagedTableError)]
        _refuse_unknown(out, set(versions.values()))
        old = {
            table: [uri for uri in files[table] if versions.get(uri, SCHEMA_VERSION) < SCHEMA_VERSION]
            for table in _ORDER
        }
        _drop_unfinished(out)
        done = Counter[int]()
        with bar("upgrading", sum(map(len, old.values())), console) as advance:
            for table in _ORDER:
                errors = storage.at_once(functools.partial(_upgrade_file, table), old[table])
                for uri, error in zip(old[table], errors, strict=True):
                    advance()
                    damaged += [str(error)] if error else []
                    done[versions[uri]] += error is None
        if not any(uri in sentence for uri in files["videos"] for sentence in damaged):
            renew_index(out)
    return Upgraded(out, SCHEMA_VERSION, +done, damaged)


def _is_current(out: str) -> bool:
    """Whether no row is of another version; rows are rewritten last, so then no file is."""
    try:
        read_ledger(out)
    except (UsageError, StorageError):  # a damaged row is named when all files are looked at
        return False
    return True


def _version(uri: str) -> int | DamagedTableError:
    """The version of a file, or why it cannot be told."""
    try:
        return int(read_footer(uri, remedy=_REMEDY).get("schema_version", "0"))
    except DamagedTableError as error:
        return error


def _refuse_unknown(out: str, versions: set[int]) -> None:
    if newer := {version for version in versions if version > SCHEMA_VERSION}:
        raise UsageError(
            f"{out} has schema version {max(newer)}, this facelog writes {SCHEMA_VERSION}: use a newer facelog."
        )
    if no_way := sorted(set(range(min(versions, default=SCHEMA_VERSION), SCHEMA_VERSION)) - STEPS.keys()):
        raise UsageError(
            f"{out} has schema version {min(versions)}, and this facelog knows no way on from version {no_way[0]}: "
            "analyze the archive anew, into another folder."
        )


def _drop_unfinished(out: str) -> None:
    """Deletes the work of configurations whose hashes are about to change, and the copy of the old rows."""
    layout = Layout(out)
    work = layout.work
    names = {info.uri.removeprefix(f"{work}/").partition("/")[0] for info in storage.list_files(work)}
    for uri in {storage.join(work, name) for name in names} - {layout.lock, layout.lease, layout.run}:
        (storage.delete_tree if storage.is_folder(uri) else storage.delete_file)(uri)


def _upgrade_file(table: str, uri: str) -> DamagedTableError | None:
    """Upgrades one file step by step in memory, then replaces it; returns why it cannot be read."""
    try:
        rows = read_table(uri, remedy=_REMEDY)
    except DamagedTableError as error:
        return error
    texts = footer_texts(rows.schema)
    for version in range(int(texts.get("schema_version", "0")), SCHEMA_VERSION):
        step = STEPS[version]
        rows = step.tables.get(table, lambda same: same)(rows)
        config = step.config(json.loads(texts["config_json"])) | {"schema_version": version + 1}
        # As `Config.canonical_json` writes it, for its hash tells whether a video is done.
        texts["config_json"] = json.dumps(config, sort_keys=True, separators=(",", ":"))
        texts["schema_version"] = str(version + 1)
    if table == "videos":
        config_hash = hashlib.sha256(texts["config_json"].encode()).hexdigest()
        hashes = pa.array([config_hash] * len(rows), pa.string())
        rows = rows.set_column(rows.schema.get_field_index("config_hash"), _SCHEMAS[table].field("config_hash"), hashes)
    storage.write_bytes(uri, parquet_bytes(rows.cast(_SCHEMAS[table]), texts))
    return None
