"""Draws the pictures of the web app in docs/serve.md from the demo clip's results.

usage: python -m benchmarks.serve_pictures DIR     DIR: results of the demo clip, which are not changed

    facelog demo --out out
    facelog analyze out/demo.mp4 --out DIR --persons archive --keep-observations
    facelog persons DIR
    facelog persons name 0 "The astronaut" DIR

Needs Chromium and its driver (Debian: apt-get install chromium chromium-driver). The face in the pictures is the demo
clip's, a portrait in the public domain.
"""

import io
import sys
import tempfile
import time

from PIL import Image

from pipelines.serve.app import make_app
from tests.browser import Page, chromium_with
from tests.pipelines.serve.conftest import running
from tests.runs import ROOT

WIDTH = 960
# Page, what has to be there before it is drawn, and how much of it is shown, in pixels.
PAGES = {
    "serve_video": (
        "/video/{video}?t=4",
        "overlay.shown.length && video.readyState == 4 && document.querySelector('[data-drawn] .needle')",
        945,
    ),
    "serve_find": (
        "/find?emotion=happy&go=1",
        "document.images.length == 3 && [...document.images].every(each => each.naturalWidth)",
        570,
    ),
    "serve_person": (
        "/person/0",
        "document.images.length == 4 && [...document.images].every(each => each.naturalWidth)",
        760,
    ),
}


def main(results: str) -> None:
    """Write the pictures."""
    with (
        tempfile.TemporaryDirectory() as cache,
        chromium_with("hide-scrollbars") as browser,
        running(make_app(results, cache=cache)) as home,
    ):
        browser.set_window_size(WIDTH, 1500)
        video = Page(browser, home).link("#list tbody a").rsplit("/", 1)[-1]
        for name, (address, ready, height) in PAGES.items():
            page = Page(browser, home + address.format(video=video))
            page.wait(lambda page=page, ready=ready: page.run(ready))
            time.sleep(2)  # a player takes its sign of waiting away after a while
            whole = Image.open(io.BytesIO(browser.get_screenshot_as_png()))
            path = ROOT / "docs" / "pictures" / f"{name}.webp"
            whole.crop((0, 0, whole.width, height)).convert("RGB").save(path, quality=80, method=6)
            print(f"{path}: {whole.width}x{height}, {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main(*sys.argv[1:])
