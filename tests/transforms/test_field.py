"""Other people's files: every input of ../shared/field against its table of right values, as far as reading goes."""

import dataclasses
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from models.detectors.choose import settle
from schemas import storage
from schemas.config import Config
from schemas.layout import Layout
from schemas.run import Run
from transforms.crop_faces import crop_faces
from transforms.decode_frames import decode_segment
from transforms.follow_faces import follow_faces
from transforms.probe_video import probe_video
from transforms.write_fragment import fragment_of
from transforms.write_tables import make_tables

_FIELD = Path(__file__).parents[3] / "shared" / "field"


def analyzed(name: str) -> tuple[dict[str, Any], dict[str, list[dict[str, Any]]]]:
    """The row of a file and its tables, without models."""
    config = Config()
    config = dataclasses.replace(config, detection=settle(config.detection))
    plan = probe_video(storage.stat(str(_FIELD / name)), config)
    if not plan.segments:
        return {"status": plan.status, "error_type": plan.error_type, "error_message": plan.error_message}, {}
    fragments = []
    for segment in plan.segments:
        stream = decode_segment(segment, config)
        tracked = dataclasses.replace(stream, samples=follow_faces(stream.samples, config))
        (batch,) = crop_faces(tracked, config, part_rows=sys.maxsize)
        fragments.append(fragment_of(batch))
    row, tables = make_tables(plan, fragments, Run("", config, Layout("")), started_at=datetime.now(UTC))
    return {"error_type": None, **row}, {name: table.to_pylist() for name, table in tables.items()}


@pytest.fixture(scope="module")
def field() -> dict[str, tuple[dict[str, Any], dict[str, list[dict[str, Any]]]]]:
    if not (_FIELD / "TABLE.tsv").exists():
        pytest.skip("the odd files ../shared/field are not there")
    names = [path.name for path in sorted(_FIELD.iterdir()) if path.suffix != ".tsv"]
    return {name: analyzed(name) for name in names}


@pytest.mark.slow
def test_every_line_of_the_table(field):
    def seconds(name: str) -> list[int]:
        return sorted({face["second"] for face in field[name][1]["faces"]})

    row = {name: found for name, (found, _) in field.items()}
    tables = {name: found for name, (_, found) in field.items()}

    for name in ("base.mp4", "duration_srs.flv", "outlier.ts", "thumb_first.mkv", "date_dotnet_min.flv", "opus.mkv"):
        assert row[name]["status"] == "ok", row[name]["error_message"]
        assert seconds(name) == [0, 1, 3], name
        assert [line["second"] for line in tables[name]["timeline"]] == [0, 1, 2, 3], name
        assert row[name]["duration"] == pytest.approx(4, abs=0.1), name
        assert (row[name]["width"], row[name]["height"]) == (192, 192), name
    assert row["date_dotnet_min.flv"]["recorded_at"] is None
    assert row["outlier.ts"]["frames_corrupt"] == 1

    assert row["restart.ts"]["duration"] == pytest.approx(8) and seconds("restart.ts") == [0, 1, 3, 4, 5, 7]
    assert row["restart.ts"]["error_type"] == "stamps_jump" and "once, at 4.0 s" in row["restart.ts"]["error_message"]

    picture = row["IMG_0001.HEIC"]
    (face,) = tables["IMG_0001.HEIC"]["faces"]
    assert (picture["status"], picture["width"], picture["height"]) == ("ok", 1024, 1024)
    assert 300 < face["x"] + face["width"] / 2 < 724 and 300 < face["y"] + face["height"] / 2 < 724

    half = [face for face in tables["aspect_change.ts"]["faces"] if face["second"] >= 4]
    alone = tables["aspect_169_alone.ts"]["faces"]
    before = [face for face in tables["aspect_change.ts"]["faces"] if face["second"] < 4]
    assert {face["second"] for face in half} == {4, 5, 7}  # second 2 of the source is grey
    for a, b, c in zip(half, alone, before, strict=True):
        assert a["width"] / a["height"] == pytest.approx(b["width"] / b["height"], rel=0.05)
        # The same square on the screen: 16:9 has wider pixels than 4:3.
        assert c["width"] / c["height"] * 16 / 15 == pytest.approx(a["width"] / a["height"] * 64 / 45, rel=0.05)
        assert abs(a["yaw"] - c["yaw"]) < 8 and abs(a["pitch"] - c["pitch"]) < 8

    tracks = tables["motion_gap.mkv"]["tracks"]
    assert len(tracks) == 2 and all(track["duration"] < 3 for track in tracks)

    assert row["trim.mp4"]["duration"] == pytest.approx(2.4)
    assert [(face["frame"], round(face["timestamp"] * 25)) for face in tables["trim.mp4"]["faces"]]
    assert all(face["frame"] == round(face["timestamp"] * 25) < 60 for face in tables["trim.mp4"]["faces"])

    for name in ("truncated.jpg", "crashed.avi", "fuzz_negative.avi", "fuzz_index.ts"):
        assert row[name]["status"] == "partial", name
    for name in ("truncated.jpg", "crashed.avi", "fuzz_negative.avi"):
        assert row[name]["error_type"] == "truncated" and "cut off" in row[name]["error_message"], name
    assert row["crashed.avi"]["frames_decoded"] == 49 and row["whole.jpg"]["status"] == "ok"
    assert row["pal.dv"]["avg_fps"] == 25 and row["pal.dv"]["status"] == "ok"
    assert row["slideshow.mp4"]["duration"] == pytest.approx(20)
    assert [line["n_samples"] for line in tables["slideshow.mp4"]["timeline"]] == [1] * 20
    assert seconds("slideshow.mp4") == [*range(10), *range(15, 20)]
    assert row["animated.webp"]["status"] == "corrupt" and "animated WebP" in row["animated.webp"]["error_message"]
    assert "boxes count in it" in row["crop.mkv"]["error_message"]
    assert row["fuzz_argument.wmv"]["status"] in ("corrupt", "partial")
    for found in row.values():
        assert "Error:" not in (found.get("error_message") or "")
        assert found["error_type"] != "storage_error"
