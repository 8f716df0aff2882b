"""Finding a moment, seeing it and judging its face, in a real browser."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("selenium", reason="selenium is not installed")

from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select

from pipelines.queries.query import query
from pipelines.serve.app import make_app
from tests.browser import Page, on_a_phone
from tests.clips import portrait_clip
from tests.pipelines.serve.conftest import analyze, running

pytestmark = [pytest.mark.browser, pytest.mark.multiprocess]


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("find")
    analyze(folder / "out", portrait_clip(folder / "talk <b>.mp4", seconds=4, faces=2, moving=True))
    return folder / "out"


@pytest.fixture(scope="module")
def home(out: Path) -> Iterator[str]:
    with running(make_app(str(out))) as address:
        yield address


def found(page: Page) -> list[str]:
    return page.run("[...document.querySelectorAll('.moment')].map(moment => moment.textContent)")


def test_a_question_leads_to_its_moment_with_one_click(chromium: Any, home: str) -> None:
    page = Page(chromium, f"{home}/find")
    Select(page.one("[name=emotion]")).select_by_visible_text("happy")
    page.one("[name=seconds]").send_keys("3", Keys.ENTER)
    page.wait(lambda: len(found(page)) == 2)
    assert "talk <b>.mp4" in found(page)[0] and "0:00:00 to 0:00:04" in found(page)[0] and not page.all(".moment b b")
    page.wait(lambda: page.run("document.querySelector('.moment img').naturalWidth") == 112)
    assert page.browser.get_log("browser") == []
    again = Page(chromium, page.one("#link").get_attribute("href"))
    again.wait(lambda: len(found(again)) == 2)
    assert again.one("[name=emotion]").get_attribute("value") == "happy"
    second = again.all(".moment")[1]
    assert re.search(r"/video/[0-9a-f]{32}\?t=0&track=1$", second.get_attribute("href"))
    second.click()
    again.wait(lambda: again.all("#details h3") and again.one("#details h3").text == "Track 1")


def test_the_sql_may_be_changed_and_its_errors_are_told(chromium: Any, home: str) -> None:
    page = Page(chromium, f"{home}/find")
    page.wait(lambda: "FROM hits" in page.one("#sql").get_attribute("value"))
    page.one("#own summary").click()
    for sql in ("SELECT count(*) AS many FROM tracks", "SELECT * FROM read_text('/etc/passwd')"):
        page.run("document.getElementById('sql').value = arguments[0]", sql)
        page.one("#ask").click()
        page.wait(lambda sql=sql: page.one("#trouble").text if "passwd" in sql else "many" in page.one("#table").text)
    assert "disabled by configuration" in page.one("#trouble").text


def test_a_face_is_judged_and_the_judgement_is_a_row(chromium: Any, home: str, out: Path) -> None:
    page = Page(chromium, f"{home}/find?emotion=happy&go=1")
    page.wait(lambda: found(page))
    page.all(".moment")[0].click()
    page.wait(lambda: page.all("#details h3") and page.one("#judge").is_displayed())
    page.one("#judge summary").click()
    Select(page.one("[name=what]")).select_by_value("sad")
    page.one("[name=comment]").send_keys("<i>not</i> amused")
    page.one("[name=author]").send_keys("Ada", Keys.ENTER)
    page.wait(lambda: page.all("#remarks li"))
    assert "<i>not</i> amused" in page.one("#remarks").text
    (row,) = query(str(out), "SELECT author, emotion, kind, second FROM annotations").to_pylist()
    assert row == {"author": "Ada", "emotion": "sad", "kind": "emotion", "second": 0}
    page.one("#remarks button[aria-label^=Remove]").click()
    page.wait(lambda: not page.all("#remarks li"))
    assert query(str(out), "SELECT count(*) AS n FROM annotations").to_pylist() == [{"n": 0}]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_fits_a_phone(chromium: Any, home: str, scheme: str) -> None:
    with on_a_phone(chromium, scheme, 400):
        page = Page(chromium, f"{home}/find?go=1")
        page.wait(lambda: found(page))
        assert page.run("document.documentElement.scrollWidth") == 400
