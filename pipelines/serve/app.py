"""The app: which address answers with what."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import AsyncIterator, Sequence

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import BaseRoute, Route

from pipelines.serve import pages
from pipelines.serve.archive import Archive
from pipelines.serve.archive_page import archive_routes
from pipelines.serve.camera_page import camera_routes
from pipelines.serve.corrections_page import correction_routes
from pipelines.serve.find_page import find_routes
from pipelines.serve.persons import Persons
from pipelines.serve.persons_page import persons_routes
from pipelines.serve.previews import GIGABYTE, Previews
from pipelines.serve.security import Access, Guard
from pipelines.serve.video_page import video_routes


def make_app(
    out: str,
    *,
    access: Access | None = None,
    cache: str | None = None,
    cache_bytes: int = 10 * GIGABYTE,
    archive: Archive | None = None,
    routes: Sequence[BaseRoute] = (),
) -> Starlette:
    """The app for one output folder.

    Args:
      out: DIR, or a compact copy of one.
      access: who may use it; default: everybody on this machine.
      cache: folder for what is made once and may be removed at any time; None: a temporary folder.
      cache_bytes: that previews of videos take at most.
      archive: one that has been read already; default: that of `out`.
      routes: of other parts, such as the camera's; they come before ours, and are protected like them.

    Raises:
      UsageError: there are no results in DIR, or of another schema version.
      StorageError: it cannot be read.
    """
    known = archive or Archive(out, cache)
    persons = Persons(known)
    previews = Previews(os.path.join(cache or tempfile.mkdtemp(prefix="facelog-"), "previews"), cache_bytes)

    @contextlib.asynccontextmanager
    async def in_background(_: Starlette) -> AsyncIterator[None]:
        with known.followed(), contextlib.closing(previews):
            yield

    app = Starlette(
        routes=[
            *routes,
            *archive_routes(known),
            *camera_routes(known.out),
            *video_routes(known, previews, persons),
            *find_routes(known),
            *correction_routes(known),
            *persons_routes(known, persons),
            Route("/static/colours.css", _colours),
            Route("/static/{name}", _static),
        ],
        middleware=[Middleware(Guard, access=access or Access())],
        exception_handlers={HTTPException: _explain},
        lifespan=in_background,
    )
    app.state.archive = known
    return app


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
