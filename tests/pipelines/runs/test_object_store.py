"""A whole run from and to an S3 server."""

from pathlib import Path

import pytest

from pipelines.runs.analyze_archive import analyze
from pipelines.runs.bookkeeping import Summary
from schemas import storage
from schemas.config import Config
from tests.tables import read_table, videos


def download(uri: str, folder: Path) -> Path:
    """A folder of the store as one on disk."""
    for info in storage.list_files(uri):
        path = folder / info.uri.removeprefix(f"{uri}/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(storage.read_bytes(info.uri))
    return folder


@pytest.mark.multiprocess
@pytest.mark.parametrize("runner", ["direct", "local"])
def test_from_and_to_s3(
    runner: str,
    s3_bucket: str,
    four_segments: Path,
    bare: Config,
    reference: Path,
    tmp_path: Path,
) -> None:
    uri, out = f"{s3_bucket}/{runner} in/day 1/four.mp4", f"{s3_bucket}/{runner} out"
    storage.write_bytes(uri, four_segments.read_bytes())

    def run() -> Summary:
        return analyze(f"{s3_bucket}/{runner} in", out, config=bare, runner=runner, workers=1)

    assert (run().exit_status, run().new) == (0, 0)
    (row,) = videos(download(out, tmp_path / "s3")).values()
    assert (row["uri"], row["status"]) == (uri, "ok")
    assert row["etag"] == storage.stat(uri).etag is not None
    for name in ("faces", "tracks", "timeline"):
        assert read_table(tmp_path / "s3", name) == read_table(reference, name)
