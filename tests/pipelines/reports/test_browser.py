"""Report pages in a real browser: no errors, no request to the network, and working controls."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipelines.reports.report import report
from tests.made_tables import feeling, write_video
from tests.pipelines.reports.conftest import HOSTILE

webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")

from selenium.webdriver.chrome.service import Service  # noqa: E402
from selenium.webdriver.common.action_chains import ActionChains  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402
from selenium.webdriver.support.ui import WebDriverWait  # noqa: E402

pytestmark = [pytest.mark.browser, pytest.mark.multiprocess]

_SECONDS = 120
"""To wait at most: on a busy machine Chromium takes its time."""


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """A browser without a window; it is given all paths, so that selenium downloads nothing."""
    browser, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not browser or not driver:
        pytest.skip("Chromium and its driver are not installed (Debian: apt-get install chromium chromium-driver)")
    options = webdriver.ChromeOptions()
    options.binary_location = browser
    for argument in ("headless=new", "no-sandbox", "disable-gpu", "disable-dev-shm-usage", "window-size=1400,900"):
        options.add_argument(f"--{argument}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    running = webdriver.Chrome(options=options, service=Service(driver))
    running.set_page_load_timeout(_SECONDS)
    yield running
    running.quit()


class Page:
    """An open page."""

    def __init__(self, browser: Any, path: Path):
        self.browser = browser
        browser.get_log("browser"), browser.get_log("performance")  # those of the page before
        browser.get(path.as_uri())
        if self.all("[data-figure]"):
            self.wait(lambda: self.all("[data-drawn]"))

    def wait(self, until: Any) -> Any:
        return WebDriverWait(self.browser, _SECONDS, 0.1).until(lambda _: until())

    def all(self, selector: str) -> list[Any]:
        return self.browser.find_elements(By.CSS_SELECTOR, selector)

    def one(self, selector: str) -> Any:
        return self.browser.find_element(By.CSS_SELECTOR, selector)

    def run(self, script: str, *arguments: Any) -> Any:
        return self.browser.execute_script(f"return {script}", *arguments)

    def range(self) -> list[float]:
        return self.run("document.querySelector('.figure')._fullLayout.xaxis.range.map(Number)")


def find(pages: Path, start: str) -> Path:
    (path,) = [path for path in pages.glob("*.html") if path.name.startswith(start)]
    return path


@pytest.fixture
def talk(chromium: Any, pages: Path) -> Page:
    return Page(chromium, find(pages, "talk-"))


@pytest.fixture
def index(chromium: Any, pages: Path) -> Page:
    return Page(chromium, pages / "index.html")


@pytest.mark.parametrize("start", ["index", "talk-", "crowd-", "empty-", "img_src", "script-"])
def test_no_errors_and_no_request_leaves_the_folder(chromium: Any, pages: Path, start: str) -> None:
    page = Page(chromium, find(pages, start))
    assert page.browser.get_log("browser") == []
    events = [json.loads(entry["message"])["message"] for entry in page.browser.get_log("performance")]
    asked = [e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"]
    assert any(url.startswith(pages.as_uri()) for url in asked)
    assert not [url for url in asked if not url.startswith((f"{pages.as_uri()}/", "data:", "blob:"))]


def test_the_timeline_has_a_lane_for_each_person_and_other_track(talk: Page) -> None:
    assert [tick.text for tick in talk.all(".figure .ytick text")] == ["Person 0", "Track 1"]
    spans = talk.run("document.querySelector('.figure').data.filter(t => t.meta === 'lanes').flatMap(t => t.y)")
    assert sorted(set(spans)) == [0, 1]
    drawn = talk.run("document.querySelectorAll('.figure .subplot.xy .barlayer .point').length")
    assert drawn == len(spans) >= 4
    ticks = talk.run("[...document.querySelectorAll('.figure .xtick text')].map(t => t.textContent)")
    assert ticks[0] == "0:00:00" and ticks[-1] == "0:00:12"


def test_pointing_at_a_span_shows_its_figures(talk: Page) -> None:
    talk.run("document.querySelector('.figure').scrollIntoView({block: 'center'})")
    boxes = talk.run(
        "[...document.querySelectorAll('.figure .subplot.xy .barlayer .point path')]"
        ".map(p => p.getBoundingClientRect()).map(r => [r.x + r.width / 2, r.y + r.height / 2, r.width])"
    )
    x, y, _ = max(boxes, key=lambda box: box[2])  # the longest: track 1, neutral all the time
    chain = ActionChains(talk.browser)
    chain.w3c_actions.pointer_action.move_to_location(round(x), round(y))
    chain.perform()
    shown = talk.wait(lambda: [line.text for line in talk.all(".hoverlayer .hovertext text")])
    said = " ".join(shown)
    assert "Track 1, 0:00:01–0:00:09" in said
    assert "neutral 70 %" in said or "neutral 6" in said
    assert "age 61 (80 %: 55–67)" in said and "gender unknown (female 55 %)" in said


def test_the_timeline_obeys_the_keyboard(talk: Page) -> None:
    figure = talk.one(".figure")
    assert talk.range() == [0, 12]
    figure.send_keys("+")
    talk.wait(lambda: talk.range()[1] - talk.range()[0] < 8)
    start = talk.range()[0]
    figure.send_keys(Keys.ARROW_RIGHT)
    talk.wait(lambda: talk.range()[0] > start)
    figure.send_keys("0")
    talk.wait(lambda: talk.range() == [0, 12])
    assert talk.run("getComputedStyle(document.querySelector('.figure')).outlineStyle") == "solid"


def column(page: Page, number: int) -> list[str]:
    return page.run(f"[...document.querySelectorAll('#list tbody tr')].map(row => row.cells[{number}].innerText)")


def test_the_table_sorts_by_mouse_and_keyboard(index: Page) -> None:
    header = next(th for th in index.all("#list thead th") if th.text.startswith("Face-seconds"))
    button = header.find_element(By.TAG_NAME, "button")
    assert header.get_attribute("aria-sort") == "none"
    assert column(index, 0)[0].startswith("<b>gone.mp4")
    index.run("arguments[0].scrollIntoView({block: 'center'})", button)
    button.click()
    figures = column(index, 5)
    assert header.get_attribute("aria-sort") == "descending"
    assert [int(n) for n in figures if n != "–"] == sorted((int(n) for n in figures if n != "–"), reverse=True)
    assert figures[-3:] == ["–"] * 3
    button.send_keys(Keys.ENTER)
    assert header.get_attribute("aria-sort") == "ascending"
    assert column(index, 5)[0] == "0" and column(index, 5)[-1] == "–"  # unknown ones stay at the end
    name = next(th for th in index.all("#list thead th") if th.text.startswith("File"))
    name.find_element(By.TAG_NAME, "button").send_keys(Keys.SPACE)
    assert (name.get_attribute("aria-sort"), header.get_attribute("aria-sort")) == ("ascending", "none")


def test_the_table_finds(index: Page) -> None:
    index.one("#filter").send_keys("CORRUPT")
    rows = index.all("#list tbody tr:not([hidden])")
    assert [row.find_element(By.TAG_NAME, "th").text.split("\n")[0] for row in rows] == ["bad.mp4"]
    assert index.one("[data-found]").text == "1 found"


def test_a_hostile_name_is_text(index: Page, pages: Path) -> None:
    assert any(text.startswith(HOSTILE.rpartition("/")[2]) for text in column(index, 0))
    link = next(a for a in index.all("#list a") if a.text.startswith("<img"))
    index.run("arguments[0].click()", link)
    index.wait(lambda: index.one("h1").text == "<img src=x onerror=alert(1)>.mp4")
    assert not index.all("img") and index.browser.title.startswith("<img src=x")


@pytest.mark.parametrize("start", ["index", "talk-", "crowd-"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_fits_a_phone_in_light_and_dark(chromium: Any, pages: Path, start: str, scheme: str) -> None:
    phone = {"width": 390, "height": 800, "deviceScaleFactor": 1, "mobile": True}
    chromium.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", phone)
    scheme_is = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    chromium.execute_cdp_cmd("Emulation.setEmulatedMedia", scheme_is)
    try:
        page = Page(chromium, find(pages, start))
        assert page.run("document.documentElement.scrollWidth") == 390
        ground, text = (
            sum(int(n) for n in page.run(f"getComputedStyle(document.body).{name}")[4:-1].split(","))
            for name in ("backgroundColor", "color")
        )
        assert (ground > 600 and text < 150) if scheme == "light" else (ground < 100 and text > 600)
    finally:
        chromium.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        chromium.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def test_a_long_list_shows_its_first_rows_and_more_when_asked(chromium: Any, tmp_path: Path) -> None:
    restless = [["happy", "sad"][i % 2] for i in range(700)]
    write_video(tmp_path, tracks=[feeling(0, 0.0, restless, age=float("nan"))], seconds=700.0)
    report(str(tmp_path))
    page = Page(chromium, find(tmp_path / "reports", "clip-"))
    page.one("details summary").click()
    rows = len(page.all("#main table.list")[0].find_elements(By.CSS_SELECTOR, "tbody tr"))
    shown = "[...document.querySelector('details table').tBodies[0].rows].filter(r => !r.hidden).length"
    if rows > 500:
        assert page.run(shown) == 500
        page.one("details button.more").click()
    assert page.run(shown) == rows
