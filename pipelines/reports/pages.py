"""Render content as HTML pages, which open from disk, load nothing from a network, and show any file name as text."""

from __future__ import annotations

import functools
import hashlib
import urllib.parse
from pathlib import Path
from typing import Any

import jinja2

from pipelines import words
from pipelines.reports import charts
from pipelines.reports.archive_content import ArchiveReport
from pipelines.reports.content import VideoReport
from pipelines.reports.persons import CARDS, FACES, PersonsReport
from pipelines.reports.words import END_REASONS, STATUSES, figures
from schemas.layout import PERSONS_PAGE
from schemas.tables import EMOTIONS

CARDS_SHOWN = 12
"""Number of tracks that have a card; the others are rows of a table."""
ROWS_SHOWN = 500
"""Rows of a long table that are shown at once."""
MOST_ROWS = 2000
"""Rows of a table of tracks, spans or shots that a page holds; the JSON document and the tables hold all."""

ASSETS = "assets"
"""Folder beside the pages with the files that all of them need."""
_HERE = Path(__file__).parent


def video_page(report: VideoReport) -> bytes:
    """The page of a video."""
    figure = charts.timeline_figure(report)
    return _render("video.html.j2", report=report, figure=figure, most_rows=MOST_ROWS, plotly=plotly_name())


def persons_page(report: PersonsReport) -> bytes:
    """The page of the archive's persons."""
    return _render("persons.html.j2", report=report, most_rows=MOST_ROWS, PERSON_CARDS=CARDS)


def index_page(report: ArchiveReport) -> bytes:
    """The page of the archive."""
    return _render("index.html.j2", report=report)


def assets() -> dict[str, Path]:
    """The files that all pages share: their names below `ASSETS`, and where they come from."""
    import plotly

    library = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"
    return {name: _HERE / "static" / name for name in ("report.css", "report.js")} | {plotly_name(): library}


@functools.cache
def plotly_name() -> str:
    """Of plotly.js, with its version: another one comes under another name."""
    from importlib.metadata import version

    return f"plotly-{version('plotly')}.min.js"


@functools.cache
def look() -> str:
    """Checksum of the code and files that pages are made with; when it changes, pages are made anew."""
    files = sorted(path for path in _HERE.rglob("*") if path.suffix in (".py", ".j2", ".css", ".js"))
    files += [_HERE.parent / name for name in ("words.py", "face_words.py", "colours.py")]
    return hashlib.sha256(b"\0".join(path.read_bytes() for path in files) + plotly_name().encode()).hexdigest()


def link(page: str) -> str:
    """Address of a page beside another, for `href`."""
    return urllib.parse.quote(f"{page}.html")


def _render(template: str, **values: Any) -> bytes:
    return environment().get_template(template).render(**values).encode()


@functools.cache
def environment(*folders: Path) -> jinja2.Environment:
    """Jinja with the templates, filters and words of reports; templates in `folders` are found before ours."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader([*folders, _HERE / "templates"]),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    # In a script element; `tojson` writes <, > and & as \u003c …, so that no text can end the element.
    environment.policies["json.dumps_kwargs"] = {"allow_nan": False, "separators": (",", ":")}
    environment.filters |= {
        "at": words.at,
        "lasting": words.lasting,
        "percent": words.percent,
        "size": words.size,
        "when": words.when,
        "figures": figures,
        "link": link,
        "name": lambda uri: uri.rsplit("/", 1)[-1],
        "folder": lambda uri: uri.rpartition("/")[0],
        "emotion_words": charts.emotion_words,
        "age_words": charts.age_words,
        "gender_words": charts.gender_words,
    }
    environment.globals |= {
        "EMOTIONS": EMOTIONS,
        "COLOURS": charts.COLOURS,
        "STATUSES": STATUSES,
        "END_REASONS": END_REASONS,
        "UNKNOWN": words.UNKNOWN,
        "ASSETS": ASSETS,
        "CARDS_SHOWN": CARDS_SHOWN,
        "ROWS_SHOWN": ROWS_SHOWN,
        "PERSONS_PAGE": PERSONS_PAGE,
        "FACES": FACES,
    }
    return environment
