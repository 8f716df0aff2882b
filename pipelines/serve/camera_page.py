"""The page with the faces of the browser's camera, and the socket that answers its pictures.

The browser sends a picture and waits for the answer before it sends the next one, the newest by then. A sender that
does not wait has its older pictures dropped. So nothing queues up, whatever the speed of this machine.

A message to the socket is a picture (eight bytes of a stamp, which the answer repeats, and a JPEG file) or a wish as
JSON. Each answer is JSON: the faces of a picture, or what became of a wish.
"""

from __future__ import annotations

import asyncio
import collections
import concurrent.futures
import contextlib
import functools
import json
import struct
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from models.bundle import bundle_names, bundle_path
from models.cards import read_card
from models.detectors import summaries
from pipelines.serve import pages
from schemas.errors import FacelogError, UsageError

if TYPE_CHECKING:
    from pipelines.serve.camera_session import CameraSession

_MOST_SESSIONS = 4
_LARGEST_MESSAGE = 4_000_000
_STAMP = struct.Struct("<d")
_WISHES_WAITING = 8


def camera_routes(out: str) -> list[BaseRoute]:
    """The addresses of the camera's page.

    Args:
      out: DIR, where the record button writes.
    """
    sessions: set[WebSocket] = set()

    def show(_: Request) -> Response:
        return pages.page("camera.html.j2", here="/camera", out=out, models=_models(), detectors=summaries())

    async def answer(socket: WebSocket) -> None:
        await socket.accept()
        if len(sessions) >= _MOST_SESSIONS:
            await socket.send_json({"error": f"Other pages use the camera page: {_MOST_SESSIONS} at most."})
            await socket.close()
            return
        sessions.add(socket)
        try:
            await _Conversation(socket, out).go_on()
        finally:
            sessions.discard(socket)

    return [Route("/camera", show), WebSocketRoute("/camera/socket", answer)]


@functools.cache
def _models() -> dict[str, list[str]]:
    """Names of installed bundles by what the page lets one choose them for."""
    attributes = {name: read_card(bundle_path(name)).attributes for name in bundle_names()}
    return {
        "emotion": [name for name, gives in attributes.items() if "emotion" in gives],
        "age_gender": [name for name, gives in attributes.items() if "emotion" not in gives],
    }


class _Conversation:
    """One open socket: what was sent is received at once, and answered one at a time in a thread."""

    def __init__(self, socket: WebSocket, out: str):
        self._socket, self._out = socket, out
        self._wishes: collections.deque[dict[str, Any]] = collections.deque(maxlen=_WISHES_WAITING)
        self._picture: bytes | None = None
        self._news, self._gone = asyncio.Event(), False

    async def go_on(self) -> None:
        """Answers until the browser leaves."""
        loop = asyncio.get_running_loop()
        # One thread for all of a session: the networks of some detectors belong to a thread.
        with concurrent.futures.ThreadPoolExecutor(1, "camera") as thread:
            receiving = asyncio.create_task(self._receive())
            session = await loop.run_in_executor(thread, _begin, self._out)
            try:
                while not self._gone:
                    await self._news.wait()
                    self._news.clear()
                    await self._answer(functools.partial(loop.run_in_executor, thread), session)
            finally:
                receiving.cancel()
                await loop.run_in_executor(thread, session.close)

    async def _receive(self) -> None:
        with contextlib.suppress(WebSocketDisconnect):
            while True:
                message = await self._socket.receive()
                if message["type"] == "websocket.disconnect":
                    break
                if (data := message.get("bytes")) is not None:
                    self._picture = data if _STAMP.size < len(data) <= _LARGEST_MESSAGE else None
                else:
                    self._wishes.append(_parse(message.get("text") or ""))
                self._news.set()
        self._gone = True
        self._news.set()

    async def _answer(self, call: Callable[..., Any], session: CameraSession) -> None:
        while self._wishes and not self._gone:
            wish = self._wishes.popleft()
            await self._say(await call(_guarded, session.grant, wish))
        if self._picture is not None and not self._gone:
            message, self._picture = self._picture, None
            (stamp,) = _STAMP.unpack_from(message)
            await self._say(await call(_guarded, session.look, message[_STAMP.size :]), stamp=stamp)

    async def _say(self, content: dict[str, Any], **more: Any) -> None:
        with contextlib.suppress(WebSocketDisconnect, RuntimeError):  # it has left meanwhile
            await self._socket.send_text(json.dumps(content | more))


def _parse(text: str) -> dict[str, Any]:
    try:
        wish = json.loads(text)
    except ValueError:
        return {}
    return wish if isinstance(wish, dict) else {}


def _begin(out: str) -> CameraSession:
    from pipelines.serve.camera_session import CameraSession  # with it come the models and Beam, which take seconds

    return CameraSession(out)


def _guarded(call: Callable[[Any], dict[str, Any]], given: Any) -> dict[str, Any]:
    """What a call answers; an error of ours as an answer, too."""
    try:
        return call(given)
    except UsageError as error:
        return {"error": str(error), "wrong": True}
    except FacelogError as error:
        return {"error": str(error)}
