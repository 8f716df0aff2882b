from collections import Counter
from pathlib import Path

import pytest

from schemas.errors import StorageError
from tests.kept_results import OTHER, TALK, make_results
from tests.tables import rows
from transforms.observations import read_observations


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return make_results(tmp_path / "out")


def test_tracks_of_all_segments_are_counted_as_in_the_tables(out: Path) -> None:
    found = read_observations(str(out), TALK)
    assert found is not None
    tracks = rows(out, "tracks", video_id=TALK)
    assert Counter(found.columns["track"].tolist()) == {track["track_id"]: track["n_samples"] for track in tracks}
    assert [found.columns["timestamp"][found.columns["track"] == track["track_id"]].max() for track in tracks] == [
        track["end_time"] for track in tracks
    ]


def test_none_were_kept(out: Path) -> None:
    assert read_observations(str(out), OTHER) is None


@pytest.mark.parametrize("gone", ["00000.parquet", "00001.parquet"])
def test_samples_that_are_not_whole_are_refused(out: Path, gone: str) -> None:
    (out / "observations" / f"bucket={TALK[:2]}" / TALK / gone).unlink()
    with pytest.raises(StorageError, match="not whole: analyze the video again"):
        read_observations(str(out), TALK)
