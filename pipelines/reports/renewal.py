"""Which pages a report has, what each depends on, and which are up to date."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence

from pipelines.reports import pages
from schemas import storage
from schemas.layout import PAGE_STATES, ROW_TABLES, page_name
from transforms.ledger import HAS_TABLES, Row

_STALE = ""


@dataclasses.dataclass(frozen=True)
class Page:
    """A page of the report.

    Attributes:
      name: of its files, without ending: stable, and fit for any file system.
      rows: of `videos`: of the file and of its copies.
      state: a checksum that changes when the page would come out differently.
    """

    name: str
    rows: Sequence[Row]
    state: str

    @property
    def video_id(self) -> str:
        """Of the file and its copies."""
        return str(self.rows[0]["video_id"])

    @property
    def uri(self) -> str:
        """Of the file, of copies the first."""
        return str(self.rows[0]["uri"])


def plan_pages(rows: Iterable[Row], out: str, who: Mapping[str, object] | None = None, **options: bool) -> list[Page]:
    """A page for each content that could be read, by the first uri.

    Args:
      rows: of `videos`.
      out: DIR; its tables are listed.
      who: by video_id, what else its page says; None: nothing.
      **options: what else changes pages.
    """
    groups: dict[str, list[Row]] = {}
    for row in sorted(rows, key=lambda row: row["uri"]):
        if row["status"] in HAS_TABLES:
            groups.setdefault(row["video_id"], []).append(row)
    tables = _tables(out)
    common = f"{pages.look()} {json.dumps(options, sort_keys=True)}"
    return [
        Page(
            page_name(group[0]["uri"], video_id),
            group,
            _checksum(common, tables.get(video_id, []), group, *([] if who is None else [who.get(video_id)])),
        )
        for video_id, group in groups.items()
    ]


class States:
    """The states that the pages in a folder were made from, as noted in `pages.json`."""

    def __init__(self, folder: str):
        """Reads it; without it, or where it is damaged, every page is made anew."""
        self._uri = storage.join(folder, PAGE_STATES)
        self._folder = folder
        self.files = {info.uri.rsplit("/", 1)[-1] for info in storage.list_files(folder, recursive=False)}
        try:
            self._known: dict[str, str] = dict(json.loads(storage.read_bytes(self._uri)))
        except (FileNotFoundError, ValueError, TypeError):
            self._known = {}

    def is_fresh(self, page: Page, *, as_json: bool) -> bool:
        """Whether a page exists and would come out the same."""
        wanted = {f"{page.name}.html", *([f"{page.name}.json"] if as_json else [])}
        return self._known.get(page.name) == page.state and wanted <= self.files

    def begin(self, todo: Iterable[Page]) -> None:
        """Notes pages that are about to be made as out of date, so that they are made anew after an interruption."""
        self._known |= dict.fromkeys((page.name for page in todo), _STALE)
        self._write()

    def end(self, made: Iterable[Page], planned: Iterable[str]) -> None:
        """Notes the pages that were made, and removes pages of ours that are no longer planned."""
        self._known |= {page.name: page.state for page in made}
        keep = set(planned)
        for name in sorted(set(self._known) - keep):
            self.remove(name)
            del self._known[name]
        self._write()

    def remove(self, name: str, endings: Sequence[str] = ("html", "json")) -> None:
        """Removes the files of a page."""
        for ending in endings:
            if f"{name}.{ending}" in self.files:
                storage.delete_file(storage.join(self._folder, f"{name}.{ending}"))
                self.files.discard(f"{name}.{ending}")

    def _write(self) -> None:
        storage.write_bytes(self._uri, json.dumps(self._known, indent=0, sort_keys=True).encode())


def _tables(out: str) -> dict[str, list[str]]:
    """Of each video_id, what its tables' files look like: tables can change while the row stays."""
    found: dict[str, list[str]] = {}
    for table in ROW_TABLES:
        for info in storage.list_files(storage.join(out, table)):
            video_id = info.uri.rsplit("/", 1)[-1].removesuffix(".parquet")
            found.setdefault(video_id, []).append(f"{table} {info.size_bytes} {info.modified_at}")
    return found


def _checksum(*values: object) -> str:
    return hashlib.sha256(repr(values).encode()).hexdigest()[:32]
