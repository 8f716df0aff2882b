"""The schemas against a second copy of the tables' description, and the footers of files."""

import io
import json
import re

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from schemas.config import Config, ModelRef
from schemas.tables import OWN_COLUMNS, TABLES, TIMELINE, TRACKS, VIDEOS, footer, make_table, parquet_bytes
from tests.examples import VIDEO_ID, example_row

# A `?` after the type: may be null. `names` are dictionary-encoded strings.
DESCRIBED = {
    "faces": """
        video_id string, track_id int32, second int32, timestamp float64, frame int64?, pts int64?, shot_id int32,
        n_samples int16, n_detected int16, n_tracked int16, x float, y float, width float, height float,
        confidence float?, track_confidence float?, yaw float?, pitch float?, roll float?,
        pose_std float?, sharpness float, brightness float, face_px float, emotion names?,
        emotion_angry float?, emotion_disgust float?, emotion_fear float?, emotion_happy float?, emotion_sad float?,
        emotion_surprise float?, emotion_neutral float?, emotion_entropy float?,
        age float?, age_std float?, age_low float?, age_high float?, gender names?, gender_female float?,
        emotion_smooth names?, emotion_smooth_angry float?, emotion_smooth_disgust float?, emotion_smooth_fear float?,
        emotion_smooth_happy float?, emotion_smooth_sad float?, emotion_smooth_surprise float?,
        emotion_smooth_neutral float?, age_smooth float?, gender_female_smooth float?, quality_flags uint16
    """,
    "tracks": """
        video_id string, track_id int32, shot_id int32, person_id int32?, start_time float64, end_time float64,
        duration float64, start_frame int64?, end_frame int64?, n_samples int32, n_detected int32, end_reason names,
        confidence_mean float, best_timestamp float64, best_x float, best_y float, best_width float, best_height float,
        emotion names?, emotion_angry float?, emotion_disgust float?, emotion_fear float?, emotion_happy float?,
        emotion_sad float?, emotion_surprise float?, emotion_neutral float?,
        age float?, age_std float?, age_low float?, age_high float?, gender names?, gender_female float?,
        embedding list?
    """,
    "timeline": """
        video_id string, second int32, timestamp float64?, n_samples int16, n_faces int16?, shot_id int32?,
        decode_ok bool
    """,
    "videos": """
        uri string, video_id string?, size_bytes int64?, modified_at utc?, etag string?, status names,
        error_type string?, error_message string?, container names?, codec names?, pix_fmt names?,
        duration float64?, start_offset float64?, width int32?, height int32?, rotation int16?,
        sample_aspect_ratio float?, avg_fps float64?, is_vfr bool?, start_pts int64?, time_base string?,
        recorded_at utc?, frames_decoded int64?, frames_sampled int64?, frames_corrupt int64?, sample_fps float?,
        keyframe_seconds float?,
        n_tracks int32?, n_persons int32?, max_faces int32?, face_seconds int32?, config_hash string,
        algorithm_version int32, wall_seconds float64, peak_rss_mb float, started_at utc, finished_at utc,
        run_id string, code_version string
    """,
}
TYPES = {
    "string": pa.string(),
    "names": pa.dictionary(pa.int32(), pa.string()),
    "bool": pa.bool_(),
    "uint16": pa.uint16(),
    "int16": pa.int16(),
    "int32": pa.int32(),
    "int64": pa.int64(),
    "float": pa.float32(),
    "float64": pa.float64(),
    "utc": pa.timestamp("us", "UTC"),
    "list": pa.list_(pa.float32()),
}


@pytest.mark.parametrize("name", DESCRIBED)
def test_a_table_has_the_columns_that_are_described(name: str):
    described = [tuple(column.split()) for column in re.split(r",\s*", DESCRIBED[name].strip())]
    fields = [pa.field(column, TYPES[kind.rstrip("?")], nullable=kind.endswith("?")) for column, kind in described]

    assert list(TABLES[name]) == fields


def test_the_runs_own_columns_are_the_last_ones_of_videos():
    assert tuple(VIDEOS.names[-6:]) == OWN_COLUMNS


def test_nan_becomes_null_and_no_nan_is_stored(tmp_path):
    schema = pa.schema([pa.field("a", pa.float32()), pa.field("b", pa.float64()), pa.field("c", TYPES["names"])])

    table = make_table(schema, {"a": np.array([1, np.nan], np.float32), "b": [np.nan, 2.0], "c": [None, "x"]})

    assert [column.null_count for column in table.columns] == [1, 1, 1]
    assert table.to_pylist() == [{"a": 1.0, "b": None, "c": None}, {"a": None, "b": 2.0, "c": "x"}]


@pytest.mark.parametrize("values", [[1.0, None], np.array([1.0, np.nan])])
def test_a_null_where_none_may_be_is_refused(values):
    schema = pa.schema([pa.field("sharpness", pa.float32(), nullable=False)])

    with pytest.raises(ValueError, match="sharpness must not be null"):
        make_table(schema, {"sharpness": values})


def test_a_number_too_large_for_its_column_is_refused():
    with pytest.raises(pa.ArrowInvalid):
        make_table(pa.schema([("n_samples", pa.int16())]), {"n_samples": np.array([70_000])})


def track_row(embedding: list[float] | None) -> dict[str, object]:
    row: dict[str, object] = {field.name: None if field.nullable else 1 for field in TRACKS}
    return row | {"video_id": VIDEO_ID, "end_reason": "eof", "emotion": "happy", "embedding": embedding}


def test_embeddings_with_nulls_are_read_by_arrow_pandas_and_duckdb(tmp_path):
    # As a fixed_size_list this very file could be written and not be read (Arrow issue 35692).
    rows = [track_row(None), track_row([0.5] * 128), track_row(None)]
    table = make_table(TRACKS, {name: [row[name] for row in rows] for name in TRACKS.names})
    path = tmp_path / "tracks.parquet"
    path.write_bytes(parquet_bytes(table, {}))

    assert [len(e) if e else e for e in pq.read_table(path)["embedding"].to_pylist()] == [None, 128, None]
    frame = pd.read_parquet(path)
    assert frame["embedding"].isna().tolist() == [True, False, True]
    assert len(frame["embedding"][1]) == 128
    answer = duckdb.execute(f"select len(embedding), emotion, end_reason from '{path}'").fetchall()
    assert answer == [(None, "happy", "eof"), (128, "happy", "eof"), (None, "happy", "eof")]


@pytest.mark.parametrize(("rows", "compression", "has_statistics"), [(1, "UNCOMPRESSED", False), (65, "ZSTD", True)])
def test_what_is_too_small_is_not_compressed(rows: int, compression: str, has_statistics: bool):
    columns = {"video_id": ["ab" * 16] * rows, "second": range(rows), "timestamp": np.arange(rows, dtype=float)}
    columns |= {"n_samples": [4] * rows, "n_faces": [1] * rows, "shot_id": [0] * rows, "decode_ok": [True] * rows}
    table = make_table(TIMELINE, columns)
    data = parquet_bytes(table, {"run_id": "run-1"})
    column = pq.ParquetFile(io.BytesIO(data)).metadata.row_group(0).column(1)

    assert (column.compression, column.is_stats_set) == (compression, has_statistics)
    assert pq.read_table(io.BytesIO(data)).equals(table)


def test_a_file_has_dictionaries_and_a_full_footer(tmp_path):
    emotion = ModelRef("emotion", ("emotion",), "e" * 64, "c" * 64, {"accuracy": 0.65})
    config = Config(models=(emotion,))
    row = example_row()
    table = make_table(VIDEOS, {name: [row[name]] for name in VIDEOS.names})
    path = tmp_path / "videos.parquet"
    path.write_bytes(parquet_bytes(table, footer(config, "run-1")))
    metadata = pq.read_metadata(path)

    status = metadata.row_group(0).column(VIDEOS.names.index("status"))
    assert "RLE_DICTIONARY" in status.encodings
    read = pq.read_table(path)
    assert read.schema.equals(VIDEOS)
    assert read.to_pylist() == [row]
    said = {key.decode(): value.decode() for key, value in read.schema.metadata.items()}
    assert said["schema_version"] == "1"
    assert said["run_id"] == "run-1"
    assert json.loads(said["config_json"])["sampling"]["sample_fps"] == 4.0
    assert said["code_version"]
    assert said["emotion_classes"] == "angry,disgust,fear,happy,sad,surprise,neutral"
    assert "top left" in said["box_convention"]
    assert "first displayed frame" in said["time_convention"]
    assert json.loads(said["models"]) == {
        "emotion": {"name": "emotion", "sha256": "e" * 64, "figures": {"accuracy": 0.65}}
    }
