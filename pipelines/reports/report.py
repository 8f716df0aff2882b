"""Pages about the results of an archive: an index, and a page for each video."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence

import duckdb
from rich.console import Console

from pipelines.progress_bar import with_bar
from pipelines.reports.archive import archive_report
from pipelines.reports.content import Model
from pipelines.reports.pages import ASSETS, CARDS_SHOWN, assets, index_page, persons_page, plotly_name, video_page
from pipelines.reports.persons import add_faces, persons_report, who_is_who
from pipelines.reports.renewal import Page, States, plan_pages
from pipelines.reports.thumbnails import add_thumbnails
from pipelines.reports.video import ATTRIBUTES, Tables, Who, models_of, read_tables, video_report
from pipelines.results.database import connect
from pipelines.results.videos import find_videos
from schemas import storage
from schemas.errors import FacelogError, StorageError, UsageError
from schemas.layout import PERSONS_PAGE, Layout
from schemas.table_files import MissingTableError


@dataclasses.dataclass(frozen=True)
class Reports:
    """What `report` made.

    Attributes:
      index: the index page.
      written: pages that were made or renewed.
      unchanged: pages that were as they should be.
      without_tables: videos whose tables are not there or damaged: uri and reason.
      without_thumbnails: videos that pictures were asked of and that have none: uri and reason.
    """

    index: str
    written: int
    unchanged: int
    without_tables: Mapping[str, str]
    without_thumbnails: Mapping[str, str]


def report(
    out: str,
    *,
    to: str | None = None,
    videos: Sequence[str] = (),
    as_json: bool = False,
    thumbnails: bool = False,
    blur: bool = False,
    persons: bool = False,
    console: Console | None = None,
) -> Reports:
    """Writes an index page of DIR and a page for each video; those that would come out the same are left alone.

    Copies of a video share its page. Files without tables (corrupt, failed, no video) are rows of the index.

    Args:
      out: DIR, on disk or on an object store.
      to: where the pages go; default: DIR/reports.
      videos: names of the videos whose pages are to be made, see `pipelines.results.videos`; default: all. The index
        always has all.
      as_json: write what the pages say as JSON documents beside them, too.
      thumbnails: show each track's best sample, from the video's file where that is still there.
      blur: pixelate those pictures.
      persons: also a page of the archive's persons, with some of their faces if `thumbnails`; pages of videos have
        their numbers and names.
      console: where to show a progress bar.

    Raises:
      UsageError: there are no results in DIR, or of another schema version; no such video; blur without thumbnails;
        persons where none were found.
      StorageError: something cannot be read or written.
    """
    if blur and not thumbnails:
        raise UsageError("--blur pixelates thumbnails: give --thumbnails with it.")
    out = storage.normalize(out)
    folder = storage.normalize(to) if to else Layout(out).folder("reports")
    with connect(out) as tables:
        rows = tables.table("videos").to_arrow_table().to_pylist()
        who = who_is_who(tables, out) if persons else None
        planned = plan_pages(rows, out, who, thumbnails=thumbnails, blur=blur)
        wanted = {row["video_id"] for row in (find_videos(rows, videos, out) if videos else rows)}
        chosen = [page for page in planned if page.video_id in wanted]
        _write_assets(folder)
        states = States(folder)
        if not persons:
            states.remove(PERSONS_PAGE)
        todo = [page for page in chosen if not states.is_fresh(page, as_json=as_json)]
        states.begin(todo)
        maker = _Maker(out, folder, states, as_json, thumbnails, blur, who)
        made = list(zip(todo, with_bar(storage.at_once(maker.make, todo), "pages", len(todo), console), strict=True))
        failed = {page.video_id: done.no_tables for page, done in made if done.no_tables}
        good = [page for page in planned if page.video_id not in failed]
        states.end([page for page, done in made if done.is_final], [page.name for page in good])
        index = archive_report(
            out,
            rows,
            tables,
            pages={page.video_id: page.name for page in good if f"{page.name}.html" in states.files},
            without_tables=failed,
            models=_models(good, out),
            n_persons=len({one for of_video in who.values() for one, _ in of_video.values()}) if who else None,
        )
        no_faces = maker.make_persons(tables, good) if persons else {}
    if as_json:
        storage.write_bytes(storage.join(folder, "index.json"), index.to_json())
    storage.write_bytes(storage.join(folder, "index.html"), index_page(index))
    return Reports(
        index=storage.join(folder, "index.html"),
        written=len(made) - len(failed),
        unchanged=len(chosen) - len(todo),
        without_tables={page.uri: done.no_tables for page, done in made if done.no_tables},
        without_thumbnails={page.uri: done.no_thumbnails for page, done in made if done.no_thumbnails} | no_faces,
    )


@dataclasses.dataclass(frozen=True)
class _Done:
    """Why a page could not be made, or has no thumbnails; None where nothing is wrong."""

    no_tables: str | None = None
    no_thumbnails: str | None = None

    @property
    def is_final(self) -> bool:
        """Whether the page need not be made again; thumbnails may be possible next time."""
        return not self.no_tables and not self.no_thumbnails


@dataclasses.dataclass(frozen=True)
class _Maker:
    """What all pages of a call have in common."""

    out: str
    folder: str
    states: States
    as_json: bool
    thumbnails: bool
    blur: bool
    who: Mapping[str, Who] | None

    def make(self, page: Page) -> _Done:
        """Reads a video's tables and writes its page."""
        try:
            tables = read_tables(self.out, page.video_id)
        except MissingTableError:
            return _Done(no_tables=f"The tables of {page.uri} are not there; a run may be at it.")
        except StorageError as error:
            return _Done(no_tables=str(error))
        try:
            return self._make(page, tables)
        except FacelogError:
            raise
        except Exception as error:  # one video must not cost the pages of the others
            return _Done(no_tables=f"The page of {page.uri} cannot be made ({type(error).__name__}: {error}).")

    def _make(self, page: Page, tables: Tables) -> _Done:
        who = None if self.who is None else self.who.get(page.video_id, {})
        content = video_report(page.name, page.rows, tables, who)
        if self.thumbnails:
            content = add_thumbnails(content, CARDS_SHOWN, blur=self.blur)
        if self.as_json:
            self._write(page.name, "json", content.to_json())
        else:
            # One of an earlier call would say other things, and hold pictures that this page does not show.
            self.states.remove(page.name, ["json"])
        self._write(page.name, "html", video_page(content))
        return _Done(no_thumbnails=content.no_thumbnails)

    def make_persons(self, connection: duckdb.DuckDBPyConnection, pages: Sequence[Page]) -> dict[str, str]:
        """Writes the page of persons. Returns why some videos gave no pictures though they were asked for, by uri."""
        rows = {page.video_id: page.rows[0] for page in pages}
        names = {page.video_id: page.name for page in pages if f"{page.name}.html" in self.states.files}
        content = persons_report(connection, self.out, rows, names)
        if self.thumbnails:
            files = {page.video_id: (page.rows[0], [row["uri"] for row in page.rows]) for page in pages}
            content = add_faces(content, files, blur=self.blur)
        self.states.remove(PERSONS_PAGE, ["json"])
        if self.as_json:
            self._write(PERSONS_PAGE, "json", content.to_json())
        self._write(PERSONS_PAGE, "html", persons_page(content))
        return content.no_thumbnails

    def _write(self, name: str, ending: str, data: bytes) -> None:
        storage.write_bytes(storage.join(self.folder, f"{name}.{ending}"), data)
        self.states.files.add(f"{name}.{ending}")


def _write_assets(folder: str) -> None:
    """What all pages share: the chart library once, style and script when they have changed."""
    for name, source in assets().items():
        uri = storage.join(folder, ASSETS, name)
        if name == plotly_name() and storage.exists(uri):
            continue
        try:
            storage.write_bytes(uri, source.read_bytes())
        except FileNotFoundError as error:
            raise StorageError(f"{folder} cannot be made; give another folder by --out.") from error


def _models(planned: Iterable[Page], out: str) -> list[Model]:
    """The models of all configurations, from the footers of one video of each."""
    firsts = {page.rows[0]["config_hash"]: page for page in reversed(list(planned))}
    models: dict[str, Model] = {}
    for page in firsts.values():
        try:
            found = models_of(read_tables(out, page.video_id).footer)
        except StorageError:
            continue
        models |= {model.sha256: model for model in found}
    return sorted(models.values(), key=lambda model: (ATTRIBUTES.index(model.attributes[0]), model.name))
