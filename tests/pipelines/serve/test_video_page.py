"""The page of a video in a real browser: boxes lie where the faces of the frame are, whatever the file is like."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("selenium", reason="selenium is not installed")


from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys

from pipelines.serve.app import make_app
from tests.browser import Page, on_a_phone
from tests.clips import Clip, portrait_clip
from tests.odd_clips import still
from tests.pipelines.serve.conftest import analyze, running

pytestmark = [pytest.mark.browser, pytest.mark.multiprocess]

_UNEVEN = np.cumsum([0.0, *[0.04, 0.04, 0.12, 0.2, 0.08] * 8])
CLIPS: dict[str, dict[str, Any]] = {
    "late.mp4": {"fps": Fraction(30000, 1001), "start": 0.75, "audio": 3.0},
    "reordered.mp4": {"fps": 25, "b_frames": 2, "start": 0.4},
    "uneven.mp4": {"times": _UNEVEN},
    "turned.mov": {"fps": 25, "rotation": 90},
    "wide.mp4": {"fps": 25, "sar": Fraction(4, 3)},
    "vp9.webm": {"fps": 25, "codec": "libvpx-vp9"},
    "old.avi": {"fps": 25, "codec": "mpeg4"},
    "late.mkv": {"fps": 25, "start": 2.5, "audio": 3.0},
}
"""Two faces that swing, with the number of each frame in the picture."""
_PREVIEWED = ("old.avi", "late.mkv")

# Reads what a frame shows and where the page draws, after the page has drawn it.
_READ = """
const [bits, done] = arguments;
const video = document.getElementById('video'), overlay = document.getElementById('overlay');
const small = document.createElement('canvas');
small.width = 320; small.height = 240;
const pen = small.getContext('2d', {willReadFrequently: true});
const seen = [];
function read() {
  pen.drawImage(video, 0, 0, 320, 240);
  let number = 0;
  for (let bit = 0; bit < bits; bit++) {
    const [red] = pen.getImageData((bit + 0.5) * 320 / bits, 0.95 * 240, 1, 1).data;
    if (red > 127) number |= 1 << bit;
  }
  const {x, y, width, height} = overlay.place;
  const boxes = overlay.shown.map(({track, box}) =>
    [track, (box[0] - x) / width, (box[1] - y) / height, box[2] / width, box[3] / height]);
  seen.push({number, time: overlay.time, boxes});
}
"""
_PLAYED = (
    _READ
    + """
function follow() { read(); video.requestVideoFrameCallback(follow); }
video.requestVideoFrameCallback(follow);
video.muted = true;
video.playbackRate = 0.5;
video.addEventListener('ended', () => done(seen));
video.play();
"""
)
_SOUGHT = (
    _READ
    + """
const offset = video.currentTime - 0.0005;
const times = [1.99, 0.5, 1.301, 0.02, 1.0, 0.7];
function next() {
  if (!times.length) return done(seen);
  video.requestVideoFrameCallback(() => setTimeout(() => { read(); next(); }, 50));
  video.currentTime = offset + times.shift();
}
video.pause();
next();
"""
)


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Clip]:
    folder = tmp_path_factory.mktemp("clips")
    # Of different sizes in time, so that no two have the same content.
    common: dict[str, Any] = {"size": (320, 240), "faces": 2, "moving": True, "numbered": True}
    made = {name: portrait_clip(folder / name, **{"seconds": 2.4} | common | more) for name, more in CLIPS.items()}
    made["sparse.mp4"] = portrait_clip(folder / "sparse.mp4", seconds=3, fps=20, **common)
    return made


@pytest.fixture(scope="module")
def home(clips: dict[str, Clip], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    out = tmp_path_factory.mktemp("results")
    for name, clip in clips.items():
        analyze(out, clip, kept=name != "sparse.mp4")
    with running(make_app(str(out), cache=str(tmp_path_factory.mktemp("cache")))) as address:
        yield address


def opened(chromium: Any, home: str, name: str, query: str = "") -> Page:
    """A video's page, ready to play."""
    page = Page(chromium, f"{home}/?q={name}")
    page = Page(chromium, page.link("#list tbody a") + query)
    page.wait(lambda: page.run("document.getElementById('video').readyState >= 3 && overlay.dataset.ready"))
    page.wait(lambda: page.run("!video.seeking && overlay.shown.length > 0"))
    return page


def frames_apart(clip: Clip, seen: dict[str, Any]) -> int:
    """How many frames lie between the one that is shown and the one whose boxes are drawn."""
    width, height = clip.width, clip.height
    drawn = np.array([box[1:] for box in sorted(seen["boxes"])]) * (width, height, width, height)
    errors = np.abs(clip.boxes - drawn).max(axis=(1, 2))
    number = seen["number"]
    near = np.flatnonzero(errors < errors.min() + 0.3)  # a face at the turn of its swing hardly moves
    return int(np.abs(near - number).min())


@pytest.mark.parametrize("name", CLIPS)
def test_boxes_are_those_of_the_frame_that_is_shown(
    chromium: Any, home: str, clips: dict[str, Clip], name: str
) -> None:
    clip, page = clips[name], opened(chromium, home, name)
    assert page.all(f"video[src*='{'preview' if name in _PREVIEWED else 'media'}']")
    sought = chromium.execute_async_script(_SOUGHT, 10)
    assert len({seen["number"] for seen in sought}) >= 5
    assert [frames_apart(clip, seen) for seen in sought] == [0] * 6, sought
    page.run("document.getElementById('video').currentTime = 0")
    played = chromium.execute_async_script(_PLAYED, 10)
    assert len({seen["number"] for seen in played}) > len(clip.times) / 3
    apart = [frames_apart(clip, seen) for seen in played]
    # A browser on a busy machine may show the next frame before it has told of this one.
    assert np.mean(np.array(apart) <= 1) > 0.9 and np.median(apart) == 0, apart
    assert [entry for entry in chromium.get_log("browser") if entry["level"] == "SEVERE"] == []


@pytest.fixture(scope="module")
def sparse(chromium: Any, home: str) -> Page:
    """Three seconds at twenty frames a second, of which the best sample of each second is known."""
    return opened(chromium, home, "sparse.mp4", "?t=1")


def at(page: Page, time: float, within: float = 0.026) -> bool:
    return abs(page.run("document.getElementById('overlay').time") - time) < within


def test_keys_step_by_frame_second_track_and_cut(sparse: Page) -> None:
    sparse.wait(lambda: at(sparse, 1))
    body = sparse.one("body")
    for keys, time in ((".", 1.05), (".", 1.1), (",", 1.05), (Keys.ARROW_RIGHT, 2.05), (Keys.ARROW_LEFT, 1.05)):
        body.send_keys(keys)
        sparse.wait(lambda time=time: at(sparse, time))
    body.send_keys(Keys.ARROW_UP)
    sparse.wait(lambda: at(sparse, 0, 0.06))
    body.send_keys("]")
    sparse.wait(lambda: sparse.run("document.getElementById('overlay').time") > 2.9)
    body.send_keys("[")
    sparse.wait(lambda: at(sparse, 0, 0.06))


def test_a_click_on_the_timeline_goes_there_and_the_needle_follows(sparse: Page) -> None:
    sparse.wait(lambda: sparse.all("[data-drawn]") and sparse.all(".needle"))
    sparse.run("document.querySelector('.figure').scrollIntoView({block: 'center'})")
    place = "(a => [a.left + f._fullLayout.xaxis._offset + f._fullLayout.xaxis.l2p(2), a.top + 60])"
    x, y = sparse.run(f"(f => {place}(f.getBoundingClientRect()))(document.querySelector('.figure'))")
    chain = ActionChains(sparse.browser)
    chain.w3c_actions.pointer_action.move_to_location(round(x), round(y)).click()
    chain.perform()
    sparse.wait(lambda: at(sparse, 2, 0.06))
    needle = sparse.run("document.querySelector('.needle').getBoundingClientRect().x")
    assert abs(needle - x) < 20  # a frame is 16 pixels wide


def test_the_chosen_face_is_told_of_and_what_lies_between_samples_is_said(sparse: Page) -> None:
    assert "Dashed boxes are interpolated" in sparse.one("#certainty").text
    buttons = sparse.all("#faces button")
    assert sorted(button.get_attribute("aria-pressed") for button in buttons) == ["false", "true"]
    buttons[1].click()
    sparse.wait(lambda: sparse.one("#details h3").text == "Track 1")
    told = sparse.one("#details").text
    assert "happy\n70 %" in told and "30 (80 %: " in told and "female 90 %" in told


def test_steps_and_choices_need_no_mouse(sparse: Page) -> None:
    names = sparse.run(
        "[...document.querySelectorAll('a, button, input, select, summary, [tabindex]')]"
        ".filter(e => e.tabIndex >= 0 && !e.textContent.trim() && !e.ariaLabel && !e.labels?.length).length"
    )
    assert names == 0
    sparse.one("[data-key='.']").send_keys(Keys.ENTER)
    assert sparse.run("document.activeElement.dataset.key") == "."


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_fits_a_phone(chromium: Any, home: str, scheme: str) -> None:
    with on_a_phone(chromium, scheme, 400):
        page = opened(chromium, home, "sparse.mp4")
        page.wait(lambda: page.all("[data-drawn]"))
        assert page.run("document.documentElement.scrollWidth") == 400


def test_a_video_whose_file_is_gone_says_so_and_shows_its_tables(chromium: Any, tmp_path: Path) -> None:
    clip = portrait_clip(tmp_path / "<i>gone.mp4", seconds=2, faces=1)
    analyze(tmp_path / "out", clip)
    clip.path.unlink()
    with running(make_app(str(tmp_path / "out"))) as home:
        page = Page(chromium, home)
        page = Page(chromium, page.link("#list tbody a"))
        page.wait(lambda: "There is nothing to play" in page.one("#notice").text)
        assert "is not there any more" in page.one("#notice").text and not page.all("#notice i")
        page.one("body").send_keys(Keys.ARROW_RIGHT)
        page.wait(lambda: at(page, 1) and page.run("document.getElementById('overlay').shown.length") == 1)
        assert page.all("[data-tracks] tbody tr")


def test_a_still_is_shown_with_its_face(chromium: Any, tmp_path: Path) -> None:
    clip = still(tmp_path / "x.jpg", orientation=6)
    analyze(tmp_path / "out", clip)
    with running(make_app(str(tmp_path / "out"), cache=str(tmp_path / "cache"))) as home:
        page = opened(chromium, home, "x.jpg")
        (drawn,) = page.run("overlay.shown.map(({box}) => box)")
        place = page.run("overlay.place")
        expected = clip.boxes[0, 0] * place["width"] / clip.width
        assert np.allclose(np.subtract(drawn, [place["x"], place["y"], 0, 0]), expected, atol=1)
        assert page.run("video.videoWidth") == clip.width
