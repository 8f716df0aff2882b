"""Pages of the app, rendered with the words, colours and parts of reports."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jinja2
from starlette.responses import HTMLResponse

from pipelines.reports import charts
from pipelines.reports import pages as reports
from pipelines.serve.security import POLICY

HERE = Path(__file__).parent
LINKS: tuple[tuple[str, str], ...] = (("/", "Videos"),)
"""The pages that each page leads to: address and name."""


def page(template: str, *, status: int = 200, policy: str = POLICY, **values: Any) -> HTMLResponse:
    """A page from a file in `templates`.

    Args:
      template: name of the file.
      status: of HTTP.
      policy: Content-Security-Policy.
      **values: for the template.
    """
    text = _environment().get_template(template).render(links=LINKS, plotly=reports.plotly_name(), **values)
    return HTMLResponse(text, status, {"content-security-policy": policy})


def refusal(status: int, title: str, text: str, *, advice: str | None = None) -> HTMLResponse:
    """A page that says why there is nothing else to see."""
    return page("refusal.html.j2", status=status, title=title, text=text, advice=advice)


def assets() -> dict[str, Path]:
    """The files below /static: ours, and those of reports."""
    return {path.name: path for path in (HERE / "static").iterdir()} | reports.assets()


def colours() -> str:
    """A style sheet with the colours of emotions as variables."""
    return ":root { " + " ".join(f"--{name}: {colour};" for name, colour in charts.COLOURS.items()) + " }\n"


@functools.cache
def _environment() -> jinja2.Environment:
    return reports.environment(HERE / "templates")


def listed(names: Sequence[str]) -> str:
    """Names in words: "a, b and c"."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
