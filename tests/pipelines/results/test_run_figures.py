"""A run's figures are the sums of those that its rows keep."""

from typing import Any

from pipelines.results.run_figures import RunFigures
from schemas.config import Config
from schemas.layout import Layout
from schemas.run import Run
from schemas.storage import FileInfo
from tests.examples import example_row
from transforms.ledger import copied_row, index_ledger, read_ledger, write_row


def computed(uri: str, detections: int, **seconds: float) -> dict[str, Any]:
    figures = {"segments": 2, "detections": detections, "step_seconds": seconds}
    return example_row(uri, run_id="run-2", duration=10.0, figures=figures)


def test_sums_over_the_rows_of_one_run(tmp_path) -> None:
    run = Run("run-2", Config(), Layout(str(tmp_path)))
    first = computed("/videos/a.mp4", 5, decode=1.0, detect=2.5)
    rows = [
        first,
        computed("/videos/b.mp4", 7, decode=0.5, infer=4.0),
        copied_row(first, FileInfo("/videos/copy.mp4", 1, None), run),
        example_row("/videos/bad.mp4", run_id="run-2", status="failed", frames_sampled=None, face_seconds=None),
        example_row("/videos/old.mp4", run_id="run-1"),
    ]
    expected = RunFigures(
        videos=3,
        failed=1,
        segments=4,
        video_seconds=20.0,
        samples=80,
        detections=12,
        face_rows=20,
        step_seconds={"decode": 1.5, "detect": 2.5, "infer": 4.0},
    )
    assert RunFigures.of(rows, "run-2") == expected
    assert expected.lines == [
        "3 videos computed, 0:00:20 long: 80 samples, 12 detections, 20 rows of faces",
        "0:00:08 of the workers' time, 100 ms a sample: decode 19 %, detect 31 %, infer 50 %",
    ]

    for row in rows:
        write_row(row, run)
    assert RunFigures.of(read_ledger(str(tmp_path)).values(), "run-2") == expected
    index_ledger(run)  # from the copy of all rows, the same
    assert RunFigures.of(read_ledger(str(tmp_path)).values(), "run-2") == expected


def test_a_run_without_a_video_has_nothing_to_say() -> None:
    assert RunFigures.of([], "run-1").lines == []
