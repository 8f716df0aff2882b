"""Times are exact, and a plan is the same after writing and reading."""

import pickle
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from schemas.video import Clock, Plan
from tests.examples import example_file, example_info, example_plan

stamps = st.integers(-(2**50), 2**50)


@given(start=stamps, ticks=st.integers(0, 2**40), base=st.sampled_from([(1, 90000), (1001, 30000), (1, 14112000)]))
def test_a_clock_counts_from_the_first_displayed_frame(start: int, ticks: int, base: tuple[int, int]):
    clock = Clock(start, *base)

    assert clock.seconds(start) == 0.0
    assert clock.seconds(start + ticks) == float(ticks * Fraction(*base))


@given(second=st.integers(0, 100_000))
def test_a_whole_second_is_not_missed_by_rounding(second: int):
    # 30000/1001 frames a second: 30 frames are 1.001 s, and 30000 frames exactly 1001.
    assert Clock(None, 1001, 30000).seconds(30000 * second) == 1001.0 * second


def test_without_time_stamps_frames_are_counted():
    clock = Clock(None, 1, 25)

    assert not clock.has_pts
    assert clock.seconds(50) == 2.0


def test_a_plan_comes_back_from_json_as_it_was():
    whole = example_plan(3.0, 6.5, end=9.96, container_end=10.0)
    bare = Plan(
        example_file("/videos/größe \N{SNOWMAN}.mp4", size_bytes=None, modified_at=None), None, "corrupt", "x", "y"
    )

    assert Plan.from_json(whole.to_json()) == whole
    assert Plan.from_json(bare.to_json()) == bare
    undated = example_plan(info=example_info(recorded_at=None))
    assert Plan.from_json(undated.to_json()) == undated


def test_a_plan_crosses_process_borders():
    assert pickle.loads(pickle.dumps(example_plan(3.0))) == example_plan(3.0)
