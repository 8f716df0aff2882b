"""Frames get their time of day; what is late is dropped and counted, and memory does not grow."""

import io
import time
from pathlib import Path

import av
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.cameras import inbox
from pipelines.cameras.capture import Capture
from pipelines.cameras.source import parse_source
from pipelines.cameras.wall_clock import WallClock
from schemas.config import Config
from schemas.errors import UsageError
from transforms.picture import Picture

ALL = Config().override(sample_fps="all")


def capture_of(data: bytes, config: Config = ALL, clock: object = None) -> Capture:
    source = parse_source("-", stdin=io.BytesIO(data))
    return Capture(source, config, **({"clock": clock} if clock else {}))  # type: ignore[arg-type]


class Steps:
    """A clock that goes on by a step with each look: frames that arrive as evenly as they play."""

    def __init__(self, step: float):
        self.now, self._step = 1000.0, step

    def __call__(self) -> float:
        self.now += self._step
        return self.now


def wait_for_the_end(capture: Capture) -> None:
    until = time.monotonic() + 30
    while capture._thread.is_alive():
        assert time.monotonic() < until
        time.sleep(0.01)


def test_samples_wait_for_a_while_and_then_the_newest_stay(swinging: Path) -> None:
    with capture_of(swinging.read_bytes(), clock=Steps(0.1)) as capture:
        wait_for_the_end(capture)
        shown = list(capture.samples(0, float("inf")))
        assert capture.first(1.0) is None and capture.has_ended
    assert capture.counts.frames == 30 and capture.counts.dropped == 30 - inbox._WAITING
    assert [round(sample.time - 1000.1, 1) for sample in shown] == [2.2, 2.3, 2.4, 2.5, 2.6, 2.7, 2.8, 2.9]
    assert shown[-1].counts.dropped == capture.counts.dropped


def test_samples_lie_on_the_grid_of_the_time_of_day(swinging: Path) -> None:
    with capture_of(swinging.read_bytes(), Config().override(sample_fps=2), Steps(0.1)) as capture:
        wait_for_the_end(capture)
        times = [sample.time for sample in capture.samples(0, float("inf"))]
    assert [round(time, 1) for time in times] == [1000.1, 1000.5, 1001.0, 1001.5, 1002.0, 1002.5, 1003.0]


def test_a_decoder_that_is_late_leaves_frames_out_until_the_next_keyframe(swinging: Path) -> None:
    with capture_of(swinging.read_bytes(), clock=Steps(1.0)) as capture:
        wait_for_the_end(capture)
    assert capture.counts.frames < 30 and capture.counts.skipped == 30 - capture.counts.frames


def test_a_pipe_is_read_at_the_pace_at_which_it_plays(swinging: Path) -> None:
    began = time.monotonic()
    with capture_of(swinging.read_bytes()) as capture:
        wait_for_the_end(capture)
    assert 1.5 < time.monotonic() - began < 20


def test_what_is_wrong_in_the_thread_comes_out(tmp_path: Path) -> None:
    with Capture(parse_source("/dev/../dev/shm"), ALL) as capture, pytest.raises(UsageError, match="is no camera"):
        capture.first(10.0)


@given(st.lists(st.tuples(st.floats(-20, 20), st.floats(0, 20)), min_size=2))
def test_times_of_day_always_go_on_and_stay_near(steps: list[tuple[float, float]]) -> None:
    clock, stamp, now, before = WallClock(), 5.0, 1000.0, 0.0
    for of_stamp, of_now in steps:
        stamp, now = stamp + of_stamp, now + of_now
        found = clock.time(stamp, now)
        if found is not None:
            assert found > before
            before = found


def test_a_clock_that_is_slow_is_followed() -> None:
    clock = WallClock()
    for number in range(200_000):  # a hundredth too slow, for more than two hours
        found = clock.time(number / 25 * 0.99, 1000.0 + number / 25)
    assert found is not None and abs(found - (1000.0 + number / 25)) < 0.6


def test_stamps_that_begin_anew_in_a_connection_are_put_on_the_clock() -> None:
    clock = WallClock()
    times = [clock.time(stamp, now) for stamp, now in [(50.0, 1000.0), (51.0, 1001.0), (0.0, 1002.0), (1.0, 1003.0)]]
    assert times == pytest.approx([1000.0, 1001.0, 1002.0, 1003.0], abs=0.01)


def test_an_inbox_knows_the_end_of_a_connection_when_the_next_one_goes_on() -> None:
    picture = Picture(av.VideoFrame(16, 16, "gray"))
    box = inbox.Inbox(4.0)
    for number in range(3):
        box.open("mpegts", "h264", 25.0)
        box.put(10.0 * number + 1.0, lambda: picture)
        box.put(10.0 * number + 1.04, lambda: picture)  # no sample
        box.close()
    assert box.last_times == {0: 1.04, 1: 11.04, 2: 21.04}
    assert [sample.time for number in range(3) for sample in box.samples(number, 99.0)] == [1.0, 11.0, 21.0]
