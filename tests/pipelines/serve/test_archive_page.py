"""The list of videos in a real browser."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("selenium", reason="selenium is not installed")

from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select

from pipelines.serve.app import make_app
from tests.browser import Page, on_a_phone
from tests.pipelines.reports.conftest import results
from tests.pipelines.serve.conftest import running

__all__ = ["results"]  # a fixture

pytestmark = [pytest.mark.browser, pytest.mark.multiprocess]


@pytest.fixture(scope="module")
def home(results: Path) -> Iterator[str]:
    with running(make_app(str(results))) as address:
        yield address


@pytest.fixture
def videos(chromium: Any, home: str) -> Page:
    page = Page(chromium, home)
    page.wait(lambda: page.all("#list tbody tr") and page.all(".strip"))
    return page


def names(page: Page) -> list[str]:
    return page.run("[...document.querySelectorAll('#list tbody th')].map(th => th.firstChild.textContent)")


def test_lists_all_files_and_loads_nothing_else(videos: Page, home: str) -> None:
    assert len(names(videos)) == 11 and videos.one("[data-tile=problems]").text == "5"
    assert videos.browser.get_log("browser") == []
    loaded = videos.run("performance.getEntriesByType('resource').map(entry => entry.name)")
    assert loaded and all(name.startswith((home, "data:")) for name in loaded)


def test_finds_sorts_and_keeps_both_in_the_address(videos: Page) -> None:
    videos.one("#text").send_keys("talk")
    videos.wait(lambda: names(videos) == ["copy of talk.mp4", "talk.mp4"])
    videos.one("#text").send_keys(Keys.BACKSPACE * 4)
    videos.wait(lambda: len(names(videos)) == 11)
    Select(videos.one("#column")).select_by_visible_text("share of surprise")
    videos.one("#value input").send_keys("0.9", Keys.ENTER)
    videos.wait(lambda: len(names(videos)) == 4)
    videos.one("[data-sort=duration]").send_keys(Keys.SPACE)
    videos.wait(lambda: videos.one("th:has([data-sort=duration])").get_attribute("aria-sort") == "descending")
    address = videos.browser.current_url
    assert "where=share_surprise%2Cge%2C0.9" in address and "sort=-duration" in address
    again = Page(videos.browser, address)
    again.wait(lambda: len(names(again)) == 4)
    again.one(".chips button").click()
    again.wait(lambda: len(names(again)) == 11)
    again.browser.back()
    again.wait(lambda: len(names(again)) == 4)


def test_a_name_is_text(videos: Page) -> None:
    assert "<img src=x onerror=alert(1)>.mp4" in names(videos) and not videos.all("#list img, #list b")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_fits_a_phone(chromium: Any, home: str, scheme: str) -> None:
    with on_a_phone(chromium, scheme, 400):
        page = Page(chromium, home)
        page.wait(lambda: page.all(".strip"))
        assert page.run("document.documentElement.scrollWidth") == 400
        ground, text = page.brightness()
        assert (ground > text) == (scheme == "light")
