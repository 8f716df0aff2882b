"""Report pages in a real browser: no errors, no request to the network, and working controls."""

import json
from pathlib import Path
from typing import Any

import pytest

from pipelines.persons.update import find_persons
from pipelines.reports.report import report
from tests.archive_of_persons import Archive
from tests.made_tables import feeling, write_video
from tests.pipelines.reports.conftest import HOSTILE

pytest.importorskip("selenium", reason="selenium is not installed")

from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from tests.browser import Page, on_a_phone

pytestmark = [pytest.mark.browser, pytest.mark.multiprocess]


def opened(browser: Any, path: Path) -> Page:
    """A page, once its charts are drawn."""
    page = Page(browser, path.as_uri())
    if page.all("[data-figure]"):
        page.wait(lambda: page.all("[data-drawn]"))
    return page


def time_range(page: Page) -> list[float]:
    return page.run("document.querySelector('.figure')._fullLayout.xaxis.range.map(Number)")


def find(pages: Path, start: str) -> Path:
    (path,) = [path for path in pages.glob("*.html") if path.name.startswith(start)]
    return path


@pytest.fixture
def talk(chromium: Any, pages: Path) -> Page:
    return opened(chromium, find(pages, "talk-"))


@pytest.fixture
def index(chromium: Any, pages: Path) -> Page:
    return opened(chromium, pages / "index.html")


@pytest.mark.parametrize("start", ["index", "talk-", "crowd-", "empty-", "img_src", "script-"])
def test_no_errors_and_no_request_leaves_the_folder(chromium: Any, pages: Path, start: str) -> None:
    page = opened(chromium, find(pages, start))
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
    assert time_range(talk) == [0, 12]
    figure.send_keys("+")
    talk.wait(lambda: time_range(talk)[1] - time_range(talk)[0] < 8)
    start = time_range(talk)[0]
    figure.send_keys(Keys.ARROW_RIGHT)
    talk.wait(lambda: time_range(talk)[0] > start)
    figure.send_keys("0")
    talk.wait(lambda: time_range(talk) == [0, 12])
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
    with on_a_phone(chromium, scheme):
        page = opened(chromium, find(pages, start))
        assert page.run("document.documentElement.scrollWidth") == 390
        ground, text = page.brightness()
        assert (ground > 600 and text < 150) if scheme == "light" else (ground < 100 and text > 600)


def test_the_page_of_persons(chromium: Any, tmp_path: Path) -> None:
    """It fits a phone, and its links lead to tracks."""
    archive = Archive(tmp_path)
    archive.add("a.mp4", [0, 1, 0])
    find_persons(str(tmp_path))
    report(str(tmp_path), persons=True)
    with on_a_phone(chromium, "dark"):
        page = opened(chromium, tmp_path / "reports" / "persons.html")
        assert page.run("document.documentElement.scrollWidth") == 390 and page.browser.get_log("browser") == []
        page.one("article li a").click()
        page.wait(lambda: page.run("document.querySelector(':target')?.id") == "track-0")


def test_a_long_list_shows_its_first_rows_and_more_when_asked(chromium: Any, tmp_path: Path) -> None:
    restless = [["happy", "sad"][i % 2] for i in range(700)]
    write_video(tmp_path, tracks=[feeling(0, 0.0, restless, age=float("nan"))], seconds=700.0)
    report(str(tmp_path))
    page = opened(chromium, find(tmp_path / "reports", "clip-"))
    page.one("details summary").click()
    rows = len(page.all("#main table.list")[0].find_elements(By.CSS_SELECTOR, "tbody tr"))
    shown = "[...document.querySelector('details table').tBodies[0].rows].filter(r => !r.hidden).length"
    if rows > 500:
        assert page.run(shown) == 500
        page.one("details button.more").click()
    assert page.run(shown) == rows
