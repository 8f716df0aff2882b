"""Draws the picture of a report page in README.md from the demo's results.

usage: python -m benchmarks.report_picture DIR     DIR: what `make run` or `facelog demo` wrote; it is not changed

Needs Chromium and its driver (Debian: apt-get install chromium chromium-driver). The face in the picture is the
demo clip's, a portrait in the public domain.
"""

import io
import shutil
import sys
import tempfile
from pathlib import Path

from PIL import Image
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.support.ui import WebDriverWait

from pipelines.reports.report import report

PICTURE = Path(__file__).parents[1] / "docs" / "pictures" / "report.webp"
WIDTH, HEIGHT = 1100, 2000
SECONDS = 120

# From the tiles of figures to age and gender in the first row of cards, as (top, bottom) in pixels of the page.
_PLACE = """
const box = selector => document.querySelector(selector).getBoundingClientRect();
return [box(".tiles").top, box("article.card .attributes").bottom];
"""


def screenshot(page: Path) -> Image.Image:
    """The part of a video's page that shows its figures, its timeline and its first tracks."""
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    for argument in ("headless=new", "no-sandbox", "disable-gpu", "hide-scrollbars", f"window-size={WIDTH},{HEIGHT}"):
        options.add_argument(f"--{argument}")
    browser = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver") or ""))
    try:
        browser.get(page.as_uri())
        drawn = "return document.querySelectorAll('[data-drawn]').length"
        WebDriverWait(browser, SECONDS).until(lambda _: browser.execute_script(drawn))
        top, bottom = browser.execute_script(_PLACE)
        whole = Image.open(io.BytesIO(browser.get_screenshot_as_png()))
    finally:
        browser.quit()
    return whole.crop((0, round(top) - 16, whole.width, round(bottom) + 16))


def main(results: str) -> None:
    """Make the pages of a demo's results and write the picture."""
    with tempfile.TemporaryDirectory() as folder:
        report(results, to=folder, thumbnails=True)
        (page,) = Path(folder).glob("demo-*.html")
        picture = screenshot(page)
    PICTURE.parent.mkdir(exist_ok=True)
    picture.convert("RGB").save(PICTURE, quality=80, method=6)
    print(f"{PICTURE}: {picture.width}x{picture.height}, {PICTURE.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main(*sys.argv[1:])
