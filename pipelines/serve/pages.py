"""Pages of the app, rendered with the words, colours and parts of reports."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import jinja2
from starlette.responses import HTMLResponse, JSONResponse, Response

from pipelines.reports import charts
from pipelines.reports import pages as reports
from pipelines.serve.security import POLICY
from schemas.errors import FacelogError

HERE = Path(__file__).parent
LINKS: tuple[tuple[str, str], ...] = (
    ("/", "Videos"),
    ("/persons", "Persons"),
    ("/find", "Find"),
    ("/camera", "Camera"),
)
"""The pages that each page leads to: address and name."""


def page(template: str, *, status: int = 200, policy: str = POLICY, **values: Any) -> HTMLResponse:
    """A page from a file in `templates`.

    Args:
      template: name of the file.
      status: of HTTP.
      policy: Content-Security-Policy.
      **values: for the template.
    """
    text = (
        _environment()
        .get_template(template)
        .render({"here": None, "links": LINKS, "plotly": reports.plotly_name()} | values)
    )
    return HTMLResponse(text, status, {"content-security-policy": policy})


def answer(content: Any) -> Response:
    """A JSON document for the scripts of a page."""
    return Response(json.dumps(content, allow_nan=False, separators=(",", ":")), media_type="application/json")


def refused(error: FacelogError, status: int = 400) -> Response:
    """The same that says what is wrong."""
    return JSONResponse({"error": str(error)}, status)


def refusal(status: int, title: str, text: str, *, advice: str | None = None) -> HTMLResponse:
    """A page that says why there is nothing else to see."""
    return page("refusal.html.j2", status=status, title=title, text=text, advice=advice)


def assets() -> dict[str, Path]:
    """The files below /static: ours, and those of reports."""
    return {path.name: path for path in (HERE / "static").iterdir()} | reports.assets()


def colours() -> str:
    """A style sheet with the colours of emotions, as variables and as classes: our pages have no style in elements."""
    variables = " ".join(f"--{name}: {colour};" for name, colour in charts.COLOURS.items())
    classes = "\n".join(f".c-{name}, .track i.c-{name} {{ background: var(--{name}); }}" for name in charts.COLOURS)
    return f":root {{ {variables} }}\n{classes}\n"


@functools.cache
def _environment() -> jinja2.Environment:
    return reports.environment(HERE / "templates")
