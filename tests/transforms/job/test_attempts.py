"""Attempts are counted before they begin and outlive the process; a step that takes too long ends its process."""

import dataclasses
import json
from pathlib import Path

import apache_beam as beam
import pytest
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.testing.util import assert_that, equal_to

from schemas.config import Config
from schemas.layout import Layout
from schemas.process import at_end, run_endings
from schemas.run import Run
from schemas.video import Plan
from tests.examples import example_file, example_plan
from transforms.failures import SegmentFailed
from transforms.job.attempts import Attempts, BeginProbes, BeginSegments, Counted
from transforms.time_limits import probe_limit, segment_limit
from transforms.write_fragment import SegmentDone

PLAN = example_plan()
SEGMENT = PLAN.segments[0]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run("run-1", Config(), Layout(str(tmp_path)))


@pytest.fixture
def name(run: Run) -> str:
    return run.layout.job("run-1").attempts(SEGMENT.video_id, SEGMENT.index)


@dataclasses.dataclass(eq=False)
class Step(beam.PTransform):
    """Notes how many attempts were begun while it is at an element; raises if told to."""

    name: str
    fails: bool = False

    def expand(self, elements):
        return elements | beam.Map(self.note)

    def note(self, element):
        begun = len(Attempts(self.name).begun)
        Path(f"{self.name}.seen").write_text(str(begun))
        if self.fails:
            raise RuntimeError("as told")
        return SegmentDone(element, begun)


_found: list = []  # a pipeline's functions travel pickled, and find it here


def _keep(element):
    _found.append(element)


def ended(run: Run, step: beam.PTransform, max_attempts: int | None = 2) -> list:
    _found.clear()
    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        out = pipeline | beam.Create([SEGMENT]) | Counted(BeginSegments(run, max_attempts), step)
        out | "Keep" >> beam.Map(_keep)
    return list(_found)


def test_an_attempt_counts_from_before_it_begins_until_it_is_done(run: Run, name: str) -> None:
    assert ended(run, Step(name)) == [SegmentDone(SEGMENT, 1)]
    assert not Attempts(name).begun and Attempts(name).done


def test_what_is_done_is_not_begun_again(run: Run, name: str) -> None:
    ended(run, Step(name))
    Path(f"{name}.seen").unlink()
    assert ended(run, Step(name, fails=True)) == [SegmentDone(SEGMENT, 0)]
    assert not Path(f"{name}.seen").exists()


def test_after_so_many_it_is_given_up_with_a_record(run: Run, name: str) -> None:
    for number in (1, 2):
        with pytest.raises(RuntimeError, match="as told"):
            ended(run, Step(name, fails=True))
        assert len(Attempts(name).begun) == number
    (failed,) = ended(run, Step(name))
    assert isinstance(failed, SegmentFailed) and failed.error_type == "worker_died"
    assert SEGMENT.file.uri in failed.error_message and "2 attempts (on " in failed.error_message
    record = json.loads(Path(run.work.failure(SEGMENT.video_id, SEGMENT.index)).read_text())
    assert record == {"run_id": "run-1", "error_type": "worker_died", "error_message": failed.error_message}


def test_a_process_that_ends_in_good_order_takes_its_attempts_back(name: str) -> None:
    for _ in range(2):
        Attempts(name).begin()
    attempts = Attempts(name)
    attempts.begin()
    with at_end(attempts.withdraw):
        run_endings()
        run_endings()
    assert len(Attempts(name).begun) == 2
    attempts.begin()
    with at_end(attempts.withdraw):
        pass
    run_endings()
    assert len(Attempts(name).begun) == 3


def test_attempts_of_another_run_do_not_count(run: Run, name: str) -> None:
    for _ in range(2):
        Attempts(name).begin()
    other = dataclasses.replace(run, run_id="run-2")
    theirs = run.layout.job("run-2").attempts(SEGMENT.video_id, SEGMENT.index)
    assert ended(other, Step(theirs)) == [SegmentDone(SEGMENT, 1)]


def test_nothing_is_counted_where_nobody_would_begin_anew(run: Run, name: str, tmp_path: Path) -> None:
    Path(name).parent.mkdir(parents=True)
    assert ended(run, Step(name), max_attempts=None) == [SegmentDone(SEGMENT, 0)]
    assert not Path(name).exists()


def test_a_file_that_ends_its_probe_gets_a_plan_that_says_so(run: Run) -> None:
    file = example_file("/v/bad.mp4")
    name = run.layout.job("run-1").probe_attempts(file.uri)
    attempts = Attempts(name)
    attempts.begin()
    attempts.ended("not done after 120 s")
    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        plans = pipeline | beam.Create([file]) | Counted(BeginProbes(run, 1), beam.Map(lambda _: None))
        said = plans | beam.Map(lambda plan: (plan.status, plan.error_type, plan.error_message.split("(on")[0]))
        assert_that(said, equal_to([("failed", "time_limit", "/v/bad.mp4: not done after 120 s; 1 attempts ")]))
    assert Plan.from_json(Path(run.work.plan(file.uri)).read_bytes()).status == "failed"


def test_limits_grow_with_the_work() -> None:
    assert segment_limit(dataclasses.replace(SEGMENT, duration=60.0)) == 1320
    assert probe_limit(dataclasses.replace(example_file("/v/a.mp4"), size_bytes=5_000_000_000)) == 1120
