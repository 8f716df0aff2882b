"""The calculator of docs/scaling.md, and those of its measurements that need no cluster."""

import dataclasses
import sys
import time
from pathlib import Path

import av
import pytest

from benchmarks import flink_speedup, scaling
from benchmarks.flink_cost import counted, kind, made_up_job, minutes_of, steps_that_cost_nothing
from benchmarks.flink_use import Use
from benchmarks.scaling import MEASURED, Archive, Machines, lines, most_dealt, needs, straggling
from pipelines.analyze import archive_job
from runners.direct import run_direct
from schemas import storage
from schemas.layout import Layout
from tests.clips import portrait_clip

_DOCUMENT = Path(__file__).parents[1] / "docs" / "scaling.md"
_ARCHIVE = Archive.of(100_000, video_hours=1.0, segment_seconds=60.0, gigabytes_an_hour=1.0)


def test_an_archive_has_a_segment_for_each_minute_and_a_short_video_has_one() -> None:
    assert (_ARCHIVE.videos, _ARCHIVE.segments) == (100_000, 6_000_000)
    short = Archive.of(10, video_hours=0.01, segment_seconds=60.0, gigabytes_an_hour=2.0)
    assert (short.videos, short.segments, short.gigabytes) == (1000, 1000, 20)


def test_twice_the_hosts_take_half_the_time_for_segments_and_the_same_cpu_but_for_their_start() -> None:
    ten, twenty = (needs(_ARCHIVE, Machines(hosts, 16)) for hosts in (10, 20))
    assert twenty.segments == pytest.approx(ten.segments / 2, rel=0.02)
    more = twenty.cpu_seconds - ten.cpu_seconds
    start = MEASURED.models + MEASURED.task_manager + MEASURED.phases * MEASURED.worker_start
    assert more == pytest.approx(160 * start)
    assert (ten.bytes_read, ten.rows, ten.table_bytes) == (twenty.bytes_read, twenty.rows, twenty.table_bytes)


def test_half_a_core_makes_all_that_computes_take_twice_as_long() -> None:
    whole, half = (needs(_ARCHIVE, Machines(20, 16, share, request_seconds=0)) for share in (1.0, 0.5))
    for name in ("start", "probes", "segments", "assembling", "closing"):
        assert getattr(half, name) == pytest.approx(2 * getattr(whole, name)), name


def test_slower_storage_adds_its_requests_to_each_segment() -> None:
    near, far = (needs(_ARCHIVE, Machines(20, 16, request_seconds=latency)) for latency in (0.0, 0.1))
    _, _, a_segment, _, ranged = MEASURED.requests
    assert far.segments - near.segments == pytest.approx((a_segment + ranged) * 0.1 * 6_000_000 / 320 * far.straggling)


def test_small_videos_are_fetched_whole_and_large_ones_cost_a_request_for_each_read_ahead() -> None:
    archives = [
        Archive.of(1000, video_hours=0.1, segment_seconds=60.0, gigabytes_an_hour=size) for size in (0.05, 1.0, 10.0)
    ]
    nobody_looks = dataclasses.replace(MEASURED, looks=0.0)
    small, plain, large = (needs(archive, Machines(1, 1), nobody_looks).requests for archive in archives)
    assert plain - small == pytest.approx(10_000 * MEASURED.requests[3] + 60_000 * MEASURED.requests[4])
    assert large - plain > 60_000 * 30


def test_a_busiest_slot_matters_with_few_segments_each_and_not_with_many() -> None:
    costs = (5.0, 10.0, 15.0)
    assert straggling(1, 1, costs) == pytest.approx(1.0, abs=0.15)
    assert straggling(320, 320, costs) == pytest.approx(1.5)  # somebody gets the dearest
    assert straggling(321, 320, (10.0,)) == pytest.approx(2 * 320 / 321)
    assert 1.0 < straggling(6_000_000, 320, costs) < 1.02
    few, some, many = (straggling(320 * each, 320, costs) for each in (2, 20, 200))
    assert few > some > many


def test_sums_of_many_draws_are_as_good_as_the_normal_law() -> None:
    costs = (5.0, 10.0, 15.0)
    assert straggling(1000 * 50, 50, costs) == pytest.approx(straggling(1001 * 50, 50, costs), rel=0.005)


def test_hashes_give_some_slot_more_videos_than_the_mean() -> None:
    assert most_dealt(7, 1) == 7
    assert 320 < most_dealt(320 * 300, 320) < 1.25 * 300 + 320
    assert most_dealt(320, 320) >= 4


def test_cpu_per_hour_scales_the_clips() -> None:
    scaled = MEASURED.scaled(1200)
    assert sum(scaled.minutes) / len(scaled.minutes) == pytest.approx(20)
    ratio = scaled.minutes[0] / MEASURED.minutes[0]
    assert scaled.minutes[-1] / MEASURED.minutes[-1] == pytest.approx(ratio)


@pytest.mark.parametrize("change", [f.name for f in dataclasses.fields(MEASURED) if f.type in (float, "float")])
def test_each_cost_is_in_the_result(change: str) -> None:
    dearer = dataclasses.replace(MEASURED, **{change: 2 * getattr(MEASURED, change) + 1})
    machines = Machines(20, 16, request_seconds=0.0)
    assert needs(_ARCHIVE, machines, dearer) != needs(_ARCHIVE, machines, MEASURED)


def test_the_document_shows_what_the_calculator_says(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    document = _DOCUMENT.read_text("utf-8")
    for arguments in (["--hours", "100000", "--hosts", "20", "--slots", "16"], ["--check"]):
        monkeypatch.setattr(sys, "argv", ["scaling", *arguments])
        scaling.main()
        printed = capsys.readouterr().out
        assert printed in document, f"run python -m benchmarks.scaling {' '.join(arguments)} again"


def test_lines_say_hours_minutes_and_seconds() -> None:
    few = Archive.of(1, video_hours=1.0, segment_seconds=60.0, gigabytes_an_hour=1.0)
    machines = Machines(1, 2)
    text = "\n".join(lines(few, machines, needs(few, machines)))
    assert "| videos, segments, segments of a slot | 1, 60, 30 |" in text
    assert " min |" in text
    assert " s |" in text


def test_a_made_up_job_goes_through_the_real_pipeline(tmp_path: Path) -> None:
    job = made_up_job(str(tmp_path), 180)
    with steps_that_cost_nothing():
        run_direct(lambda pipeline: archive_job(pipeline, job))
    assert counted(job) == 3


def test_a_clip_is_repeated_for_about_so_long(tmp_path: Path) -> None:
    clip = portrait_clip(tmp_path / "clip.mp4", seconds=2, fps=10, size=(160, 120), gop=10).path
    with av.open(str(minutes_of(clip, tmp_path / "long.mp4", 0.1))) as container:
        assert (container.duration or 0) / 1e6 == pytest.approx(6, abs=0.2)


def test_videos_of_the_speed_up_are_no_copies(tmp_path: Path) -> None:
    minutes = flink_speedup.make_videos(tmp_path / "in", 1.0)
    paths = sorted((tmp_path / "in").iterdir())
    lengths = []
    for path in paths:
        with av.open(str(path)) as container:
            lengths.append((container.duration or 0) / 1e6)
    assert len(set(lengths)) == len(lengths) == 4
    assert sum(lengths) / 60 == pytest.approx(minutes, rel=0.01)
    cost = flink_speedup.steps_seconds(paths[0], tmp_path, flink_speedup.MODELS["without models"])
    assert cost > 0.1  # CPU seconds of a minute


def test_segments_are_timed_by_what_is_durable(tmp_path: Path) -> None:
    job, work = Layout(str(tmp_path)).job("run-1"), Layout(str(tmp_path)).work_of("abc")
    watch = flink_speedup.Segments(tmp_path)
    storage.write_bytes(job.probe_attempts("/v/a.mp4"), b"{}")
    time.sleep(0.5)
    assert not watch.begun  # that was no segment
    storage.write_bytes(job.attempts("aa" * 16, 0), b"{}")
    for index in range(2):
        storage.write_bytes(work.fragment("aa" * 16, index), b"")
    while not (watch.begun and len(watch.done) == 2):
        time.sleep(0.05)
    storage.delete_tree(work.video("aa" * 16))  # as with a row
    first, last = watch.end()
    assert first <= last


def test_the_table_of_the_speed_up() -> None:
    uses = {"pool-1": Use(100.0, running=3.0, waiting=1.0), "task-manager-1": Use(30.0), "job-manager": Use(10.0)}
    one = flink_speedup.Measured(1, 240.0, 40.0, 200.0, uses, client=10.0, steps=90.0)
    two = flink_speedup.Measured(2, 160.0, 40.0, 120.0, uses, client=10.0, steps=90.0)
    head, _, *rows = flink_speedup.table(20.0, {"without models": (two, one)})
    assert head == "| | without models, 2 | without models, 1 |"
    cells = {row.split(" | ")[0][2:]: row.removesuffix(" |").split(" | ")[1:] for row in rows}
    assert cells["**speed-up** of the whole"] == ["1.50", ""]
    assert cells["**speed-up** of the segments"] == ["2.00", ""]
    assert cells["a worker had a core"] == ["75%", "75%"]
    assert cells["**not steps**, of all CPU"] == ["40%", "40%"]  # 150 CPU s, of them 90 for steps
    assert cells["**not steps**, of the slots' time for segments"] == ["44%", "44%"]
    assert cells["of video in an hour"] == ["7.5 h", "5.0 h"]


def test_requests_are_counted_without_names_of_videos_and_runs() -> None:
    assert list(kind("/archive/out/_work/0123abcd/00017.parquet")) == ["out", "_work", "*", "*.parquet"]
    assert list(kind("/archive?list-type=2&prefix=out%2Fvideos%2F")) == ["prefix", "out", "videos", ""]
