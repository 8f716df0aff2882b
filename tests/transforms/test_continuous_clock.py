"""Lists of stamps as files have them, and the clock that they become."""

from fractions import Fraction
from types import SimpleNamespace

import numpy as np
import pytest

from schemas.faces import NO_STAMP
from schemas.video import Clock, Jump
from transforms.continuous_clock import ClockLine, CompanionLine, Corrections, Stamps, find_corrections

TICKS = 90_000
FRAME = TICKS // 25


def stamps(dts: list[int] | np.ndarray, pts: list[int] | np.ndarray | None = None, base: int = TICKS) -> Stamps:
    dts = np.asarray(dts, np.int64)
    return Stamps(dts.copy() if pts is None else np.asarray(pts, np.int64), dts, Fraction(1, base))


def part(frames: int = 100, start: int = 0) -> np.ndarray:
    return start + FRAME * np.arange(frames, dtype=np.int64)


def reordered(dts: np.ndarray) -> np.ndarray:
    """PTS of groups of I B B P, shown two frames after they are decoded."""
    order = np.array([0, 3, 1, 2])
    return dts[:1] + 2 * FRAME + FRAME * np.array([4 * (i // 4) + order[i % 4] for i in range(len(dts))], np.int64)


def corrected(given: Stamps, **options: object) -> tuple[np.ndarray, Corrections]:
    found = find_corrections(given, **options)  # type: ignore[arg-type]
    return found.apply(given.pts), found


class TestOrdinaryFiles:
    @pytest.mark.parametrize("restarts", [False, True])
    def test_nothing_is_corrected(self, restarts):
        rng = np.random.default_rng(0)
        uneven = np.cumsum(rng.integers(1, TICKS, 200))
        for dts in (part(), part(start=10**9), uneven, part(1), part(0), part(2)):
            assert not find_corrections(stamps(dts), restarts=restarts)
        assert not find_corrections(stamps(part(), reordered(part())), restarts=restarts)
        without_dts = Stamps(reordered(part()), np.full(100, NO_STAMP), Fraction(1, TICKS))
        assert not find_corrections(without_dts, restarts=restarts)

    def test_pauses_are_kept(self):
        for seconds in (5, 40, 1800, 80_000):
            dts = np.concatenate([part(25), part(25, start=seconds * TICKS)])
            assert not find_corrections(stamps(dts))
        slides = 30 * TICKS * np.arange(20)
        assert not find_corrections(stamps(slides), restarts=True)

    def test_a_pause_across_which_frames_are_reordered(self):
        pts = np.concatenate([reordered(part(26)), reordered(part(50, start=1800 * TICKS))])
        dts = np.sort(pts) - 2 * FRAME
        assert not find_corrections(stamps(dts, pts))

    def test_a_pause_in_which_sound_goes_on(self):
        dts = np.concatenate([part(25), part(25, start=300 * TICKS)])
        assert find_corrections(stamps(dts), restarts=True).jumps
        assert not find_corrections(stamps(dts), restarts=True, others=np.arange(0.0, 302.0, 0.5))

    def test_decoding_times_that_say_nothing(self):
        assert not find_corrections(stamps(np.zeros(100, np.int64), part()))


class TestJumps:
    @pytest.mark.parametrize("start", [0, -5 * 3600 * TICKS, -2 * TICKS])
    @pytest.mark.parametrize("is_reordered", [False, True])
    def test_stamps_that_begin_anew(self, start, is_reordered):
        base = 10 * 3600 * TICKS
        dts = np.concatenate([part(start=base), part(start=base + start)])
        pts = (
            np.concatenate([reordered(part(start=base)), reordered(part(start=base + start))]) if is_reordered else dts
        )
        clock, found = corrected(stamps(dts, pts))
        assert [jump.packet for jump in found.jumps] == [100] and not found.strays
        np.testing.assert_array_equal(np.sort(clock), np.sort(clock)[0] + part(200))

    def test_a_second_part_that_is_earlier_comes_a_day_later(self):
        # libav takes a clock that goes back for one whose 33 bits ran over.
        dts = np.concatenate([part(start=3 * 3600 * TICKS), part(start=2**33)])
        clock, found = corrected(stamps(dts), restarts=True)
        assert len(found.jumps) == 1
        np.testing.assert_array_equal(clock - clock[0], part(200))

    def test_many_parts(self):
        dts = np.concatenate([part(50, start=start) for start in (0, 900_000_000, 0, 30 * TICKS, 0)])
        clock, found = corrected(stamps(dts), restarts=True)
        assert [jump.packet for jump in found.jumps] == [50, 100, 200]
        steps = np.diff(clock)
        assert sorted(set(steps.tolist())) == [FRAME, 28 * TICKS + FRAME]

    def test_33_bits_that_run_over_are_no_jump(self):
        dts = part(start=2**33 - 50 * FRAME) % 2**33
        clock, found = corrected(stamps(dts), restarts=True)
        assert [jump.is_wrap for jump in found.jumps] == [True]
        np.testing.assert_array_equal(clock - clock[0], part())

    def test_pauses_of_months_become_jumps(self):
        dts = np.concatenate([part(20, start=i * 20 * 3600 * TICKS) for i in range(100)])
        clock, found = corrected(stamps(dts))
        assert len(found.jumps) == 99
        np.testing.assert_array_equal(clock, part(2000))


class TestStrays:
    @pytest.mark.parametrize("place", [0, 1, 39, 98, 99])
    @pytest.mark.parametrize("far", [2**33, 3600 * 23 * TICKS, -3600 * 5 * TICKS, -20 * TICKS])
    @pytest.mark.parametrize("restarts", [False, True])
    def test_one_stamp_far_out_of_line(self, place, far, restarts):
        if place == 0 and -3600 * TICKS < far < 0:
            pytest.skip("it cannot be told from a frame before a pause")
        dts = part(start=6 * 3600 * TICKS)
        dts[place] += far
        clock, found = corrected(stamps(dts), restarts=restarts)
        assert found.strays == (place,) and not found.jumps
        np.testing.assert_array_equal(np.delete(clock, place), np.delete(part(start=6 * 3600 * TICKS), place))

    def test_a_frame_that_claims_to_be_shown_tomorrow(self):
        pts = part()
        pts[50] += 2**33
        assert find_corrections(stamps(part(), pts)).strays == (50,)

    def test_three_strays_apart(self):
        dts = part()
        dts[[10, 50, 51]] += 7 * 3600 * TICKS
        assert find_corrections(stamps(dts)).strays == (10, 50, 51)

    def test_a_stray_beside_a_jump(self):
        dts = np.concatenate([part(), part()])
        dts[150] += 2**33
        clock, found = corrected(stamps(dts), restarts=True)
        assert [jump.packet for jump in found.jumps] == [100] and found.strays == (150,)
        np.testing.assert_array_equal(np.delete(clock, 150), np.delete(part(200), 150))


class TestNoClock:
    def test_stamps_that_say_nothing(self):
        rng = np.random.default_rng(0)
        for dts in (
            np.zeros(50, np.int64),
            rng.integers(-(2**62), 2**62, 200),
            part(50) * 10**9,
            (part(50) // FRAME) * 1,
        ):
            base = 10**6 if dts.max() == 49 else TICKS
            assert not find_corrections(stamps(dts, base=base)).usable

    def test_extreme_stamps_overflow_nothing(self):
        dts = part()
        dts[3], dts[60] = 2**63 - 1, -(2**63) + 1
        assert find_corrections(stamps(dts)).strays == (3, 60)


def test_the_line_is_for_one_reading():
    line = ClockLine(Clock(0, 1, 25))
    assert line.take(None)  # type: ignore[arg-type]  # an ordinary clock does not even look
    assert not line.is_stray(5) and not line.begins_part(5)


@pytest.mark.parametrize("early", [-3, 0, 4])
def test_sound_follows_the_video(early):
    clock = Clock(0, 1, TICKS, jumps=(Jump(100, 4 * TICKS), Jump(200, -(10**9))))
    line = CompanionLine(clock)
    packets = 48_000 // 1024 * 4  # of four seconds, more or less
    stamps_of_parts = [np.arange(packets + early) * 1024, np.arange(packets) * 1024]
    stamps_of_parts.append(round((10**9 / TICKS + 8) * 48_000) + np.arange(packets) * 1024)
    moved = []
    for stamp in np.concatenate(stamps_of_parts).tolist():
        packet = SimpleNamespace(pts=stamp, dts=stamp)
        line.take(packet, Fraction(1, 48_000), 1024)
        moved.append(packet.pts)
    assert moved[-1] / 48_000 == pytest.approx(12, abs=0.1)
    assert np.abs(np.diff(moved)).max() < 48_000 / 4
