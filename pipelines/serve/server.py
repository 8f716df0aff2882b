"""Run the app until Ctrl-C."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Sequence
from pathlib import Path

import uvicorn
from starlette.routing import BaseRoute

from pipelines.results.videos import require_results
from pipelines.serve.app import make_app
from pipelines.serve.previews import GIGABYTE
from pipelines.serve.security import TOKEN, Access
from schemas.errors import UsageError


def serve(
    out: str,
    *,
    host: str = "127.0.0.1",
    port: int = 8765,
    token: str | None = None,
    certificate: Path | None = None,
    key: Path | None = None,
    cache: Path | None = None,
    cache_gb: float = 10.0,
    routes: Sequence[BaseRoute] = (),
    ready: Callable[[str], None] = print,
) -> None:
    """Serves the web app for DIR until the process is interrupted.

    Args:
      out: DIR, or a compact copy of one, on disk or on an object store.
      host: address to listen at; one that other machines may reach needs a token.
      port: to listen at; 0 takes a free one.
      token: secret for browsers; default: none on this machine's own address, a new one on all others.
      certificate: file of a TLS certificate; the app then speaks HTTPS.
      key: file of its key.
      cache: folder for what is made once, see `default_cache`.
      cache_gb: gigabytes that previews in it take at most.
      routes: of other parts, see `make_app`.
      ready: is told the address, with the token, once the app listens there.

    Raises:
      UsageError: DIR holds no results, or the address cannot be had.
    """
    if (certificate is None) != (key is None):
        raise UsageError("TLS needs both files: --tls-cert and --tls-key.")
    access = Access.to(host, token, secure=certificate is not None)
    app = make_app(
        require_results(out),
        access=access,
        cache=str(cache or default_cache()),
        cache_bytes=round(cache_gb * GIGABYTE),
        routes=routes,
    )
    with _listen(host, port) as listener:
        # Without its log of requests, where the token would stand.
        config = uvicorn.Config(
            app, log_level="warning", access_log=False, ssl_certfile=certificate, ssl_keyfile=key, server_header=False
        )
        ready(address(access, listener.getsockname()[1]))
        uvicorn.Server(config).run(sockets=[listener])


def default_cache() -> Path:
    """The user's folder for what may be removed at any time: $XDG_CACHE_HOME/facelog, or ~/.cache/facelog."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "facelog"


def address(access: Access, port: int) -> str:
    """What to open in a browser."""
    name = socket.gethostname() if access.host in ("0.0.0.0", "::") else access.host
    name = f"[{name}]" if ":" in name else name
    query = f"?{TOKEN}={access.token}" if access.token else ""
    return f"{'https' if access.secure else 'http'}://{name}:{port}/{query}"


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(place)
        listener.listen()  # who comes before the app is up waits
    except OSError as error:
        raise UsageError(
            f"Nothing can listen at {host}, port {port}: {error.strerror}. Give another --port."
        ) from error
    return listener
