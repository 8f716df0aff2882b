"""Cards of tracks: a mark for heads in profile, and a table in place of cards for brief tracks."""

import dataclasses
import re
from pathlib import Path

from pipelines.reports.content import VideoReport
from pipelines.reports.pages import video_page
from pipelines.reports.report import report
from schemas.tables import PROFILE
from tests.made_tables import feeling, write_video
from tests.pipelines.reports.test_report import page, words


def test_brief_tracks_are_collected_in_a_table(pages: Path) -> None:
    (path,) = pages.glob("talk-*.json")
    whole = VideoReport.from_json(path.read_bytes())
    assert "brief" not in words(video_page(whole).decode())
    *kept, last = whole.tracks
    brief = dataclasses.replace(last, end=last.start + 0.75)
    text = video_page(dataclasses.replace(whole, tracks=(*kept, brief))).decode()
    assert text.count('<article class="card" id="track-') == len(kept)
    assert "1 brief track of less than a second" in words(text)
    table = text[text.index('aria-label="Brief tracks"') :]
    assert f'<td class="n">{brief.track_id}</td>' in table[: table.index("</table>")]
    # A picture's faces last no time at all: then each has its card.
    still = tuple(dataclasses.replace(track, end=track.start) for track in whole.tracks)
    text = video_page(dataclasses.replace(whole, tracks=still)).decode()
    assert text.count('<article class="card" id="track-') == len(still) and "brief" not in words(text)


def test_a_track_in_profile_has_a_mark(tmp_path: Path) -> None:
    out = tmp_path / "out"
    profile = feeling(0, 0.0, ["happy"] * 3, yaw=70.0, pitch=float("nan"), pose_std=12.0)
    profile["quality_flags"][:] = PROFILE
    write_video(out, tracks=[profile, feeling(1, 0.0, ["sad"] * 3, x=300)])
    report(str(out))
    cards = page(out / "reports", "clip-").split('<article class="card"')
    marked = {re.findall(r"Track (\d+)", card)[0]: '"badge turned"' in card for card in cards if "<h3>Track" in card}
    assert marked == {"0": True, "1": False}
