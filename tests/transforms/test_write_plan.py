"""Plans last until their videos are assembled."""

import apache_beam as beam
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.testing.util import assert_that, equal_to

from schemas import storage
from schemas.layout import Layout, Work
from schemas.video import Plan
from tests.examples import example_file, example_plan
from transforms.write_plan import WritePlan, write_plan

PLANS = [
    example_plan(uri="/v/b.mp4", video_id="bb" * 16),
    example_plan(uri="/v/c.mp4", video_id="aa" * 16),
    example_plan(uri="/v/a.mp4", video_id="bb" * 16),
]


def read(work: Work, plan: Plan) -> Plan:
    return Plan.from_json(storage.read_bytes(work.plan(plan.file.uri)))


def test_a_plan_is_read_back_as_it_was_written(tmp_path):
    work = Layout(str(tmp_path)).work_of("abc")
    broken = Plan(example_file("/v/größe.mp4"), None, "corrupt", "unreadable", "will not open")
    for plan in (*PLANS, broken):
        assert write_plan(plan, work) == plan

    for plan in (*PLANS, broken):
        assert read(work, plan) == plan


def test_as_transform(tmp_path):
    work = Layout(str(tmp_path)).work_of("abc")
    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        assert_that(pipeline | beam.Create(PLANS) | WritePlan(work), equal_to(PLANS))
    assert [read(work, plan) for plan in PLANS] == PLANS
