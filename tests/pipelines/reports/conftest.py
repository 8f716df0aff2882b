"""Fixtures of the report tests: an archive's results, and its pages."""

from pathlib import Path
from typing import Any

import pytest

from pipelines.reports.report import report
from pipelines.settings import make_config
from schemas.tables import EMOTIONS
from tests.made_tables import feeling, write_failure, write_video
from tests.runs import made_once

HOSTILE = "/videos/<img src=x onerror=alert(1)>.mp4"
BREAKING = "/videos/</script><script>alert(2)</script>.mp4"
TALK, COPY, CROWD, EMPTY = "/videos/talk.mp4", "/videos/z/copy of talk.mp4", "/videos/crowd.mkv", "/videos/empty.mp4"


def make_results(out: Path) -> None:
    """An archive with all that a report has to show."""
    config = make_config()
    talk = [
        feeling(0, 0.0, ["happy"] * 4 + ["sad"] * 2, x=10),
        feeling(1, 1.0, ["neutral"] * 8, x=300, age=61.0, gender_female=0.55),
        feeling(2, 6.0, ["happy"] * 3, x=10),
    ]
    broken: dict[str, Any] = {
        "status": "partial",
        "error_type": "damaged",
        "error_message": f"{TALK}: places that are damaged and were passed over: 1; the rest was read.",
    }
    shown: dict[str, Any] = {"persons": {0: 0, 2: 0}, "cuts": [6.0, 9.5], "damaged": [10, 11], "config": config}
    same = write_video(out, TALK, talk, seconds=12, **shown, **broken)
    write_video(out, COPY, talk, seconds=12, video_id=same, **shown, **broken)
    for uri in (HOSTILE, BREAKING, "/videos/a/same.mp4", "/videos/b/same.mp4"):
        write_video(out, uri, [feeling(0, 2.0, ["surprise"] * 3)], config=config)
    crowd = [feeling(i, float(2 * i), [EMOTIONS[i % 7]] * (3 + i % 4), x=10 * i) for i in range(40)]
    write_video(out, CROWD, crowd, seconds=100, config=config)
    write_video(out, EMPTY, [], config=config)
    write_failure(out, "/videos/bad.mp4", "corrupt", "unreadable", "/videos/bad.mp4 does not open.")
    write_failure(out, "/videos/<b>gone.mp4", "failed", "not_found", "/videos/<b>gone.mp4 does not exist.")
    write_failure(out, "/videos/song.mp3", "no_video", "no_video", None)


@pytest.fixture(scope="session")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """DIR; not to be written to."""
    return made_once(tmp_path_factory, "report_results", make_results)


@pytest.fixture(scope="session")
def pages(results: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of its pages and documents; not to be written to."""
    return made_once(tmp_path_factory, "report_pages", lambda to: report(str(results), to=str(to), as_json=True))
