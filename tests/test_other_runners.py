"""docs/other_runners.md: its lines of Python run an archive on any Beam runner."""

import re
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.runners.portability.fn_api_runner import FnApiRunner

from schemas.run import read_run
from tests.clips import portrait_clip
from tests.tables import statuses

_PAGE = Path(__file__).parents[1] / "docs" / "other_runners.md"


def test_the_lines_of_the_page_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "in").mkdir()
    portrait_clip(tmp_path / "in" / "clip.mp4", seconds=1)
    (code,) = re.findall(r"^```python\n(.*?)^```", _PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    code = code.replace("gs://archive/", str(tmp_path / "in")).replace("gs://results/run1", str(tmp_path / "out"))
    pipeline = beam.Pipeline
    # In place of Dataflow's runner; its options stay as the page has them.
    monkeypatch.setattr(beam, "Pipeline", lambda options: pipeline(runner=FnApiRunner(), options=options))
    lines: dict[str, Any] = {}
    exec(compile(code, str(_PAGE), "exec"), lines)
    assert lines["summary"].statuses == {"ok": 1}
    assert statuses(tmp_path / "out") == {"clip.mp4": "ok"}
    record = read_run(str(tmp_path / "out"))
    assert record is not None and record.runner == "dataflow" and record.finished_at is not None
