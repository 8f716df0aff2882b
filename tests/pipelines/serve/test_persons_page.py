"""The pages of persons in a real browser: naming, merging, splitting and taking it back, by keyboard alone."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("selenium", reason="selenium is not installed")

from selenium.common.exceptions import (
    ElementNotInteractableException,
    NoSuchElementException,
    StaleElementReferenceException,
)
from selenium.webdriver.common.keys import Keys

from pipelines.results.persons import read_persons
from pipelines.serve.app import make_app
from tests.browser import Page
from tests.clips import portrait_clip
from tests.made_tables import feeling, write_video
from tests.pipelines.serve.conftest import analyze, running, tell_apart

_DRAWN_ANEW = (ElementNotInteractableException, NoSuchElementException, StaleElementReferenceException)
"""What selenium says of an element of a list that is drawn anew just then."""

pytestmark = [pytest.mark.browser, pytest.mark.multiprocess]


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("persons")
    analyze(folder / "out", portrait_clip(folder / "talk <b>.mp4", seconds=2, faces=2))
    tell_apart(folder / "out")
    return folder / "out"


@pytest.fixture(scope="module")
def home(out: Path) -> Iterator[str]:
    with running(make_app(str(out))) as address:
        yield address


def persons(out: Path) -> dict[int, str | None]:
    table = read_persons(str(out), "persons")
    return dict(zip(table["person_id"].to_pylist(), table["name"].to_pylist(), strict=True))


def press(page: Page, selector: str, key: str = Keys.ENTER) -> None:
    def done() -> bool:
        try:
            element = page.one(selector)
            if not element.is_displayed() or not element.is_enabled():
                return False
            element.send_keys(key)
        except _DRAWN_ANEW:
            return False
        return True

    page.wait(done)


def test_a_person_is_named_merged_and_split_and_all_of_it_is_undone(chromium: Any, home: str, out: Path) -> None:
    page = Page(chromium, f"{home}/persons")
    page.wait(lambda: page.run("document.querySelectorAll('.person img').length") == 2)
    page.wait(lambda: page.run("document.querySelector('.person img').naturalWidth") == 112)
    press(page, "#person-0 a")
    page.wait(lambda: page.all("#appearances .moment"))
    page.one("#naming [name=name]").clear()
    page.one("#naming [name=name]").send_keys("Ann <i>", Keys.ENTER)
    page.wait(lambda: page.one("#title").text == "Ann <i> (person 0)")
    assert persons(out) == {0: "Ann <i>", 1: None}
    page = Page(chromium, f"{home}/persons?sort=number")
    for number in (0, 1):
        page.wait(lambda number=number: page.all(f"#person-{number} input"))
        press(page, f"#person-{number} input", Keys.SPACE)
    press(page, "#merge")
    page.wait(lambda: not page.all("#person-1"))
    assert persons(out) == {0: "Ann <i>"} and "person 1 is person 0: 1 track" in page.one("#decisions").text
    page = Page(chromium, f"{home}/person/0")
    page.wait(lambda: len(page.all("#appearances .moment")) == 2)
    press(page, "#appearances li:last-child input", Keys.SPACE)
    press(page, "[data-decide=split]")
    page.wait(lambda: len(page.all("#appearances .moment")) == 1)
    assert set(persons(out)) == {0, 2}
    for left in (2, 1, 0):
        press(page, "#decisions li:first-child button")
        page.wait(lambda left=left: len(page.all("#decisions li")) == left)
    assert persons(out) == {0: None, 1: None}
    page.wait(lambda: page.one("#title").text == "Person 0")  # the list of appearances is drawn anew with it
    press(page, "#appearances a")
    page.wait(lambda: "/video/" in page.browser.current_url and page.all("#details h3"))
    assert page.browser.get_log("browser") == []


def test_lanes_switch_and_become_finer_where_it_is_zoomed_in(chromium: Any, tmp_path: Path) -> None:
    write_video(
        tmp_path, tracks=[feeling(0, 0.0, ["sad", "happy"] * 1000)], seconds=2000.0, duration=2000.0, cuts=[500.0]
    )
    tell_apart(tmp_path)
    with running(make_app(str(tmp_path))) as home:
        page = Page(chromium, Page(chromium, home).link("#list tbody a"))
        page.wait(lambda: page.all(".figure[data-drawn]"))
        label = "document.querySelector('.figure').layout.yaxis.ticktext[0]"
        assert page.run(label) == "Person 0"
        for key, time in (("]", 500), (Keys.ARROW_RIGHT, 501), ("[", 500), ("[", 0)):
            page.one("body").send_keys(key)
            page.wait(lambda time=time: page.run("document.getElementById('overlay').time") == time)
        press(page, "[data-lanes=track]")
        page.wait(lambda: page.run(label) == "Track 0")
        assert page.one("[data-lanes=track]").get_attribute("aria-pressed") == "true"
        assert int(page.one(".figure").get_attribute("data-bins")) > 1
        for _ in range(9):
            page.one(".figure").send_keys("+")
        page.wait(lambda: page.one(".figure").get_attribute("data-bins") == "1")
        start, end = page.run("document.querySelector('.figure')._fullLayout.xaxis.range")
        assert 980 < start < end < 1020 and page.one("#bins").text == "" and page.run(label) == "Track 0"
        page.one(".figure").send_keys("0")
        page.wait(lambda: page.one(".figure").get_attribute("data-bins") != "1")
        assert page.run("document.querySelector('.figure')._fullLayout.xaxis.range") == [0, 2000]
