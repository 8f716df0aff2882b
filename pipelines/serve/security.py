"""What protects the app from other people and other pages: addresses, origins, a token, and headers of every answer.

A page of the outside world can reach an app on this machine in three ways, and each is closed here. Its name may be
made to point to this machine (DNS rebinding): only known values of `Host` are answered. It may open a WebSocket or post
a form: those need an `Origin` of our own. And it may load a picture or a script from here: `Sec-Fetch-Site` says so,
and `Cross-Origin-Resource-Policy` forbids it to older browsers.
"""

from __future__ import annotations

import dataclasses
import ipaddress
import secrets
import socket
import urllib.parse

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

COOKIE = "facelog_token"
TOKEN = "token"
"""Name of the query's part that brings the token the first time."""

_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
_STRICT = (
    "default-src 'none'; script-src 'self'; style-src 'self'{styles}; img-src 'self' data: blob:; "
    "media-src 'self' blob:; connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
POLICY = _STRICT.format(styles="")
"""Content-Security-Policy of every answer, unless its route gives another."""

CHART_POLICY = _STRICT.format(styles=" 'unsafe-inline'")
"""The same for pages with a chart: plotly.js writes style elements."""

_HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cache-control": "no-store",
    "permissions-policy": "camera=(self), microphone=(), geolocation=()",
}


@dataclasses.dataclass(frozen=True)
class Access:
    """Who may use the app.

    Attributes:
      host: address that the app listens at.
      token: secret that a browser has to bring once; None: everybody on this machine may use it.
      secure: whether it speaks TLS.
    """

    host: str = "127.0.0.1"
    token: str | None = None
    secure: bool = False

    @classmethod
    def to(cls, host: str, token: str | None = None, *, secure: bool = False) -> Access:
        """Access to an address; one that other machines may reach gets a token, if none is given."""
        if token is None and not is_loopback(host):
            token = secrets.token_urlsafe(24)
        return cls(host, token, secure)

    def knows_host(self, header: str) -> bool:
        """Whether a `Host` header names this app.

        An app for all addresses of a machine answers to any of them as a number, and to the machine's names.
        """
        name = host_name(header)
        if is_loopback(self.host):
            return name in _LOOPBACK
        if name in (self.host.lower(), *_LOOPBACK):
            return True
        return _is_any(self.host) and (_is_number(name) or name in _names_of_machine())

    def knows_origin(self, headers: Headers) -> bool:
        """Whether a request comes from one of our own pages: an `Origin` that is the address it is sent to."""
        parts = urllib.parse.urlsplit(headers.get("origin", ""))
        scheme = "https" if self.secure else "http"
        return parts.scheme == scheme and parts.netloc.lower() == headers.get("host", "").lower()

    def knows_token(self, connection: HTTPConnection) -> bool:
        """Whether a browser has shown the token."""
        return self.token is None or _same(connection.cookies.get(COOKIE, ""), self.token)


def is_loopback(host: str) -> bool:
    """Whether an address is reached from this machine alone."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def host_name(header: str) -> str:
    """A `Host` header without its port and brackets, in small letters; empty where it is none."""
    try:
        return urllib.parse.urlsplit(f"//{header}").hostname or ""
    except ValueError:
        return ""


def _is_any(host: str) -> bool:
    return _is_number(host) and ipaddress.ip_address(host).is_unspecified


def _is_number(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _names_of_machine() -> set[str]:
    return {socket.gethostname().lower(), socket.getfqdn().lower()}


def _same(given: str, wanted: str) -> bool:
    return secrets.compare_digest(given.encode(), wanted.encode())


class Guard:
    """ASGI middleware that refuses what `Access` does not allow, and adds the headers."""

    def __init__(self, app: ASGIApp, access: Access):
        """Takes the app that it protects."""
        self._app, self._access = app, access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers by itself or passes the request on."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        refusal = self._refusal(HTTPConnection(scope))
        if refusal is None:
            await self._app(scope, receive, _with_headers(send) if scope["type"] == "http" else send)
        elif scope["type"] == "http":
            await refusal(scope, receive, _with_headers(send))
        else:
            await receive()  # the wish to connect, which closing refuses with status 403
            await send({"type": "websocket.close", "code": 1008})

    def _refusal(self, connection: HTTPConnection) -> Response | None:
        headers, scope = connection.headers, connection.scope
        if not self._access.knows_host(headers.get("host", "")):
            return PlainTextResponse("This address is not the app's own.", 421)
        changes = scope["type"] == "websocket" or scope["method"] not in _SAFE_METHODS
        if changes and not self._access.knows_origin(headers):
            return PlainTextResponse("This request does not come from a page of the app.", 403)
        is_foreign = headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none")
        if is_foreign and headers.get("sec-fetch-mode") != "navigate":
            return PlainTextResponse("Other pages may not load anything from here.", 403)
        if self._access.knows_token(connection):
            return None
        return self._without_cookie(connection)

    def _without_cookie(self, connection: HTTPConnection) -> Response:
        given, token = connection.query_params.get(TOKEN), self._access.token
        if connection.scope["type"] == "websocket" or token is None or given is None or not _same(given, token):
            return PlainTextResponse("Open the address that `facelog serve` printed: it holds the token.", 401)
        # The token must not stay in the address, where it would be seen and copied.
        answer = RedirectResponse(str(connection.url.remove_query_params(TOKEN).replace(scheme="", netloc="")), 303)
        answer.set_cookie(COOKIE, token, httponly=True, samesite="strict", secure=self._access.secure)
        return answer


def _with_headers(send: Send) -> Send:
    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers.setdefault(name, value)
        await send(message)

    return send_with_headers
