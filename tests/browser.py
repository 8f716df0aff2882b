"""A real browser without a window, and pages in it."""

import contextlib
import shutil
from collections.abc import Iterator
from typing import Any

import pytest
from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

SECONDS = 120
"""To wait at most: on a busy machine Chromium takes its time."""

_ARGUMENTS = ("headless=new", "no-sandbox", "disable-gpu", "disable-dev-shm-usage", "window-size=1400,900")


@contextlib.contextmanager
def chromium_with(*arguments: str) -> Iterator[Any]:
    """Chromium, or the test is skipped; it is given all paths, so that selenium downloads nothing."""
    browser, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not browser or not driver:
        pytest.skip("Chromium and its driver are not installed (Debian: apt-get install chromium chromium-driver)")
    options = webdriver.ChromeOptions()
    options.binary_location = browser
    for argument in (*_ARGUMENTS, *arguments):
        options.add_argument(f"--{argument}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    running = webdriver.Chrome(options=options, service=Service(driver))
    running.set_page_load_timeout(SECONDS)
    try:
        yield running
    finally:
        running.quit()


class Page:
    """An open page."""

    def __init__(self, browser: Any, address: str):
        self.browser = browser
        browser.get_log("browser"), browser.get_log("performance")  # those of the page before
        browser.get(address)

    def wait(self, until: Any) -> Any:
        # a page that is made anew meanwhile has other elements
        ignored = [StaleElementReferenceException]
        return WebDriverWait(self.browser, SECONDS, 0.1, ignored).until(lambda _: until())

    def link(self, selector: str) -> str:
        """Where the first link of this kind leads, once there is one."""
        return self.wait(lambda: self.run("document.querySelector(arguments[0])?.href", selector))

    def all(self, selector: str) -> list[Any]:
        return self.browser.find_elements(By.CSS_SELECTOR, selector)

    def one(self, selector: str) -> Any:
        return self.browser.find_element(By.CSS_SELECTOR, selector)

    def run(self, script: str, *arguments: Any) -> Any:
        return self.browser.execute_script(f"return {script}", *arguments)

    def brightness(self) -> tuple[int, int]:
        """Of the ground and of the letters, 0 to 765."""
        colours = [self.run(f"getComputedStyle(document.body).{name}") for name in ("backgroundColor", "color")]
        ground, text = (sum(int(n) for n in colour[4:-1].split(",")) for colour in colours)
        return ground, text


@contextlib.contextmanager
def on_a_phone(browser: Any, scheme: str, width: int = 390) -> Iterator[None]:
    """Pages are as wide as a phone, in its light or dark setting."""
    phone = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", phone)
    scheme_is = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", scheme_is)
    try:
        yield
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
