"""One video from fragments to rows: their contents, and the order in which they are written."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from apache_beam.runners.portability.fn_api_runner import FnApiRunner

from models.bundle import bundle_path
from models.cards import read_card
from schemas import storage
from schemas.config import Config, ModelRef
from schemas.faces import FaceBatch
from schemas.layout import Layout
from schemas.run import Run
from schemas.tables import OWN_COLUMNS, TABLES
from schemas.video import DecodeStats, Plan, WholeVideo
from tests.examples import (
    VIDEO_ID,
    WHEN,
    example_batch,
    example_info,
    example_plan,
    example_samples,
    example_track,
    join_tracks,
)
from tests.fragments import cut_into_fragments
from transforms.failures import SegmentFailed, write_failure
from transforms.ledger import read_ledger
from transforms.write_fragment import SegmentDone, write_fragment
from transforms.write_tables import AssembleVideo, VideoDone, _finish, assemble_video, make_tables, write_whole_video

SAMPLES = example_samples()


@pytest.fixture
def run(tmp_path) -> Run:
    return Run("run-1", Config(), Layout(str(tmp_path / "out")))


def tables_of(plan: Plan, *tracks, run: Run, samples=SAMPLES, **log):
    fragments = cut_into_fragments(plan, join_tracks(*tracks), samples, **log)
    return make_tables(plan, fragments, run, started_at=WHEN)


def test_figures_of_a_row(run: Run):
    row, tables = tables_of(
        example_plan(3.0, 6.0),
        example_track(0, SAMPLES),
        example_track(1, SAMPLES[8:17], x=300.0),
        run=run,
        ended={1: "lost"},
        stats={"frames_decoded": 70, "frames_corrupt": 1},
    )

    expected = {
        **{"status": "ok", "error_type": None, "error_message": None, "video_id": VIDEO_ID},
        **{"frames_decoded": 210, "frames_corrupt": 3, "frames_sampled": 40},
        **{"n_tracks": 2, "max_faces": 2, "face_seconds": 13, "wall_seconds": 4.5, "peak_rss_mb": 202.0},
    }
    assert {name: row[name] for name in expected} == expected
    assert "n_persons" not in row
    assert {name: len(table) for name, table in tables.items()} == {"faces": 13, "tracks": 2, "timeline": 10}


def test_max_faces_counts_faces_at_once_and_not_in_one_second(run: Run):
    before_and_after_a_cut = (example_track(0, SAMPLES[8:10]), example_track(1, SAMPLES[10:12], x=300.0))
    row, tables = tables_of(example_plan(5.0), *before_and_after_a_cut, run=run)

    assert tables["timeline"]["n_faces"].to_pylist()[2] == 2
    assert row["max_faces"] == 1


def test_a_video_without_faces_is_ok_and_has_empty_tables(run: Run):
    row, tables = tables_of(example_plan(5.0), run=run)

    assert (row["status"], row["n_tracks"], row["max_faces"], row["face_seconds"]) == ("ok", 0, 0, 0)
    assert (len(tables["faces"]), len(tables["tracks"])) == (0, 0)
    assert tables["timeline"]["n_faces"].to_pylist() == [0] * 10


def test_frames_out_of_order_leave_a_file_ok(run: Run):
    assert tables_of(example_plan(), run=run, stats={"frames_corrupt": 3})[0]["status"] == "ok"


def test_damage_is_partial(run: Run):
    row, tables = tables_of(example_plan(5.0), run=run, stats={"errors": 1, "damaged_seconds": [4]})

    assert (row["status"], row["error_type"]) == ("partial", "damaged")
    assert "/videos/clip.mp4" in row["error_message"]
    assert tables["timeline"]["decode_ok"].to_pylist() == [True] * 4 + [False] + [True] * 5


@pytest.mark.parametrize(
    ("states", "status", "rows"),
    [
        ({"stated_end": 10.0}, "partial", 10),
        ({"stated_end": 4.99}, "ok", 4),
        ({"stated_end": None, "container_end": 10.0, "end": 4.0}, "partial", 10),
        # The sound goes on: only the container states a length, and some stream fills it.
        ({"stated_end": None, "container_end": 10.0, "end": 9.5}, "ok", 4),
        ({"stated_end": None}, "ok", 4),
    ],
)
def test_truncated(run: Run, states: dict[str, Any], status: str, rows: int):
    plan = example_plan(**states, info=example_info(duration=9.2))

    row, tables = tables_of(plan, example_track(0, SAMPLES[:16]), run=run, samples=SAMPLES[:16])

    assert row["status"] == status
    assert row["error_type"] == ("truncated" if status == "partial" else None)
    timeline = tables["timeline"]
    assert len(timeline) == rows
    assert timeline["decode_ok"].to_pylist() == [True] * 4 + [False] * (rows - 4)
    assert timeline["n_faces"].to_pylist() == [1] * 4 + [None] * (rows - 4)
    assert tables["faces"]["second"].to_pylist() == [0, 1, 2, 3]


def scan(*keyframes: float, run: Run, sample_fps: float = 4.0, **changes: Any):
    """Row and tables of ten seconds, or 100, of which these keyframes were looked at."""
    plan = example_plan(**changes)
    plan = dataclasses.replace(plan, segments=tuple(dataclasses.replace(s, keyframes=True) for s in plan.segments))
    run = dataclasses.replace(run, config=Config().override(keyframes=True, sample_fps=sample_fps))
    stats = {"last_timestamp": 9.9 if len(keyframes) > 2 else 99.9, "packet_end": 10.0}
    track = example_track(0, np.array(keyframes))
    return tables_of(plan, track, run=run, samples=np.array(keyframes), stats=stats)


def test_a_scan_says_how_far_keyframes_are_apart(run: Run):
    row, tables = scan(0.0, 2.5, 5.0, 9.0, run=run)
    assert (row["status"], row["keyframe_seconds"], row["error_type"]) == ("ok", 2.5, None)
    assert row["config_hash"] == Config().override(keyframes=True).hash
    timeline = tables["timeline"]
    assert timeline["n_faces"].to_pylist() == [1, None, 1, None, None, 1, None, None, None, 1]
    assert timeline["n_samples"].to_pylist() == [1, 0, 1, 0, 0, 1, 0, 0, 0, 1]
    assert timeline["decode_ok"].to_pylist() == [True] * 10
    assert row["face_seconds"] == 4


@pytest.mark.parametrize(
    ("keyframes", "apart", "said"),
    [((0.0,), 99.9, "1 in 99.9 s, up to 99.9 s apart"), ((0.0, 40.0), 40.0, "2 in 99.9 s, up to 59.9 s apart")],
)
def test_few_keyframes_are_said(run: Run, keyframes: tuple[float, ...], apart: float, said: str):
    row, _ = scan(*keyframes, run=run, stated_end=None)
    assert (row["status"], row["error_type"]) == ("ok", "few_keyframes")
    assert row["keyframe_seconds"] == pytest.approx(apart)
    assert row["error_message"] == f"/videos/clip.mp4: keyframes that were looked at: {said}."
    assert scan(*keyframes, run=run, sample_fps=0.02, stated_end=None)[0]["error_type"] is None


def test_segments_of_a_scan_without_a_picture_are_not_missing(run: Run):
    row, _ = scan(0.0, 1.0, 2.0, run=run)
    assert row["status"] == "ok"
    plan = example_plan(5.0)
    plan = dataclasses.replace(plan, segments=tuple(dataclasses.replace(s, keyframes=True) for s in plan.segments))
    stats = {"last_timestamp": 9.9, "packet_end": 10.0}
    assert tables_of(plan, run=run, samples=SAMPLES[:8], stats=stats)[0]["status"] == "ok"


def test_not_one_keyframe_that_decodes(run: Run):
    row, tables = scan(run=run)
    assert (row["status"], row["error_type"], tables) == ("corrupt", "no_frames", {})
    assert row["error_message"].endswith("not one keyframe that decodes.")


def test_cut_off_after_its_first_frame(run: Run):
    row, tables = tables_of(example_plan(), run=run, samples=SAMPLES[:1], stats={"packet_end": 0.0})

    assert (row["status"], row["error_type"]) == ("partial", "truncated")
    assert len(tables["timeline"]) == 10


def test_a_segment_of_which_nothing_decodes_is_a_missing_stretch(run: Run):
    # The tail of the segment before reaches into it, and its own tail into the next one.
    samples = SAMPLES[(SAMPLES < 3.0) | (SAMPLES >= 6.0)]

    row, tables = tables_of(example_plan(3.0, 6.0), run=run, samples=samples)

    assert (row["status"], row["error_type"]) == ("partial", "missing_stretch")
    assert "from 3 to 6 s" in row["error_message"]
    assert tables["timeline"]["decode_ok"].to_pylist() == [True] * 3 + [False] * 3 + [True] * 4


def test_without_one_frame_a_file_is_corrupt(run: Run):
    # Packets that were skipped unread are no frames: nothing was seen.
    stats = {"errors": 5, "last_timestamp": 3.2}

    row, tables = tables_of(example_plan(), run=run, samples=SAMPLES[:0], stats=stats)

    assert (row["status"], row["error_type"], row["frames_decoded"]) == ("corrupt", "no_frames", 0)
    assert tables == {}


def write_all(plan: Plan, run: Run, columns: dict[str, np.ndarray]) -> None:
    """A fragment for each segment, with the samples of its own; the first one in two parts."""
    for segment in plan.segments:
        end = np.inf if segment.end is None else segment.end
        rows = (columns["timestamp"] >= segment.start) & (columns["timestamp"] < end)
        own = {name: values[rows] for name, values in columns.items()}
        last = float(own["timestamp"][-1])
        stats = DecodeStats(frames_decoded=75, last_timestamp=last, packet_end=last + 0.25)
        half = len(own["track"]) // 2 if segment.index == 0 else 0
        if half:
            early = example_batch(segment, {name: values[:half] for name, values in own.items()}, is_last=False)
            assert not list(write_fragment(early, run.config, run.work, run.run_id))
        batch = example_batch(segment, {name: values[half:] for name, values in own.items()}, part=int(half > 0))
        log = dataclasses.replace(batch.log, stats=stats)
        assert list(write_fragment(dataclasses.replace(batch, log=log), run.config, run.work, run.run_id))


@pytest.fixture
def analyzed(run: Run) -> Plan:
    plan = example_plan(5.0)
    write_all(plan, run, example_track(0, SAMPLES))
    return plan


def test_tables_row_and_footers_are_written_and_the_work_is_gone(run: Run, analyzed: Plan):
    done = assemble_video(analyzed, run)

    assert read_ledger(run.layout.out)["/videos/clip.mp4"]["face_seconds"] == 10 == done.row["face_seconds"]
    for name in ("faces", "tracks", "timeline"):
        file = pq.ParquetFile(run.layout.table(name, VIDEO_ID))
        assert file.schema_arrow.equals(TABLES[name])
        said = {key.decode(): value.decode() for key, value in file.schema_arrow.metadata.items()}
        assert said["run_id"] == "run-1"
        assert json.loads(said["config_json"]) == json.loads(run.config.canonical_json)
    assert not storage.exists(run.work.video(VIDEO_ID))
    assert not storage.exists(f"{run.layout.out}/observations")


def test_tables_are_read_as_one_data_set(run: Run, analyzed: Plan):
    assemble_video(analyzed, run)
    faces = ds.dataset(f"{run.layout.out}/faces", format="parquet", partitioning="hive").to_table()

    assert faces["emotion"].to_pylist() == ["happy"] * 10
    assert faces["second"].to_pylist() == list(range(10))


def test_the_row_is_written_last(run: Run, analyzed: Plan, monkeypatch: pytest.MonkeyPatch):
    written: list[str] = []
    write = storage.write_bytes

    def note(uri: str, data: bytes) -> None:
        written.append(uri)
        write(uri, data)

    monkeypatch.setattr(storage, "write_bytes", note)

    assemble_video(analyzed, run, keep_observations=True)

    assert written[-1] == run.layout.ledger("/videos/clip.mp4")
    assert {uri.split("/")[-3] for uri in written[:3]} == {"faces", "tracks", "timeline"}


@pytest.mark.parametrize("killed_at", ["tracks", "videos"])
def test_killed_in_between_it_is_done_again(run: Run, analyzed: Plan, killed_at: str, monkeypatch: pytest.MonkeyPatch):
    write = storage.write_bytes

    def killed(uri: str, data: bytes) -> None:
        if f"/{killed_at}/" in uri:
            raise KeyboardInterrupt
        write(uri, data)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(storage, "write_bytes", killed)
        assemble_video(analyzed, run, keep_observations=True)
    assert read_ledger(run.layout.out) == {}

    assert assemble_video(analyzed, run, keep_observations=True).row["status"] == "ok"
    assert len(list(storage.list_files(run.layout.observations(VIDEO_ID)))) == 3


def test_killed_behind_its_row_it_is_done(run: Run, analyzed: Plan):
    """The supervisor has heard nothing of it, and gives the task to another worker."""
    row = assemble_video(analyzed, run).row
    assert not storage.exists(run.work.video(VIDEO_ID))
    again = assemble_video(analyzed, run).row
    assert (again["status"], again["finished_at"]) == ("ok", row["finished_at"])
    assert storage.exists(run.layout.table("faces", VIDEO_ID))


def test_observations_are_kept_when_asked_for_and_never_those_of_an_earlier_run(run: Run, analyzed: Plan):
    kept = Path(run.layout.observations(VIDEO_ID))
    kept.mkdir(parents=True)
    (kept / "00017.parquet").touch()  # of shorter segments, once
    assemble_video(analyzed, run, keep_observations=True)

    assert sorted(path.name for path in kept.iterdir()) == ["00000.000.parquet", "00000.parquet", "00001.parquet"]
    assert not storage.exists(run.work.video(VIDEO_ID))

    write_all(analyzed, run, example_track(0, SAMPLES))
    assemble_video(analyzed, dataclasses.replace(run, run_id="run-2"))
    assert not kept.exists()


def test_a_segment_that_was_given_up_fails_its_video(run: Run, analyzed: Plan):
    write_failure(SegmentFailed(analyzed.segments[1], "worker_died", "it died 3 times"), run.work, "run-1")

    row = assemble_video(analyzed, run).row

    assert (row["status"], row["error_type"], row["error_message"]) == ("failed", "worker_died", "it died 3 times")
    assert read_ledger(run.layout.out)["/videos/clip.mp4"]["n_tracks"] is None
    assert not storage.exists(run.layout.table("faces", VIDEO_ID))
    assert storage.exists(run.work.fragment(VIDEO_ID, 0))  # for the next try


def test_the_next_run_forgets_a_failure(run: Run, analyzed: Plan):
    write_failure(SegmentFailed(analyzed.segments[1], "worker_died", "it died 3 times"), run.work, "run-0")

    assert assemble_video(analyzed, run).row["status"] == "ok"


def whole(plan: Plan, rows: slice = slice(None), **changes: Any) -> FaceBatch:
    """Faces of a video that is one segment, or of a part of it."""
    batch = example_batch(WholeVideo.of(plan), example_track(0, SAMPLES[rows]), **changes)
    stats = DecodeStats(frames_decoded=250, last_timestamp=9.96, packet_end=10.0)
    return dataclasses.replace(batch, log=dataclasses.replace(batch.log, stats=stats))


def tables_on_disk(run: Run) -> dict[str, list[dict[str, Any]]]:
    found = {name: pq.read_table(run.layout.table(name, VIDEO_ID)) for name in ("faces", "tracks", "timeline")}
    found["videos"] = pq.read_table(run.layout.ledger("/videos/clip.mp4")).drop_columns(OWN_COLUMNS)
    return {name: table.to_pylist() for name, table in found.items()}


def test_a_video_of_one_segment_needs_no_fragment(run: Run, monkeypatch: pytest.MonkeyPatch):
    plan = example_plan()
    list(write_fragment(whole(plan), run.config, run.work, run.run_id))
    assemble_video(plan, run)
    by_fragment = tables_on_disk(run)
    written: list[str] = []
    write = storage.write_bytes

    def noting(uri: str, data: bytes) -> None:
        written.append(uri)
        write(uri, data)

    monkeypatch.setattr(storage, "write_bytes", noting)
    (done,) = write_whole_video(whole(plan), run)

    assert tables_on_disk(run) == by_fragment
    assert done.row["figures"]["segments"] == 1
    assert [uri.split("/")[-3] for uri in written] == ["faces", "tracks", "timeline", "videos"]


def test_parts_of_a_video_of_one_segment_and_observations_to_keep_are_fragments_first(run: Run):
    plan = example_plan()
    assert list(write_whole_video(whole(plan, slice(20), is_last=False), run)) == []
    assert storage.exists(run.work.fragment_part(VIDEO_ID, 0, 0))
    (done,) = write_whole_video(whole(plan, slice(20, None), part=1), run)
    in_parts = tables_on_disk(run)
    assert done.row["frames_sampled"] == len(SAMPLES)
    assert not storage.exists(run.work.video(VIDEO_ID))

    list(write_whole_video(whole(plan), dataclasses.replace(run, run_id="run-2"), keep_observations=True))
    assert tables_on_disk(run) == in_parts
    assert storage.exists(f"{run.layout.observations(VIDEO_ID)}/00000.parquet")


def test_a_segment_is_finished_by_its_kind(run: Run):
    plan = example_plan(5.0)
    assert isinstance(next(_finish(whole(example_plan()), run, False)), VideoDone)
    assert isinstance(next(_finish(example_batch(plan.segments[0]), run, False)), SegmentDone)


def test_as_a_transform(run: Run, analyzed: Plan):
    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        pipeline | beam.Create([analyzed]) | AssembleVideo(run)

    assert read_ledger(run.layout.out)["/videos/clip.mp4"]["status"] == "ok"


def test_bounds_of_segments_do_not_change_tables(run: Run):
    tracks = example_track(0, SAMPLES), example_track(1, SAMPLES[8:17], x=300.0)
    whole = tables_of(example_plan(), *tracks, run=run, ended={1: "lost"}, cuts=[5.0])[1]

    for bounds in ((5.0,), (2.2, 4.9), (1.0, 2.0, 3.0, 4.0)):
        parts = tables_of(example_plan(*bounds), *tracks, run=run, ended={1: "lost"}, cuts=[5.0])[1]
        assert {name: table.equals(whole[name]) for name, table in parts.items()} == dict.fromkeys(whole, True)


def test_the_gender_threshold_is_the_models_own(run: Run):
    sure_from = read_card(bundle_path("age-gender")).unknown_below
    assert sure_from is not None
    config = dataclasses.replace(run.config, models=(ModelRef("age-gender", ("gender",), "0" * 64),))

    for female, gender in ((sure_from + 0.01, "female"), (sure_from - 0.01, "unknown"), (0.99 - sure_from, "male")):
        track = example_track(0, SAMPLES, gender_female=female)
        tables = tables_of(example_plan(), track, run=dataclasses.replace(run, config=config))[1]
        assert set(tables["tracks"]["gender"].to_pylist()) == {gender}
