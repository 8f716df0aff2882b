"""Who may ask the app for something, and what it says to everybody else."""

from pathlib import Path

import pytest
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket, WebSocketDisconnect

from pipelines.serve.app import make_app
from pipelines.serve.security import Access
from pipelines.serve.server import address
from tests.archives import A, make_archive

_HOME = "http://127.0.0.1:8765"


async def _echo(socket: WebSocket) -> None:
    await socket.accept()
    await socket.send_text("hello")
    await socket.close()


def _post(_: object) -> None:
    raise AssertionError("passed on")


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("results")
    make_archive(str(folder), {"/videos/a.mp4": A})
    return str(folder)


def client(out: str, access: Access | None = None, home: str = _HOME) -> TestClient:
    routes = [WebSocketRoute("/echo", _echo), Route("/post", _post, methods=["POST"])]
    return TestClient(make_app(out, access=access, routes=routes), base_url=home, follow_redirects=False)


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example:8765", "192.168.1.2:8765", "", "[::1"])
def test_a_name_that_was_made_to_point_here_gets_nothing(out: str, host: str) -> None:
    answer = client(out).get("/", headers={"host": host})
    assert answer.status_code == 421 and "facelog" not in answer.text


@pytest.mark.parametrize("host", ["127.0.0.1:8765", "localhost:8765", "[::1]:8765", "LOCALHOST"])
def test_this_machine_is_known_by_its_names(out: str, host: str) -> None:
    assert client(out).get("/", headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    "origin", [None, "null", "http://evil.example", "https://127.0.0.1:8765", "http://127.0.0.1:1"]
)
def test_only_our_own_pages_may_change_something_or_open_a_socket(out: str, origin: str | None) -> None:
    headers = {"origin": origin} if origin else {}
    browser = client(out)
    assert browser.post("/post", headers=headers).status_code == 403
    with pytest.raises(WebSocketDisconnect), browser.websocket_connect("/echo", headers=headers):
        pass
    with browser.websocket_connect("/echo", headers={"origin": _HOME, "host": "127.0.0.1:8765"}) as socket:
        assert socket.receive_text() == "hello"


def test_other_pages_may_lead_here_but_load_nothing(out: str) -> None:
    browser, foreign = client(out), {"sec-fetch-site": "cross-site"}
    assert browser.get("/", headers=foreign | {"sec-fetch-mode": "navigate"}).status_code == 200
    assert browser.get("/static/report.css", headers=foreign | {"sec-fetch-mode": "no-cors"}).status_code == 403


def test_answers_forbid_what_pages_do_not_need(out: str) -> None:
    for path in ("/", "/static/serve.css", "/nothing", "/static/../app.py", "/static/..%2Fapp.py"):
        headers = client(out).get(path).headers
        assert "default-src 'none'" in headers["content-security-policy"], path
        assert "unsafe" not in headers["content-security-policy"]
        assert (headers["x-content-type-options"], headers["referrer-policy"]) == ("nosniff", "same-origin")
    assert client(out).get("/static/..%2Fapp.py").status_code == 404


def test_other_addresses_ask_for_a_token_once(out: str) -> None:
    access, home = Access.to("0.0.0.0"), "http://192.168.1.2:8765"
    assert access.token and len(access.token) > 30
    browser = client(out, access, home)
    assert browser.get("/").status_code == 401
    assert browser.get("/?token=wrong").status_code == 401
    with pytest.raises(WebSocketDisconnect), browser.websocket_connect("/echo", headers={"origin": home}):
        pass
    welcome = browser.get(f"/?token={access.token}&q=a")
    assert (welcome.status_code, welcome.headers["location"]) == (303, "/?q=a")
    cookie = welcome.headers["set-cookie"].lower()
    assert "httponly" in cookie and "samesite=strict" in cookie
    assert browser.get("/").status_code == 200


def test_this_machine_needs_no_token_unless_one_is_given(out: str) -> None:
    assert [Access.to(host).token for host in ("127.0.0.1", "::1", "localhost", "127.1.2.3")] == [None] * 4
    assert client(out, Access.to("127.0.0.1", "secret")).get("/").status_code == 401


def test_the_printed_address_brings_the_token() -> None:
    assert address(Access.to("127.0.0.1"), 80) == "http://127.0.0.1:80/"
    assert address(Access.to("::1", "a-token", secure=True), 443) == "https://[::1]:443/?token=a-token"
    assert Path(address(Access.to("0.0.0.0", "t"), 1)).name == "?token=t"
