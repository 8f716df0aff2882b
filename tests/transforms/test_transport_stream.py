"""Transport streams that go on under other programme tables are read as one."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from schemas import storage
from schemas.config import Config
from tests.clips import portrait_clip
from tests.odd_clips import joined, remuxed
from transforms import transport_stream
from transforms.decode_frames import decode_segment
from transforms.probe_video import probe_video
from transforms.transport_stream import join_programmes

EVERY = Config().override(sample_fps=float("inf"))


@pytest.fixture(scope="module")
def parts(tmp_path_factory) -> dict[str, Path]:
    """Two seconds of 25 frames under different tables; one has sound."""
    folder = tmp_path_factory.mktemp("parts")
    source = portrait_clip(folder / "x.mp4", fps=25, b_frames=2, size=(160, 120), gop=25).path
    tables: dict[str, dict[str, Any]] = {
        "plain": {},
        "table": {"mpegts_start_pid": "600", "mpegts_pmt_start_pid": "5000"},
        "number": {"mpegts_service_id": "7", "mpegts_start_pid": "700"},
        "swapped": {"mpegts_start_pid": "257", "mpegts_pmt_start_pid": "256"},
    }
    made = {name: remuxed(source, folder / f"{name}.ts", **options) for name, options in tables.items()}
    made["sound"] = portrait_clip(folder / "sound.ts", fps=25, size=(160, 120), audio=2.0).path
    return made


@pytest.mark.parametrize(
    "names",
    [
        ("plain", "table"),
        ("plain", "number"),
        ("sound", "swapped"),
        ("table", "sound", "number", "plain", "table"),
    ],
)
def test_all_frames_are_seen(parts, tmp_path, names):
    path = joined(tmp_path / "joined.ts", *(parts[name] for name in names))
    plan = probe_video(storage.stat(str(path)), EVERY)
    assert plan.status == "ok" and not plan.has_unread_streams and [note.kind for note in plan.notes] == ["stamps_jump"]
    (segment,) = plan.segments
    times = [sample.timestamp for sample in decode_segment(segment, EVERY).samples]
    np.testing.assert_allclose(times, np.arange(50 * len(names)) / 25, atol=2e-3)


def test_a_stream_under_one_table_is_left_alone(parts, tmp_path):
    for path in (parts["plain"], parts["sound"], joined(tmp_path / "twice.ts", parts["plain"], parts["plain"])):
        data = path.read_bytes()
        assert join_programmes(io.BytesIO(data), len(data)) is None


@pytest.mark.parametrize("lead", [0, 4])
def test_where_tables_change_is_found_by_halves(parts, tmp_path, monkeypatch, lead):
    """Also with a time before each packet, as cameras write it, and wherever reading begins."""
    monkeypatch.setattr(transport_stream, "_LOOKED_AT", 20_000)
    data = b"".join(parts[name].read_bytes() for name in ("plain", "plain", "table", "number", "number"))
    packets = [data[i : i + 188] for i in range(0, len(data), 188)]
    data = b"".join(bytes(lead) + packet for packet in packets)
    joined_stream = join_programmes(io.BytesIO(data), len(data))
    assert joined_stream is not None
    whole = joined_stream.read()
    pids = {int.from_bytes(whole[i + lead + 1 : i + lead + 3]) & 0x1FFF for i in range(0, len(whole), 188 + lead)}
    assert len(whole) == len(data) and not pids & {600, 700, 5000}
    for begin, size in ((0, 1), (188, 3), (len(data) // 2 + 1, 1000), (len(data) - 5, 100)):
        joined_stream.seek(begin)
        assert joined_stream.read(size) == whole[begin : begin + size]
        assert joined_stream.tell() == min(begin + size, len(data))


def test_damage_of_tables_raises_nothing(parts):
    data = b"".join(parts[name].read_bytes() for name in ("plain", "table"))
    rng = np.random.default_rng(0)
    places = [i for i in range(0, len(data), 188) if int.from_bytes(data[i + 1 : i + 3]) & 0x1FFF in (0, 4096, 5000)]
    for _ in range(100):
        damaged = bytearray(data)
        for place in rng.choice(places, 3):
            damaged[place + 4 + int(rng.integers(0, 40))] = int(rng.integers(0, 256))
        stream = join_programmes(io.BytesIO(damaged), len(damaged))
        assert stream is None or len(stream.read()) == len(data)
