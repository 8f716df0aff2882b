"""A fragment is written whole, with everything about its segment, or not at all."""

import dataclasses
import time

import apache_beam as beam
import numpy as np
import pytest
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.testing.util import assert_that, equal_to

from schemas import storage
from schemas.config import Config
from schemas.errors import StorageFullError
from schemas.faces import NO_STAMP, FaceBatch, SegmentLog
from schemas.layout import Layout, Work
from schemas.tables import EMOTION_COLUMNS, OBSERVATIONS
from schemas.video import DecodeStats
from tests.examples import VIDEO_ID, example_batch, example_samples, example_segment, example_track, join_tracks
from transforms.write_fragment import SegmentDone, WriteFragment, read_fragment, write_fragment

SEGMENT = example_segment(3, 4.0, 8.0)


@pytest.fixture
def work(tmp_path) -> Work:
    return Layout(str(tmp_path)).work_of("abc")


def last_part(columns: dict[str, np.ndarray] | None = None, part: int = 0) -> FaceBatch:
    batch = example_batch(SEGMENT, columns, part=part)
    stats = DecodeStats(frames_decoded=50, errors=1, damaged_seconds={7, 5}, last_timestamp=7.96, packet_end=8.0)
    log = dataclasses.replace(batch.log, ended={0: "lost"}, stats=stats, started=time.monotonic() - 2)
    return dataclasses.replace(batch, log=log)


def is_done(work: Work) -> bool:
    return storage.exists(work.fragment(VIDEO_ID, 3))


def write(batch: FaceBatch, work: Work) -> list[SegmentDone]:
    return list(write_fragment(batch, Config(), work, "run-1"))


def test_what_was_written_is_read(work: Work):
    batch = last_part()

    done = write(batch, work)
    fragment = read_fragment(work.video(VIDEO_ID), 3)

    assert done == [SegmentDone(SEGMENT, 8)]
    assert fragment.table.schema.equals(OBSERVATIONS)
    assert fragment.table["segment"].to_pylist() == [3] * 8
    assert fragment.table["video_id"].to_pylist() == [VIDEO_ID] * 8
    for name, values in batch.columns.items():
        np.testing.assert_array_equal(fragment.table[name].to_numpy(), values)
    assert fragment.timestamps.tolist() == batch.log.timestamps
    assert fragment.is_cut.tolist() == [False] * 8
    assert fragment.ended == {0: "lost"}
    assert fragment.stats["damaged_seconds"] == [5, 7]
    assert DecodeStats(**fragment.stats | {"damaged_seconds": {5, 7}}) == batch.log.stats
    assert fragment.wall_seconds >= 2
    assert fragment.peak_rss_mb > 0


def test_unknown_is_null(work: Work):
    columns = example_track(0, example_samples(1.0), confidence=[1, np.nan, np.nan, 2], yaw=np.nan)
    columns["frame"] = np.array([NO_STAMP, 1, 2, 3])
    for name in (*EMOTION_COLUMNS, "age", "age_std", "gender_female"):
        del columns[name]  # as without models

    write(last_part(columns), work)
    table = read_fragment(work.video(VIDEO_ID), 3).table

    nulls = {name: table[name].null_count for name in table.column_names if table[name].null_count}
    of_models = dict.fromkeys((*EMOTION_COLUMNS, "age", "age_std", "gender_female"), 4)
    assert nulls == {"confidence": 2, "yaw": 4, "frame": 1, **of_models}


def test_a_segment_without_faces_keeps_its_samples(work: Work):
    batch = last_part(join_tracks())
    log = SegmentLog([4.0, 4.25], [False, True])

    write(dataclasses.replace(batch, log=log), work)
    fragment = read_fragment(work.video(VIDEO_ID), 3)

    assert len(fragment.table) == 0
    assert fragment.timestamps.tolist() == [4.0, 4.25]
    assert fragment.is_cut.tolist() == [False, True]


def test_parts_are_one_fragment_and_the_last_one_ends_it(work: Work):
    samples = example_samples(3.0)
    for part in range(2):
        early = example_batch(SEGMENT, example_track(0, samples[4 * part : 4 * part + 4]), part=part, is_last=False)
        assert write(early, work) == []
        assert not is_done(work)

    assert write(last_part(example_track(0, samples[8:]), part=2), work) == [SegmentDone(SEGMENT, 4)]

    assert is_done(work)
    fragment = read_fragment(work.video(VIDEO_ID), 3)
    assert fragment.table["timestamp"].to_pylist() == samples.tolist()
    assert fragment.timestamps.tolist() == samples.tolist()
    assert len(fragment.is_cut) == 12


def test_a_segment_that_is_not_done_has_no_fragment(work: Work):
    assert not is_done(work)
    with pytest.raises(FileNotFoundError):
        read_fragment(work.video(VIDEO_ID), 3)


def test_a_full_disk_leaves_nothing(work: Work, tmp_path, monkeypatch: pytest.MonkeyPatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(StorageFullError):
        write(last_part(), work)

    assert not is_done(work)
    assert list(storage.list_files(str(tmp_path))) == []


def test_as_a_transform(work: Work):
    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        batches = pipeline | beam.Create([0]) | beam.Map(lambda _: last_part()).with_output_types(FaceBatch)
        assert_that(batches | WriteFragment(Config(), work, "run-1"), equal_to([SegmentDone(SEGMENT, 8)]))

    assert is_done(work)
