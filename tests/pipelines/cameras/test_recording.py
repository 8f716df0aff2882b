"""Connections and the time between them, as segments of one video."""

import time
from pathlib import Path

import av
import pytest

from pipelines.cameras.inbox import Connection, Counts, Inbox, Shown
from pipelines.cameras.recording import Recording
from pipelines.cameras.watch import Watch
from schemas.config import Config
from schemas.run import Run
from tests.tables import rows
from transforms.picture import Picture

_CONNECTION = Connection(0, "mpegts", "h264", 25.0)


def shown(at: float, connection: int = 0, size: tuple[int, int] = (64, 48), **counts: int) -> Shown:
    picture = Picture(av.VideoFrame(*size, "gray"))
    return Shown(at, picture, connection, Counts(frames=1 + round(100 * (at - 1000.0)), **counts))


def follow(recording: Recording, *samples: Shown) -> None:
    for _ in recording.follow(samples, []):
        pass


# Times whose ticks give other floats when they are multiplied than when they are divided.
@pytest.mark.parametrize("back", [1009.903, 1005.1, 1007.7, 1003.3])
def test_the_time_without_a_connection_is_a_missing_stretch(back: float, bare: Config, tmp_path: Path) -> None:
    recording = Recording(Run.new(str(tmp_path), bare), "door", shown(1000.0), _CONNECTION)
    follow(recording, shown(1000.0), shown(1000.25), shown(1001.5))
    recording.lost(1001.52)
    recording.write(now=1002.0)
    assert [row["decode_ok"] for row in rows(tmp_path, "timeline")] == [True, True]
    recording.write(now=1002.7)  # while it is lost, the timeline goes on
    assert [row["decode_ok"] for row in rows(tmp_path, "timeline")] == [True, False, False]
    follow(recording, shown(back, 1), shown(back + 1.25, 1))
    (row,) = [recording.write(now=back + 60.0)]
    assert row is not None and (row["status"], row["error_type"]) == ("partial", "missing_stretch")
    gap, last = range(1, int(back - 1000.0) + 1), int(back + 1.25 - 1000.0)
    expected = [second not in gap for second in range(last + 1)]
    assert [row["decode_ok"] for row in rows(tmp_path, "timeline")] == expected
    assert len(rows(tmp_path, "videos")) == 1 and row["duration"] == pytest.approx(back + 1.25 - 1000.0, abs=0.001)


def test_what_was_dropped_stands_in_the_row(bare: Config, tmp_path: Path) -> None:
    recording = Recording(Run.new(str(tmp_path), bare), "door", shown(1000.0, dropped=7), _CONNECTION)
    follow(
        recording,
        shown(1000.0, dropped=7),
        shown(1001.0, dropped=10, skipped=4, errors=1, corrupt=1),
        shown(1002.0, size=(32, 24), dropped=10, skipped=4, errors=1, corrupt=1),
    )
    row = recording.write(now=1003.0)
    assert row is not None and (row["status"], row["error_type"]) == ("partial", "damaged")
    assert "before there was time: 3." in row["error_message"] and "decoder was late: 4." in row["error_message"]
    assert "64x48, 32x24" in row["error_message"]
    assert (row["frames_decoded"], row["frames_corrupt"], row["frames_sampled"]) == (201, 1, 3)
    assert [row["decode_ok"] for row in rows(tmp_path, "timeline")] == [True, False, True]


def test_a_slow_end_is_no_gap(bare: Config, tmp_path: Path) -> None:
    box, run, samples = Inbox(4.0), Run.new(str(tmp_path), bare), [shown(time.time() + n / 4) for n in range(-4, 0)]
    box.open("mpegts", "h264", 25.0)
    for sample in samples:
        box.put(sample.time, lambda: samples[0].picture)
    box.end()
    time.sleep(1.3)
    Watch(run, "door", []).follow(box)
    (row,) = rows(tmp_path, "videos")
    assert (row["status"], row["error_type"]) == ("ok", None)


def test_nothing_is_written_before_there_is_a_sample(bare: Config, tmp_path: Path) -> None:
    recording = Recording(Run.new(str(tmp_path), bare), "door", shown(1000.0), _CONNECTION)
    follow(recording)
    assert recording.write(now=1001.0) is None and not (tmp_path / "videos").exists()
