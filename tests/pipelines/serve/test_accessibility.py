"""Pages by axe-core, which is fetched from the npm registry for this test; without it, the test is skipped."""

import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("selenium", reason="selenium is not installed")

from pipelines.serve.app import make_app
from tests.browser import Page, on_a_phone
from tests.clips import portrait_clip
from tests.pipelines.serve.conftest import analyze, running, tell_apart

pytestmark = [pytest.mark.browser, pytest.mark.multiprocess]

_RUN = """
const done = arguments[0];
axe.run(document).then(found => done({
  passed: found.passes.length,
  violations: found.violations.map(each => `${each.impact} ${each.id}: ${each.nodes[0].html.slice(0, 200)}`),
}));
"""


@pytest.fixture(scope="module")
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("axe")
    if not (npm := shutil.which("npm")):
        pytest.skip("npm, which fetches axe-core, is not installed")
    fetched = subprocess.run(
        [npm, "pack", "axe-core@4", "--silent"], cwd=folder, capture_output=True, timeout=120, check=False
    )
    if fetched.returncode:
        pytest.skip("axe-core cannot be fetched from the npm registry")
    (package,) = folder.glob("axe-core-*.tgz")
    with tarfile.open(package) as files:
        found = files.extractfile("package/axe.min.js")
        assert found is not None
        return found.read().decode()


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder: Path = tmp_path_factory.mktemp("pages")
    analyze(folder / "out", portrait_clip(folder / "talk.mp4", seconds=2, faces=2))
    tell_apart(folder / "out")
    with running(make_app(str(folder / "out"))) as address:
        yield address


def judged(page: Page, axe: str) -> dict[str, Any]:
    # Past the Content-Security-Policy, as extensions of a browser run their scripts.
    page.browser.execute_cdp_cmd("Runtime.evaluate", {"expression": axe})
    return page.browser.execute_async_script(_RUN)


_READY = {
    "/": ".strip",
    "/find?go=1": ".moment img",
    "/persons": ".person .strip",
    "/person/0": "#appearances .moment img",
    "/camera": "#start",
    "/nothing": "main",
}
"""Pages, and what is there once they are ready."""


@pytest.mark.parametrize(("width", "scheme"), [(400, "light"), (400, "dark"), (1280, "light"), (1280, "dark")])
def test_axe_finds_no_fault(chromium: Any, home: str, axe: str, width: int, scheme: str) -> None:
    with on_a_phone(chromium, scheme, width):
        page = Page(chromium, home)
        page.wait(lambda: page.all(".strip"))
        video = page.one("#list a").get_attribute("href").removeprefix(home)
        for address, selector in (_READY | {video: "#details h3"}).items():
            page = Page(chromium, home + address)
            page.wait(lambda page=page, selector=selector: page.all(selector))
            found = judged(page, axe)
            assert found["violations"] == [] and found["passed"] > 10, address
            assert page.run("document.documentElement.scrollWidth") == width, address
        page.run("document.querySelector('main').append(document.createElement('img'))")
        assert "image-alt" in judged(page, axe)["violations"][0]
