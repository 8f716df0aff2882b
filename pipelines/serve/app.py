"""The app: which address answers with what."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import BaseRoute, Route

from pipelines.serve import pages
from pipelines.serve.security import Access, Guard


def make_app(out: str, *, access: Access | None = None, routes: Sequence[BaseRoute] = ()) -> Starlette:
    """The app for one output folder.

    Args:
      out: DIR, normalized.
      access: who may use it; default: everybody on this machine.
      routes: of other parts, such as the camera's; they come before ours, and are protected like them.
    """
    app = Starlette(
        routes=[
            *routes,
            Route("/", _archive),
            Route("/static/colours.css", _colours),
            Route("/static/{name}", _static),
        ],
        middleware=[Middleware(Guard, access=access or Access())],
        exception_handlers={HTTPException: _explain},
    )
    app.state.out = out
    return app


def _archive(request: Request) -> Response:
    return pages.page("archive.html.j2", out=request.app.state.out)


def _static(request: Request) -> Response:
    path = pages.assets().get(request.path_params["name"])
    if path is None:
        raise HTTPException(404)
    return FileResponse(path)


def _colours(_: Request) -> Response:
    return Response(pages.colours(), media_type="text/css")


def _explain(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return pages.refusal(error.status_code, "Nothing is here", str(error.detail))
